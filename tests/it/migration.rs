//! Tenants that move from host to host and from profile to profile arrive whole, or not at all.

mod blobs;
mod damage;
mod load;
mod removal;

use std::collections::BTreeMap;
use std::thread;

use millwork_host::http::position;
use millwork_host::migrate::unpack::Archive;
use millwork_tests::artifacts;
use millwork_tests::client::{Client, Reply};
use millwork_tests::poll;
use millwork_tests::server::{Server, Setup, now_seconds};
use serde_json::{Value, json};

use crate::books::{self, all, finalize, pay};
use crate::cli::Shell;
use crate::production;

const TAR: &str = "application/x-tar";

/// A host without tenants.
fn bare(setup: Setup) -> Server {
    Server::start(Setup { demo: false, ..setup })
}

/// The archive of a tenant.
#[track_caller]
pub(crate) fn export(server: &Server, tenant: &str) -> Vec<u8> {
    let reply = server
        .operator()
        .get(&format!("/admin/v1/tenants/{tenant}/export"));
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some(TAR)),
        "{}",
        reply.text()
    );
    reply.body
}

pub(crate) fn import(server: &Server, asked: &str, archive: &[u8]) -> Reply {
    let operator = server.operator();
    let ask = operator.ask("POST", &format!("/admin/v1/tenants/import?{asked}"));
    ask.bytes(TAR, archive.to_vec()).send()
}

fn freeze(server: &Server, tenant: &str) -> Value {
    let path = format!("/admin/v1/tenants/{tenant}/freeze");
    server.operator().put(&path, &json!({})).done()
}

/// What an archive says of itself; reading it checks it.
fn opened(archive: &[u8]) -> Archive {
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, archive).unwrap();
    Archive::open(file).unwrap()
}

/// Checksums of all files by name.
fn parts(archive: &[u8]) -> BTreeMap<String, String> {
    let archive = opened(archive);
    let parts = archive.manifest().parts.iter();
    parts
        .map(|part| (part.name.clone(), part.digest.to_string()))
        .collect()
}

/// All that a tenant's people can read, as of what was exported of it at the earliest.
pub(crate) fn books_of(api: &Client, archive: &[u8]) -> Value {
    let after = position::encode(opened(archive).manifest().position);
    let paths = ["/api/v1/clients", "/api/v1/invoices", "/api/v1/reports/aging"];
    let [_, _, aging] = paths.map(|path| books::after(api, path, &after));
    let invoices = all(api, "/api/v1/invoices");
    let each = invoices.iter().map(|invoice| {
        let id = invoice["_id"].as_str().unwrap();
        api.get(&format!("/api/v1/invoices/{id}")).done()
    });
    json!({
        "clients": all(api, "/api/v1/clients"),
        "each": each.collect::<Vec<_>>(),
        "invoices": invoices,
        "aging": aging,
    })
}

/// Name, version and bytes of what a tenant runs.
fn modules(server: &Server, tenant: &str) -> Vec<(Value, Value)> {
    let status = server
        .operator()
        .get(&format!("/admin/v1/tenants/{tenant}/modules"))
        .done();
    assert_eq!(status["broken"], json!([]), "{status}");
    let modules = status["modules"].as_array().unwrap().iter();
    modules
        .map(|module| (module["name"].clone(), module["version"].clone()))
        .collect()
}

fn create_with_key(api: &Client, key: &str, code: &str) -> Reply {
    let ask = api.ask("POST", "/api/v1/clients").key(key);
    ask.json(&json!({ "code": code, "name": "Once", "currency": "EUR" }))
        .send()
}

/// Two clients, invoices in every state, refused commands; gives what the command under the key `once` led to.
pub(crate) fn fill(api: &Client) -> Value {
    let once = create_with_key(api, "once", "ONCE").done();
    let client = books::client(api, "ACME");
    let drafts = ["10.00", "20.50", "0.10", "99.99"].map(|price| books::draft(api, &client, price));
    for draft in &drafts[..3] {
        let _ = finalize(api, draft).done();
    }
    let _ = pay(api, &drafts[0], "10.00").done();
    let _ = pay(api, &drafts[1], "0.50").done();
    let _ = books::act(api, &drafts[2], "void", &json!({ "reason": "test" })).done();
    create_with_key(api, "late", "ACME").refused(409, "claim-taken");
    finalize(api, &drafts[0]).refused(409, "invoice-not-draft");
    once
}

/// Whether nothing was lost on the way: what was promised to the tenant's people before is still kept.
#[track_caller]
fn check_goes_on(api: &Client, once: &Value, next_number: usize) {
    let again = create_with_key(api, "once", "ONCE");
    assert_eq!(
        again.header("idempotency-replayed"),
        Some("true"),
        "{}",
        again.text()
    );
    assert_eq!(again.json(), *once);
    create_with_key(api, "once", "OTHER").refused(422, "idempotency-key-reused");
    create_with_key(api, "new", "ACME").refused(409, "claim-taken");
    let client = once["id"].as_str().unwrap();
    let draft = books::draft(api, client, "1.00");
    let number = books::number(&finalize(api, &draft).done());
    assert_eq!(number, books::invoice_number(next_number));
}

