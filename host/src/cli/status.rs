//! What `millwork module status` shows people.

use millwork_registry::swap::Stage;
use serde_json::Value;

use super::follow::{number, stage};
use super::output::{items, table, text};
use super::swaps::{next_steps, progress_of};

/// The modules of a tenant, how they are, and the swap under way.
pub(super) fn status(answer: &Value) -> String {
    let modules = items(answer, "modules")
        .iter()
        .map(|module| row(module, &health(module)));
    let broken = items(answer, "broken").iter().map(|module| {
        let why = format!("broken: {} ({})", text(module, "why"), text(module, "code"));
        row(module, &why)
    });
    let rows: Vec<_> = modules.chain(broken).collect();
    let mut lines = vec![
        format!(
            "tenant {}, generation {}",
            text(answer, "tenant"),
            text(answer, "generation")
        ),
        table(&["MODULE", "VERSION", "FAILURES", "HEALTH"], &rows),
    ];
    if let Some(swap) = answer.get("swap").filter(|swap| !swap.is_null()) {
        lines.push(format!("swap {}: {}", number(swap), progress_of(swap)));
        let tenant = text(answer, "tenant");
        lines.extend(next_steps(swap, |what| {
            format!("millwork swap {what} {} --tenant {tenant}", number(swap))
        }));
    }
    lines.join("\n")
}

fn row(module: &Value, health: &str) -> Vec<String> {
    let mut row = ["name", "version", "failures"]
        .map(|key| text(module, key))
        .to_vec();
    row.push(health.to_owned());
    row
}

/// How a module that was loaded is.
pub(super) fn health(module: &Value) -> String {
    let mut told = Vec::new();
    if let Some(seconds) = module.get("quarantinedSeconds").and_then(Value::as_u64) {
        told.push(format!("quarantined for another {seconds} s"));
    }
    if let Some(ailment) = module.get("ailment").and_then(Value::as_str) {
        told.push(format!("unwell: {ailment}"));
    }
    for projection in items(module, "projections") {
        if let Some(why) = projection.get("failing").and_then(Value::as_str) {
            told.push(format!("{} stands still: {why}", text(projection, "name")));
        }
    }
    if told.is_empty() {
        "well".to_owned()
    } else {
        told.join("; ")
    }
}

/// Whether a swap has yet to be settled.
pub(super) fn is_open(swap: &Value) -> bool {
    stage(swap).is_some_and(|stage: Stage| !stage.is_settled())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_says_how_each_module_is() {
        let answer = json!({
            "tenant": "acme", "generation": 3,
            "modules": [
                { "name": "client", "version": "1.0.0", "failures": 0, "projections": [] },
                {
                    "name": "invoicing", "version": "1.1.0", "failures": 21, "quarantinedSeconds": 5,
                    "ailment": "no licence", "projections": [{ "name": "Invoices", "version": 1, "failing": "trap" }],
                },
            ],
            "broken": [{ "name": "tax", "version": "0.9.0", "code": "key-revoked", "why": "the key is revoked" }],
            "swap": null,
        });
        let expected = "tenant acme, generation 3\n\
             MODULE     VERSION  FAILURES  HEALTH\n\
             client     1.0.0    0         well\n\
             invoicing  1.1.0    21        quarantined for another 5 s; unwell: no licence; Invoices stands still: trap\n\
             tax        0.9.0    -         broken: the key is revoked (key-revoked)";
        assert_eq!(status(&answer), expected);
    }

    #[test]
    fn a_swap_under_way_is_told_with_what_to_do() {
        let answer = json!({
            "tenant": "acme", "generation": 3, "modules": [], "broken": [],
            "swap": {
                "number": 7, "stage": "canary", "request": { "module": "client" }, "changes": [],
                "pulse": { "candidateCommands": 4 },
            },
        });
        let told = status(&answer);
        assert!(told.contains("swap 7: a canary is on"), "{told}");
        assert!(told.contains("millwork swap promote 7 --tenant acme"), "{told}");
    }
}
