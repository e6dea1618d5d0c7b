//! Tenants that are removed: nothing of them is left, and their ids are as good as new.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use millwork_host::migrate::lines::CheckpointLine;
use millwork_host::migrate::manifest::Kind;
use millwork_tests::artifacts;
use millwork_tests::client::{Client, Reply};
use millwork_tests::poll;
use millwork_tests::production::tiers;
use millwork_tests::server::{Server, Setup, now_seconds};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use super::{
    bare, books_of, check_goes_on, create_with_key, export, fill, freeze, import, opened, parts, tags,
};
use crate::blobs::{ask, download, keep, names, upload};
use crate::books::{self, all};
use crate::cli::Shell;
use crate::production;

const MODULES: [&str; 4] = ["client", "invoicing", "messenger", "archivist"];

/// A host that knows all modules.
fn knowing(setup: Setup) -> Server {
    let server = Server::start(setup);
    for guest in ["messenger", "archivist", "librarian"] {
        let wasm = artifacts::test_component(guest).expect("a Rust guest is always built");
        let _ = server.publish(wasm).done();
    }
    server
}

/// Gives a tenant something of everything; what the command under the key `once` led to.
fn fill_all(api: &Client) -> Value {
    let once = fill(api);
    keep(api, "a.txt", "the first text");
    keep(api, "a.txt", "the second text");
    let told = api
        .post("/api/v1/clients", &json!({ "code": "E", "name": "Execute" }))
        .done();
    assert_eq!(tags(api, told["id"].as_str().unwrap()), json!(["executed"]));
    let _ = api
        .post("/api/v1/clients", &json!({ "code": "R", "name": "Reject" }))
        .done();
    poll::until("a dead letter", || (letters(api) == 1).then_some(()));
    once
}

fn letters(api: &Client) -> usize {
    let tenants = ["acme", "other"];
    let found = tenants.iter().find_map(|tenant| {
        let reply = api.get(&format!("/admin/v1/tenants/{tenant}/letters"));
        (reply.status == 200).then(|| reply.json()["letters"].as_array().unwrap().len())
    });
    found.unwrap()
}

fn remove(server: &Server, tenant: &str) -> Reply {
    server.operator().delete(&format!("/admin/v1/tenants/{tenant}"))
}

