//! The marketplace: what tenants see of components, and how their admins change what they run.

use millwork_tests::client::{Client, Reply};
use millwork_tests::poll;
use millwork_tests::server::Server;
use serde_json::{Value, json};

use crate::openapi::check_answer;
use crate::swaps::{curious, mischievous, release, serving};

const MARKETPLACE: &str = "/api/v1/marketplace";

fn names(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["name"].as_str().unwrap()).collect()
}

/// One component as somebody sees it.
#[track_caller]
fn component(api: &Client, name: &str) -> Value {
    api.get(&format!("{MARKETPLACE}/{name}")).done()
}

/// Asks for a change of one.
fn act(api: &Client, name: &str, what: &str, body: &Value) -> Reply {
    api.post(&format!("{MARKETPLACE}/{name}/{what}"), body)
}

fn document(api: &Client) -> Value {
    api.get("/api/v1/openapi.json").done()
}

/// The data of server-sent events, which must all be named `swap`.
fn events(reply: &Reply) -> Vec<Value> {
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("text/event-stream"))
    );
    let text = reply.text();
    let named = text.lines().filter(|line| *line == "event: swap").count();
    let data: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(named, data.len(), "{text}");
    data
}

#[test]
fn what_there_is_can_be_searched() {
    let server = Server::demo();
    let api = server.somebody(Some("demo"), &["viewer"]);
    let check = |query: &str, expected: &[&str]| {
        let page = api.get(&format!("{MARKETPLACE}?{query}")).done();
        assert_eq!(names(&page), expected, "{query}");
    };
    check("", &["client", "invoicing"]);
    check("search=BILLING+addresses", &["client"]);
    check("search=CREDIT+limits", &["client", "invoicing"]);
    check("search=draft", &["invoicing"]);
    check("search=nothing+of+the+sort", &[]);
    check("category=finance", &["invoicing"]);
    check("category=sales", &["client", "invoicing"]);
    check("publisher=millwork", &["client", "invoicing"]);
    check("publisher=acme", &[]);
    check("installed=true", &["client", "invoicing"]);
    check("installed=false", &[]);

    let page = api.get(MARKETPLACE).done();
    check_answer(&document(&api), "get /marketplace", "200", &page);
    let client = &page["items"][0];
    assert_eq!(
        (&client["title"], &client["version"], &client["trusted"]),
        (&json!("Clients"), &json!("1.0.0"), &json!(true))
    );
    assert_eq!(
        client["permissions"][0],
        json!({
            "permission": "documents",
            "words": "keep read models of its own: read and write documents in its own collections",
        })
    );
    assert_eq!(client["installed"]["version"], "1.0.0");

    let bare = server.tenant("bare", &[]);
    let page = bare.get(&format!("{MARKETPLACE}?installed=false")).done();
    assert_eq!(names(&page), ["client", "invoicing"]);
    assert_eq!(page["items"][0]["installed"], Value::Null);
}

#[test]
fn lists_come_in_pages() {
    let server = Server::demo();
    let api = server.admin();
    let first = api.get(&format!("{MARKETPLACE}?limit=1")).done();
    assert_eq!(names(&first), ["client"]);
    let next = first["next"].as_str().unwrap();
    let second = api.get(&format!("{MARKETPLACE}?limit=1&cursor={next}")).done();
    assert_eq!(
        (names(&second), &second["next"]),
        (vec!["invoicing"], &Value::Null)
    );
    for query in [
        "limit=0",
        "limit=100000",
        "cursor=%21",
        "installed=perhaps",
        "colour=red",
    ] {
        api.get(&format!("{MARKETPLACE}?{query}"))
            .refused(400, "malformed");
    }
}

#[test]
fn only_people_of_a_tenant_come_in_and_only_admins_change() {
    let server = Server::demo();
    let operator = server.operator();
    operator.get(MARKETPLACE).refused(403, "no-tenant-credential");
    act(&operator, "client", "upgrade", &json!({})).refused(403, "no-tenant-credential");
    operator
        .with_token(None)
        .get(MARKETPLACE)
        .refused(401, "token-missing");
    for roles in [&["viewer"], &["editor"], &["client.clerk"]] {
        let api = server.somebody(Some("demo"), roles);
        assert_eq!(api.get(MARKETPLACE).status, 200, "{roles:?}");
        assert_eq!(api.get(&format!("{MARKETPLACE}/swaps")).status, 200);
        for what in ["enable", "upgrade", "disable", "rollback"] {
            act(&api, "client", what, &json!({})).refused(403, "forbidden");
        }
        for wish in ["consent", "cancel", "promote"] {
            api.post(&format!("{MARKETPLACE}/swaps/1/{wish}"), &json!({}))
                .refused(403, "forbidden");
        }
    }
    let api = server.admin();
    api.get(&format!("{MARKETPLACE}/nothing"))
        .refused(404, "release-unknown");
    api.get(&format!("{MARKETPLACE}/swaps/99"))
        .refused(404, "swap-unknown");
    api.get(&format!("{MARKETPLACE}/swaps/one"))
        .refused(404, "not-found");
    api.post(&format!("{MARKETPLACE}/swaps/1/explode"), &json!({}))
        .refused(404, "no-route");
    assert_eq!(api.get(&format!("{MARKETPLACE}/client/upgrade")).status, 405);
    api.post(&format!("{MARKETPLACE}/client/explode"), &json!({}))
        .refused(404, "no-route");
}

