//! The life of a swap: consent, replay, canary, rollback, and every way in which one does not happen.

use millwork_tests::artifacts;
use millwork_tests::client::{Client, Reply};
use millwork_tests::poll;
use millwork_tests::server::Server;
use serde_json::{Value, json};

use crate::books::{self, act, all, finalize, seen};

pub(crate) const TENANT: &str = "/admin/v1/tenants/demo";
pub(crate) const INVOICING: &str = "/admin/v1/tenants/demo/modules/invoicing";
/// Only 1.1.0 and its like have it.
pub(crate) const STATUSES: &str = "/api/v1/reports/statuses";

/// A component of the tests with changes of its manifest's text.
pub(crate) fn release(component: &str, changes: &[(&str, &str)]) -> Vec<u8> {
    let wasm = artifacts::test_component(component)
        .unwrap_or_else(|| panic!("{component}; `cargo xtask guest` makes it"));
    artifacts::with_manifest(&wasm, |text| {
        changes.iter().fold(text.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "the manifest has changed: {text}");
            text.replacen(from, to, 1)
        })
    })
}

/// Invoicing 1.1.0 under this version, wanting to send data out.
pub(crate) fn curious(version: &str) -> Vec<u8> {
    let version = format!("version: {version}");
    let wants = "- documents\n  - http:outbound:api.example.com\n";
    release(
        "invoicing-1.1.0",
        &[("version: 1.1.0", version.as_str()), ("- documents\n", wants)],
    )
}

/// The release of invoicing that has this mischief in it, under this version.
pub(crate) fn mischievous(version: &str, mischief: &str) -> Vec<u8> {
    let (version, mischief) = (format!("version: {version}"), format!("default: {mischief}"));
    release(
        "invoicing-tax",
        &[
            ("version: 1.2.0", version.as_str()),
            ("default: nought", mischief.as_str()),
        ],
    )
}

/// A host with one finalised invoice of 10.03 with 19 % tax, which is 1.9057.
pub(crate) fn host_with_an_invoice() -> (Server, Client, String) {
    let server = Server::demo();
    let api = server.admin();
    let client = books::client(&api, "ACME");
    let invoice = books::invoice(&api, &client);
    let line = json!({ "description": "Work", "quantity": "1", "unitPrice": "10.03", "taxRate": "19" });
    let _ = act(&api, &invoice, "line-items", &line).done();
    let _ = finalize(&api, &invoice).done();
    (server, api, invoice)
}

/// Where a swap stands.
pub(crate) fn swap(api: &Client, number: &Value) -> Value {
    api.get(&format!("{TENANT}/swaps/{number}")).done()
}

/// Tells a swap something.
pub(crate) fn tell(api: &Client, number: &Value, wish: &str) -> Reply {
    api.post(&format!("{TENANT}/swaps/{number}/{wish}"), &json!({}))
}

/// The steps that a swap has taken.
pub(crate) fn steps(swap: &Value) -> Vec<String> {
    let history = swap["history"].as_array().unwrap();
    let step = |entry: &Value| entry["step"].as_str().unwrap().to_owned();
    history.iter().map(step).collect()
}

/// The version of invoicing that serves.
pub(crate) fn serving(api: &Client) -> String {
    let status = api.get(&format!("{TENANT}/modules")).done();
    let modules = status["modules"].as_array().unwrap();
    let invoicing = modules
        .iter()
        .find(|module| module["name"] == "invoicing")
        .unwrap();
    invoicing["version"].as_str().unwrap().to_owned()
}

/// Waits until a swap is in a stage, and gives it.
pub(crate) fn in_stage(api: &Client, number: &Value, stage: &str) -> Value {
    poll::within(poll::WITHIN_LONG, &format!("swap {number} is {stage}"), || {
        let swap = swap(api, number);
        (swap["stage"] == stage).then_some(swap)
    })
}

/// Waits until the change that was answered so has happened, and gives its swap.
pub(crate) fn completed(api: &Client, reply: &Reply) -> Value {
    let answer = reply.json();
    let number = answer.get("number").or(answer.get("swap"));
    in_stage(
        api,
        number.unwrap_or_else(|| panic!("{}", reply.text())),
        "completed",
    )
}