#[test]
fn a_tenant_moves_from_files_to_servers_and_back() {
    for setup in production::everywhere() {
        let source = Server::demo();
        let api = source.admin();
        let once = fill(&api);
        let last = all(&api, "/api/v1/clients").len();
        let archive = export(&source, "demo");
        let (books, runs) = (books_of(&api, &archive), modules(&source, "demo"));

        let target = bare(setup);
        let imported = import(&target, "trust-keys", &archive).done();
        assert_eq!(imported["id"], "demo");
        let position = &imported["archive"]["position"];
        for model in imported["readModels"].as_array().unwrap() {
            assert_eq!(&model["position"], position, "{model}");
        }
        let there = target.somebody(Some("demo"), &["admin"]);
        assert_eq!(books_of(&there, &archive), books);
        assert_eq!(all(&there, "/api/v1/clients").len(), last);
        assert_eq!(modules(&target, "demo"), runs);

        let back = bare(Setup::default());
        let round = export(&target, "demo");
        assert_eq!(parts(&round), parts(&archive));
        let _ = import(&back, "trust-keys&as=home", &round).done();
        let home = back.somebody(Some("home"), &["admin"]);
        assert_eq!(books_of(&home, &archive), books);
        assert_eq!(parts(&export(&back, "home")), parts(&archive));
        check_goes_on(&there, &once, 4);
        check_goes_on(&home, &once, 4);
        // What happens after an export is not in it.
        check_goes_on(&api, &once, 4);
        assert_ne!(parts(&export(&source, "demo")), parts(&archive));
    }
}

#[test]
fn a_tenant_that_arrived_outlives_its_host() {
    for setup in production::everywhere() {
        let source = Server::demo();
        let once = fill(&source.admin());
        let archive = export(&source, "demo");
        let mut target = bare(setup);
        let _ = import(&target, "trust-keys", &archive).done();
        target.kill();
        target.run_bare();
        let api = target.somebody(Some("demo"), &["admin"]);
        assert_eq!(books_of(&api, &archive), books_of(&source.admin(), &archive));
        check_goes_on(&api, &once, 4);
    }
}

#[test]
fn one_host_takes_a_tenant_in_another_profile() {
    for setup in production::everywhere() {
        let server = Server::start(setup);
        let once = fill(&server.admin());
        let archive = export(&server, "demo");
        let imported = import(&server, "as=copy&profile=embedded", &archive).done();
        assert_eq!(
            (&imported["id"], &imported["profile"]),
            (&json!("copy"), &json!("embedded"))
        );
        // Under another id it is made now, so what was issued to an earlier tenant of that id is not for this one.
        let earlier = server.token(Some("copy"), &["admin"], now_seconds() - 120, 3_600);
        server
            .admin()
            .with_token(Some(&earlier))
            .get("/api/v1/clients")
            .refused(401, "token-invalid");
        let copy = server.somebody(Some("copy"), &["admin"]);
        assert_eq!(books_of(&copy, &archive), books_of(&server.admin(), &archive));
        check_goes_on(&copy, &once, 4);
    }
}

#[test]
fn what_cannot_be_imported_leaves_nothing_behind() {
    let source = Server::demo();
    let archive = export(&source, "demo");
    import(&source, "", &archive).refused(409, "exists");
    import(&source, "as=other&profile=moon", &archive).refused(404, "not-found");
    import(&source, "as=No%20Name", &archive).refused(422, "name-malformed");
    import(&source, "as=other&publish", &archive).refused(400, "malformed");
    let target = bare(Setup::default());
    import(&target, "", &archive).refused(409, "publisher-unknown");
    let keys = target.operator().get("/admin/v1/registry/publishers").done();
    assert_eq!(keys["publishers"], json!([]), "an import trusts nobody by itself");
    let operator = target.operator();
    let ask = operator.ask("POST", "/admin/v1/tenants/import");
    ask.bytes("application/json", b"{}".to_vec())
        .send()
        .refused(415, "media-type");
    for nothing in ["/admin/v1/tenants", "/admin/v1/registry/releases"] {
        let found = target.operator().get(nothing).text();
        assert!(found.ends_with(":[]}"), "{found}");
    }
    let small = bare(Setup {
        settings: "[moving]\narchive_bytes_max = 1000\n".to_owned(),
        ..Setup::default()
    });
    import(&small, "trust-keys", &archive).refused(413, "archive-too-large");
}

#[test]
fn of_two_imports_of_one_id_one_arrives() {
    let server = Server::demo();
    let once = fill(&server.admin());
    let archive = export(&server, "demo");
    let (server, archive) = (&server, &archive);
    let replies = thread::scope(|scope| {
        let imports = [(); 3].map(|()| scope.spawn(move || import(server, "as=copy", archive)));
        imports.map(|import| import.join().unwrap())
    });
    let (arrived, late): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 201);
    assert_eq!(arrived.len(), 1);
    for reply in late {
        reply.refused(409, "exists");
    }
    check_goes_on(&server.somebody(Some("copy"), &["admin"]), &once, 4);
}

