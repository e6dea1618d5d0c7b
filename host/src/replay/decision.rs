//! A decision of the candidate held against its contract, and followed to the states that it leads to.

use std::sync::Arc;

use millwork_registry::replay::{Difference, Relation, differences, relation};
use serde_json::Value;
use uuid::Uuid;

use super::Trial;
use super::fold::Folded;
use super::input::Input;
use super::read_back::parsed;
use crate::bindings::aggregates::exports::millwork::module::aggregates::Decision;
use crate::event_store::journal::JournalEntry;
use crate::event_store::{Recorded, Subject};
use crate::tenant::Module;

/// A journalled command with all that it was decided on.
pub(super) struct Case<'a> {
    pub(super) entry: &'a JournalEntry,
    pub(super) input: Input,
    /// The aggregates that it saw, as both releases fold them, the target first.
    pub(super) seen: Vec<(Subject, Folded)>,
}

/// One aggregate that a decision records events for.
pub(super) struct Touched<'a> {
    pub(super) of: &'a Subject,
    /// As both releases see it before the decision.
    pub(super) before: &'a Folded,
    /// What the candidate decided for it, as it would have been recorded.
    pub(super) events: Vec<Recorded>,
    /// As the candidate sees it after the decision.
    pub(super) after: Value,
}

/// Something wrong with a decision.
pub(super) struct Finding {
    pub(super) detail: String,
    pub(super) differences: Vec<Difference>,
}

impl From<String> for Finding {
    fn from(detail: String) -> Self {
        Self {
            detail,
            differences: Vec::new(),
        }
    }
}

impl Trial {
    /// What a decision of the candidate leads to, aggregate by aggregate; or how it breaks the contract: it must declare
    /// what it records, and give the states that its own `evolve` gives.
    pub(super) fn follow<'a>(
        &self,
        case: &'a Case<'_>,
        decision: &Decision,
    ) -> Result<Vec<Touched<'a>>, Finding> {
        keeps_contract(&self.candidate, case, decision)?;
        let mut all = Vec::with_capacity(case.seen.len());
        for (of, before) in &case.seen {
            let events = recorded(case, of, before.version, decision);
            if events.is_empty() {
                continue;
            }
            let side = before.candidate.clone();
            let after = self.evolve(&self.candidate, of, before.version, side, &events);
            let after = after.map_err(|error| format!("cannot fold its own events: {error}"))?;
            let after = parsed(after.as_ref());
            let given = given_state(decision, of);
            if relation(&given, &after) != Relation::Equal {
                return Err(Finding {
                    detail: format!(
                        "the state of {} that it gives is not what its evolve gives",
                        of.aggregate
                    ),
                    differences: differences(&after, &given, self.limits.differences_max),
                });
            }
            all.push(Touched {
                of,
                before,
                events,
                after,
            });
        }
        Ok(all)
    }
}

/// What the host would refuse of a decision.
fn keeps_contract(module: &Module, case: &Case<'_>, decision: &Decision) -> Result<(), String> {
    for event in &decision.events {
        let (aggregate, id) = (&event.of.aggregate, &event.of.id);
        let declared = module.manifest.aggregates.get(aggregate);
        if !declared.is_some_and(|declared| declared.events.contains_key(&event.name)) {
            return Err(format!("event {} is not one of {aggregate}'s", event.name));
        }
        let mut seen = case.seen.iter();
        if !seen.any(|(of, _)| of.aggregate == *aggregate && of.id == *id) {
            return Err(format!("{aggregate} {id} is neither target nor related"));
        }
        module.check_event(&event.name, &event.data)?;
    }
    let declared = module.plan(&case.entry.command.name);
    let declared = declared.map(|plan| plan.command.claims.as_slice());
    let declared = declared.unwrap_or_default();
    let mut claims = decision.claims.iter().chain(&decision.releases);
    match claims.find(|claim| !declared.contains(&claim.name)) {
        Some(claim) => Err(format!("claim {} is not in the manifest", claim.name)),
        None => Ok(()),
    }
}

/// The state that a decision gives for an aggregate; null when it gives none.
fn given_state(decision: &Decision, of: &Subject) -> Value {
    let given = decision
        .states
        .iter()
        .find(|(id, _)| id.aggregate == of.aggregate && id.id == of.id);
    given
        .and_then(|(_, state)| serde_json::from_str(state).ok())
        .unwrap_or_default()
}

/// A decision's events for one aggregate as they would have been recorded.
fn recorded(case: &Case<'_>, of: &Subject, version: u64, decision: &Decision) -> Vec<Recorded> {
    let own = decision
        .events
        .iter()
        .filter(|event| event.of.aggregate == of.aggregate && event.of.id == of.id);
    own.zip(version + 1..)
        .map(|(event, version)| Recorded {
            position: 0,
            id: Uuid::nil().to_string(),
            of: of.clone(),
            version,
            name: event.name.clone(),
            recorded_at: case.input.now,
            origin: Arc::clone(&case.entry.origin),
            data: Arc::from(event.data.as_str()),
        })
        .collect()
}
