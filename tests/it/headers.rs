//! What headers and query parameters add to a command: versions, idempotency, dry runs, reading one's own writes.

use std::thread;

use millwork_tests::client::{Client, Reply};
use millwork_tests::server::Server;
use serde_json::{Value, json};

use crate::books::{self, act, finalize, seen, stored};

#[test]
fn if_match_guards_against_lost_updates() {
    let server = Server::demo();
    let api = server.admin();
    let id = books::client(&api, "ACME");
    let path = format!("/api/v1/clients/{id}");
    let rename = |name: &str, tag: &str| {
        api.ask("PATCH", &path)
            .header("if-match", tag)
            .json(&json!({ "name": name }))
            .send()
    };
    assert_eq!(api.get(&path).header("etag"), Some("\"1\""));
    let first = rename("First", "\"1\"");
    let _ = first.done();
    assert_eq!(first.header("etag"), Some("\"2\""));
    let before = stored(&server);
    rename("Second", "\"1\"").refused(412, "version-mismatch");
    rename("Second", "\"3\"").refused(412, "version-mismatch");
    rename("Second", "2").refused(400, "malformed");
    rename("Second", "W/\"2\"").refused(400, "malformed");
    assert_eq!(stored(&server), before);
    let _ = rename("Second", "*").done();
    let _ = rename("Third", "\"3\"").done();
}

#[test]
fn if_none_match_spares_what_is_known() {
    let server = Server::demo();
    let api = server.admin();
    let path = format!("/api/v1/clients/{}", books::client(&api, "ACME"));
    let known = |tags: &str| api.ask("GET", &path).header("if-none-match", tags).send();
    let unchanged = known("\"1\"");
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.header("etag"), Some("\"1\""));
    assert_eq!(known("\"0\", W/\"1\"").status, 304);
    let changed = api.patch(&path, &json!({ "name": "Other" })).done();
    seen(&api, "/api/v1/clients", &changed);
    assert_eq!(known("\"1\"").done()["name"], "Other");
}

fn create(api: &Client, key: &str, code: &str) -> Reply {
    api.ask("POST", "/api/v1/clients")
        .key(key)
        .json(&json!({ "code": code, "name": code }))
        .send()
}

#[test]
fn a_key_makes_repeating_harmless() {
    let server = Server::demo();
    let api = server.admin();
    let first = create(&api, "key-1", "A");
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, None));
    let before = stored(&server);
    let again = create(&api, "key-1", "A");
    assert_eq!(
        (again.status, again.header("idempotency-replayed")),
        (201, Some("true"))
    );
    assert_eq!(again.json(), first.json());
    for name in ["etag", "location", "millwork-position"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    // The same key, quoted as the draft has it, and with the members in another order.
    let reordered = api
        .ask("POST", "/api/v1/clients")
        .key("\"key-1\"")
        .json(&json!({ "name": "A", "code": "A" }))
        .send();
    assert_eq!(reordered.json(), first.json());
    create(&api, "key-1", "B").refused(422, "idempotency-key-reused");
    let id = first.json()["id"].as_str().unwrap().to_owned();
    let other = api
        .ask("POST", &format!("/api/v1/clients/{id}/deactivate"))
        .key("key-1")
        .json(&json!({}))
        .send();
    other.refused(422, "idempotency-key-reused");
    assert_eq!(stored(&server), before);
    create(&api, &"k".repeat(256), "C").refused(400, "malformed");
    assert_eq!(create(&api, &"k".repeat(255), "C").status, 201);
}

#[test]
fn a_key_outlives_a_restart_and_later_changes() {
    let mut server = Server::demo();
    let api = server.admin();
    let client = books::client(&api, "ACME");
    let invoice = books::draft(&api, &client, "10.00");
    let ask = |api: &Client| {
        api.ask("POST", &format!("/api/v1/invoices/{invoice}/finalize"))
            .key("f")
            .json(&json!({}))
            .send()
    };
    let first = ask(&api).done();
    let _ = books::pay(&api, &invoice, "10.00").done();
    server.kill();
    server.run();
    let again = ask(&server.admin());
    assert_eq!(
        (again.done(), again.header("idempotency-replayed")),
        (first, Some("true"))
    );
}

#[test]
fn a_refusal_leaves_its_key_free() {
    let server = Server::demo();
    let api = server.admin();
    let client = books::client(&api, "ACME");
    let empty = books::invoice(&api, &client);
    let ask = || {
        api.ask("POST", &format!("/api/v1/invoices/{empty}/finalize"))
            .key("f")
            .json(&json!({}))
            .send()
    };
    ask().refused(409, "invoice-empty");
    let _ = books::add_line(&api, &empty, "10.00").done();
    let _ = ask().done();
}

#[test]
fn twenty_requests_with_one_key_have_one_effect() {
    let server = Server::demo();
    let api = server.admin();
    let replies: Vec<Reply> = thread::scope(|scope| {
        let threads: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| create(&api, "one", "ONE")))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let bodies: Vec<Value> = replies.iter().map(Reply::done).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert_eq!(
        replies
            .iter()
            .filter(|reply| reply.header("idempotency-replayed").is_none())
            .count(),
        1
    );
    assert_eq!(books::all(&api, "/api/v1/clients").len(), 1);
}

