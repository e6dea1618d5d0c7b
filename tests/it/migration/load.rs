//! Tenants that are exported while they are used.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use millwork_tests::client::Client;
use millwork_tests::poll;
use millwork_tests::server::{Server, Setup};
use serde_json::json;

use super::{bare, create_with_key, export, freeze, import};
use crate::books::{self, all, finalize};
use crate::production;

const THREADS: usize = 4;
/// Commands that are acknowledged before anything is exported, and while it is.
const ENOUGH: usize = 60;

/// What was acknowledged: ids of clients with the keys that they were made under, and numbers of invoices.
#[derive(Default)]
struct Acknowledged {
    clients: Mutex<Vec<(String, String)>>,
    numbers: Mutex<BTreeSet<String>>,
}

impl Acknowledged {
    /// Makes clients and invoices until it is over, or the tenant is closed.
    fn work(&self, api: &Client, thread: usize, over: &AtomicBool) {
        for round in 0.. {
            if over.load(Ordering::Acquire) {
                return;
            }
            let name = format!("T{thread}R{round}");
            let made = create_with_key(api, &name, &name);
            if made.status == 503 {
                made.refused(503, "tenant-moving");
                assert_eq!(made.header("retry-after"), Some("30"));
                return;
            }
            let made = made.done();
            let id = made["id"].as_str().unwrap().to_owned();
            self.clients.lock().unwrap().push((name, id.clone()));
            books::seen(api, "/api/v1/clients", &made);
            let draft = api.post("/api/v1/invoices", &json!({ "clientId": id }));
            if draft.status == 503 {
                continue;
            }
            let draft = draft.done()["id"].as_str().unwrap().to_owned();
            if books::add_line(api, &draft, "1.00").status == 503 {
                continue;
            }
            let finalized = finalize(api, &draft);
            if finalized.status == 200 {
                self.numbers
                    .lock()
                    .unwrap()
                    .insert(books::number(&finalized.json()));
            }
        }
    }

    fn count(&self) -> usize {
        self.clients.lock().unwrap().len()
    }

    fn wait_for(&self, count: usize) {
        poll::within(poll::WITHIN_LONG, "commands", || {
            (self.count() >= count).then_some(())
        });
    }
}

/// Runs `meanwhile` while several connections work.
fn under_load<T>(api: &Client, meanwhile: impl FnOnce(&Acknowledged) -> T) -> (Acknowledged, T) {
    let (acknowledged, over) = (Acknowledged::default(), AtomicBool::new(false));
    let given = thread::scope(|scope| {
        for thread in 0..THREADS {
            let (acknowledged, over) = (&acknowledged, &over);
            scope.spawn(move || acknowledged.work(api, thread, over));
        }
        let given = meanwhile(&acknowledged);
        over.store(true, Ordering::Release);
        given
    });
    (acknowledged, given)
}

#[test]
fn a_frozen_tenant_leaves_nothing_behind() {
    for setup in production::everywhere() {
        let source = Server::start(setup);
        let api = source.admin();
        let (acknowledged, archive) = under_load(&api, |acknowledged| {
            acknowledged.wait_for(ENOUGH);
            freeze(&source, "demo");
            export(&source, "demo")
        });
        // All that was answered before it was closed is there, and all that could be read before can still be read.
        assert_eq!(all(&api, "/api/v1/clients").len(), acknowledged.count());
        let target = bare(Setup::default());
        let imported = import(&target, "trust-keys", &archive).done();
        assert_eq!(imported["archive"]["frozen"], true);
        let there = target.somebody(Some("demo"), &["admin"]);
        let found: BTreeSet<_> = all(&there, "/api/v1/clients")
            .iter()
            .map(|client| client["_id"].as_str().unwrap().to_owned())
            .collect();
        for (key, id) in acknowledged.clients.lock().unwrap().iter() {
            assert!(found.contains(id), "{key} was acknowledged");
            let again = create_with_key(&there, key, key);
            assert_eq!(again.header("idempotency-replayed"), Some("true"));
            assert_eq!(again.json()["id"], **id);
        }
        let numbers: BTreeSet<_> = all(&there, "/api/v1/invoices?status=finalized")
            .iter()
            .map(|invoice| invoice["invoiceNumber"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(numbers, *acknowledged.numbers.lock().unwrap());
        // What was refused before it moved can be asked again where it is now.
        assert_eq!(create_with_key(&there, "after", "AFTER").status, 201);
        create_with_key(&api, "after", "AFTER").refused(503, "tenant-moving");
        // What was done is told, also by a tenant that is closed.
        let (key, id) = acknowledged.clients.lock().unwrap()[0].clone();
        assert_eq!(create_with_key(&api, &key, &key).json()["id"], *id);
        let path = "/admin/v1/tenants/demo/modules/invoicing";
        source.operator().delete(path).refused(503, "tenant-moving");
    }
}

#[test]
fn a_closed_tenant_stays_closed_until_it_is_opened() {
    for setup in production::everywhere() {
        let mut source = Server::start(setup);
        freeze(&source, "demo");
        source.kill();
        source.run_bare();
        let api = source.somebody(Some("demo"), &["admin"]);
        create_with_key(&api, "a", "A").refused(503, "tenant-moving");
        let path = "/admin/v1/tenants/demo/freeze";
        assert_eq!(source.operator().delete(path).done()["moving"], false);
        assert_eq!(create_with_key(&api, "a", "A").status, 201);
    }
}

#[test]
fn an_export_under_load_is_of_one_moment() {
    for setup in production::everywhere() {
        let source = Server::start(setup);
        let api = source.admin();
        let (acknowledged, archives) = under_load(&api, |acknowledged| {
            [1, 2, 3].map(|round| {
                acknowledged.wait_for(round * ENOUGH / 2);
                export(&source, "demo")
            })
        });
        for archive in archives {
            // The import holds what arrived against the archive; that the archive is of one moment shows here.
            let target = bare(Setup::default());
            let imported = import(&target, "trust-keys", &archive).done();
            let contents = &imported["archive"]["contents"];
            let there = target.somebody(Some("demo"), &["admin"]);
            let clients = all(&there, "/api/v1/clients");
            assert_eq!(contents["claims"]["count"], clients.len());
            assert_eq!(contents["events"]["count"], imported["archive"]["position"]);
            let numbered = all(&there, "/api/v1/invoices?status=finalized").len();
            let draft = books::draft(&there, clients[0]["_id"].as_str().unwrap(), "1.00");
            let number = books::number(&finalize(&there, &draft).done());
            assert_eq!(number, books::invoice_number(numbered + 1));
            assert!(clients.len() <= acknowledged.count());
        }
    }
}
