//! Recorded events folded by both releases, up to the version that a decision saw.
//!
//! Commands come in the order in which they were decided, so the state of an aggregate only moves on from one command to
//! the next: what was folded last is kept at hand, and events are read and folded once.

use std::collections::HashMap;
use std::sync::Arc;

use super::Trial;
use crate::bindings::types;
use crate::engine::CallError;
use crate::engine::event::event_for_component;
use crate::event_store::{Recorded, StoreError, Subject};
use crate::tenant::Module;

/// What one release makes of events: a state, nothing before the first event, or why it gives none.
pub(super) type Side = Result<Option<Arc<str>>, CallError>;

/// One aggregate at one version, as both releases see it.
#[derive(Debug, Clone)]
pub(super) struct Folded {
    pub(super) version: u64,
    pub(super) serving: Side,
    pub(super) candidate: Side,
    /// The first event among them that the candidate's manifest does not have, and that of the release that serves has.
    pub(super) undeclared: Option<String>,
}

/// What was folded last, of each aggregate, within a bound of bytes.
#[derive(Default)]
pub(super) struct Folds {
    kept: HashMap<Subject, Folded>,
    bytes: usize,
}

impl Folded {
    /// Before the first event.
    pub(super) fn start() -> Self {
        Self {
            version: 0,
            serving: Ok(None),
            candidate: Ok(None),
            undeclared: None,
        }
    }

    fn bytes(&self) -> usize {
        let side = |side: &Side| match side {
            Ok(Some(state)) => state.len(),
            _ => 0,
        };
        side(&self.serving) + side(&self.candidate) + 256
    }
}

impl Folds {
    /// An aggregate at a version; nothing when its events are not all there.
    pub(super) async fn at(
        &mut self,
        trial: &Trial,
        of: &Subject,
        version: u64,
    ) -> Result<Option<Folded>, StoreError> {
        let kept = self.kept.remove(of);
        self.bytes -= kept.as_ref().map_or(0, Folded::bytes);
        let from = kept.filter(|kept| kept.version <= version);
        let folded = trial
            .fold(of, from.unwrap_or_else(Folded::start), version)
            .await?;
        if let Some(folded) = &folded {
            if self.bytes > trial.limits.states_bytes_max {
                // Whoever comes again is folded from the start.
                *self = Self::default();
            }
            self.bytes += folded.bytes();
            self.kept.insert(of.clone(), folded.clone());
        }
        Ok(folded)
    }
}

impl Trial {
    /// Folds on, up to `version`; nothing when the events are not all there.
    pub(super) async fn fold(
        &self,
        of: &Subject,
        mut from: Folded,
        version: u64,
    ) -> Result<Option<Folded>, StoreError> {
        while from.version < version {
            let missing = u32::try_from(version - from.version).unwrap_or(u32::MAX);
            let limit = missing.min(self.limits.load_page.max(1));
            let events = self.events.events(&self.tenant, of, from.version, limit).await?;
            let follows = events
                .first()
                .is_some_and(|event| event.version == from.version + 1);
            let Some(last) = events.last().filter(|_| follows) else {
                return Ok(None);
            };
            let undeclared = from.undeclared.or_else(|| self.undeclared(of, &events));
            from = Folded {
                version: last.version,
                undeclared,
                serving: self.evolve(&self.serving, of, from.version, from.serving, &events),
                candidate: self.evolve(&self.candidate, of, from.version, from.candidate, &events),
            };
        }
        Ok(Some(from))
    }

    fn undeclared(&self, of: &Subject, events: &[Recorded]) -> Option<String> {
        let declares = |module: &Module, event: &Recorded| {
            let declared = module.manifest.aggregates.get(&of.aggregate);
            declared.is_some_and(|declared| declared.events.contains_key(&event.name))
        };
        let unknown = |event: &&Recorded| declares(&self.serving, event) && !declares(&self.candidate, event);
        events.iter().find(unknown).map(|event| event.name.clone())
    }

    /// Folds events into a side that has a state so far.
    pub(super) fn evolve(
        &self,
        module: &Module,
        of: &Subject,
        version: u64,
        side: Side,
        events: &[Recorded],
    ) -> Side {
        let subject = types::Subject {
            of: types::SubjectId {
                aggregate: of.aggregate.clone(),
                id: of.id.clone(),
            },
            version,
            state: side?.map(|state| state.to_string()),
        };
        let events: Vec<_> = events
            .iter()
            .map(|event| event_for_component(event, &module.manifest))
            .collect();
        let state = module
            .component
            .evolve_on_trial(&self.caller, &subject, &events)?;
        Ok(Some(Arc::from(state)))
    }
}
