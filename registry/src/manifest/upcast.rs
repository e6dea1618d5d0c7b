//! Upcasts: how a release reads events that earlier releases recorded without members that it needs.
//!
//! They only add: a member that is there stays as it is, none is taken away. So the same upcast can be applied to every
//! event whenever it is read, old or new, and recorded events need no version of their own.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Aggregate;

/// Upcasts of one event: members that earlier releases did not record, by name.
pub type Upcasts = IndexMap<String, Upcast>;

/// Where the value of a member comes from in an event that lacks it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upcast {
    /// The member that had this value under another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The value where there is nothing to take it from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

impl Aggregate {
    /// The data of a recorded event with the members that it lacks; `None` when it lacks none or is no object.
    #[must_use]
    pub fn upcast(&self, event: &str, data: &str) -> Option<String> {
        let upcasts = self.upcasts.get(event)?;
        let mut members: Map<String, Value> = serde_json::from_str(data).ok()?;
        let mut added = false;
        for (member, upcast) in upcasts {
            if members.contains_key(member) {
                continue;
            }
            let taken = upcast.from.as_ref().and_then(|from| members.get(from));
            if let Some(value) = taken.or(upcast.default.as_ref()).cloned() {
                members.insert(member.clone(), value);
                added = true;
            }
        }
        added.then(|| Value::Object(members).to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::manifest::Aggregate;

    fn check(data: serde_json::Value, expected: Option<serde_json::Value>) {
        let upcasts = json!({ "Raised": {
            "due": { "from": "dueDate", "default": "never" },
            "total": { "from": "amount" },
            "reason": { "default": { "code": "old" } },
        } });
        let aggregate = json!({ "events": { "Raised": null, "Settled": null }, "upcasts": upcasts });
        let aggregate: Aggregate = serde_json::from_value(aggregate).unwrap();
        let cast = aggregate.upcast("Raised", &data.to_string());
        let cast = cast.map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap());
        assert_eq!(cast, expected, "{data}");
        assert_eq!(aggregate.upcast("Settled", &data.to_string()), None);
        if let Some(cast) = expected {
            let again = aggregate.upcast("Raised", &cast.to_string());
            assert_eq!(again, None, "a second time changes nothing: {cast}");
        }
    }

    #[test]
    fn members_are_added_and_never_changed() {
        check(
            json!({ "dueDate": "2026-01-01", "amount": "1.00" }),
            Some(
                json!({ "dueDate": "2026-01-01", "amount": "1.00", "due": "2026-01-01", "total": "1.00",
                "reason": { "code": "old" } }),
            ),
        );
        check(
            json!({ "total": null }),
            Some(json!({ "total": null, "due": "never", "reason": { "code": "old" } })),
        );
        check(json!({ "due": 1, "total": 2, "reason": 3, "amount": 4 }), None);
        check(json!(["due"]), None);
    }
}
