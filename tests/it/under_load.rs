//! Modules change while 32 connections read and write: an upgrade, a canary that has to be taken back, a good upgrade
//! with a read model built anew, and a rollback. No request fails, and the books are right afterwards.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;

use millwork_tests::client::Client;
use millwork_tests::poll;
use millwork_tests::server::Server;
use serde_json::{Value, json};

use crate::books::{self, all};
use crate::swaps::{INVOICING, completed, in_stage, mischievous, release, serving};

const CONNECTIONS: usize = 32;

/// Looks of the pacer, each some milliseconds after the last, for one round of the load: less than a small machine can
/// do, since one without any rest would leave a read model that is built anew for ever behind.
const LOOKS_A_ROUND: usize = 8;

/// What the load has done, and what it may do.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    finalized: AtomicUsize,
    rounds_left: Mutex<usize>,
    more: Condvar,
}

impl Load {
    /// One connection: invoices from draft to payment, each seen in lists, until it is over. All must go well.
    fn run(&self, api: &Client, client: &str) -> Vec<(String, String)> {
        let mut made = Vec::new();
        while self.begins_a_round() {
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

    /// Waits for leave to begin another round; false when it is over.
    fn begins_a_round(&self) -> bool {
        let mut left = self.rounds_left.lock().unwrap();
        while *left == 0 && !self.over.load(Ordering::Acquire) {
            left = self.more.wait(left).unwrap();
        }
        *left = left.saturating_sub(1);
        !self.over.load(Ordering::Acquire)
    }

    /// Gives leave for rounds, one after another, until it is over.
    fn pace(&self) {
        let mut looks = 0;
        poll::within(2 * poll::WITHIN_LONG, "the load is over", || {
            looks += 1;
            if looks % LOOKS_A_ROUND == 0 {
                *self.rounds_left.lock().unwrap() += 1;
                self.more.notify_one();
            }
            self.over.load(Ordering::Acquire).then(|| self.more.notify_all())
        });
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
    completed(&api, &api.put(INVOICING, &json!({ "version": "1.1.0" })));
    assert_eq!(serving(&api), "1.1.0");
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

    let back = api.post(&format!("{INVOICING}/rollback"), &json!({ "version": "1.0.0" }));
    completed(&api, &back);
    assert_eq!(serving(&api), "1.0.0");
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
        scope.spawn(|| load.pace());
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
