//! A disk that is full: what does not fit is refused and leaves nothing half, what was acknowledged before is kept, and
//! once there is space again the same host goes on.

mod servers;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use millwork_tests::artifacts;
use millwork_tests::client::{Client, Reply};
use millwork_tests::disk::Disk;
use millwork_tests::poll::{self, WITHIN_LONG};
use millwork_tests::server::{Server, Setup};
use serde_json::{Value, json};

use crate::blobs;
use crate::books;
use crate::migration::{books_of, export, fill, import};

const MIB: u64 = 1 << 20;
const CLIENTS: &str = "/api/v1/clients";

/// A host with the tenant `demo` on this disk.
fn hosted(disk: Disk) -> (Arc<Disk>, Server) {
    let disk = Arc::new(disk);
    let server = Server::start(Setup {
        disk: Some(Arc::clone(&disk)),
        ..Setup::default()
    });
    (disk, server)
}

/// Makes a client with this code, under a key that is the code.
fn create(api: &Client, code: &str) -> Reply {
    let ask = api.ask("POST", CLIENTS).key(code);
    // As much as there may be, so that a full disk is noticed soon.
    let name = "n".repeat(200);
    ask.json(&json!({ "code": code, "name": name, "currency": "EUR" }))
        .send()
}

/// Commands that were sent, by whether they were acknowledged.
#[derive(Default)]
struct Sent {
    acknowledged: Vec<Value>,
    refused: Vec<String>,
}

impl Sent {
    /// Sends a command, which is recorded or refused as it must be; true when it is recorded.
    #[track_caller]
    fn send(&mut self, api: &Client) -> bool {
        let code = format!("C{}", self.acknowledged.len() + self.refused.len());
        let reply = create(api, &code);
        if reply.status == 201 {
            self.acknowledged.push(reply.json());
        } else {
            reply.refused(503, "unavailable");
            self.refused.push(code);
        }
        reply.status == 201
    }
}

fn ids(items: &[Value]) -> BTreeSet<&str> {
    items
        .iter()
        .map(|item| item.get("_id").unwrap_or(&item["id"]).as_str().unwrap())
        .collect()
}

/// All files below a folder, by path.
fn files(folder: &Path) -> BTreeSet<String> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn commands_are_refused_while_their_events_do_not_fit_and_none_that_was_acknowledged_is_lost() {
    let Some(disk) = Disk::make(96 * MIB, "") else {
        return;
    };
    let (disk, mut server) = hosted(disk);
    let api = server.admin();
    let client = books::client(&api, "ACME");
    let draft = |api: &Client| books::draft(api, &client, "10.00");
    let before: Vec<String> = (0..4).map(|_| draft(&api)).collect();
    let mut numbers: Vec<String> = Vec::new();
    numbers.push(books::number(&books::finalize(&api, &before[0]).done()));

    let mut sent = Sent::default();
    disk.fill();
    // What fits into files that are there already is still recorded.
    poll::within(WITHIN_LONG, "a command is refused", || {
        (!sent.send(&api)).then_some(())
    });
    for _ in 0..20 {
        sent.send(&api);
    }
    // A number that was taken for what is then not recorded is not used up.
    for draft in &before[1..3] {
        let reply = books::finalize(&api, draft);
        if reply.status == 200 {
            numbers.push(books::number(&reply.json()));
        } else {
            reply.refused(503, "unavailable");
        }
    }
    assert_eq!(api.get(CLIENTS).status, 200, "what is there can be read");

    disk.free();
    poll::until("commands are recorded again", || sent.send(&api).then_some(()));
    for code in &sent.refused {
        let again = create(&api, code);
        assert_eq!(
            (again.status, again.header("idempotency-replayed")),
            (201, None),
            "{code}"
        );
        sent.acknowledged.push(again.json());
    }
    for draft in &before[1..] {
        let reply = books::finalize(&api, draft);
        if reply.status == 200 {
            numbers.push(books::number(&reply.json()));
        } else {
            reply.refused(409, "invoice-not-draft");
        }
    }
    let expected: Vec<String> = (1..=before.len()).map(books::invoice_number).collect();
    assert_eq!(numbers, expected);
    let check = |api: &Client| {
        let last = sent.acknowledged.last().unwrap();
        books::seen(api, CLIENTS, last);
        let clients = books::all(api, CLIENTS);
        let mut known = ids(&sent.acknowledged);
        known.insert(&client);
        assert_eq!(ids(&clients), known);
    };
    check(&api);
    // And so it is when it is started again on what is there.
    server.kill();
    server.run();
    check(&server.admin());
}

#[test]
fn read_models_stand_still_while_documents_do_not_fit_and_catch_up() {
    let Some(disk) = Disk::make(16 * MIB, "tenants") else {
        return;
    };
    let (disk, server) = hosted(disk);
    let api = server.admin();
    let first = books::client(&api, "ACME");
    let mut sent = Sent::default();
    disk.fill();
    let behind = poll::within(WITHIN_LONG, "a read model stands still", || {
        assert!(sent.send(&api), "events are on another disk");
        let position = sent.acknowledged.last().unwrap()["position"]
            .as_str()
            .unwrap()
            .to_owned();
        let reply = api.get(&format!("{CLIENTS}?after={position}"));
        (reply.status != 200).then_some(reply)
    });
    behind.refused(503, "read-model-behind");
    for _ in 0..10 {
        assert!(sent.send(&api));
    }
    let status = api.get("/admin/v1/tenants/demo/modules").done();
    let failing = status["modules"][0]["projections"][0]["failing"].as_str();
    assert!(failing.is_some_and(|why| why.contains("full")), "{status}");
    // What is read is as it was before.
    let shown = books::all(&api, CLIENTS);
    assert!(shown.len() < 1 + sent.acknowledged.len());

    disk.free();
    let last = sent.acknowledged.last().unwrap();
    let path = format!(
        "{CLIENTS}/{}?after={}",
        last["id"].as_str().unwrap(),
        last["position"].as_str().unwrap()
    );
    poll::within(WITHIN_LONG, "the read model catches up", || {
        (api.get(&path).status == 200).then_some(())
    });
    let clients = books::all(&api, CLIENTS);
    let mut known = ids(&sent.acknowledged);
    known.insert(&first);
    assert_eq!(ids(&clients), known);
    assert_eq!(clients.len(), known.len());
}

