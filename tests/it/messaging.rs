//! Subscriptions, published events, commands and questions of a component, through a host over HTTP.

use millwork_tests::artifacts;
use millwork_tests::client::Client;
use millwork_tests::poll;
use millwork_tests::server::{Server, Setup};
use serde_json::{Value, json};

use crate::production;

/// A second component that hears what the first publishes: the same code under another manifest.
const LISTENER: [(&str, &str); 5] = [
    ("name: messenger\n", "name: listener\n"),
    (
        "  - messages:publish\n",
        "  - messages:publish\n  - events:plugin.messenger.Welcomed\n",
    ),
    ("requests:messenger.Echo", "requests:listener.Echo"),
    ("[client.ClientUpdated]", "[plugin.messenger.Welcomed]"),
    ("[client.ClientCreated]", "[NoteTaken]"),
];

fn started(modules: &[&str]) -> (Server, Client) {
    started_with(Setup::default(), modules)
}

fn started_with(setup: Setup, modules: &[&str]) -> (Server, Client) {
    let server = Server::start(setup);
    let wasm = artifacts::test_component("messenger").expect("a Rust guest is always built");
    let listener = |manifest: &str| {
        LISTENER.iter().fold(manifest.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
                .replace("POST /notes", "POST /heard")
                .replace("GET /notes", "GET /heard")
        })
    };
    let _ = server.publish(artifacts::with_manifest(&wasm, listener)).done();
    let _ = server.publish(wasm).done();
    let api = server.tenant("talking", modules);
    (server, api)
}

fn create(api: &Client, code: &str, name: &str) -> String {
    let created = api
        .post("/api/v1/clients", &json!({ "code": code, "name": name }))
        .done();
    created["id"].as_str().unwrap().to_owned()
}

fn tags(api: &Client, id: &str) -> Value {
    poll::until("tags", || {
        let client = api.get(&format!("/api/v1/clients/{id}"));
        let tags = (client.status == 200).then(|| client.json()["tags"].clone())?;
        (tags != json!([])).then_some(tags)
    })
}

fn letters(api: &Client, count: usize) -> Vec<Value> {
    poll::until("dead letters", || {
        let all = api.get("/admin/v1/tenants/talking/letters").done();
        let all = all["letters"].as_array().unwrap().clone();
        (all.len() == count).then_some(all)
    })
}

#[test]
fn a_subscription_says_what_it_may_and_no_more() {
    production::everywhere().for_each(says_what_it_may);
}

fn says_what_it_may(setup: Setup) {
    let (mut server, api) = started_with(setup, &["client", "messenger"]);
    for (name, told) in [
        ("Execute", "executed"),
        ("Send", "sent"),
        ("Denied", "denied"),
        ("Ask", "C-ASK"),
        ("Cycle", "true"),
    ] {
        let code = format!("C-{}", name.to_uppercase());
        let id = create(&api, &code, name);
        assert_eq!(tags(&api, &id), json!([told]), "{name}");
        // Sent twice under one key, and once in effect.
        assert_eq!(
            api.get(&format!("/api/v1/clients/{id}")).done()["version"],
            2,
            "{name}"
        );
    }
    letters(&api, 0);
    // What was done is not done again by a host that starts anew.
    server.kill();
    server.run();
    let api = server.somebody(Some("talking"), &["admin"]);
    let id = create(&api, "AFTER", "Execute");
    assert_eq!(tags(&api, &id), json!(["executed"]));
    letters(&api, 0);
}

#[test]
fn what_cannot_be_delivered_becomes_a_dead_letter() {
    let (_server, api) = started(&["client", "messenger"]);
    for (code, name, told, attempts) in [
        ("A", "Retry", "not-now", 3),
        ("B", "Reject", "not-ever", 1),
        ("C", "Panic", "component-trapped", 3),
        ("D", "Misfit", "message-refused", 1),
        ("E", "Wrong", "message-malformed", 1),
    ] {
        create(&api, code, name);
        let letter = letters(&api, 1).remove(0);
        assert_eq!(
            (&letter["code"], &letter["attempts"]),
            (&json!(told), &json!(attempts)),
            "{letter}"
        );
        let path = format!("/admin/v1/tenants/talking/letters/{}", letter["number"]);
        if letter["kind"] == "event" && told != "component-trapped" {
            api.post(&format!("{path}/retry"), &json!({}))
                .refused(409, "not-delivered");
        }
        let _ = api.delete(&path).done();
        api.delete(&path).refused(404, "not-found");
    }
    // The others were not held up.
    let id = create(&api, "F", "Execute");
    assert_eq!(tags(&api, &id), json!(["executed"]));
    // Events of one aggregate go on after one that is given up.
    let _ = api
        .patch(&format!("/api/v1/clients/{id}"), &json!({ "name": "Broken" }))
        .done();
    let _ = api
        .patch(&format!("/api/v1/clients/{id}"), &json!({ "name": "Whole" }))
        .done();
    assert_eq!(letters(&api, 1)[0]["addressee"], "messenger.Follow");
    api.get("/admin/v1/tenants/other/letters")
        .refused(403, "forbidden");
}

#[test]
fn a_published_event_reaches_its_subscribers() {
    let (server, api) = started(&["client", "messenger", "listener"]);
    let id = create(&api, "P", "Publish");
    // Its subscription takes what it hears without a word; that it has is to be seen from what is counted.
    let delivered = |server: &Server| {
        let metrics = server.operator().get("/metrics").text();
        let line = metrics
            .lines()
            .find(|line| line.starts_with("millwork_deliveries_total"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    let two = poll::until("deliveries", || delivered(&server).filter(|count| *count >= 2.0));
    assert!(
        (two - 2.0).abs() < f64::EPSILON,
        "published twice under one key: {two}"
    );
    assert!(!id.is_empty());
    letters(&api, 0);
}

#[test]
fn subscriptions_begin_with_what_happens_from_then_on() {
    let (_server, api) = started(&["client"]);
    let before = create(&api, "OLD", "Execute");
    let path = "/admin/v1/tenants/talking/modules/messenger";
    let _ = api.put(path, &json!({ "version": "0.1.0" })).done();
    let after = create(&api, "NEW", "Execute");
    assert_eq!(tags(&api, &after), json!(["executed"]));
    assert_eq!(
        api.get(&format!("/api/v1/clients/{before}")).done()["tags"],
        json!([])
    );
}