fn tenants(server: &Server) -> Vec<String> {
    let listed = server.operator().get("/admin/v1/tenants").done();
    let listed = listed["tenants"].as_array().unwrap().iter();
    listed
        .map(|tenant| tenant["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Rows of a tenant in the files of a host.
fn rows(server: &Server, tenant: &str) -> i64 {
    let open = |file: &str| {
        Connection::open_with_flags(server.data().join(file), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
    };
    let (events, messages) = (open("events.db"), open("messages.db"));
    let count =
        |db: &Connection, sql: &str| -> i64 { db.query_row(sql, [tenant], |row| row.get(0)).unwrap() };
    let key = "(SELECT key FROM tenants WHERE name = ?1)";
    let of_events: i64 = ["commands", "rejections", "streams", "claims", "sequences"]
        .iter()
        .map(|table| {
            count(
                &events,
                &format!("SELECT count(*) FROM {table} WHERE tenant = {key}"),
            )
        })
        .sum();
    let by_number = format!("SELECT count(*) FROM events WHERE key >> 40 = {key}");
    let of_messages: i64 = ["event", "command", "checkpoint", "letter"]
        .iter()
        .map(|table| {
            count(
                &messages,
                &format!("SELECT count(*) FROM {table} WHERE tenant = ?1"),
            )
        })
        .sum();
    of_events + count(&events, &by_number) + of_messages
}

/// Nothing of it is there, on files or at any door.
#[track_caller]
fn check_gone(server: &Server, tenant: &str) {
    assert!(!tenants(server).contains(&tenant.to_owned()));
    assert_eq!(rows(server, tenant), 0);
    let folder = server.data().join("tenants").join(tenant);
    assert!(!folder.exists(), "{folder:?} is there");
    let operator = server.operator();
    for path in ["modules", "swaps", "swaps/1", "letters", "export"] {
        operator
            .get(&format!("/admin/v1/tenants/{tenant}/{path}"))
            .refused(404, "no-tenant");
    }
    let api = server.somebody(Some(tenant), &["admin"]);
    for path in ["clients", "invoices", "openapi.json", "marketplace"] {
        api.get(&format!("/api/v1/{path}")).refused(404, "no-tenant");
    }
    create_with_key(&api, "once", "ONCE").refused(404, "no-tenant");
    remove(server, tenant).refused(404, "no-tenant");
    let thawed = operator.delete(&format!("/admin/v1/tenants/{tenant}/freeze"));
    thawed.refused(404, "no-tenant");
}

/// A tenant of these modules that has never had anything.
#[track_caller]
fn check_new(api: &Client) {
    for path in ["/api/v1/clients", "/api/v1/invoices"] {
        assert_eq!(all(api, path), [Value::Null; 0], "{path}");
    }
    assert!(names(&ask(api, "listed", &[]).done()).is_empty());
    assert_eq!(letters(api), 0);
    // Claims, numbers and idempotency keys are free, and subscriptions begin anew.
    let once = create_with_key(api, "once", "ONCE");
    assert_eq!(once.header("idempotency-replayed"), None);
    let made = once.done();
    books::seen(api, "/api/v1/clients", &made);
    let client = made["id"].as_str().unwrap().to_owned();
    let draft = books::draft(api, &client, "1.00");
    let finalized = books::finalize(api, &draft).done();
    assert_eq!(books::number(&finalized), books::invoice_number(1));
}

#[test]
fn a_removed_tenant_leaves_nothing() {
    for setup in production::everywhere() {
        let mut server = knowing(setup);
        let acme = server.tenant("acme", &MODULES);
        let other = server.tenant("other", &MODULES);
        let _ = fill_all(&acme);
        let _ = fill_all(&other);
        let theirs = export(&server, "other");
        remove(&server, "acme").refused(409, "tenant-not-frozen");
        assert_eq!(create_with_key(&acme, "open", "OPEN").status, 201);
        freeze(&server, "acme");
        let position = server.operator().get("/admin/v1/tenants/acme/export").body;
        let position = opened(&position).manifest().position;
        let removed = remove(&server, "acme").done();
        assert_eq!(removed["tenant"], "acme");
        assert_eq!(
            (&removed["events"], &removed["blobs"]),
            (&json!(position), &json!(2))
        );
        check_gone(&server, "acme");
        // The same id, at once and after a start.
        let anew = server.tenant("acme", &MODULES);
        check_new(&anew);
        freeze(&server, "acme");
        let _ = remove(&server, "acme").done();
        server.kill();
        server.run_bare();
        check_gone(&server, "acme");
        check_new(&server.tenant("acme", &MODULES));
        // Nobody else has lost anything.
        assert_eq!(parts(&export(&server, "other")), parts(&theirs));
        let other = server.somebody(Some("other"), &["admin"]);
        assert_eq!(names(&ask(&other, "listed", &[]).done()), ["a.txt"]);
    }
}

#[test]
fn an_index_goes_with_its_tenant() {
    for setup in production::everywhere() {
        let server = knowing(setup);
        let note = json!({ "title": "Fence", "body": "Paint it", "tags": ["all"], "price": "9.50" });
        let write = |api: &Client| {
            let noted = api.post("/api/v1/notes", &note).done();
            let after = noted["position"].as_str().unwrap();
            let found = api.get(&format!("/api/v1/notes-found?text=paint&after={after}"));
            found.done()["total"].clone()
        };
        let acme = server.tenant("acme", &["librarian"]);
        let other = server.tenant("other", &["librarian"]);
        assert_eq!((write(&acme), write(&other)), (json!(1), json!(1)));
        freeze(&server, "acme");
        let _ = remove(&server, "acme").done();
        check_gone(&server, "acme");
        let acme = server.tenant("acme", &["librarian"]);
        assert_eq!(acme.get("/api/v1/notes-found?text=paint").done()["total"], 0);
        assert_eq!((write(&acme), write(&other)), (json!(1), json!(2)));
    }
}

#[test]
fn links_of_a_removed_tenant_lead_nowhere_in_the_next_of_its_id() {
    let server = knowing(Setup::default());
    let acme = server.tenant("acme", &["archivist"]);
    keep(&acme, "a.txt", "the text");
    let up = upload(&server, &acme, "up.txt", b"late", "text/plain");
    let down = download(&server, &acme, &[("key", "a.txt")]);
    freeze(&server, "acme");
    let _ = remove(&server, "acme").done();
    up.put(b"late").refused(404, "no-tenant");
    let acme = server.tenant("acme", &["archivist"]);
    up.put(b"late").refused(403, "link-invalid");
    down.get().refused(403, "link-invalid");
    assert!(names(&ask(&acme, "listed", &[]).done()).is_empty());
}

#[test]
fn a_tenant_changes_its_profile_and_keeps_its_id() {
    let Some(setup) = tiers() else { return };
    let server = knowing(setup);
    let made = json!({ "id": "acme", "profile": "embedded" });
    let _ = server.operator().post("/admin/v1/tenants", &made).done();
    for module in MODULES {
        let path = format!("/admin/v1/tenants/acme/modules/{module}");
        let _ = server.operator().put(&path, &json!({})).done();
    }
    let api = server.somebody(Some("acme"), &["admin"]);
    let once = fill_all(&api);
    let told = api
        .post("/api/v1/clients", &json!({ "code": "T", "name": "Send" }))
        .done();
    let told = told["id"].as_str().unwrap();
    assert_eq!(tags(&api, told), json!(["sent"]));
    // The last event is that of the tag, and Follow hears it. What is not delivered yet would be where the tenant goes.
    poll::until("the last event is delivered", || {
        let archive = opened(&export(&server, "acme"));
        let mut checkpoints = archive
            .lines::<CheckpointLine>(Kind::Checkpoints)
            .map(Result::unwrap);
        let last = archive.manifest().position;
        let follow = |line: CheckpointLine| line.reader == "feed.messenger.Follow" && line.at == last;
        checkpoints.any(follow).then_some(())
    });
    let mut before = None;
    // There, to servers' parts of its own, back, and there again: the ids of all messages are those of the first time.
    for profile in ["production", "dedicated", "embedded", "production"] {
        freeze(&server, "acme");
        let archive = export(&server, "acme");
        let books = books_of(&api, &archive);
        let _ = remove(&server, "acme").done();
        let imported = import(&server, &format!("profile={profile}"), &archive).done();
        assert_eq!(
            (&imported["id"], &imported["profile"]),
            (&json!("acme"), &json!(profile))
        );
        // With the same token.
        assert_eq!(books_of(&api, &archive), books);
        assert_eq!(names(&ask(&api, "listed", &[]).done()), ["a.txt"]);
        assert_eq!(
            ask(&api, "read", &[("key", "a.txt")]).done()["text"],
            "the second text"
        );
        assert_eq!(letters(&api), 1);
        assert_eq!(parts(&export(&server, "acme")), parts(&archive));
        let before = before.get_or_insert_with(|| parts(&archive));
        assert_eq!(
            parts(&archive),
            *before,
            "what was delivered is not delivered again"
        );
    }
    let sent = api
        .post("/api/v1/clients", &json!({ "code": "U", "name": "Send" }))
        .done();
    assert_eq!(tags(&api, sent["id"].as_str().unwrap()), json!(["sent"]));
    let version = api.get(&format!("/api/v1/clients/{told}")).done()["version"].clone();
    assert_eq!(version, 2);
    check_goes_on(&api, &once, 4);
}

#[test]
fn removing_is_the_operators_and_of_closed_tenants() {
    let server = Server::demo();
    for tenant in ["demo", "none"] {
        let path = format!("/admin/v1/tenants/{tenant}");
        server.admin().delete(&path).refused(403, "forbidden");
    }
    remove(&server, "none").refused(404, "no-tenant");
    remove(&server, "No%20Name").refused(422, "name-malformed");
    let problem = remove(&server, "demo").refused(409, "tenant-not-frozen");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("millwork tenant freeze demo"), "{detail}");
    freeze(&server, "demo");
    let _ = server.operator().delete("/admin/v1/tenants/demo/freeze").done();
    remove(&server, "demo").refused(409, "tenant-not-frozen");
    assert_eq!(create_with_key(&server.admin(), "a", "A").status, 201);
}

#[test]
fn a_token_of_a_removed_tenant_is_not_its_successors() {
    let server = Server::demo();
    let old = server.token(Some("acme"), &["admin"], now_seconds() - 1_000, 3_600);
    let _ = server.tenant("acme", &["client"]);
    let old = server.admin().with_token(Some(&old));
    for path in [
        "/api/v1/clients",
        "/api/v1/marketplace",
        "/admin/v1/tenants/acme/modules",
    ] {
        old.get(path).refused(401, "token-invalid");
    }
    create_with_key(&old, "a", "A").refused(401, "token-invalid");
}

/// The steps of a removal, before each of which a host may be killed.
const STEPS: [&str; 9] = [
    "remove-all",
    "remove-search",
    "remove-documents",
    "remove-blobs",
    "remove-cache",
    "remove-messages",
    "remove-generations",
    "remove-events",
    "remove-record",
];

#[test]
fn a_removal_that_was_cut_short_goes_on() {
    for setup in production::everywhere() {
        let mut server = knowing(setup);
        for (number, step) in STEPS.into_iter().enumerate() {
            let api = server.tenant("acme", &MODULES);
            let _ = fill_all(&api);
            freeze(&server, "acme");
            let archive = (number == 0).then(|| export(&server, "acme"));
            server.crash_at(&format!("before:{step}"));
            let operator = server.operator();
            let cut = operator.ask("DELETE", "/admin/v1/tenants/acme").try_send();
            assert!(cut.is_err(), "{step}: the host is gone");
            server.ended();
            server.run_bare();
            match archive {
                // Whoever takes the id next waits for what is left to go.
                Some(archive) => {
                    poll::until("the id is free", || {
                        let reply = import(&server, "", &archive);
                        (reply.code() != "tenant-busy").then(|| reply.done())
                    });
                    let api = server.somebody(Some("acme"), &["admin"]);
                    assert_eq!(parts(&export(&server, "acme")), parts(&archive));
                    assert_eq!(letters(&api), 1);
                    freeze(&server, "acme");
                    let _ = remove(&server, "acme").done();
                }
                None => poll::until("it is asked for again, or has gone on", || {
                    let reply = remove(&server, "acme");
                    (reply.code() == "no-tenant").then_some(())
                }),
            }
            check_gone(&server, "acme");
        }
        check_new(&server.tenant("acme", &MODULES));
    }
}

#[test]
fn who_reads_a_tenant_that_is_removed_gets_all_or_nothing() {
    for setup in production::everywhere() {
        let server = Server::start(setup);
        let api = server.admin();
        for number in 0..20 {
            let _ = create_with_key(&api, &format!("k{number}"), &format!("C{number}")).done();
        }
        poll::until("they are there", || {
            (all(&api, "/api/v1/clients").len() == 20).then_some(())
        });
        freeze(&server, "demo");
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 {
                let (api, over) = (&api, &over);
                scope.spawn(move || {
                    while !over.load(Ordering::Acquire) {
                        let reply = api.get("/api/v1/clients?limit=1000");
                        match reply.status {
                            200 => assert_eq!(reply.json()["items"].as_array().unwrap().len(), 20),
                            404 => drop(reply.refused(404, "no-tenant")),
                            _ => assert_eq!(reply.status, 503, "{}", reply.text()),
                        }
                    }
                });
            }
            let removed = remove(&server, "demo");
            over.store(true, Ordering::Release);
            let _ = removed.done();
        });
        api.get("/api/v1/clients").refused(404, "no-tenant");
    }
}

#[test]
fn the_command_line_removes_a_tenant() {
    let shell = Shell::on(bare(Setup::default()));
    let _ = shell.json(&["tenant", "create", "acme"]);
    shell.fails(
        &["tenant", "remove", "acme", "--confirm", "acme"],
        &["tenant-not-frozen", "millwork tenant freeze acme"],
    );
    shell.prints(&["tenant", "freeze", "acme"], "tenant acme is closed");
    shell.fails(
        &["tenant", "remove", "acme", "--confirm", "acne"],
        &["nothing is removed"],
    );
    assert_eq!(tenants(&shell.server), ["acme"]);
    shell.prints(
        &["tenant", "remove", "acme", "--confirm", "acme"],
        "tenant acme is removed from profile embedded: 0 events",
    );
    shell.fails(&["tenant", "remove", "acme", "--confirm", "acme"], &["no-tenant"]);
    assert_eq!(tenants(&shell.server), [""; 0]);
}
