//! Modules change while 32 connections read and write: an upgrade, a canary that has to be taken back, a good upgrade
//! with a read model built anew, and a rollback. No request fails, and the books are right afterwards.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use millwork_tests::client::Client;
use millwork_tests::poll;
use millwork_tests::server::Server;
use serde_json::{Value, json};

use crate::books::{self, all};
use crate::swaps::{INVOICING, in_stage, mischievous, release, serving};

const CONNECTIONS: usize = 32;

/// What the load has done.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    finalized: AtomicUsize,
}

impl Load {
    /// One connection: invoices from draft to payment, each seen in lists, until it is over. All must go well.
    fn run(&self, api: &Client, client: &str) -> Vec<(String, String)> {
        let mut made = Vec::new();
        while !self.over.load(Ordering::Acquire) {
            let id = books::draft(api, client, "10.00");
            let done = books::finalize(api, &id).done();
            made.push((id.clone(), books::number(&done)));
            let _ = books::pay(api, &id, "4.00").done();
            let seen = books::seen(api, "/api/v1/invoices", &done);
            assert_eq!(seen["invoiceNumber"], books::number(&done).as_str());
            let _ = api.get("/api/v1/invoices?limit=5&sort=-createdAt").done();
            let _ = api.get("/api/v1/reports/aging").done();
            self.finalized.fetch_add(1, Ordering::AcqRel);
        }
        made
    }

    /// Waits until the load has gone on for a while.
    fn goes_on(&self) {
        let start = self.finalized.load(Ordering::Acquire);
        poll::until("the load goes on", || {
            (self.finalized.load(Ordering::Acquire) >= start + CONNECTIONS).then_some(())
        });
    }
}

/// The changes, one after another.
fn change(server: &Server, load: &Load) {
    let api = server.admin();
    load.goes_on();
    let up = api.put(INVOICING, &json!({ "version": "1.1.0" })).done();
    assert_eq!(up["to"], "1.1.0");
    load.goes_on();

    let canary = json!({ "percent": 50, "seconds": 600, "slowerMax": 1000 });
    let broken = api.put(
        INVOICING,
        &json!({ "version": "1.2.9", "skipReplay": true, "canary": canary }),
    );
    assert_eq!(broken.status, 202, "{}", broken.text());
    let failed = in_stage(&api, &broken.json()["number"], "failed");
    let why = failed["history"].as_array().unwrap().last().unwrap()["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(why.contains("it failed at"), "{why}");
    assert_eq!(serving(&api), "1.1.0");
    load.goes_on();

    let canary = json!({ "percent": 20, "seconds": 600, "commands": 50, "slowerMax": 1000 });
    let good = api.put(INVOICING, &json!({ "version": "1.1.1", "canary": canary }));
    assert_eq!(good.status, 202, "{}", good.text());
    let done = in_stage(&api, &good.json()["number"], "completed");
    assert_eq!(done["rebuilt"], json!(["invoicing.Invoices"]));
    assert_eq!(serving(&api), "1.1.1");
    load.goes_on();

    let back = api
        .post(&format!("{INVOICING}/rollback"), &json!({ "version": "1.0.0" }))
        .done();
    assert_eq!((&back["from"], &back["to"]), (&json!("1.1.1"), &json!("1.0.0")));
    load.goes_on();
}

/// Publishes what is changed to.
fn publish(server: &Server) {
    let second = [
        ("version: 1.1.0", "version: 1.1.1"),
        ("  Invoices:\n    version: 1\n", "  Invoices:\n    version: 2\n"),
    ];
    for wasm in [
        release("invoicing-1.1.0", &[]),
        release("invoicing-1.1.0", &second),
        mischievous("1.2.9", "fitful"),
    ] {
        let _ = server.publish(wasm).done();
    }
}

#[test]
fn upgrades_canaries_and_rollbacks_under_load_lose_no_request() {
    let server = Server::demo();
    let api = server.admin();
    publish(&server);
    let client = books::client(&api, "ACME");
    let load = Load::default();
    let made: Vec<(String, String)> = thread::scope(|scope| {
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|_| scope.spawn(|| load.run(&api, &client)))
            .collect();
        // Whatever happens here, the load must end, or nothing would.
        let changed = scope.spawn(|| change(&server, &load)).join();
        load.over.store(true, Ordering::Release);
        let made = connections
            .into_iter()
            .flat_map(|connection| connection.join().unwrap())
            .collect();
        changed.unwrap();
        made
    });

    let numbers: BTreeSet<String> = made.iter().map(|(_, number)| number.clone()).collect();
    let expected: BTreeSet<String> = (1..=made.len()).map(books::invoice_number).collect();
    assert_eq!(numbers, expected, "no gap, and none twice");
    let last = books::draft(&api, &client, "1.00");
    let last = books::finalize(&api, &last).done();
    books::seen(&api, "/api/v1/invoices", &last);
    let listed = all(&api, "/api/v1/invoices");
    assert_eq!(listed.len(), made.len() + 1);
    let owed = |invoice: &Value| books::decimal(&invoice["amountDue"]);
    let due: rust_decimal::Decimal = listed.iter().map(owed).sum();
    assert_eq!(
        due,
        rust_decimal::Decimal::from(6 * made.len() + 1),
        "each has 4 of 10 paid"
    );
}
