//! How much of a swap somebody sees.
//!
//! Admins and operators see all of it. A replay tells values out of any aggregate, a configuration may be anything: others
//! of the tenant, who may not be allowed to read those, see where a swap stands and what it changes, but not these.

use serde_json::Value;

use crate::host::swap::View;
use crate::http::problem::Problem;

/// How much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Sight {
    /// All of it.
    Whole,
    /// Without what comes out of aggregates and configurations.
    Outline,
}

impl Sight {
    /// A swap as it is seen.
    pub(in crate::http) fn of(self, view: &View) -> Result<Value, Problem> {
        let seen = serde_json::to_value(view);
        let mut seen = seen.map_err(|error| Problem::bug(format!("writing a swap: {error}")))?;
        if self == Self::Outline {
            outline(&mut seen);
        }
        Ok(seen)
    }
}

/// Keeps what is known to be harmless, so that what is added later does not show by itself.
fn outline(seen: &mut Value) {
    for entry in list(seen, "/history") {
        keep(entry, &["atMs", "step", "code", "by", "generation", "commands"]);
    }
    for change in list(seen, "/changes") {
        if let Some(to) = change.get_mut("to") {
            keep(to, &["name", "version"]);
        }
    }
    if let Some(action) = seen.pointer_mut("/request/action") {
        keep(action, &["kind", "version", "wanted"]);
    }
    if let Some(pulse) = seen.get_mut("pulse").and_then(Value::as_object_mut) {
        pulse.remove("told");
    }
}

fn list<'a>(value: &'a mut Value, pointer: &str) -> &'a mut [Value] {
    value
        .pointer_mut(pointer)
        .and_then(Value::as_array_mut)
        .map(Vec::as_mut_slice)
        .unwrap_or_default()
}

fn keep(value: &mut Value, members: &[&str]) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|member, _| members.contains(&member.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use millwork_registry::id::TenantId;
    use millwork_registry::swap::{Action, Entry, Options, Request, Step, Swap};
    use semver::Version;
    use serde_json::json;

    use super::*;

    fn view() -> View {
        let request = Request {
            module: "client".to_owned(),
            action: Action::Enable {
                version: Some(Version::new(1, 1, 0)),
                wanted: None,
                config: Some(json!({ "pin": "1234" })),
            },
            options: Options::default(),
            by: "ada".to_owned(),
        };
        let mut swap = Swap::begin(TenantId::new("acme").unwrap(), 7, request, 1);
        let failed = Step::Failed {
            code: "replay-diverges".to_owned(),
            message: "Client 5 owes 1234".to_owned(),
        };
        swap.apply(Entry {
            at_ms: 2,
            step: failed,
        })
        .unwrap();
        View::of(swap)
    }

    #[test]
    fn an_outline_has_no_values_of_aggregates_and_configurations() {
        let whole = Sight::Whole.of(&view()).unwrap();
        assert_eq!(whole.to_string().matches("1234").count(), 3, "{whole}");
        let outline = Sight::Outline.of(&view()).unwrap();
        assert!(!outline.to_string().contains("1234"), "{outline}");
        assert_eq!(
            (
                &outline["number"],
                &outline["stage"],
                &outline["request"]["module"]
            ),
            (&json!(7), &json!("failed"), &json!("client"))
        );
        assert_eq!(
            outline["request"]["action"],
            json!({ "kind": "enable", "version": "1.1.0", "wanted": null })
        );
        assert_eq!(
            outline["history"],
            json!([
                { "atMs": 1, "step": "requested" },
                { "atMs": 2, "step": "failed", "code": "replay-diverges" },
            ])
        );
    }
}