#[test]
fn a_dry_run_tells_what_would_be_and_stores_nothing() {
    let server = Server::demo();
    let api = server.admin();
    let client = books::client(&api, "ACME");
    let invoice = books::draft(&api, &client, "10.00");
    let path = format!("/api/v1/invoices/{invoice}/finalize");
    let before = stored(&server);
    let tried = api.post(&format!("{path}?dry-run"), &json!({})).done();
    assert_eq!(tried["dryRun"], true);
    assert_eq!(stored(&server), before);
    let done = finalize(&api, &invoice).done();
    assert_eq!(events(&tried), events(&done));
    assert_eq!(tried["version"], done["version"]);
    let states = tried["states"].as_array().unwrap();
    assert_eq!(
        states.len(),
        2,
        "the invoice and its receivables account: {tried}"
    );
    assert_eq!(states[0]["state"]["status"], "finalized");

    let before = stored(&server);
    api.post(&format!("{path}?dry-run=true"), &json!({}))
        .refused(409, "invoice-not-draft");
    api.post("/api/v1/clients?dry-run", &json!({ "code": "X" }))
        .refused(422, "schema");
    let key = api
        .ask("POST", "/api/v1/clients?dry-run")
        .key("dry")
        .json(&json!({ "code": "X", "name": "X" }))
        .send();
    assert_eq!(
        (key.done()["dryRun"].clone(), key.header("location")),
        (json!(true), None)
    );
    assert_eq!(stored(&server), before);
    assert_eq!(
        create(&api, "dry", "Y").status,
        201,
        "a dry run leaves its key free"
    );
}

/// Names, aggregates and data, without what the moment gives.
fn events(reply: &Value) -> Vec<Value> {
    let plain = |event: &Value| {
        let mut data = event["data"].clone();
        data.as_object_mut().unwrap().remove("issuedAt");
        json!([
            event["name"],
            event["aggregate"],
            event["aggregateId"],
            event["version"],
            data
        ])
    };
    reply["events"].as_array().unwrap().iter().map(plain).collect()
}

#[test]
fn after_reads_ones_own_writes() {
    let server = Server::demo();
    let api = server.admin();
    for number in 0..50 {
        let made = create(&api, &format!("k{number}"), &format!("C{number}")).done();
        let after = made["position"].as_str().unwrap();
        let document = seen(&api, "/api/v1/clients", &made);
        assert_eq!(document["code"], format!("C{number}"));
        let list = books::after(&api, &format!("/api/v1/clients?code=C{number}"), after);
        assert_eq!(list["items"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn after_a_position_that_is_not_reached_is_refused_in_time() {
    let server = Server::demo();
    let api = server.admin();
    let _ = books::client(&api, "ACME");
    let far = millwork_host::http::position::encode(1_000_000);
    let reply = api.get(&format!("/api/v1/clients?after={far}"));
    reply.refused(503, "read-model-behind");
    assert_eq!(reply.header("retry-after"), Some("1"));
}

#[test]
fn requests_are_told_apart_by_their_correlation_id() {
    let server = Server::demo();
    let api = server.admin();
    let given = api
        .ask("GET", "/api/v1/nothing")
        .header("x-correlation-id", "order-7")
        .send();
    assert_eq!(given.header("x-correlation-id"), Some("order-7"));
    assert_eq!(given.refused(404, "no-route")["instance"], "order-7");
    let (one, two) = (api.get("/api/v1/clients"), api.get("/api/v1/clients"));
    assert_ne!(one.header("x-correlation-id"), two.header("x-correlation-id"));
    let logged = |line: &str| {
        serde_json::from_str::<Value>(line)
            .is_ok_and(|line| line["correlation_id"] == "order-7" && line["status"] == 404)
    };
    millwork_tests::poll::until("the request is logged", || {
        server.log().lines().any(logged).then_some(())
    });
    let bad = act(&api, "x", "finalize", &json!({}));
    assert!(bad.header("x-correlation-id").is_some());
}

#[test]
fn health_and_metrics_answer_without_a_credential() {
    let server = Server::demo();
    let api = server.admin();
    let _ = books::client(&api, "ACME");
    let anybody = api.with_token(None);
    assert_eq!(anybody.get("/health/live").done(), json!({ "status": "live" }));
    assert_eq!(anybody.get("/health/ready").done(), json!({ "status": "ready" }));
    let metrics = anybody.get("/metrics");
    assert_eq!(metrics.status, 200);
    let text = metrics.text();
    for name in [
        "millwork_http_requests_total",
        "millwork_http_request_duration_seconds",
        "millwork_projection_lag_events",
    ] {
        assert!(text.contains(name), "{name} is not in:\n{text}");
    }
    assert!(
        !text.contains("/api/v1/clients/0"),
        "labels are patterns, not paths"
    );
}
