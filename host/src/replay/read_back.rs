//! Whether the release that serves could go on after what the candidate records. If not, a swap is one-way.
//!
//! It can read an event when its manifest declares it, the event's schema there takes the data, its `evolve` folds it, and
//! the state then misses nothing: where the states of both releases have a value in the same place, and agreed on it
//! before, they agree on it afterwards. A member that only one release keeps in its state says nothing: unknown members of
//! events stay recorded, and whoever knows them folds them again.

use std::sync::Arc;

use millwork_registry::replay::{Difference, differences};
use serde_json::{Map, Value};

use super::Trial;
use super::decision::{Finding, Touched};
use super::fold::Side;

impl Trial {
    /// Gives the release that serves what the candidate decided for an aggregate; nothing when it can read all of it.
    pub(super) fn read_back(&self, touched: &Touched<'_>) -> Option<Finding> {
        let by = &self.serving.release;
        let declared = self.serving.manifest.aggregates.get(&touched.of.aggregate);
        for event in &touched.events {
            let known = declared.filter(|declared| declared.events.contains_key(&event.name));
            let Some(declared) = known else {
                return Some(format!("{by} has no event {}", event.name).into());
            };
            let upcast = declared.upcast(&event.name, &event.data);
            let data = upcast.as_deref().unwrap_or(&event.data);
            if let Err(detail) = self.serving.check_event(&event.name, data) {
                return Some(format!("{by} expects another form: {detail}").into());
            }
        }
        let before = touched.before;
        let side = before.serving.clone();
        let folded = self.evolve(&self.serving, touched.of, before.version, side, &touched.events);
        let folded = match folded {
            Ok(state) => parsed(state.as_ref()),
            Err(error) => return Some(format!("{by} cannot fold it: {error}").into()),
        };
        let earlier = disagreements(&parsed_side(&before.serving), &parsed_side(&before.candidate));
        let mut missed = disagreements(&folded, &touched.after);
        missed.retain(|place| earlier.iter().all(|known| known.pointer != place.pointer));
        missed.truncate(self.limits.differences_max);
        (!missed.is_empty()).then(|| Finding {
            detail: format!("the state of {by} after it is not what the candidate means"),
            differences: missed,
        })
    }
}

/// Where two releases' states have both a value and not the same.
fn disagreements(serving: &Value, candidate: &Value) -> Vec<Difference> {
    differences(
        &shared(serving, candidate),
        &shared(candidate, serving),
        usize::MAX,
    )
}

/// A state without the members that the other one does not have.
fn shared(state: &Value, other: &Value) -> Value {
    match (state, other) {
        (Value::Object(members), Value::Object(others)) => {
            let both = members.iter().filter_map(|(name, value)| {
                let other = others.get(name)?;
                Some((name.clone(), shared(value, other)))
            });
            Value::Object(both.collect::<Map<_, _>>())
        }
        (Value::Array(entries), Value::Array(others)) => {
            let entries = entries
                .iter()
                .enumerate()
                .map(|(index, entry)| match others.get(index) {
                    Some(other) => shared(entry, other),
                    None => entry.clone(),
                });
            Value::Array(entries.collect())
        }
        (plain, _) => plain.clone(),
    }
}

/// A state as JSON; before the first event it is null.
pub(super) fn parsed(state: Option<&Arc<str>>) -> Value {
    state
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

fn parsed_side(side: &Side) -> Value {
    parsed(side.as_ref().ok().and_then(Option::as_ref))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(serving: Value, candidate: Value, places: &[&str]) {
        let found = disagreements(&serving, &candidate);
        let found: Vec<_> = found.iter().map(|place| place.pointer.as_str()).collect();
        assert_eq!(found, places, "{serving} {candidate}");
    }

    #[test]
    fn members_of_one_release_say_nothing() {
        check(json!({"a": 1, "old": 2}), json!({"a": 1, "new": 3}), &[]);
        check(json!({"l": [{"a": 1}]}), json!({"l": [{"a": 1, "b": 2}]}), &[]);
        check(json!(null), json!(null), &[]);
    }

    #[test]
    fn members_of_both_must_agree() {
        check(json!({"total": "0"}), json!({"total": "119.00"}), &["/total"]);
        check(json!({"l": []}), json!({"l": [{"a": 1}]}), &["/l/0"]);
        check(json!({"note": null}), json!({"note": "x"}), &["/note"]);
    }
}