#[test]
fn a_release_that_wants_more_waits_for_consent_while_the_old_one_serves() {
    let (server, api, _) = host_with_an_invoice();
    let _ = server.publish(curious("1.1.0")).done();
    let waiting = api.put(INVOICING, &json!({ "version": "1.1.0" }));
    assert_eq!(waiting.status, 202, "{}", waiting.text());
    let (number, waiting_at) = (waiting.json()["number"].clone(), waiting.header("location"));
    assert_eq!(waiting_at, Some(format!("{TENANT}/swaps/{number}").as_str()));
    let waiting = waiting.json();
    assert_eq!(waiting["stage"], "awaiting-consent");
    let asked = &waiting["wider"][0];
    assert_eq!(
        (&asked["module"], &asked["from"], &asked["version"]),
        (&json!("invoicing"), &json!("1.0.0"), &json!("1.1.0"))
    );
    assert_eq!(
        asked["new"],
        json!([{ "permission": "http:outbound:api.example.com", "words": "send data to the server api.example.com" }])
    );
    assert_eq!(serving(&api), "1.0.0");
    api.get(STATUSES).refused(404, "no-route");
    let client = books::client(&api, "SECOND");
    let _ = finalize(&api, &books::draft(&api, &client, "1.00")).done();

    api.put(INVOICING, &json!({ "config": { "paymentTermDays": 1 } }))
        .refused(409, "swap-under-way");
    tell(&server.operator(), &number, "consent").refused(403, "forbidden");
    tell(&server.somebody(Some("demo"), &["editor"]), &number, "consent").refused(403, "forbidden");
    tell(&api, &number, "promote").refused(409, "swap-stage");
    assert_eq!(tell(&api, &number, "consent").status, 202);
    let done = in_stage(&api, &number, "completed");
    assert_eq!(
        steps(&done).join(" "),
        "requested resolved consent-asked consented verified activated rebuilt flipping flipped drained"
    );
    assert_eq!(serving(&api), "1.1.0");
    let _ = api.get(STATUSES).done();
    tell(&api, &number, "cancel").refused(409, "swap-stage");

    let _ = server.publish(curious("1.1.1")).done();
    let next = api.put(INVOICING, &json!({ "version": "1.1.1" })).done();
    assert_eq!(
        next["to"], "1.1.1",
        "what was granted once is not asked for again"
    );
}