#[test]
fn a_revoked_key_comes_in_by_no_archive() {
    let source = Server::demo();
    let archive = export(&source, "demo");
    let target = bare(Setup::default());
    let key = source.publisher_key("millwork");
    assert_eq!(target.trust(&key).status, 201);
    assert_eq!(target.revoke(&key, "lost").status, 200);
    import(&target, "trust-keys", &archive).refused(409, "key-revoked");
}

#[test]
fn moving_is_the_operators() {
    let server = Server::demo();
    let admin = server.admin();
    let archive = export(&server, "demo");
    for path in ["/admin/v1/tenants/demo/export", "/admin/v1/tenants/none/export"] {
        admin.get(path).refused(403, "forbidden");
    }
    for path in ["/admin/v1/tenants/demo/freeze", "/admin/v1/tenants/none/freeze"] {
        admin.put(path, &json!({})).refused(403, "forbidden");
        admin.delete(path).refused(403, "forbidden");
    }
    let ask = admin.ask("POST", "/admin/v1/tenants/import?as=other");
    ask.bytes(TAR, archive).send().refused(403, "forbidden");
    let operator = server.operator();
    operator
        .get("/admin/v1/tenants/none/export")
        .refused(404, "no-tenant");
    operator
        .put("/admin/v1/tenants/none/freeze", &json!({}))
        .refused(404, "no-tenant");
}

/// Tags of a client, once there are some.
fn tags(api: &Client, id: &str) -> Value {
    poll::until("tags", || {
        let client = api.get(&format!("/api/v1/clients/{id}")).json();
        Some(client["tags"].clone()).filter(|tags| tags.as_array().is_some_and(|tags| !tags.is_empty()))
    })
}

#[test]
fn what_was_delivered_is_not_delivered_again() {
    for setup in production::everywhere() {
        let source = Server::demo();
        let messenger = artifacts::test_component("messenger").expect("a Rust guest is always built");
        let _ = source.publish(messenger).done();
        let api = source.tenant("talking", &["client", "messenger"]);
        let create = |api: &Client, code: &str, name: &str| {
            let body = json!({ "code": code, "name": name });
            let id = api.post("/api/v1/clients", &body).done()["id"].clone();
            id.as_str().unwrap().to_owned()
        };
        let letters = |api: &Client, tenant: &str| {
            let all = api.get(&format!("/admin/v1/tenants/{tenant}/letters")).done();
            let all = all["letters"].as_array().unwrap().clone();
            all.into_iter()
                .map(|letter| letter["id"].clone())
                .collect::<Vec<_>>()
        };
        create(&api, "R", "Reject");
        let told = create(&api, "E", "Execute");
        assert_eq!(tags(&api, &told), json!(["executed"]));
        let buried = poll::until("a dead letter", || {
            Some(letters(&api, "talking")).filter(|letters| letters.len() == 1)
        });
        let target = bare(setup);
        let _ = import(&target, "trust-keys", &export(&source, "talking")).done();
        let there = target.somebody(Some("talking"), &["admin"]);
        let after = create(&there, "A", "Execute");
        assert_eq!(tags(&there, &after), json!(["executed"]));
        assert_eq!(letters(&there, "talking"), buried);
        let version = |api: &Client| api.get(&format!("/api/v1/clients/{told}")).done()["version"].clone();
        assert_eq!(version(&there), version(&api));
    }
}

#[test]
fn the_command_line_moves_a_tenant() {
    let source = Shell::new();
    let once = fill(&source.server.admin());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.tar");
    let path = file.to_str().unwrap();
    let told = source.json(&["tenant", "export", "demo", "--out", path, "--freeze"]);
    assert_eq!(told["archive"]["frozen"], true);
    source.fails(
        &["tenant", "export", "demo", "--out", path],
        &["is there already"],
    );
    create_with_key(&source.server.admin(), "x", "X").refused(503, "tenant-moving");

    let target = Shell::on(bare(Setup::default()));
    target.fails(&["tenant", "import", path], &["publisher-unknown"]);
    target.prints(
        &["tenant", "import", path, "--as", "acme", "--trust-keys"],
        "tenant acme is here, in profile embedded, read back and equal to the archive",
    );
    target.fails(&["tenant", "import", path, "--as", "acme"], &["(exists)"]);
    let api = target.server.somebody(Some("acme"), &["admin"]);
    check_goes_on(&api, &once, 4);
    std::fs::write(&file, &std::fs::read(&file).unwrap()[..5_000]).unwrap();
    target.fails(
        &["tenant", "import", path, "--as", "half"],
        &["the archive is damaged"],
    );

    source.prints(&["tenant", "thaw", "demo"], "tenant demo is open");
    assert_eq!(create_with_key(&source.server.admin(), "x", "X").status, 201);
    source.prints(&["tenant", "freeze", "demo"], "tenant demo is closed");
    let listed = source.json(&["tenant", "list"]);
    assert_eq!(listed["tenants"][0]["moving"], true);
}
