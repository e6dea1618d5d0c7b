//! What a release must show before it is published: that it fits the contract, that it keeps what the release before it
//! promised, and that it answers when it is asked. Each component is written as text, hostile ones among them.

use millwork_registry::release::embed;
use millwork_tests::client::Reply;
use millwork_tests::server::Server;
use serde_json::{Value, json};

/// `health` that says that all is well.
const WELL: &str = "i32.const 16";
/// `describe` that gives `{}`.
const NOTHING: &str = "i32.const 32";

/// A component that exports `lifecycle` with these bodies of `health` and `describe`. Its memory holds results: at 16 one
/// without an error, at 32 the text `{}`, at 128 an error, at 144 one that claims to be larger than memory.
fn with_lifecycle(health: &str, describe: &str) -> String {
    format!(
        r#"
        (import "millwork:module/types@0.1.0" (instance $types
            (type $r (record (field "code" string) (field "message" string)))
            (export "reason" (type $reason (eq $r)))
            (type $v (variant (case "retry" $reason) (case "give-up" $reason)))
            (export "failure" (type (eq $v)))))
        (import "millwork:cache/cache@0.1.0" (instance $cache
            (type $e (variant (case "denied" string) (case "too-large" string) (case "unavailable")))
            (export "error" (type $error (eq $e)))
            (export "remove" (func (param "key" string) (result (result bool (error $error)))))))
        (alias export $types "failure" (type $failure))
        (core module $memory
            (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
            (data (i32.const 32) "\40\00\00\00\02\00\00\00")
            (data (i32.const 64) "{{}}")
            (data (i32.const 128) "\01\00\00\00\c0\00\00\00\13\00\00\00")
            (data (i32.const 144) "\01\00\00\00\c0\00\00\00\ff\ff\ff\7f")
            (data (i32.const 192) "no prices are known"))
        (core instance $memory (instantiate $memory))
        (core func $remove (canon lower (func $cache "remove")
            (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
        (core module $code
            (import "host" "remove" (func $remove (param i32 i32 i32)))
            (func (export "activate") (param i32 i32 i32) (result i32) i32.const 16)
            (func (export "deactivate") (result i32) i32.const 16)
            (func (export "health") (result i32) {health})
            (func (export "describe") (result i32) {describe}))
        (core instance $code (instantiate $code
            (with "host" (instance (export "remove" (func $remove))))))
        (func $activate (param "previous" (option string)) (result (result (error $failure)))
            (canon lift (core func $code "activate")
                (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
        (func $deactivate (result (result (error $failure)))
            (canon lift (core func $code "deactivate") (memory (core memory $memory "memory"))))
        (func $health (result (result (error string)))
            (canon lift (core func $code "health") (memory (core memory $memory "memory"))))
        (func $describe (result string)
            (canon lift (core func $code "describe") (memory (core memory $memory "memory"))))
        (instance $lifecycle
            (export "activate" (func $activate))
            (export "deactivate" (func $deactivate))
            (export "health" (func $health))
            (export "describe" (func $describe)))
        (export "millwork:module/lifecycle@0.1.0" (instance $lifecycle))"#
    )
}

/// Publishes a component with these items, under this version.
fn publish(server: &Server, version: &str, items: &str, rest: &str) -> Reply {
    let component = wat::parse_str(format!("(component {items})")).unwrap();
    let manifest = format!(
        "manifest: 1\nname: frail\nversion: {version}\npublisher: acme\ndescription: Is asked how it is.\n\
         licence: MIT\n{rest}"
    );
    server.publish(embed(&component, &manifest).unwrap())
}

const CACHE: &str = "permissions: [cache]\n";

#[track_caller]
fn refused(server: &Server, items: &str, code: &str, expected: &str) {
    let rest = "permissions: [cache, 'http:outbound:api.example.com']\n";
    let problem = publish(server, "1.0.0", items, rest).refused(422, code);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(expected), "{expected} is not in {detail}");
    let listed = server.operator().get("/admin/v1/registry/releases").done();
    assert_eq!(listed["releases"], json!([]), "nothing of it is published");
}

#[test]
fn a_component_that_does_not_answer_is_refused() {
    let server = Server::bare();
    let health = |body: &str, expected: &str| {
        let component = with_lifecycle(body, NOTHING);
        refused(
            &server,
            &component,
            "release-unusable",
            &format!("health: {expected}"),
        );
    };
    health("(loop br 0) unreachable", "ran longer than");
    health("unreachable", "trapped: ");
    health("i32.const 144", "trapped: ");
    let describe = |body: &str, expected: &str| {
        let component = with_lifecycle(WELL, body);
        refused(
            &server,
            &component,
            "release-unusable",
            &format!("describe{expected}"),
        );
    };
    describe("(loop br 0) unreachable", ": ran longer than");
    describe("unreachable", ": trapped: ");
    describe("i32.const 16", " gives no description: ");
}

#[test]
fn what_it_says_of_its_health_is_passed_on() {
    let server = Server::bare();
    let notes = |version: &str, health: &str| -> Value {
        let component = with_lifecycle(health, NOTHING);
        publish(&server, version, &component, CACHE).done()["notes"].clone()
    };
    assert_eq!(notes("1.0.0", WELL), json!([]));
    assert_eq!(
        notes("1.0.1", "i32.const 128"),
        json!(["health: without a tenant it is not well: no prices are known"])
    );
    let uses_the_cache = "(call $remove (i32.const 192) (i32.const 2) (i32.const 256)) i32.const 16";
    assert_eq!(
        notes("1.0.2", uses_the_cache),
        json!(["health: it could not be judged, since it uses capabilities, which it has for a tenant only"])
    );
}

#[test]
fn a_component_built_against_another_contract_is_refused() {
    let server = Server::bare();
    let clear = r#"(import "millwork:cache/cache@0.1.0" (instance (export "clear" (func))))"#;
    refused(
        &server,
        clear,
        "interface-incompatible",
        "import millwork:cache/cache@0.1.0: clear is not given by this host",
    );
    let empty = r#"(instance $i) (export "millwork:module/queries@0.1.0" (instance $i))"#;
    refused(
        &server,
        empty,
        "interface-incompatible",
        "export millwork:module/queries@0.1.0: answer is missing",
    );
    let other =
        with_lifecycle(WELL, NOTHING).replace(r#"(case "retry" $reason)"#, r#"(case "again" $reason)"#);
    refused(
        &server,
        &other,
        "interface-incompatible",
        "expected variant case 0 to be named `retry`, found a case named `again`",
    );
}

#[test]
fn requests_to_others_can_be_declared_and_are_not_given_yet() {
    let server = Server::bare();
    let sends = r#"(import "wasi:http/outgoing-handler@0.2.4" (instance))"#;
    refused(
        &server,
        sends,
        "release-unusable",
        "it imports wasi:http/outgoing-handler@0.2.4, which this host does not give",
    );
    publish(&server, "1.0.0", sends, "").refused(422, "imports-refused");
    let declared = "permissions: ['http:outbound:*.example.com']\n";
    let _ = publish(&server, "1.0.0", "", declared).done();
    let shown = server
        .operator()
        .get("/admin/v1/registry/releases/frail/1.0.0")
        .done();
    assert_eq!(
        shown["meanings"],
        json!({ "http:outbound:*.example.com": "send data to all servers below example.com" })
    );
}

#[test]
fn a_minor_version_keeps_what_it_exports_and_a_major_need_not() {
    let server = Server::bare();
    let _ = publish(&server, "1.0.0", &with_lifecycle(WELL, NOTHING), CACHE).done();
    let problem = publish(&server, "1.1.0", "", CACHE).refused(422, "interface-incompatible");
    assert_eq!(
        problem["detail"],
        "frail 1.1.0 breaks what 1.0.0 promised, so it needs a new major version: export \
         millwork:module/lifecycle@0.1.0 is gone"
    );
    let wider = "permissions: [cache, documents]\n";
    let published = publish(&server, "1.1.0", &with_lifecycle(WELL, NOTHING), wider).done();
    assert_eq!(
        published["notes"],
        json!(["permission documents is new: tenants will be asked for it"])
    );
    assert_eq!(publish(&server, "2.0.0", "", "").done()["notes"], json!([]));
}