#[test]
fn consent_may_come_after_a_restart_or_never() {
    let (mut server, api, _) = host_with_an_invoice();
    let _ = server.publish(curious("1.1.0")).done();
    let number = api.put(INVOICING, &json!({ "version": "1.1.0" })).json()["number"].clone();
    server.kill();
    server.run();
    let api = server.admin();
    assert_eq!(
        (swap(&api, &number)["stage"].clone(), serving(&api)),
        (json!("awaiting-consent"), "1.0.0".to_owned())
    );
    assert_eq!(tell(&api, &number, "cancel").status, 202);
    let cancelled = in_stage(&api, &number, "cancelled");
    assert_eq!(
        cancelled["history"].as_array().unwrap().last().unwrap()["by"],
        "demo"
    );
    assert_eq!(serving(&api), "1.0.0");

    let number = api.put(INVOICING, &json!({ "version": "1.1.0" })).json()["number"].clone();
    server.kill();
    server.run();
    let api = server.admin();
    assert_eq!(tell(&api, &number, "consent").status, 202);
    in_stage(&api, &number, "completed");
    assert_eq!(serving(&api), "1.1.0");
    let all = api.get(&format!("{TENANT}/swaps")).done();
    let stages: Vec<_> = all["swaps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|swap| swap["stage"].clone())
        .collect();
    assert_eq!(
        stages,
        ["completed", "cancelled", "completed", "completed"],
        "newest first, the demo's own at the end"
    );
}

#[test]
fn another_tax_is_caught_before_it_serves_with_the_invoice_and_both_figures() {
    let (server, api, invoice) = host_with_an_invoice();
    let _ = server.publish(mischievous("1.2.0", "nought")).done();
    let refused = api
        .put(INVOICING, &json!({ "version": "1.2.0" }))
        .refused(409, "replay-diverges");
    let detail = refused["detail"].as_str().unwrap();
    for part in ["invoicing 1.2.0", invoice.as_str(), "\"1.91\" -> \"1.90\""] {
        assert!(detail.contains(part), "{part} is not in {detail}");
    }
    assert_eq!(serving(&api), "1.0.0");
    let last = api.get(&format!("{TENANT}/swaps")).done()["swaps"][0].clone();
    assert_eq!(
        (&last["stage"], steps(&last).last().unwrap().as_str()),
        (&json!("failed"), "failed")
    );
    let verified = last["history"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["step"] == "verified")
        .unwrap();
    assert_eq!(
        verified["reports"][0]["differences"]["events"]["examples"][0]["id"],
        invoice.as_str()
    );

    let wanted = json!({ "version": "1.2.0", "policy": { "events": "warn" } });
    assert_eq!(api.put(INVOICING, &wanted).done()["to"], "1.2.0");
    let back = api.post(&format!("{INVOICING}/rollback"), &json!({})).done();
    assert_eq!(
        (&back["from"], &back["to"]),
        (&json!("1.2.0"), &json!("1.0.0")),
        "that the two differ bars no way back"
    );
}

#[test]
fn a_swap_without_a_way_back_needs_a_word() {
    let (server, api, _) = host_with_an_invoice();
    let _ = server.publish(mischievous("1.2.4", "unread")).done();
    let asked = |more: Value| {
        let mut body = json!({ "version": "1.2.4", "policy": { "events": "allow", "state": "allow" } });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        api.put(INVOICING, &body)
    };
    let refused = asked(json!({})).refused(409, "one-way");
    assert!(
        refused["detail"].as_str().unwrap().contains("ReceivableNoted"),
        "{refused}"
    );
    let canary = json!({ "percent": 50, "seconds": 60 });
    asked(json!({ "oneWay": true, "canary": canary })).refused(409, "one-way");
    assert_eq!(serving(&api), "1.0.0");
    let done = asked(json!({ "oneWay": true })).done();
    assert_eq!(
        (&done["to"], swap(&api, &done["swap"])["oneWay"].clone()),
        (&json!("1.2.4"), json!(true))
    );
}

/// Creates and finalises invoices until the condition holds; every request must succeed.
fn work_until(api: &Client, client: &str, mut over: impl FnMut() -> bool) -> usize {
    let mut rounds = 0;
    loop {
        let draft = books::draft(api, client, "10.00");
        let _ = finalize(api, &draft).done();
        rounds += 1;
        if over() {
            return rounds;
        }
        assert!(rounds < 2_000, "not within 2000 invoices");
    }
}

#[test]
fn a_canary_that_traps_is_taken_back_and_no_client_sees_it() {
    let (server, api, _) = host_with_an_invoice();
    let client = books::client(&api, "SECOND");
    let _ = server.publish(mischievous("1.2.5", "broken")).done();
    let body = json!({ "version": "1.2.5", "skipReplay": true, "canary": { "percent": 50, "seconds": 600 } });
    let begun = api.put(INVOICING, &body);
    assert_eq!(
        (begun.status, &begun.json()["stage"]),
        (202, &json!("canary")),
        "{}",
        begun.text()
    );
    let number = begun.json()["number"].clone();
    let invoices = work_until(&api, &client, || swap(&api, &number)["stage"] == "failed");
    let failed = swap(&api, &number);
    let end = failed["history"].as_array().unwrap().last().unwrap();
    assert_eq!(end["code"], "canary-failed");
    assert!(
        end["message"].as_str().unwrap().contains("it failed at 1 of"),
        "{end}"
    );
    assert_eq!(serving(&api), "1.0.0");
    let last = finalize(&api, &books::draft(&api, &client, "1.00")).done();
    assert_eq!(
        books::number(&last),
        books::invoice_number(invoices + 2),
        "numbers go on without a gap"
    );
    let metrics = server.operator().get("/metrics").text();
    assert!(metrics.contains("millwork_canary_retries_total"), "{metrics}");
}

#[test]
fn a_canary_that_decides_otherwise_is_taken_back_before_anything_is_recorded() {
    let (server, api, _) = host_with_an_invoice();
    let client = books::client(&api, "SECOND");
    let _ = server.publish(mischievous("1.2.0", "nought")).done();
    let body = json!({ "version": "1.2.0", "skipReplay": true, "canary": { "percent": 50, "seconds": 600 } });
    let number = api.put(INVOICING, &body).json()["number"].clone();
    let taxed = || {
        let invoice = books::invoice(&api, &client);
        let line = json!({ "description": "Work", "quantity": "1", "unitPrice": "10.03", "taxRate": "19" });
        let _ = act(&api, &invoice, "line-items", &line).done();
        books::event(&finalize(&api, &invoice).done(), "InvoiceFinalized")["taxTotal"].clone()
    };
    poll::until("the canary is taken back", || {
        assert_eq!(taxed(), "1.91");
        (swap(&api, &number)["stage"] == "failed").then_some(())
    });
    let failed = swap(&api, &number);
    let end = failed["history"].as_array().unwrap().last().unwrap();
    assert!(
        end["message"].as_str().unwrap().contains("\"1.91\" -> \"1.90\""),
        "{end}"
    );
}

#[test]
fn a_good_canary_is_promoted_with_its_read_models() {
    let (server, api, _) = host_with_an_invoice();
    let client = books::client(&api, "SECOND");
    let rebuilt = [("  Invoices:\n    version: 1\n", "  Invoices:\n    version: 2\n")];
    let _ = server.publish(release("invoicing-1.1.0", &rebuilt)).done();
    let canary = json!({ "percent": 50, "seconds": 600, "commands": 20, "slowerMax": 1000 });
    let begun = api.put(INVOICING, &json!({ "version": "1.1.0", "canary": canary }));
    let number = begun.json()["number"].clone();
    assert_eq!(begun.json()["pulse"]["faults"], 0, "{}", begun.text());
    let invoices = work_until(&api, &client, || swap(&api, &number)["stage"] == "completed");
    let done = swap(&api, &number);
    assert_eq!(
        steps(&done).join(" "),
        "requested resolved verified activated rebuilt canary-started canary-passed flipping flipped drained"
    );
    let passed = done["history"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["step"] == "canary-passed")
        .unwrap();
    assert!(passed["commands"].as_u64().unwrap() >= 20, "{passed}");
    assert_eq!(
        (serving(&api).as_str(), &done["rebuilt"]),
        ("1.1.0", &json!(["invoicing.Invoices"]))
    );
    let last = finalize(&api, &books::draft(&api, &client, "1.00")).done();
    seen(&api, "/api/v1/invoices", &last);
    assert_eq!(books::number(&last), books::invoice_number(invoices + 2));
    assert_eq!(all(&api, "/api/v1/invoices?status=finalized").len(), invoices + 2);
}

#[test]
fn a_canary_can_be_promoted_or_cancelled_and_does_not_outlive_the_host() {
    let (mut server, api, _) = host_with_an_invoice();
    let _ = server.publish(release("invoicing-1.1.0", &[])).done();
    let body = json!({ "version": "1.1.0", "canary": { "percent": 10, "seconds": 600 } });
    let number = api.put(INVOICING, &body).json()["number"].clone();
    assert_eq!(tell(&api, &number, "cancel").status, 202);
    in_stage(&api, &number, "cancelled");
    assert_eq!(serving(&api), "1.0.0");
    for percent in [0, 100] {
        let body = json!({ "version": "1.1.0", "canary": { "percent": percent, "seconds": 600 } });
        api.put(INVOICING, &body).refused(400, "malformed");
    }

    let number = api.put(INVOICING, &body).json()["number"].clone();
    server.kill();
    server.run();
    let api = server.admin();
    let failed = in_stage(&api, &number, "failed");
    assert_eq!(
        failed["history"].as_array().unwrap().last().unwrap()["code"],
        "swap-interrupted"
    );
    assert_eq!(serving(&api), "1.0.0");

    let number = api.put(INVOICING, &body).json()["number"].clone();
    assert_eq!(tell(&api, &number, "promote").status, 202);
    in_stage(&api, &number, "completed");
    assert_eq!(serving(&api), "1.1.0");
}
