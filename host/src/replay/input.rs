//! The whole input of a decision, out of the journal and into the form that a release takes.
//!
//! A release is only asked what it could have been asked then: when its manifest wants what the journal does not have,
//! the command is left out, and the report says so.

use std::collections::HashMap;
use std::sync::Arc;

use millwork_registry::manifest::Command;
use millwork_registry::replay::Why;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::bindings::types;
use crate::engine::component::Asked;
use crate::event_store::Subject;
use crate::event_store::journal::JournalEntry;
use crate::tenant::Module;

/// Configurations remembered; a tenant changes it now and then.
const CONFIGURATIONS_MAX: usize = 256;

/// What the journal keeps of a command's input.
#[derive(Deserialize)]
pub(super) struct Input {
    pub(super) data: Box<RawValue>,
    pub(super) now: u64,
    ids: Vec<String>,
    facts: Map<String, Value>,
    numbers: Vec<(String, String)>,
    config: Box<RawValue>,
    versions: Vec<(String, String, u64)>,
}

/// An aggregate that a decision saw, as one release sees it.
pub(super) struct Saw<'a> {
    pub(super) of: &'a Subject,
    pub(super) version: u64,
    pub(super) state: Option<&'a Arc<str>>,
}

/// The configurations of the journal as one release takes them: with its own defaults, and without what it does not know.
#[derive(Default)]
pub(super) struct Configurations(HashMap<String, Option<Arc<str>>>);

impl Input {
    /// Nothing when the journal does not have it any more.
    pub(super) fn read(entry: &JournalEntry) -> Option<Self> {
        let input: Self = serde_json::from_str(&entry.command.input).ok()?;
        (!input.versions.is_empty()).then_some(input)
    }

    /// The aggregates that it was decided on and their versions then, the target first.
    pub(super) fn subjects(&self, module: &str) -> Vec<(Subject, u64)> {
        let subject = |(aggregate, id, version): &(String, String, u64)| {
            let of = Subject {
                module: module.to_owned(),
                aggregate: aggregate.clone(),
                id: id.clone(),
            };
            (of, *version)
        };
        self.versions.iter().map(subject).collect()
    }

    /// Whether the journal has all that a release declares for the command.
    pub(super) fn has_all(&self, command: &Command) -> bool {
        let related = command.related.values().map(|related| &related.aggregate);
        let seen = self.versions.iter().skip(1).map(|(aggregate, _, _)| aggregate);
        let has_number = |name: &String| self.numbers.iter().any(|(known, _)| known == name);
        related.eq(seen)
            && self.ids.len() >= command.ids as usize
            && command.facts.keys().all(|name| self.facts.contains_key(name))
            && command.numbers.keys().all(has_number)
    }

    /// The input in the form that a release takes; only what its manifest declares is in it.
    pub(super) fn asked<'a>(
        &self,
        entry: &JournalEntry,
        command: &Command,
        saw: impl Iterator<Item = Saw<'a>>,
        config: &str,
    ) -> Option<Asked> {
        let mut subjects = saw.map(|saw| subject(&saw));
        let target = subjects.next()?;
        let facts = self
            .facts
            .iter()
            .filter(|(name, _)| command.facts.contains_key(*name));
        let facts: Map<_, _> = facts.map(|(name, fact)| (name.clone(), fact.clone())).collect();
        let numbers = self
            .numbers
            .iter()
            .filter(|(name, _)| command.numbers.contains_key(name));
        Some(Asked {
            target,
            related: subjects.collect(),
            command: types::Command {
                id: entry.command.id.clone(),
                name: entry.command.name.clone(),
                data: self.data.get().to_owned(),
            },
            context: types::Context {
                now: self.now,
                origin: types::Origin {
                    user: entry.origin.user.clone(),
                    correlation_id: entry.origin.correlation_id.clone(),
                    causation_id: entry.origin.causation_id.clone(),
                },
                ids: self.ids.iter().take(command.ids as usize).cloned().collect(),
                facts: Value::Object(facts).to_string(),
                numbers: numbers.cloned().collect(),
                config: config.to_owned(),
            },
        })
    }
}

fn subject(saw: &Saw<'_>) -> types::Subject {
    types::Subject {
        of: types::SubjectId {
            aggregate: saw.of.aggregate.clone(),
            id: saw.of.id.clone(),
        },
        version: saw.version,
        state: saw.state.map(ToString::to_string),
    }
}

impl Configurations {
    /// The configuration of then as `module` takes it.
    pub(super) fn of(&mut self, module: &Module, input: &Input) -> Result<Arc<str>, Why> {
        if self.0.len() >= CONFIGURATIONS_MAX {
            self.0.clear();
        }
        let made = self
            .0
            .entry(input.config.get().to_owned())
            .or_insert_with_key(|text| {
                let given = serde_json::from_str(text).ok()?;
                let config = module.manifest.configuration_of_before(given).ok()?;
                Some(Arc::from(config.to_string()))
            });
        made.clone().ok_or(Why::ConfigurationUnfit)
    }
}
