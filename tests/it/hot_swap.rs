//! Modules change while they are used: upgrades, rebuilds, and every change that is refused.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use millwork_tests::artifacts;
use millwork_tests::client::Reply;
use millwork_tests::poll;
use millwork_tests::server::Server;
use serde_json::{Value, json};

use crate::books::{self, all, finalize, seen};
use crate::swaps::completed;

const INVOICING: &str = "/admin/v1/tenants/demo/modules/invoicing";
/// Only the next release has it.
const STATUSES: &str = "/api/v1/reports/statuses";
const CONNECTIONS: usize = 32;
/// Of each connection, before and after the swap.
const ROUNDS: usize = 4;

/// The next release of invoicing, whose projection has this version.
fn next_release(projection_version: u32) -> Vec<u8> {
    let wasm =
        artifacts::test_component("invoicing-1.1.0").expect("invoicing 1.1.0; `cargo xtask guest` makes it");
    if projection_version == 1 {
        return wasm;
    }
    let from = "  Invoices:\n    version: 1\n";
    artifacts::with_manifest(&wasm, |text| {
        assert!(text.contains(from), "the manifest has changed: {text}");
        text.replace(from, &format!("  Invoices:\n    version: {projection_version}\n"))
    })
}

#[test]
fn no_request_fails_while_a_module_is_upgraded() {
    let server = Server::demo();
    let api = server.admin();
    let client = books::client(&api, "ACME");
    let release = server.publish(next_release(1)).done();
    assert_eq!(
        (&release["name"], &release["version"]),
        (&json!("invoicing"), &json!("1.1.0"))
    );
    api.get(STATUSES).refused(404, "no-route");

    let (started, swapped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let failed: Vec<String> = thread::scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            let mut rounds_left = ROUNDS;
            while rounds_left > 0 {
                let replies = books::one_round(&api, &client);
                failed.extend(
                    replies
                        .iter()
                        .filter(|reply| reply.status >= 300)
                        .map(Reply::text),
                );
                started.fetch_add(1, Ordering::Relaxed);
                rounds_left -= usize::from(swapped.load(Ordering::Acquire));
            }
            failed
        };
        let connections: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(work)).collect();
        poll::until("all connections work", || {
            (started.load(Ordering::Relaxed) >= CONNECTIONS).then_some(())
        });
        // Whatever happens here, the load must end, or nothing would.
        let swap = scope.spawn(|| {
            let reply = server.operator().put(INVOICING, &json!({ "version": "1.1.0" }));
            completed(&api, &reply)
        });
        let swap = swap.join();
        swapped.store(true, Ordering::Release);
        let failed = connections
            .into_iter()
            .flat_map(|connection| connection.join().unwrap())
            .collect();
        let change = &swap.unwrap()["changes"][0];
        assert_eq!(
            (&change["from"], &change["to"]["version"]),
            (&json!("1.0.0"), &json!("1.1.0"))
        );
        failed
    });
    assert_eq!(failed, Vec::<String>::new());

    let last = books::draft(&api, &client, "1.00");
    let last = finalize(&api, &last).done();
    seen(&api, "/api/v1/invoices", &last);
    let rounds = started.load(Ordering::Relaxed);
    assert_eq!(
        books::number(&last),
        books::invoice_number(rounds + 1),
        "numbers go on without a gap"
    );
    assert_eq!(all(&api, "/api/v1/invoices?status=finalized").len(), rounds + 1);
    assert_eq!(api.get(STATUSES).done()["finalized"], rounds + 1);
    poll::until("the old release is drained", || {
        server
            .log()
            .contains("release drained and deactivated")
            .then_some(())
    });
}

#[test]
fn an_upgrade_can_be_taken_back() {
    let server = Server::demo();
    let api = server.admin();
    let client = books::client(&api, "ACME");
    let draft = books::draft(&api, &client, "10.00");
    let _ = server.publish(next_release(1)).done();
    let generation = |reply: &Value| reply["generation"].as_u64().unwrap();
    let up = api.put(INVOICING, &json!({})).done();
    assert_eq!(up["to"], "1.1.0", "without a version it is the newest");
    let same = api.put(INVOICING, &json!({ "version": "1.1.0" })).done();
    assert_eq!(
        generation(&same),
        generation(&up),
        "what changes nothing is no new generation"
    );
    let down = api.put(INVOICING, &json!({ "version": "1.0.0" })).done();
    assert_eq!(
        (&down["from"], generation(&down)),
        (&json!("1.1.0"), generation(&up) + 1)
    );
    api.get(STATUSES).refused(404, "no-route");
    let _ = finalize(&api, &draft).done();
}