#[test]
fn a_component_is_shown_with_all_that_a_choice_needs() {
    let server = Server::demo();
    let api = server.admin();
    let _ = server.publish(curious("1.1.0")).done();
    let shown = component(&api, "invoicing");
    check_answer(&document(&api), "get /marketplace/{name}", "200", &shown);
    assert_eq!(
        (&shown["version"], &shown["trusted"], &shown["licence"]),
        (&json!("1.1.0"), &json!(true), &json!("Apache-2.0"))
    );
    let installed = &shown["installed"];
    assert_eq!(
        (&installed["version"], &installed["upgrade"], &installed["newer"]),
        (&json!("1.0.0"), &json!("1.1.0"), &json!("1.1.0"))
    );
    assert_eq!(shown["dependencies"][0]["name"], "client");
    assert_eq!(shown["dependencies"][0]["installed"], "1.0.0");
    let exports = shown["exports"].as_array().unwrap();
    assert!(
        exports.iter().any(|export| export
            .as_str()
            .unwrap()
            .starts_with("millwork:module/aggregates@")),
        "{exports:?}"
    );
    let versions = shown["versions"].as_array().unwrap();
    assert_eq!(
        (versions.len(), &versions[0]["version"], &versions[1]["version"]),
        (2, &json!("1.1.0"), &json!("1.0.0")),
        "newest first"
    );
    assert_eq!(
        (&versions[0]["asks"][0]["words"], &versions[1]["asks"]),
        (&json!("send data to the server api.example.com"), &json!([]))
    );
    assert_eq!(shown["configuration"]["given"], json!({}));
    assert_eq!(shown["configuration"]["schema"]["type"], "object");
    let viewer = component(&server.somebody(Some("demo"), &["viewer"]), "invoicing");
    assert_eq!(viewer["configuration"], Value::Null, "it is for admins");
}

#[test]
fn what_cannot_be_enabled_says_why() {
    let server = Server::demo();
    let api = server.admin();
    let _ = server.publish(release("invoicing-1.1.0", &[])).done();
    let yank = "/admin/v1/registry/releases/invoicing/1.1.0/yank";
    let _ = server
        .operator()
        .post(yank, &json!({ "reason": "rounds wrongly" }))
        .done();
    let shown = component(&api, "invoicing");
    assert_eq!(
        (&shown["version"], &shown["installed"]["upgrade"]),
        (&json!("1.0.0"), &Value::Null)
    );
    assert_eq!(shown["versions"][0]["yanked"], "rounds wrongly");

    let _ = server.revoke(&server.publisher_key("millwork"), "stolen").done();
    let shown = component(&api, "invoicing");
    assert_eq!(
        (&shown["trusted"], &shown["versions"][1]["refused"]["code"]),
        (&json!(false), &json!("key-revoked"))
    );
    assert_eq!(
        names(&api.get(MARKETPLACE).done()),
        ["client", "invoicing"],
        "what the tenant has stays in view"
    );
    let bare = server.tenant("bare", &[]);
    assert_eq!(names(&bare.get(MARKETPLACE).done()), Vec::<&str>::new());
}

#[test]
fn a_tenant_gets_along_without_an_operator() {
    let server = Server::demo();
    let api = server.tenant("acme", &[]);
    let document = document(&api);
    act(&api, "client", "upgrade", &json!({})).refused(404, "module-not-enabled");
    let enabled = act(&api, "client", "enable", &json!({ "wanted": "^1.0" })).done();
    check_answer(&document, "post /marketplace/{name}/enable", "200", &enabled);
    assert_eq!(
        (&enabled["from"], &enabled["to"]),
        (&Value::Null, &json!("1.0.0"))
    );
    let again = act(&api, "client", "enable", &json!({ "wanted": "^1.0" })).done();
    assert_eq!(
        (&again["to"], &again["generation"]),
        (&json!("1.0.0"), &enabled["generation"]),
        "there is nothing to change"
    );
    assert_eq!(component(&api, "client")["installed"]["wanted"], "^1.0");
    let _ = act(&api, "invoicing", "enable", &json!({ "version": "1.0.0" })).done();
    let _ = server.publish(release("invoicing-1.1.0", &[])).done();
    let up = act(&api, "invoicing", "upgrade", &json!({})).done();
    assert_eq!((&up["from"], &up["to"]), (&json!("1.0.0"), &json!("1.1.0")));
    act(&api, "client", "disable", &json!({})).refused(409, "dependencies-unmet");
    act(&api, "invoicing", "rollback", &json!({ "wanted": "^1" })).refused(422, "schema");
    let down = act(&api, "invoicing", "rollback", &json!({})).done();
    assert_eq!((&down["from"], &down["to"]), (&json!("1.1.0"), &json!("1.0.0")));
    let off = act(&api, "invoicing", "disable", &json!({})).done();
    assert_eq!((&off["from"], &off["to"]), (&json!("1.0.0"), &Value::Null));
    let all = api.get(&format!("{MARKETPLACE}/swaps")).done();
    check_answer(&document, "get /marketplace/swaps", "200", &all);
    assert_eq!(all["swaps"].as_array().unwrap().len(), 5);
}

