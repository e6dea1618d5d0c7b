//! What people read of swaps, stage by stage.

use millwork_registry::replay::{Class, Example, Report, differences};
use semver::Version;

use super::*;
use crate::cli::client::Client;

fn place() -> Place {
    let client = Client::new("http://127.0.0.1:1", Some("token")).unwrap();
    Place::new(client, "acme").unwrap()
}

/// A swap of client in this stage, whose last step is this.
fn view(stage: &str, last: &Value) -> Value {
    json!({
        "tenant": "acme",
        "number": 7,
        "request": { "module": "client", "by": "ada", "options": { "policy": {} } },
        "stage": stage,
        "changes": [
            { "module": "tax", "from": null, "to": { "version": "2.0.0" } },
            { "module": "client", "from": "1.0.0", "to": { "version": "1.1.0" } },
        ],
        "wider": [{
            "module": "client", "version": "1.1.0", "from": "1.0.0", "dropped": [],
            "new": [{ "permission": "http:outbound", "words": "send data to any server on the internet" }],
        }],
        "generation": 4,
        "history": [{ "atMs": 1_790_000_000_123_u64, "step": "requested" }, last],
    })
}

#[test]
fn who_waits_for_consent_learns_for_what_and_how() {
    let told = waiting(&view("awaiting-consent", &json!({})), &place());
    let expected = "swap 7: tax 2.0.0, client 1.0.0 -> 1.1.0 waits for the tenant's consent\n  \
         client 1.1.0 may send data to any server on the internet\n\
         to agree, as an admin of the tenant: millwork swap consent 7 --tenant acme\n\
         to take it back: millwork swap cancel 7 --tenant acme";
    assert_eq!(told, expected);
}

#[test]
fn a_canary_shows_both_sides() {
    let mut canary = view("canary", &json!({}));
    canary["pulse"] = json!({
        "candidateCommands": 37, "candidateRejectedPercent": 2.75, "candidateMedianUs": 41,
        "servingCommands": 300, "servingRejectedPercent": 0.0, "servingMedianUs": null,
    });
    let told = waiting(&canary, &place());
    assert!(
        told.contains("candidate: 37 commands, 2.8 % rejected, 41 us in the median; serving: 300 commands, 0.0 % rejected\n"),
        "{told}"
    );
    assert!(
        told.contains("to end it well: millwork swap promote 7 --tenant acme"),
        "{told}"
    );
}

#[test]
fn what_has_happened_is_told_as_the_host_tells_it() {
    let expected = json!({
        "tenant": "acme", "module": "client", "from": "1.0.0", "to": "1.1.0", "generation": 4, "swap": 7,
    });
    assert_eq!(swapped(&view("draining", &json!({}))), expected);
}

#[test]
fn why_it_did_not_happen_is_a_sentence_with_a_code() {
    let told = |stage: &str, last: &Value| failure(&view(stage, last)).to_string();
    let failed = json!({ "atMs": 1, "step": "failed", "code": "canary-failed", "message": "the canary was ended: it failed" });
    assert_eq!(
        told("failed", &failed),
        "the canary was ended: it failed (canary-failed)"
    );
    let cancelled = json!({ "atMs": 1, "step": "cancelled", "by": "eve" });
    assert_eq!(
        told("cancelled", &cancelled),
        "swap 7 was cancelled by eve (swap-cancelled)"
    );
}

#[test]
fn a_divergence_is_shown_with_both_figures() {
    let mut report = Report::new("client".to_owned(), Version::new(1, 0, 0), Version::new(1, 1, 0));
    let example = Example {
        aggregate: "Invoice".to_owned(),
        id: "0199".to_owned(),
        command: Some("FinalizeInvoice".to_owned()),
        differences: differences(&json!({ "tax": "1.90" }), &json!({ "tax": "2.00" }), 5),
        ..Example::default()
    };
    report.add(Class::Events, example, 5);
    let failed = json!({ "atMs": 2, "step": "failed", "code": "replay-diverges", "message": "it differs" });
    let mut diverging = view("failed", &failed);
    diverging["history"][0] = json!({ "atMs": 1, "step": "verified", "reports": [report] });
    assert_eq!(
        failure(&diverging).to_string(),
        "it differs (replay-diverges)\nevents (blocks): 1 decides otherwise\n  Invoice 0199, FinalizeInvoice\n    \
         /tax \"1.90\" -> \"2.00\""
    );
}

#[test]
fn a_list_has_a_line_for_each() {
    let told = list(&json!({ "swaps": [view("completed", &json!({}))] }));
    let expected = "SWAP  BEGUN                 CHANGE                              STAGE      BY\n\
         7     2026-09-21T14:13:20Z  tax 2.0.0, client 1.0.0 -> 1.1.0  completed  ada";
    assert_eq!(
        told.split_whitespace().collect::<Vec<_>>(),
        expected.split_whitespace().collect::<Vec<_>>()
    );
}
