//! What is published, by whom, and what is refused: signatures, trust, revocation, yanks, and all that can be seen of a
//! release.

mod command_line;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use millwork_registry::key::KeyPair;
use millwork_registry::release::{embed, sign};
use millwork_tests::artifacts;
use millwork_tests::client::Reply;
use millwork_tests::server::{Server, Setup, fixed_key, folder_with};
use serde_json::{Value, json};

use crate::hot_swap::files_below;

const RELEASES: &str = "/admin/v1/registry/releases";
const PUBLISHERS: &str = "/admin/v1/registry/publishers";
const NOTHING: &str = "/admin/v1/tenants/acme/modules/nothing";

/// A component that does nothing, as a publisher would build it.
fn nothing(publisher: &str, version: &str, rest: &str) -> Vec<u8> {
    let manifest = format!(
        "manifest: 1\nname: nothing\nversion: {version}\npublisher: {publisher}\ndescription: Does nothing.\n\
         licence: MIT\n{rest}"
    );
    embed(&component(""), &manifest).unwrap()
}

/// The smallest component, with these items in it.
fn component(items: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {items})")).unwrap()
}

/// A component of `acme` that imports these.
fn importing(imports: &str) -> Vec<u8> {
    let manifest =
        "{manifest: 1, name: importing, version: 1.0.0, publisher: acme, description: d, licence: MIT}";
    embed(&component(imports), manifest).unwrap()
}

/// A host without modules that trusts acme, and acme's key.
fn acme() -> (Server, KeyPair) {
    let server = Server::bare();
    let key = fixed_key("acme", 1);
    let _ = server.trust(&key).done();
    (server, key)
}

fn says(problem: &Value, parts: &[&str]) {
    let detail = problem["detail"].as_str().unwrap();
    for part in parts {
        assert!(detail.contains(part), "{part} is not in {detail}");
    }
}

/// Nothing of what was refused can be seen.
fn assert_empty(server: &Server) {
    let releases = server.operator().get(RELEASES).done();
    assert_eq!(releases["releases"], json!([]));
}

fn enable(server: &Server, version: &str) -> Reply {
    server.operator().put(NOTHING, &json!({ "version": version }))
}

#[test]
fn only_what_a_trusted_publisher_signed_is_published() {
    let (server, key) = acme();
    let bare = nothing("acme", "1.0.0", "");
    let problem = server.publish_as_is(bare.clone()).refused(422, "unsigned");
    says(&problem, &["nothing 1.0.0 is not signed", "millwork plugin sign"]);

    let stranger = fixed_key("acme", 2);
    let problem = server
        .publish_as_is(sign(&bare, &stranger).unwrap())
        .refused(409, "publisher-unknown");
    says(&problem, &["acme", &stranger.public().to_string(), "not trusted"]);

    let in_the_name_of_another = KeyPair::parse(&key.to_file().replace("acme", "zenith")).unwrap();
    let theirs = sign(&nothing("zenith", "1.0.0", ""), &in_the_name_of_another).unwrap();
    let problem = server.publish_as_is(theirs).refused(422, "publisher-mismatch");
    says(&problem, &["publisher acme's", "publisher zenith"]);

    let mut tampered = sign(&bare, &key).unwrap();
    let at = tampered.windows(4).position(|part| part == b"Does").unwrap();
    tampered[at] = b'd';
    let problem = server.publish_as_is(tampered).refused(422, "signature-invalid");
    says(&problem, &["changed afterwards"]);
    assert_empty(&server);

    let published = server.publish_as_is(sign(&bare, &key).unwrap()).done();
    assert_eq!(
        (&published["publisher"], &published["key"]),
        (&json!("acme"), &json!(key.public()))
    );
}

