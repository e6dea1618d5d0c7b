//! Power losses at every step of a swap: it resumes or rolls back, and nothing is left half.

use std::collections::BTreeMap;

use millwork_tests::client::Client;
use millwork_tests::poll::{self, WITHIN_LONG};
use millwork_tests::server::Server;
use serde_json::{Value, json};

use crate::books::{self, all, finalize, seen};
use crate::swaps::{
    INVOICING, STATUSES, TENANT, completed, host_with_an_invoice, mischievous, release, serving, swap, tell,
};

/// What a tenant must have, whatever happened: all invoices, and nothing half.
fn whole(api: &Client, invoices: usize) -> String {
    let version = serving(api);
    let status = api.get(&format!("{TENANT}/modules")).done();
    let invoicing = status["modules"]
        .as_array()
        .unwrap()
        .iter()
        .find(|module| module["name"] == "invoicing")
        .unwrap();
    let projections: BTreeMap<&str, u64> = invoicing["projections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|projection| {
            (
                projection["name"].as_str().unwrap(),
                projection["version"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(projections["Invoices"], if version == "1.1.0" { 2 } else { 1 });
    assert_eq!(
        (invoicing["projections"][0].get("failing"), &status["broken"]),
        (None, &json!([]))
    );
    assert_eq!(
        api.get(STATUSES).status,
        if version == "1.1.0" { 200 } else { 404 }
    );
    assert_eq!(all(api, "/api/v1/invoices").len(), invoices);
    version
}

/// Every step that a swap of this test takes after it was asked for.
const STEPS: [&str; 11] = [
    "resolved",
    "consent-asked",
    "consented",
    "verified",
    "activated",
    "rebuilt",
    "canary-started",
    "canary-passed",
    "flipping",
    "flipped",
    "drained",
];

/// Looks at whether the host has ended, some milliseconds apart, for one command: enough for a canary, and few enough that
/// the history stays short.
const LOOKS_A_COMMAND: usize = 8;

/// A tenant whose upgrades are cut off by power losses.
struct Outages {
    server: Server,
    client: String,
    invoices: usize,
}

impl Outages {
    fn new() -> Self {
        let (server, api, _) = host_with_an_invoice();
        let wanted = "- documents\n  - http:outbound\n";
        let rebuilt = ("  Invoices:\n    version: 1\n", "  Invoices:\n    version: 2\n");
        let _ = server
            .publish(release("invoicing-1.1.0", &[rebuilt, ("- documents\n", wanted)]))
            .done();
        Self {
            client: books::client(&api, "SECOND"),
            server,
            invoices: 1,
        }
    }

    /// Upgrades until the power is lost at this step; gives the version that serves after the swap has come to its end.
    fn upgrade(&mut self, at: &str) -> String {
        self.server.crash_at(at);
        let sent = self.ask_until_the_end();
        self.server.ended();
        self.server.run();
        let api = self.server.admin();
        let last = api.get(&format!("{TENANT}/swaps")).done()["swaps"][0].clone();
        let last = settle(&api, &last["number"]);
        let count = all(&api, "/api/v1/invoices").len();
        assert!(
            count >= self.invoices + sent,
            "{at}: {count} invoices of {} and {sent}",
            self.invoices
        );
        self.invoices = count;
        let version = whole(&api, count);
        let expected = if last["stage"] == "completed" {
            "1.1.0"
        } else {
            "1.0.0"
        };
        assert_eq!(version, expected, "{at}: {last}");
        version
    }

    /// Asks for the upgrade and sends commands, which its canary waits for, until no answer comes; how many were
    /// acknowledged.
    fn ask_until_the_end(&mut self) -> usize {
        let api = self.server.admin();
        let canary = json!({ "percent": 50, "seconds": 600, "commands": 1, "slowerMax": 1000 });
        let body = json!({ "version": "1.1.0", "canary": canary });
        if let Ok(begun) = api.ask("PUT", INVOICING).json(&body).try_send()
            && begun.json()["stage"] == "awaiting-consent"
        {
            let consent = format!("{TENANT}/swaps/{}/consent", begun.json()["number"]);
            // Where the host ends meanwhile, no answer comes.
            drop(api.ask("POST", &consent).try_send());
        }
        let (mut sent, mut looks) = (0, 0_usize);
        let body = json!({ "clientId": self.client });
        poll::within(WITHIN_LONG, "the host ends itself", || {
            if self.server.has_ended() {
                return Some(());
            }
            if looks.is_multiple_of(LOOKS_A_COMMAND) {
                let draft = api.ask("POST", "/api/v1/invoices").json(&body).try_send();
                sent += usize::from(draft.is_ok_and(|draft| draft.status == 201));
            }
            looks += 1;
            None
        });
        sent
    }

    /// Goes back to the first version, and works there as ever.
    fn back_to_work(&mut self) {
        let api = self.server.admin();
        if serving(&api) == "1.1.0" {
            let _ = completed(&api, &api.post(&format!("{INVOICING}/rollback"), &json!({})));
        }
        let draft = books::draft(&api, &self.client, "1.00");
        let last = finalize(&api, &draft).done();
        seen(&api, "/api/v1/invoices", &last);
        self.invoices += 1;
        assert_eq!(whole(&api, self.invoices), "1.0.0");
    }
}

#[test]
fn a_power_loss_at_any_step_resumes_or_rolls_back_and_leaves_nothing_half() {
    let mut outages = Outages::new();
    let mut ends: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for step in STEPS {
        for moment in ["before", "after"] {
            let at = format!("{moment}:{step}");
            eprintln!("power loss {at}");
            let version = outages.upgrade(&at);
            ends.entry(version).or_default().push(at);
            outages.back_to_work();
        }
    }
    let undone = [
        "before:resolved",
        "after:canary-started",
        "before:canary-passed",
        "after:flipping",
    ];
    assert_eq!(ends["1.0.0"], undone);
}

#[test]
fn a_power_loss_does_not_let_through_what_was_found_wanting() {
    let (mut server, api, _) = host_with_an_invoice();
    let _ = server.publish(mischievous("1.2.0", "nought")).done();
    for at in ["after:verified", "before:failed"] {
        server.crash_at(at);
        drop(
            server
                .admin()
                .ask("PUT", INVOICING)
                .json(&json!({ "version": "1.2.0" }))
                .try_send(),
        );
        server.ended();
        server.run();
        let api = server.admin();
        let last = api.get(&format!("{TENANT}/swaps")).done()["swaps"][0].clone();
        let last = settle(&api, &last["number"]);
        let end = last["history"].as_array().unwrap().last().unwrap();
        assert_eq!(
            (&last["stage"], &end["code"]),
            (&json!("failed"), &json!("replay-diverges")),
            "{at}"
        );
        assert_eq!(serving(&api), "1.0.0");
    }
    drop(api);
}

/// Brings a swap that a crash has interrupted to its end.
fn settle(api: &Client, number: &Value) -> Value {
    poll::until("the swap is settled", || {
        let now = swap(api, number);
        let wish = match now["stage"].as_str().unwrap() {
            "completed" | "failed" | "cancelled" => return Some(now),
            "awaiting-consent" => "consent",
            "canary" => "promote",
            _ => return None,
        };
        drop(tell(api, number, wish));
        None
    })
}
