//! What a release answers to a command, as values that can be held against each other.

use millwork_registry::replay::{Class, Relation, differences, relation};
use serde::Serialize;
use serde_json::{Value, json};

use crate::bindings::aggregates::exports::millwork::module::aggregates::{Claim, Decision, NewEvent};
use crate::engine::CallError;
use crate::engine::component::Verdict;
use crate::error::Rejection;
use crate::event_store::Recorded;
use crate::event_store::journal::JournalOutcome;

/// Places told of one disagreement.
const PLACES_MAX: usize = 5;

/// What a release answers.
pub(super) enum Answer {
    /// A decision, and the same as JSON: events in order, claims and releases.
    Decided(Decision, Value),
    /// The business says no: as JSON with its sentences.
    Rejected(Value),
    /// No usable answer; says why.
    Failed(String),
}

impl Answer {
    /// Reads what a call has given.
    pub(super) fn of(answered: Result<Verdict, CallError>) -> Self {
        match answered {
            Ok(Ok(decision)) => match shown(&decision) {
                Ok(value) => Self::Decided(decision, value),
                Err(detail) => Self::Failed(detail),
            },
            Ok(Err(rejection)) => Self::rejected(&Rejection::from(rejection)),
            Err(error) => Self::Failed(error.to_string()),
        }
    }

    /// A rejection, by the component or by the host in front of it.
    pub(super) fn rejected(rejection: &Rejection) -> Self {
        Self::Rejected(to_value(rejection))
    }

    /// As JSON, for people.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Decided(_, value) => value.clone(),
            Self::Rejected(rejection) => json!({ "rejection": rejection }),
            Self::Failed(detail) => json!({ "failure": detail }),
        }
    }

    /// Whether this is what the journal says. The journal does not tell claims.
    pub(super) fn is(&self, journalled: &JournalOutcome) -> bool {
        match (self, journalled) {
            (Self::Decided(_, value), JournalOutcome::Accepted(events)) => {
                value.get("events") == recorded(events).as_ref()
            }
            (Self::Rejected(rejection), JournalOutcome::Rejected(text)) => {
                let kept = serde_json::from_str(text).unwrap_or_default();
                codes(rejection) == codes(&kept)
            }
            _ => false,
        }
    }
}

/// How two releases differ in their answers to the same command, with the places: events otherwise or in another order, or
/// a rejection of the one. Nothing when they agree.
#[must_use]
pub fn disagreement(before: &Verdict, after: &Verdict) -> Option<(Class, String)> {
    let (class, before, after) = match (before, after) {
        (Ok(before), Ok(after)) => (
            Class::Events,
            shown(before).ok()?,
            shown(after).unwrap_or_default(),
        ),
        (before, after) => (Class::Rejection, outlined(before), outlined(after)),
    };
    let class = match relation(&before, &after) {
        Relation::Equal => return None,
        Relation::Order => Class::Order,
        Relation::Different => class,
    };
    let places = differences(&before, &after, PLACES_MAX);
    let places: Vec<_> = places.iter().map(ToString::to_string).collect();
    Some((class, places.join(", ")))
}

/// A rejection by its codes, or that there is none.
fn outlined(verdict: &Verdict) -> Value {
    match verdict {
        Ok(_) => Value::from("accepted"),
        Err(rejection) => codes(&to_value(&Rejection::from(rejection.clone()))),
    }
}

/// A rejection without its sentences: rewording one is no difference.
pub(super) fn codes(rejection: &Value) -> Value {
    match rejection {
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, _)| *name != "message");
            Value::Object(kept.map(|(name, value)| (name.clone(), codes(value))).collect())
        }
        Value::Array(entries) => Value::Array(entries.iter().map(codes).collect()),
        plain => plain.clone(),
    }
}

fn shown(decision: &Decision) -> Result<Value, String> {
    let events: Result<Vec<_>, _> = decision.events.iter().map(shown_event).collect();
    Ok(json!({
        "events": events?,
        "claims": shown_claims(&decision.claims),
        "releases": shown_claims(&decision.releases),
    }))
}

fn shown_event(event: &NewEvent) -> Result<Value, String> {
    let data: Value = serde_json::from_str(&event.data)
        .map_err(|error| format!("event {} is no JSON: {error}", event.name))?;
    Ok(json!({ "name": event.name, "aggregate": event.of.aggregate, "id": event.of.id, "data": data }))
}

/// Sorted, since they are a set.
fn shown_claims(claims: &[Claim]) -> Vec<String> {
    let mut shown: Vec<_> = claims
        .iter()
        .map(|claim| format!("{}={}", claim.name, claim.value))
        .collect();
    shown.sort_unstable();
    shown
}

/// Recorded events in the form that decided ones are shown in.
fn recorded(events: &[Recorded]) -> Option<Value> {
    let events: Option<Vec<_>> = events
        .iter()
        .map(|event| {
            let data: Value = serde_json::from_str(&event.data).ok()?;
            Some(json!({ "name": event.name, "aggregate": event.of.aggregate, "id": event.of.id, "data": data }))
        })
        .collect();
    events.map(Value::Array)
}

fn to_value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}