#[test]
fn a_new_version_of_a_projection_builds_its_read_model_anew() {
    let server = Server::demo();
    let api = server.admin();
    let client = books::client(&api, "ACME");
    for _ in 0..20 {
        let draft = books::draft(&api, &client, "10.00");
        let done = finalize(&api, &draft).done();
        seen(&api, "/api/v1/invoices", &done);
    }
    let before = all(&api, "/api/v1/invoices");
    damage_read_model(&server);
    assert_ne!(
        all(&api, "/api/v1/invoices"),
        before,
        "the test must see a difference"
    );
    let _ = server.publish(next_release(2)).done();
    let _ = api.put(INVOICING, &json!({ "version": "1.1.0" })).done();
    assert_eq!(all(&api, "/api/v1/invoices"), before);
    let modules = api.get("/admin/v1/tenants/demo/modules").done();
    let invoicing = modules["modules"]
        .as_array()
        .unwrap()
        .iter()
        .find(|module| module["name"] == "invoicing")
        .unwrap();
    assert_eq!(
        (&invoicing["version"], &invoicing["projections"][0]["version"]),
        (&json!("1.1.0"), &json!(2))
    );
}

#[test]
fn a_rebuild_repairs_a_read_model_while_reads_go_on() {
    let server = Server::demo();
    let api = server.admin();
    let client = books::client(&api, "ACME");
    for _ in 0..100 {
        let _ = books::draft(&api, &client, "10.00");
    }
    let last = books::draft(&api, &client, "10.00");
    let last = finalize(&api, &last).done();
    seen(&api, "/api/v1/invoices", &last);
    let before = all(&api, "/api/v1/invoices");
    let rebuild = || api.post(&format!("{INVOICING}/projections/Invoices/rebuild"), &json!({}));

    let done = AtomicBool::new(false);
    let reads = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Acquire) || reads == 0 {
                assert_eq!(
                    all(&api, "/api/v1/invoices").len(),
                    before.len(),
                    "a read sees all or nothing of a rebuild"
                );
                reads += 1;
            }
            reads
        });
        let _ = rebuild().done();
        let _ = rebuild().done();
        done.store(true, Ordering::Release);
        reader.join().unwrap()
    });
    assert!(reads > 0);
    assert_eq!(all(&api, "/api/v1/invoices"), before);

    damage_read_model(&server);
    let rebuilt = rebuild().done();
    assert_eq!(rebuilt["position"], last["position"]);
    assert_eq!(all(&api, "/api/v1/invoices"), before);
    api.post(&format!("{INVOICING}/projections/None/rebuild"), &json!({}))
        .refused(404, "not-found");
}

#[test]
fn a_rebuild_comes_to_its_end_though_commands_never_pause() {
    let server = Server::demo();
    let api = server.admin();
    let client = books::client(&api, "ACME");
    let (started, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let made: usize = thread::scope(|scope| {
        let work = || {
            let mut made = 0;
            while !over.load(Ordering::Acquire) {
                let _ = books::invoice(&api, &client);
                started.fetch_add(1, Ordering::AcqRel);
                made += 1;
            }
            made
        };
        let connections: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(work)).collect();
        poll::until("the commands go on", || {
            (started.load(Ordering::Acquire) > 10 * CONNECTIONS).then_some(())
        });
        let rebuilt = api.post(&format!("{INVOICING}/projections/Invoices/rebuild"), &json!({}));
        over.store(true, Ordering::Release);
        let made = connections
            .into_iter()
            .map(|connection| connection.join().unwrap())
            .sum();
        let _ = rebuilt.done();
        made
    });
    let last = books::draft(&api, &client, "1.00");
    let last = finalize(&api, &last).done();
    seen(&api, "/api/v1/invoices", &last);
    assert_eq!(all(&api, "/api/v1/invoices").len(), made + 1);
}

