//! Interfaces of WASI proposals that have something behind them: a component made for other hosts finds cache, configuration
//! and log.

use millwork_tests::artifacts;
use millwork_tests::client::Client;
use millwork_tests::server::{Server, Setup};
use serde_json::{Value, json};

use crate::production;

/// A host with two tenants that run the module.
fn hosting(setup: Setup) -> (Server, Client, Client) {
    let server = Server::start(setup);
    let wasm = artifacts::test_component("standard").expect("the module; `cargo xtask guest` makes it");
    let _ = server.publish(wasm).done();
    let (one, other) = (
        server.tenant("one", &["standard"]),
        server.tenant("other", &["standard"]),
    );
    (server, one, other)
}

#[track_caller]
fn bucket(api: &Client, what: &str) -> Value {
    api.get(&format!("/api/v1/bucket?do={what}")).done()
}

#[test]
fn keys_and_values_are_kept_in_buckets_of_the_component() {
    production::everywhere().for_each(keys_and_values);
}

fn keys_and_values(setup: Setup) {
    let (_server, api, other) = hosting(setup);
    assert_eq!(bucket(&api, "get&key=a"), Value::Null);
    assert_eq!(bucket(&api, "set&key=a&value=1"), Value::Null);
    assert_eq!(bucket(&api, "get&key=a"), "1");
    assert_eq!(bucket(&api, "exists&key=a"), true);
    assert_eq!(bucket(&api, "add&key=a&value=41"), 42);
    assert_eq!(bucket(&api, "add&key=new&value=-5"), -5);
    assert_eq!(bucket(&api, "keys"), json!(["a", "new"]));
    assert_eq!(bucket(&api, "delete&key=a"), Value::Null);
    assert_eq!(bucket(&api, "delete&key=a"), Value::Null);
    assert_eq!(bucket(&api, "exists&key=a"), false);

    // Other buckets and other tenants have keys of their own, whatever they are called.
    assert_eq!(bucket(&api, "set&bucket=b&key=x:y&value=2"), Value::Null);
    assert_eq!(bucket(&api, "keys&bucket=b"), json!(["x:y"]));
    assert_eq!(bucket(&api, "keys"), json!(["new"]));
    assert_eq!(bucket(&other, "keys"), json!([]));
    assert_eq!(bucket(&other, "get&key=new"), Value::Null);

    // The limits are those of `millwork:cache`.
    let error = |what: &str| {
        bucket(&api, what)["error"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(error("get&bucket=b:x").contains("NoSuchStore"));
    assert!(error(&format!("get&bucket={}", "b".repeat(65))).contains("NoSuchStore"));
    assert!(error(&format!("get&key={}", "k".repeat(513))).contains("longer than 512 bytes"));
}

#[test]
fn the_configuration_is_flat() {
    let (_server, api, _) = hosting(Setup::default());
    assert_eq!(
        api.get("/api/v1/configured").done(),
        json!([
            ["greeting", "Hello"],
            ["rounding.digits", "2"],
            ["rounding.mode", "line"]
        ])
    );
    let one = |key: &str| api.get(&format!("/api/v1/configured?key={key}")).done();
    assert_eq!(one("rounding.mode"), "line");
    assert_eq!(one("rounding"), Value::Null);
}

#[test]
fn pure_calls_reach_the_log_alone() {
    let (server, api, _) = hosting(Setup::default());
    let make = |how: &str| api.post("/api/v1/things", &json!({ "how": how }));
    let _ = make("logging").done();
    let log = server.log();
    let line = log.lines().find(|line| line.contains("a thing is made")).unwrap();
    for part in ["standard@1.0.0", "\"ERROR\"", "things"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    make("config").refused(500, "component-impure");
    make("keyvalue").refused(500, "component-impure");
}

#[test]
fn a_query_that_is_kept_is_not_told_who_asks() {
    let (_server, api, _) = hosting(Setup::default());
    assert_eq!(api.get("/api/v1/who-asks").done(), "");
}

#[test]
fn without_the_permission_nothing_is_published() {
    let server = Server::bare();
    let problem = server
        .publish(crate::swaps::release(
            "standard",
            &[("[documents, cache]", "[documents]")],
        ))
        .refused(422, "imports-refused");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("wasi:keyvalue/store@0.2.0-draft2 needs the permission cache"),
        "{detail}"
    );
}