#[test]
fn an_upload_that_does_not_fit_is_refused_and_leaves_nothing() {
    let Some(disk) = Disk::make(24 * MIB, "tenants") else {
        return;
    };
    let disk = Arc::new(disk);
    let (server, api, _) = blobs::archive(Setup {
        disk: Some(Arc::clone(&disk)),
        ..Setup::default()
    });
    blobs::keep(&api, "kept.txt", "kept");
    let body: Vec<u8> = (0..2_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let link = blobs::upload(&server, &api, "large", &body, "image/jpeg");
    let folder = server.data().join("tenants/keepers/blobs");
    let before = files(&folder);
    // Without room for anything, and with room for a part.
    for left in [0, 1_000_000] {
        disk.fill_but(left);
        let refused = link.put(&body);
        refused.refused(503, "unavailable");
        assert_eq!(files(&folder), before);
        blobs::ask(&api, "known", &[("key", "large")]).refused(404, "no-paper");
        assert_eq!(
            blobs::ask(&api, "read", &[("key", "kept.txt")]).done()["text"],
            "kept"
        );
        disk.free();
    }
    assert_eq!(link.put(&body).status, 200);
    assert!(blobs::download(&server, &api, &[("key", "large")]).get().body == body);
    assert_eq!(files(&folder).len(), before.len() + 1);
}

#[test]
fn an_index_that_does_not_fit_stands_still_and_catches_up() {
    let Some(disk) = Disk::make(8 * MIB, "tenants/readers/search") else {
        return;
    };
    let disk = Arc::new(disk);
    let server = Server::start(Setup {
        disk: Some(Arc::clone(&disk)),
        ..Setup::default()
    });
    let wasm = artifacts::test_component("librarian").expect("the librarian; `cargo xtask guest` makes it");
    let _ = server.publish(wasm).done();
    let api = server.tenant("readers", &["librarian"]);
    let write = |number: usize| {
        let note =
            json!({ "title": format!("Fence {number}"), "body": "Paint", "tags": ["all"], "price": "1" });
        let done = api.post("/api/v1/notes", &note).done();
        done["position"].as_str().unwrap().to_owned()
    };
    let find = |after: &str| api.get(&format!("/api/v1/notes-found?text=fence&after={after}"));
    assert_eq!(find(&write(0)).done()["total"], 1);
    disk.fill();
    let written: Vec<String> = (1..5).map(write).collect();
    let last = written.last().unwrap();
    find(last).refused(503, "read-model-behind");
    // What was found before still is.
    assert_eq!(api.get("/api/v1/notes-found?text=fence").done()["total"], 1);
    disk.free();
    let found = poll::within(WITHIN_LONG, "the index catches up", || {
        let found = find(last);
        (found.status == 200).then(|| found.json())
    });
    assert_eq!(found["total"], 5);
}

#[test]
fn an_archive_that_does_not_fit_leaves_no_tenant_and_arrives_when_there_is_space() {
    let Some(disk) = Disk::make(96 * MIB, "") else {
        return;
    };
    let source = Server::demo();
    let theirs = source.admin();
    fill(&theirs);
    let archive = export(&source, "demo");
    let disk = Arc::new(disk);
    let server = Server::start(Setup {
        demo: false,
        disk: Some(Arc::clone(&disk)),
        ..Setup::default()
    });
    let arrive = || import(&server, "trust-keys", &archive);
    let (moving, mut refused) = (server.data().join("moving"), 0);
    // No room for the archive; for the archive alone; and for more and more of what is made of it.
    for left in [0, archive.len() as u64 / 2] {
        disk.fill_but(left);
        arrive().refused(503, "unavailable");
        refused += 1;
        check_absent(&server, &moving);
        disk.free();
    }
    let arrived = (0..).find_map(|step: u64| {
        disk.fill_but(archive.len() as u64 + step * 256 * 1024);
        let reply = arrive();
        disk.free();
        if reply.status == 201 || reply.status == 200 {
            return Some(reply);
        }
        assert_eq!(reply.status, 503, "{}", reply.text());
        refused += 1;
        check_absent(&server, &moving);
        None
    });
    eprintln!("refused {refused} times before there was room");
    assert!(refused > 2, "it was never short of space in the middle");
    // It may have arrived whole where its read models had no room yet.
    assert_eq!(arrived.unwrap().json()["id"], "demo");
    let api = server.somebody(Some("demo"), &["admin"]);
    poll::within(WITHIN_LONG, "the tenant starts", || {
        (api.get(CLIENTS).status == 200).then_some(())
    });
    assert_eq!(books_of(&api, &archive), books_of(&theirs, &archive));
}

/// Nothing of the tenant is there, nor of what came in.
#[track_caller]
fn check_absent(server: &Server, moving: &Path) {
    let tenants = server.operator().get("/admin/v1/tenants").done();
    assert_eq!(tenants["tenants"], json!([]));
    server
        .somebody(Some("demo"), &["admin"])
        .get(CLIENTS)
        .refused(404, "no-tenant");
    assert_eq!(files(moving), BTreeSet::new());
}