#[test]
fn consent_is_the_tenants_and_all_can_watch() {
    let server = Server::demo();
    let (api, viewer) = (server.admin(), server.somebody(Some("demo"), &["viewer"]));
    let _ = server.publish(curious("1.1.0")).done();
    let waiting = act(
        &api,
        "invoicing",
        "upgrade",
        &json!({ "config": { "paymentTermDays": 21 } }),
    );
    assert_eq!(waiting.status, 202, "{}", waiting.text());
    let swap = waiting.json();
    let document = document(&api);
    check_answer(&document, "post /marketplace/{name}/upgrade", "202", &swap);
    let path = format!("{MARKETPLACE}/swaps/{}", swap["number"]);
    assert_eq!(waiting.header("location"), Some(path.as_str()));
    assert_eq!(
        (&swap["stage"], &swap["wider"][0]["new"][0]["words"]),
        (
            &json!("awaiting-consent"),
            &json!("send data to the server api.example.com")
        )
    );
    assert_eq!(serving(&api), "1.0.0");
    let shown = component(&api, "invoicing");
    assert_eq!(
        (&shown["swap"], &shown["underWay"]["stage"]),
        (&swap["number"], &json!("awaiting-consent"))
    );

    let outline = viewer.get(&path).done();
    check_answer(&document, "get /marketplace/swaps/{number}", "200", &outline);
    assert!(!outline.to_string().contains("paymentTermDays"), "{outline}");
    assert!(api.get(&path).text().contains("paymentTermDays"));

    let admin_path = format!("/admin/v1/tenants/demo/swaps/{}", swap["number"]);
    server
        .operator()
        .post(&format!("{admin_path}/consent"), &json!({}))
        .refused(403, "forbidden");
    viewer
        .post(&format!("{path}/consent"), &json!({}))
        .refused(403, "forbidden");
    server
        .tenant("acme", &[])
        .post(&format!("{path}/consent"), &json!({}))
        .refused(404, "swap-unknown");
    assert_eq!(serving(&api), "1.0.0");

    let watched = std::thread::scope(|scope| {
        let watching = scope.spawn(|| viewer.get(&format!("{path}/events")));
        let agreed = api.post(&format!("{path}/consent"), &json!({}));
        assert_eq!(agreed.status, 202, "{}", agreed.text());
        check_answer(
            &document,
            "post /marketplace/swaps/{number}/consent",
            "202",
            &agreed.json(),
        );
        watching.join().unwrap()
    });
    let watched = events(&watched);
    let last = watched.last().unwrap();
    assert_eq!(last["stage"], "completed", "the events go on to the end");
    assert!(!last.to_string().contains("paymentTermDays"), "{last}");
    assert_eq!(serving(&api), "1.1.0");
    let ended = events(&viewer.get(&format!("{path}/events")));
    assert_eq!(
        (ended.len(), &ended[0]["stage"]),
        (1, &json!("completed")),
        "of one that is over there is one event"
    );
    api.post(&format!("{path}/cancel"), &json!({}))
        .refused(409, "swap-stage");
}

#[test]
fn whoever_wants_to_follow_is_answered_at_once() {
    let server = Server::demo();
    let api = server.admin();
    let _ = server.publish(mischievous("1.2.0", "nought")).done();
    let begun = api
        .ask("POST", &format!("{MARKETPLACE}/invoicing/upgrade"))
        .header("prefer", "respond-async")
        .json(&json!({ "version": "1.2.0", "canary": { "percent": 50, "seconds": 600 } }))
        .send();
    assert_eq!(begun.status, 202, "{}", begun.text());
    let path = format!("{MARKETPLACE}/swaps/{}", begun.json()["number"]);
    let canary = poll::until("the canary is on", || {
        let swap = api.get(&path).json();
        (swap["stage"] == "canary").then_some(swap)
    });
    assert_eq!(
        (&canary["stage"], &canary["pulse"]["candidateCommands"]),
        (&json!("canary"), &json!(0))
    );
    let promoted = api.post(&format!("{path}/promote"), &json!({}));
    assert_eq!(promoted.status, 202, "{}", promoted.text());
    let last = events(&api.get(&format!("{path}/events"))).pop().unwrap();
    assert_eq!(last["stage"], "completed");
    assert_eq!(serving(&api), "1.2.0");
}