/// Changes documents behind the host's back, so that only building them anew brings them back.
fn damage_read_model(server: &Server) {
    let file = server.data().join("tenants/demo/documents.db");
    let documents = rusqlite::Connection::open(file).unwrap();
    documents.busy_timeout(poll::WITHIN).unwrap();
    let table = "SELECT 'd' || number FROM collections WHERE module = 'invoicing' AND name = 'invoices' ORDER BY line LIMIT 1";
    let table: String = documents.query_row(table, [], |row| row.get(0)).unwrap();
    // The indexes use functions that only the host has.
    let mut indexes = documents
        .prepare("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL")
        .unwrap();
    let indexes: Vec<String> = indexes
        .query_map([&table], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for index in indexes {
        documents
            .execute_batch(&format!("DROP INDEX \"{index}\""))
            .unwrap();
    }
    let deleted = documents.execute(&format!("DELETE FROM {table}"), []).unwrap();
    assert!(deleted > 0, "{table} had no documents");
}

#[test]
fn changes_that_do_not_fit_are_refused() {
    let server = Server::demo();
    let api = server.admin();
    let modules = "/admin/v1/tenants/demo/modules";
    let before = api.get(modules).done();
    api.delete(&format!("{modules}/client"))
        .refused(409, "dependencies-unmet");
    api.delete(&format!("{modules}/nothing"))
        .refused(404, "module-not-enabled");
    api.put(INVOICING, &json!({ "version": "9.9.9" }))
        .refused(404, "release-unknown");
    api.put(&format!("{modules}/nothing"), &json!({}))
        .refused(404, "release-unknown");
    api.put(INVOICING, &json!({ "version": "one" }))
        .refused(422, "schema");
    api.put(INVOICING, &json!({ "versoin": "1.0.0" }))
        .refused(422, "schema");
    api.put(INVOICING, &json!({ "config": { "paymentTermDays": -1 } }))
        .refused(422, "schema-mismatch");
    api.put(INVOICING, &json!({ "config": { "colour": "red" } }))
        .refused(422, "schema-mismatch");
    assert_eq!(api.get(modules).done(), before);

    let bare = server.tenant("bare", &[]);
    let along = bare.put("/admin/v1/tenants/bare/modules/invoicing", &json!({}));
    assert_eq!(
        (along.status, &along.json()["stage"]),
        (202, &json!("awaiting-consent"))
    );
    assert_eq!(
        along.json()["wider"][0]["module"],
        "client",
        "it comes along, and the tenant is asked"
    );
    assert_eq!(
        bare.get("/admin/v1/tenants/bare/modules").done()["modules"],
        json!([])
    );
}

#[test]
fn configuration_takes_effect_at_once() {
    let server = Server::demo();
    let api = server.admin();
    let client = books::client(&api, "ACME");
    let due = |days: i64| {
        let _ = api
            .put(INVOICING, &json!({ "config": { "paymentTermDays": days } }))
            .done();
        let draft = books::draft(&api, &client, "1.00");
        let finalized = finalize(&api, &draft).done();
        books::event(&finalized, "InvoiceFinalized")["dueDate"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (soon, late) = (due(0), due(365));
    assert!(soon < late, "{soon} {late}");
}

#[test]
fn a_module_that_was_disabled_comes_back_with_its_data() {
    let server = Server::demo();
    let api = server.admin();
    let client = books::client(&api, "ACME");
    let draft = books::draft(&api, &client, "10.00");
    let off = api.delete(INVOICING).done();
    assert_eq!((&off["from"], &off["to"]), (&json!("1.0.0"), &Value::Null));
    api.get("/api/v1/invoices").refused(404, "no-route");
    finalize(&api, &draft).refused(404, "no-route");
    let _ = api.put(INVOICING, &json!({})).done();
    let finalized = finalize(&api, &draft).done();
    assert_eq!(seen(&api, "/api/v1/invoices", &finalized)["status"], "finalized");
}

#[test]
fn releases_are_immutable_and_whole() {
    let server = Server::demo();
    let invoicing = artifacts::component("invoicing");
    let again = server.publish(invoicing.clone());
    assert!(
        matches!(again.status, 200 | 201),
        "publishing the same again changes nothing: {}",
        again.text()
    );
    let renamed = artifacts::with_manifest(&invoicing, |text| {
        text.replacen("Invoices from draft", "Invoices from dr4ft", 1)
    });
    assert_ne!(renamed, invoicing);
    server.publish(renamed).refused(409, "release-exists");
    server
        .publish(b"not wasm".to_vec())
        .refused(422, "not-a-component");
    server
        .publish(b"\0asm\x01\0\0\0".to_vec())
        .refused(422, "not-a-component");
    server
        .publish(invoicing[..invoicing.len() / 2].to_vec())
        .refused(422, "not-a-component");
    let unknown = artifacts::with_manifest(&invoicing, |text| text.replacen("licence: ", "licance: ", 1));
    let problem = server.publish(unknown).refused(422, "manifest-malformed");
    assert!(
        problem["detail"].as_str().unwrap().contains("licance"),
        "{problem}"
    );
    let greedy = artifacts::with_manifest(&invoicing, |text| {
        text.replacen("  - documents\n", "  - document5\n", 1)
    });
    assert_eq!(server.publish(greedy).status, 422);
    let api = server.operator();
    let text = api
        .ask("POST", "/admin/v1/registry/releases")
        .bytes("text/plain", b"\0asm".to_vec())
        .send();
    text.refused(415, "media-type");
}

#[test]
fn an_artifact_that_was_tampered_with_is_not_run() {
    let mut server = Server::demo();
    let _ = server.publish(next_release(1)).done();
    server.kill();
    let _ = fs::remove_dir_all(server.data().join("compiled"));
    let wasm = server.signed(&next_release(1));
    let artifact = files_below(&server.data().join("registry"))
        .into_iter()
        .find(|file| fs::read(file).is_ok_and(|bytes| bytes == wasm))
        .expect("the artifact is kept as it was published");
    let tampered = artifacts::with_manifest(&next_release(1), |text| {
        text.replacen("from draft", "from dr4ft", 1)
    });
    fs::remove_file(&artifact).unwrap();
    fs::write(&artifact, tampered).unwrap();
    server.run();
    server
        .admin()
        .put(INVOICING, &json!({ "version": "1.1.0" }))
        .refused(500, "storage-damaged");
    assert_eq!(
        server.admin().get("/api/v1/invoices").status,
        200,
        "what ran before goes on"
    );
}

/// All files of a folder and of those in it.
pub(crate) fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
