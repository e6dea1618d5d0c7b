//! The contract is the WIT, not our SDK: modules in C and JavaScript run like those in Rust.

use millwork_tests::artifacts;
use millwork_tests::client::Client;
use millwork_tests::report::not_run;
use millwork_tests::server::Server;
use serde_json::{Value, json};

use crate::books::{self, all, seen, stored};

/// A counter module, from publishing to idempotency. Not run when its tools were missing at the build.
fn check_counter(name: &str) {
    let Some(wasm) = artifacts::test_component(name) else {
        not_run(
            &format!("{name}.wasm"),
            "it is not there; `cargo xtask guest` says which tool it needs",
        );
        return;
    };
    let mut server = Server::demo();
    let published = server.publish(wasm).done();
    assert_eq!(
        (&published["name"], &published["version"]),
        (&json!(name), &json!("0.1.0"))
    );
    let api = server.tenant("counting", &[name]);
    let path = format!("/api/v1/{name}/counters");

    let started = start(&api, &path, 3);
    let id = started["id"].as_str().unwrap().to_owned();
    assert_eq!(
        (&started["version"], books::event(&started, "Added")),
        (&json!(1), &json!({ "by": 3 }))
    );
    assert_eq!(seen(&api, &path, &started)["total"], 3);

    let add = |api: &Client, by: u64, key: &str| {
        api.ask("POST", &format!("{path}/{id}/add"))
            .key(key)
            .json(&json!({ "by": by }))
            .send()
    };
    let added = add(&api, 4, "k").done();
    assert_eq!(
        (&added["version"], &seen(&api, &path, &added)["total"]),
        (&json!(2), &json!(7))
    );
    let again = add(&api, 4, "k");
    assert_eq!(
        (again.done(), again.header("idempotency-replayed")),
        (added, Some("true"))
    );
    add(&api, 5, "k").refused(422, "idempotency-key-reused");

    let before = stored(&server);
    add(&api, 0, "schema").refused(422, "schema");
    let tried = api
        .post(&format!("{path}/{id}/add?dry-run"), &json!({ "by": 5 }))
        .done();
    assert_eq!(tried["states"][0]["state"], json!({ "total": 12 }));
    assert_eq!(stored(&server), before);

    // Full at a thousand millions, a thousand steps of a million away.
    let almost = (0..999).fold(start(&api, &path, 1_000_000), |last, _| {
        let id = last["id"].as_str().unwrap();
        api.post(&format!("{path}/{id}/add"), &json!({ "by": 1_000_000 }))
            .done()
    });
    let full = almost["id"].as_str().unwrap();
    api.post(&format!("{path}/{full}/add"), &json!({ "by": 1 }))
        .refused(409, "counter-full");
    assert_eq!(seen(&api, &path, &almost)["total"], 1_000_000_000);
    let totals: Vec<Value> = all(&api, &format!("{path}?sort=-total"))
        .iter()
        .map(|item| item["total"].clone())
        .collect();
    assert_eq!(totals, [json!(1_000_000_000), json!(7)]);

    // What was evolved by snapshots and events is what was decided.
    server.kill();
    server.run();
    let api = server.somebody(Some("counting"), &["admin"]);
    api.post(&format!("{path}/{full}/add"), &json!({ "by": 1 }))
        .refused(409, "counter-full");
    assert_eq!(add(&api, 1, "after").done()["version"], 3);
    let rebuild = format!("/admin/v1/tenants/counting/modules/{name}/projections/Counters/rebuild");
    let _ = api.post(&rebuild, &json!({})).done();
    assert_eq!(api.get(&format!("{path}/{id}")).done()["total"], 8);
}

fn start(api: &Client, path: &str, by: u64) -> Value {
    api.post(path, &json!({ "by": by })).done()
}

#[test]
fn a_module_in_c_runs_like_one_in_rust() {
    check_counter("counter-c");
}

#[test]
fn a_module_in_javascript_runs_like_one_in_rust() {
    check_counter("counter-js");
}