#[test]
fn a_component_gets_no_more_than_its_manifest_asks_for() {
    let (server, _) = acme();
    let problem = server
        .publish(importing(r#"(import "wasi:nn/tensor@0.2.0" (instance))"#))
        .refused(422, "imports-refused");
    says(&problem, &["wasi:nn/tensor@0.2.0 is not known to this host"]);
    let problem = server
        .publish(importing(r#"(import "millwork:cache/cache@0.1.0" (instance))"#))
        .refused(422, "imports-refused");
    says(
        &problem,
        &["millwork:cache/cache@0.1.0 needs the permission cache"],
    );
    let unknown = artifacts::with_manifest(&nothing("acme", "1.0.0", "permissions: [documents]\n"), |text| {
        text.replace("documents", "all-of-it")
    });
    let problem = server.publish(unknown).refused(422, "manifest-malformed");
    says(&problem, &["all-of-it"]);
    assert_empty(&server);
}

#[test]
fn code_of_strangers_does_not_run() {
    let server = Server::bare();
    let _ = server
        .publish_as_is(artifacts::component("client"))
        .refused(422, "unsigned");
    let compiled = server.data().join("compiled");
    assert!(!compiled.exists(), "nothing was compiled");
}

#[test]
fn a_version_has_the_same_bytes_for_ever_and_a_name_one_publisher() {
    let (server, _) = acme();
    let first = server.publish(nothing("acme", "1.0.0", "")).done();
    assert_eq!(server.publish(nothing("acme", "1.0.0", "")).done(), first);
    let problem = server
        .publish(nothing("acme", "1.0.0", "title: Nothing\n"))
        .refused(409, "release-exists");
    says(&problem, &["nothing 1.0.0", "other bytes"]);
    for version in ["1.0.0", "2.0.0"] {
        let problem = server
            .publish(nothing("zenith", version, ""))
            .refused(409, "name-taken");
        says(&problem, &["nothing belongs to publisher acme"]);
    }
    // Another key of the same publisher, such as after the first was lost.
    let second = fixed_key("acme", 2);
    let _ = server.trust(&second).done();
    let next = sign(&nothing("acme", "1.0.1", ""), &second).unwrap();
    let _ = server.publish_as_is(next).done();
}

#[test]
fn a_revoked_key_neither_publishes_nor_loads() {
    let (mut server, key) = acme();
    let _ = server.publish(nothing("acme", "1.0.0", "")).done();
    let _ = server.publish(nothing("acme", "1.1.0", "")).done();
    let _ = server.tenant("acme", &[]);
    let _ = enable(&server, "1.0.0").done();

    let revoked = server.revoke(&key, "it was stolen").done();
    assert_eq!(revoked["publisher"]["revoked"]["reason"], "it was stolen");
    assert_eq!(
        revoked["releases"],
        json!([{ "name": "nothing", "version": "1.0.0" }, { "name": "nothing", "version": "1.1.0" }])
    );
    let refused = |reply: Reply| {
        let problem = reply.refused(409, "key-revoked");
        says(&problem, &["publisher acme", "it was stolen"]);
    };
    refused(server.publish(nothing("acme", "1.2.0", "")));
    refused(enable(&server, "1.1.0"));
    refused(server.operator().put(NOTHING, &json!({})));
    refused(server.trust(&key));
    let modules = server.operator().get("/admin/v1/tenants/acme/modules").done();
    assert_eq!(modules["modules"][0]["version"], "1.0.0", "what runs goes on");
    let shown = server.operator().get(&format!("{RELEASES}/nothing/1.0.0")).done();
    assert_eq!(shown["refused"]["code"], "key-revoked");

    server.kill();
    server.run();
    assert!(
        server
            .log()
            .contains("of publisher acme is revoked: it was stolen"),
        "{}",
        server.log()
    );
    assert_does_not_run(&server);
    refused(server.publish(nothing("acme", "1.2.0", "")));
}

/// A release that was published and enabled, as somebody with access to the disk would change it.
struct Tampering {
    artifact: PathBuf,
    record: PathBuf,
    /// As published.
    digest: String,
    /// Changed.
    bytes: Vec<u8>,
}

/// After `store` has put the changed bytes on the disk of a host that does not run, nothing runs them.
fn check_tampering(store: impl Fn(Tampering), status: u16, code: &str, logged: &str) {
    let (mut server, _) = acme();
    let bare = nothing("acme", "1.0.0", "");
    let published = server.publish(bare.clone()).done();
    let _ = server.tenant("acme", &[]);
    let _ = enable(&server, "1.0.0").done();
    server.kill();
    let registry = server.data().join("registry");
    let mut bytes = server.signed(&bare);
    let artifact = files_below(&registry)
        .into_iter()
        .find(|file| fs::read(file).is_ok_and(|found| found == bytes))
        .expect("the artifact is kept as it was published");
    let at = bytes.windows(4).position(|part| part == b"Does").unwrap();
    bytes[at] = b'd';
    store(Tampering {
        artifact,
        record: registry.join("releases/nothing/1.0.0.json"),
        digest: published["digest"].as_str().unwrap().to_owned(),
        bytes,
    });
    server.run();
    let log = server.log();
    assert!(log.contains(logged), "{log}");
    assert_does_not_run(&server);
    let _ = server.tenant("other", &[]);
    let enable = server.operator().put(
        "/admin/v1/tenants/other/modules/nothing",
        &json!({ "version": "1.0.0" }),
    );
    enable.refused(status, code);
}

/// Whether the tenant is served without the module or not at all is not this test's concern.
fn assert_does_not_run(server: &Server) {
    let modules = server.operator().get("/admin/v1/tenants/acme/modules");
    let modules = modules.json()["modules"].clone();
    assert!(modules.as_array().is_none_or(Vec::is_empty), "it runs: {modules}");
}

#[test]
fn a_file_changed_on_disk_does_not_load() {
    check_tampering(
        |found| fs::write(found.artifact, found.bytes).unwrap(),
        500,
        "storage-damaged",
        "is damaged: its bytes have the digest sha256:",
    );
}

#[test]
fn a_file_changed_on_disk_does_not_load_with_a_record_to_fit() {
    let store = |found: Tampering| {
        let digest = millwork_registry::id::Digest::of(&found.bytes);
        let artifact = format!("sha256-{}.wasm", digest.hex());
        fs::write(found.artifact.with_file_name(artifact), &found.bytes).unwrap();
        let text = fs::read_to_string(&found.record).unwrap();
        assert!(text.contains(&found.digest), "{text}");
        let text = text.replace(&found.digest, &digest.to_string());
        fs::write(&found.record, text.replace("Does nothing", "does nothing")).unwrap();
    };
    check_tampering(
        store,
        422,
        "signature-invalid",
        "the signature is not valid: the component is not what was signed",
    );
}

#[test]
fn a_yanked_release_goes_on_where_it_runs_and_nowhere_else() {
    let (mut server, _) = acme();
    let _ = server.publish(nothing("acme", "1.0.0", "")).done();
    let _ = server.publish(nothing("acme", "1.1.0", "")).done();
    let (_, _) = (server.tenant("acme", &[]), server.tenant("other", &[]));
    let _ = enable(&server, "1.1.0").done();
    let release = format!("{RELEASES}/nothing/1.1.0");
    let yank = |server: &Server, path: &str, reason: &str| {
        server
            .operator()
            .post(&format!("{path}/yank"), &json!({ "reason": reason }))
    };
    yank(&server, &release, "").refused(422, "text-malformed");
    yank(&server, &format!("{RELEASES}/nothing/9.0.0"), "x").refused(404, "release-unknown");
    let yanked = yank(&server, &release, "rounds wrongly").done();
    assert_eq!(yanked["yanked"]["reason"], "rounds wrongly");

    let other = "/admin/v1/tenants/other/modules/nothing";
    for started_again in [false, true] {
        if started_again {
            server.kill();
            server.run();
        }
        let operator = server.operator();
        let problem = operator
            .put(other, &json!({ "version": "1.1.0" }))
            .refused(409, "yanked");
        says(&problem, &["nothing 1.1.0 is yanked: rounds wrongly"]);
        let modules = operator.get("/admin/v1/tenants/acme/modules").done();
        assert_eq!(modules["modules"][0]["version"], "1.1.0");
        let listed = operator.get(&format!("{RELEASES}/nothing")).done();
        let reasons: Vec<_> = listed["releases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|release| &release["yanked"]["reason"])
            .collect();
        assert_eq!(reasons, [&Value::Null, &json!("rounds wrongly")]);
    }
    // Without a version it is the newest that is not yanked; where the yanked one runs, it may be configured anew.
    let operator = server.operator();
    assert_eq!(operator.put(other, &json!({})).done()["to"], "1.0.0");
    let _ = enable(&server, "1.1.0").done();
    // Once it was left, there is no way back to it, until the yank is.
    let _ = enable(&server, "1.0.0").done();
    enable(&server, "1.1.0").refused(409, "yanked");
    let _ = operator.post(&format!("{release}/unyank"), &json!({})).done();
    assert_eq!(enable(&server, "1.1.0").done()["to"], "1.1.0");
}

#[test]
fn everything_about_a_release_can_be_seen() {
    let server = Server::demo();
    let admin = server.admin();
    let list = admin.get(RELEASES).done();
    let client = list["releases"]
        .as_array()
        .unwrap()
        .iter()
        .find(|release| release["name"] == "client")
        .unwrap();
    for member in ["title", "description", "publisher", "digest"] {
        assert!(client[member].is_string(), "{member}: {client}");
    }
    assert!(client["sizeBytes"].as_u64().unwrap() > 10_000);
    assert_eq!(
        (&client["permissions"][0], &client["yanked"]),
        (&json!("documents"), &Value::Null)
    );

    let shown = admin.get(&format!("{RELEASES}/invoicing/1.0.0")).done();
    assert_eq!(
        shown["manifest"]["aggregates"]["Invoice"]["commands"]["CreateInvoice"]["creates"],
        true
    );
    let has = |list: &str, name: &str| {
        let names = shown[list].as_array().unwrap();
        assert!(
            names.iter().any(|found| found == name),
            "{name} is not in {names:?}"
        );
    };
    has("imports", "millwork:documents/documents@0.1.0");
    has("exports", "millwork:module/aggregates@0.1.0");
    let meanings = shown["meanings"].as_object().unwrap();
    assert_eq!(meanings.len(), shown["permissions"].as_array().unwrap().len());
    assert_eq!(
        meanings["view:client.ClientDetail"],
        "read ClientDetail of the module client when it decides"
    );
    let key = server.publisher_key("millwork").public();
    assert_eq!(
        (&shown["key"], &shown["keyId"], &shown["refused"]),
        (&json!(key), &json!(key.id()), &Value::Null)
    );
    assert!(shown.as_object().unwrap().contains_key("changelog"));

    admin
        .get(&format!("{RELEASES}/nobody"))
        .refused(404, "release-unknown");
    admin
        .get(&format!("{RELEASES}/client/9.9.9"))
        .refused(404, "release-unknown");
    admin
        .get(&format!("{RELEASES}/client/one"))
        .refused(422, "schema");
    admin
        .get(&format!("{RELEASES}/..%2F..%2Fx/1.0.0"))
        .refused(404, "release-unknown");
}

#[test]
fn only_an_operator_says_whom_to_trust_and_what_is_yanked() {
    let (server, key) = acme();
    let _ = server.publish(nothing("acme", "1.0.0", "")).done();
    let admin = server.tenant("acme", &[]);
    let why = json!({ "reason": "x" });
    admin.get(PUBLISHERS).refused(403, "forbidden");
    let mine = json!({ "publisher": "mallory", "key": fixed_key("mallory", 3).public() });
    admin.post(PUBLISHERS, &mine).refused(403, "forbidden");
    let revoke = format!("{PUBLISHERS}/{}/revoke", key.public().id());
    admin.post(&revoke, &why).refused(403, "forbidden");
    for verb in ["yank", "unyank"] {
        let path = format!("{RELEASES}/nothing/1.0.0/{verb}");
        admin.post(&path, &why).refused(403, "forbidden");
    }
    let operator = server.operator();
    let known = operator.get(PUBLISHERS).done();
    assert_eq!(known["publishers"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&known["publishers"][0]["key"], &known["publishers"][0]["revoked"]),
        (&json!(key.public()), &Value::Null)
    );
    let weak = json!({ "publisher": "acme", "key": format!("ed25519:{}=", "A".repeat(43)) });
    operator.post(PUBLISHERS, &weak).refused(422, "schema");
    let taken = json!({ "publisher": "zenith", "key": key.public() });
    operator
        .post(PUBLISHERS, &taken)
        .refused(422, "publisher-mismatch");
    let unknown = fixed_key("acme", 9).public().id();
    operator
        .post(&format!("{PUBLISHERS}/{unknown}/revoke"), &why)
        .refused(404, "key-unknown");
    operator
        .post(&format!("{PUBLISHERS}/no-key/revoke"), &why)
        .refused(422, "text-malformed");
}

#[test]
fn the_demo_signs_with_a_key_of_its_own_and_starts_without_what_is_revoked() {
    let folder = folder_with(&[("nothing", &nothing("acme", "1.0.0", ""))]);
    let mut server = Server::start(Setup {
        components: folder.path().to_owned(),
        ..Setup::default()
    });
    let file = server.data().join("publisher-keys/acme.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let key = server.publisher_key("acme");
    assert_ne!(key.public(), fixed_key("acme", 1).public());
    server.stop();
    server.run();
    let listed = server.operator().get(RELEASES).done();
    assert_eq!(
        listed["releases"].as_array().unwrap().len(),
        1,
        "the same bytes each time"
    );
    assert_eq!(listed["releases"][0]["key"], json!(key.public()));
    let _ = server.revoke(&key, "it was lost").done();
    server.stop();
    server.run();
    assert!(
        server.log().contains("the component is left out"),
        "{}",
        server.log()
    );
}
