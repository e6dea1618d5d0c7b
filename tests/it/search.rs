//! A component that keeps notes in an index and finds them, through the host.

use millwork_tests::artifacts;
use millwork_tests::client::{Client, Reply};
use millwork_tests::server::{Server, Setup};
use serde_json::{Value, json};

use crate::production;

/// A host with two tenants that run the module.
fn library(setup: Setup) -> (Server, Client, Client) {
    let server = Server::start(setup);
    let wasm = artifacts::test_component("librarian").expect("the librarian; `cargo xtask guest` makes it");
    let _ = server.publish(wasm).done();
    let (one, other) = (
        server.tenant("readers", &["librarian"]),
        server.tenant("strangers", &["librarian"]),
    );
    (server, one, other)
}

/// Writes a note and gives its id and the position after it.
fn write(api: &Client, title: &str, body: &str, price: &str) -> (String, String) {
    let note = json!({ "title": title, "body": body, "tags": ["all"], "price": price });
    let done = api.post("/api/v1/notes", &note).done();
    let text = |name: &str| done[name].as_str().unwrap().to_owned();
    (text("id"), text("position"))
}

fn find(api: &Client, query: &str) -> Reply {
    api.get(&format!("/api/v1/notes-found?{query}"))
}

fn titles(found: &Value) -> Vec<&str> {
    let hits = found["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["title"].as_str().unwrap()).collect()
}

#[test]
fn a_component_indexes_finds_and_suggests() {
    production::everywhere().for_each(indexes_finds_and_suggests);
}

fn indexes_finds_and_suggests(setup: Setup) {
    let (mut server, api, stranger) = library(setup);
    let (fence, _) = write(&api, "Fence", "Paint the <b>fence</b> & the gate", "9.50");
    let _ = write(&api, "Fences", "Other painting", "10.00");
    let (_, position) = write(&api, "Café", "Nothing to do", "100");
    let after = format!("after={position}");

    let found = find(&api, &format!("text=painted&{after}")).done();
    assert_eq!(found["total"], 2);
    let paint = found["hits"]
        .as_array()
        .unwrap()
        .iter()
        .find(|hit| hit["id"] == fence.as_str())
        .unwrap();
    assert_eq!(
        paint["fragments"],
        json!([[
            "body",
            ["<em>Paint</em> the &lt;b&gt;fence&lt;/b&gt; &amp; the gate"]
        ]])
    );
    let filter = "filter=%7B%22price%22%3A%7B%22%24gte%22%3A%2210%22%7D%7D";
    assert_eq!(
        titles(&find(&api, &format!("text=painted&{filter}")).done()),
        ["Fences"]
    );
    let suggested = api.get("/api/v1/notes-suggested?prefix=FEN").done();
    assert_eq!(suggested, json!(["Fence", "Fences"]));

    let first = find(&api, "limit=2").done();
    let next = find(
        &api,
        &format!("limit=2&cursor={}", first["next"].as_str().unwrap()),
    )
    .done();
    assert_eq!(
        (titles(&first).len(), titles(&next).len(), &next["next"]),
        (2, 1, &Value::Null)
    );

    let note = json!({ "title": "Gate", "body": "Repair" });
    let _ = api.put(&format!("/api/v1/notes/{fence}"), &note).done();
    let done = api
        .post(&format!("/api/v1/notes/{fence}/discard"), &json!({}))
        .done();
    let gone = find(&api, &format!("after={}", done["position"].as_str().unwrap())).done();
    assert_eq!(gone["total"], 2);

    // Another tenant of the same module has an index of its own.
    assert_eq!(find(&stranger, "").done()["total"], 0);

    server.stop();
    server.run();
    let api = server.somebody(Some("readers"), &["admin"]);
    assert_eq!(titles(&find(&api, "text=cafe").done()), ["Café"]);
}

#[test]
fn what_a_component_may_not_is_refused() {
    let (_server, api, _) = library(Setup::default());
    let trespassed = api.get("/api/v1/notes-trespassed").done();
    assert_eq!(trespassed["write"], "denied: this call may search, not write");
    assert_eq!(
        trespassed["other"],
        "denied: the manifest has no index \"invoices\""
    );
    for query in [
        "text=%22open",
        "limit=0",
        "limit=101",
        "cursor=x",
        "filter=%7B%22none%22%3A1%7D",
    ] {
        let problem = find(&api, query).refused(422, "invalid");
        assert_eq!(problem["errors"][0]["code"], "query-refused", "{problem}");
    }
}
