//! A candidate is tried on a tenant's history before it serves: what differs is shown, by class, with both values.

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use millwork_host::config::{Config, ReplayLimits};
use millwork_host::event_store::sqlite::{SqliteEvents, SqliteEventsLimits};
use millwork_host::host::{Host, Tried};
use millwork_host::replay::{Counter, Replayer};
use millwork_registry::id::TenantId;
use millwork_registry::replay::{Policy, Subject, Why};
use millwork_tests::artifacts;
use millwork_tests::client::Client;
use millwork_tests::poll;
use millwork_tests::server::Server;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::books::{self, act, finalize, seen};

const INVOICING: &str = "/admin/v1/tenants/demo/modules/invoicing";

/// Invoicing 1.2.0 under another patch version, with another default of its setting `mischief`.
fn release(version: &str, mischief: &str) -> Vec<u8> {
    let wasm =
        artifacts::test_component("invoicing-tax").expect("invoicing 1.2.0; `cargo xtask guest` makes it");
    let changes = [
        ("version: 1.2.0".to_owned(), format!("version: {version}")),
        ("default: nought".to_owned(), format!("default: {mischief}")),
    ];
    artifacts::with_manifest(&wasm, |text| {
        changes.iter().fold(text.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "the manifest has changed: {text}");
            text.replacen(from, to, 1)
        })
    })
}

/// A host with some history: two invoices without tax, one of them paid, and a payment that was refused.
fn host_with_history() -> (Server, Client, String) {
    let server = Server::demo();
    let api = server.admin();
    let client = books::client(&api, "ACME");
    let open = books::draft(&api, &client, "10.00");
    let _ = finalize(&api, &open).done();
    let paid = books::draft(&api, &client, "20.00");
    let _ = finalize(&api, &paid).done();
    let _ = books::pay(&api, &paid, "20.00").done();
    books::pay(&api, &paid, "1.00").refused(409, "payment-exceeds-due");
    (server, api, client)
}

/// A finalised invoice on which 19 % of 10.03, which is 1.9057, are due.
fn taxed(api: &Client, client: &str) -> String {
    let id = books::invoice(api, client);
    let line = json!({ "description": "Work", "quantity": "1", "unitPrice": "10.03", "taxRate": "19" });
    let _ = act(api, &id, "line-items", &line).done();
    let finalized = finalize(api, &id).done();
    assert_eq!(books::event(&finalized, "InvoiceFinalized")["taxTotal"], "1.91");
    id
}

fn replay(api: &Client, version: &str) -> Value {
    let tried = api.post(&format!("{INVOICING}/replay"), &json!({ "version": version }));
    tried.done()
}

/// The classes found, each with how often.
fn classes(tried: &Value) -> Vec<(String, u64)> {
    let found = tried["report"]["differences"].as_object().unwrap().iter();
    found
        .map(|(class, found)| (class.clone(), found["count"].as_u64().unwrap()))
        .collect()
}

fn millwork(server: &Server, words: &[&str]) -> Output {
    let mut command = Command::new(artifacts::program());
    command
        .args(words)
        .env("MILLWORK_URL", server.url())
        .env("MILLWORK_TOKEN", server.operator().token());
    command.output().unwrap()
}

#[test]
fn a_release_that_computes_tax_otherwise_is_caught_before_it_serves() {
    let (server, api, client) = host_with_history();
    let id = taxed(&api, &client);
    let _ = server.publish(release("1.2.0", "nought")).done();
    let tried = replay(&api, "1.2.0");
    assert_eq!(classes(&tried), [("events".to_owned(), 1)], "{tried}");
    let verdict = json!({ "passes": false, "blocked": ["events"], "warnings": [], "oneWay": false, "incomplete": false });
    assert_eq!(tried["verdict"], verdict, "{tried}");
    let example = &tried["report"]["differences"]["events"]["examples"][0];
    assert_eq!(
        (&example["aggregate"], &example["id"], &example["command"]),
        (&json!("Invoice"), &json!(id), &json!("FinalizeInvoice"))
    );
    let places = example["differences"].as_array().unwrap();
    for (pointer, before, after) in [
        ("/events/0/data/taxTotal", "1.91", "1.90"),
        ("/events/0/data/grandTotal", "11.94", "11.93"),
        ("/events/1/data/amount", "11.94", "11.93"),
    ] {
        let place = json!({ "pointer": pointer, "before": before, "after": after });
        assert!(places.contains(&place), "{place} is not in {example}");
    }
    let modules = api.get("/admin/v1/tenants/demo/modules").done();
    assert!(
        modules.to_string().contains("invoicing@1.0.0"),
        "nothing was swapped: {modules}"
    );

    let words = [
        "module",
        "replay",
        "invoicing",
        "--version",
        "1.2.0",
        "--tenant",
        "demo",
    ];
    let ran = millwork(&server, &words);
    let (stdout, stderr) = (
        String::from_utf8(ran.stdout).unwrap(),
        String::from_utf8(ran.stderr).unwrap(),
    );
    assert_eq!(ran.status.code(), Some(1), "{stderr}");
    for part in [
        format!("Invoice {id}, FinalizeInvoice"),
        r#"/events/0/data/taxTotal "1.91" -> "1.90""#.to_owned(),
        "events (blocks): 1".to_owned(),
    ] {
        assert!(stdout.contains(&part), "{part} is not in {stdout}");
    }
    assert!(
        stderr.contains("the policy blocks it") && stderr.contains(&id),
        "{stderr}"
    );
    let allowed = millwork(
        &server,
        &[&words[..], &["--policy", "events=allow", "--json"]].concat(),
    );
    assert_eq!(allowed.status.code(), Some(0));
    let allowed: Value = serde_json::from_slice(&allowed.stdout).unwrap();
    assert_eq!(
        (&allowed["verdict"]["passes"], &allowed["policy"]["events"]),
        (&json!(true), &json!("allow"))
    );
}

#[test]
fn a_release_that_only_adds_passes() {
    let (server, api, client) = host_with_history();
    taxed(&api, &client);
    let next =
        artifacts::test_component("invoicing-1.1.0").expect("invoicing 1.1.0; `cargo xtask guest` makes it");
    let _ = server.publish(next).done();
    // A rejection is journalled without waiting for the disk.
    let tried = poll::until("the rejection is journalled", || {
        let tried = replay(&api, "1.1.0");
        (tried["report"]["counted"]["commands"] == 11).then_some(tried)
    });
    assert_eq!(classes(&tried), [], "{tried}");
    let verdict =
        json!({ "passes": true, "blocked": [], "warnings": [], "oneWay": false, "incomplete": false });
    assert_eq!(tried["verdict"], verdict);
    let counted = &tried["report"]["counted"];
    // Three invoices and one account; created, line and finalised of each, a payment, and the account's four.
    let expected = json!({ "aggregates": 4, "events": 14, "commands": 11, "drifted": 0, "readBack": 0 });
    assert_eq!(*counted, expected, "{tried}");
}

/// Checks what a release that misbehaves in one way is found to do, and gives the whole answer.
fn check(version: &str, mischief: &str, classes_found: &[(&str, u64)], told: &str) -> Value {
    let (server, api, _) = host_with_history();
    let _ = server.publish(release(version, mischief)).done();
    let tried = replay(&api, version);
    let expected: Vec<_> = classes_found
        .iter()
        .map(|(class, count)| ((*class).to_owned(), *count))
        .collect();
    assert_eq!(classes(&tried), expected, "{tried}");
    assert!(tried.to_string().contains(told), "{told} is not in {tried}");
    let log = server.log();
    assert!(
        !log.contains("component has no way"),
        "what a trial says is not logged"
    );
    tried
}

#[test]
fn a_release_whose_decisions_trap_is_blocked() {
    let tried = check("1.2.1", "broken", &[("trap", 2)], "this component has no way");
    assert_eq!(tried["verdict"]["blocked"], json!(["trap"]));
}

#[test]
fn another_order_of_events_is_a_warning() {
    let tried = check("1.2.2", "turned", &[("order", 2)], "/events/0/name");
    assert_eq!(
        (&tried["verdict"]["passes"], &tried["verdict"]["warnings"]),
        (&json!(true), &json!(["order"]))
    );
    assert_eq!(tried["report"]["counted"]["readBack"], 2);
}

#[test]
fn events_that_the_serving_release_cannot_read_make_the_swap_one_way() {
    let tried = check(
        "1.2.3",
        "unread",
        &[("events", 2), ("unread", 2)],
        "invoicing@1.0.0 has no event ReceivableNoted",
    );
    assert_eq!(
        (&tried["verdict"]["oneWay"], &tried["verdict"]["blocked"]),
        (&json!(true), &json!(["events", "unread"]))
    );
}

#[test]
fn a_command_that_is_rejected_now_is_blocked() {
    let tried = check("1.2.4", "refuse", &[("rejection", 2)], "four-eyes");
    assert_eq!(tried["verdict"]["blocked"], json!(["rejection"]));
}

#[test]
fn a_state_that_no_event_leads_to_is_blocked() {
    let told = "the state of ReceivablesAccount that it gives is not what its evolve gives";
    check("1.2.5", "astray", &[("trap", 2)], told);
}

#[test]
fn a_release_that_cannot_fold_recorded_events_is_blocked_unless_it_declares_an_upcast() {
    let (server, api, client) = host_with_history();
    let without = artifacts::with_manifest(&release("1.2.6", "nought"), |text| {
        text.replacen("{ reason: { default", "{ reasom: { default", 1)
    });
    let _ = server.publish(without).done();
    let tried = replay(&api, "1.2.6");
    // The account itself, and the commands that were decided after it had its first event.
    assert_eq!(tried["verdict"]["blocked"], json!(["trap"]), "{tried}");
    let example = &tried["report"]["differences"]["trap"]["examples"][0];
    assert_eq!(
        (&example["aggregate"], &example["id"]),
        (&json!("ReceivablesAccount"), &json!(client))
    );
    assert!(
        example["detail"].as_str().unwrap().contains("cannot fold it"),
        "{example}"
    );

    // With the upcast it is found equal, and serves.
    let _ = server.publish(release("1.2.7", "nought")).done();
    let tried = replay(&api, "1.2.7");
    assert_eq!(classes(&tried), [], "{tried}");
    let _ = api.put(INVOICING, &json!({ "version": "1.2.7" })).done();
    let draft = books::draft(&api, &client, "30.00");
    let _ = finalize(&api, &draft).done();
}

#[test]
fn what_cannot_be_repeated_is_told_and_never_taken_as_equal() {
    let (mut server, _, _) = host_with_history();
    let _ = server.publish(release("1.2.0", "nought")).done();
    assert!(server.stop().success());
    let events = Connection::open(server.data().join("events.db")).unwrap();
    let pruned = "UPDATE commands SET input = '' WHERE name = 'FinalizeInvoice'";
    assert_eq!(events.execute(pruned, []).unwrap(), 2);
    drop(events);
    server.run();
    let tried = replay(&server.admin(), "1.2.0");
    let skipped = json!([{ "what": "commands", "why": "no-input", "count": 2 }]);
    assert_eq!(tried["report"]["skipped"], skipped, "{tried}");
    assert_eq!(tried["report"]["counted"]["commands"], 6, "{tried}");
    assert_eq!(tried["verdict"]["incomplete"], true);
}

#[test]
fn a_swap_back_is_told_of_what_was_recorded_since() {
    let (server, api, client) = host_with_history();
    let _ = server.publish(release("1.2.3", "unread")).done();
    let knowing = json!({ "version": "1.2.3", "policy": { "events": "allow" }, "oneWay": true });
    let _ = api.put(INVOICING, &knowing).done();
    assert_eq!(
        classes(&replay(&api, "1.0.0")),
        [("events".to_owned(), 2)],
        "nothing is recorded yet"
    );
    let draft = books::draft(&api, &client, "30.00");
    let _ = finalize(&api, &draft).done();
    let tried = replay(&api, "1.0.0");
    assert_eq!(
        classes(&tried),
        [("events".to_owned(), 3), ("trap".to_owned(), 1)],
        "{tried}"
    );
    assert!(
        tried
            .to_string()
            .contains("invoicing@1.0.0 has no event ReceivableNoted, which is recorded"),
        "{tried}"
    );
    assert_eq!(
        tried["report"]["counted"]["drifted"], 2,
        "two were decided by 1.0.0: {tried}"
    );
}

#[test]
fn a_replay_can_be_watched_and_stopped() {
    let (mut server, _, _) = host_with_history();
    assert!(server.stop().success());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let host = Host::open(Config::new(server.data())).await.unwrap();
        let tenant = host.tenant(&TenantId::new("demo").unwrap()).unwrap();
        let module = Arc::clone(tenant.generation().module("invoicing").unwrap());
        let limits = SqliteEventsLimits {
            queue_max: 10,
            batch_max: 10,
            readers_max: 1,
        };
        let events = SqliteEvents::open(&server.data().join("events.db"), &limits).unwrap();
        let replayer = Replayer::new(Arc::new(events), ReplayLimits::default());
        let counter = Arc::new(Counter::default());
        let replay = |counter| {
            let (replayer, tenant, module) = (&replayer, &tenant, &module);
            async move {
                replayer
                    .replay(tenant, module, module, counter, Duration::MAX)
                    .await
            }
        };
        let report = replay(&counter).await.unwrap();
        let done = counter.progress();
        assert_eq!((done.aggregates_done, done.aggregates_total), (3, 3));
        assert_eq!(
            (done.commands_done, done.commands_total),
            (report.counted.commands, report.counted.commands)
        );
        counter.cancel();
        let stopped = replay(&counter).await.unwrap_err();
        assert_eq!(stopped.to_string(), "unavailable: replay: it was cancelled");
        host.close().await;
    });
}

/// Opens the folder of a host that has stopped, and tries 1.2.0 within these limits.
fn try_within(server: &Server, limits: ReplayLimits) -> Tried {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let config = Config {
            replay: limits,
            ..Config::new(server.data())
        };
        let host: Arc<Host> = Host::open(config).await.unwrap();
        let tenant = TenantId::new("demo").unwrap();
        let version = "1.2.0".parse().unwrap();
        let tried = host.try_release(&tenant, "invoicing", &version, Policy::default());
        let tried = tried.await.unwrap();
        host.close().await;
        tried
    })
}

#[test]
fn a_replay_keeps_its_bounds_and_says_what_it_left_out() {
    let (mut server, api, client) = host_with_history();
    for _ in 0..3 {
        taxed(&api, &client);
    }
    let _ = server.publish(release("1.2.0", "nought")).done();
    assert!(server.stop().success());

    let few = ReplayLimits {
        aggregates_max: 2,
        commands_max: 3,
        examples_max: 1,
        workers: 3,
        states_bytes_max: 0,
        ..ReplayLimits::default()
    };
    let tried = try_within(&server, few);
    let report = &tried.report;
    assert_eq!(report.counted.aggregates, 2, "{report:?}");
    assert_eq!(
        report.counted.commands, 4,
        "the last three accepted and one rejected: {report:?}"
    );
    let skipped: Vec<_> = report
        .skipped
        .iter()
        .map(|left| (left.what, left.why, left.count))
        .collect();
    assert_eq!(
        skipped,
        [
            (Subject::Aggregates, Why::OverBound, 4),
            (Subject::Commands, Why::OverBound, 13)
        ]
    );
    assert!(tried.verdict.incomplete);

    let no_time = ReplayLimits {
        duration_max: Duration::ZERO,
        ..ReplayLimits::default()
    };
    let report = try_within(&server, no_time).report;
    let skipped: Vec<_> = report
        .skipped
        .iter()
        .map(|left| (left.what, left.why, left.count))
        .collect();
    assert_eq!(
        skipped,
        [
            (Subject::Aggregates, Why::OverTime, 6),
            (Subject::Commands, Why::OverTime, 17)
        ]
    );

    let all = ReplayLimits {
        workers: 4,
        examples_max: 2,
        ..ReplayLimits::default()
    };
    let found = &try_within(&server, all).report.differences;
    let events: Vec<_> = found.values().collect();
    assert_eq!(
        (events.len(), events[0].count, events[0].examples.len()),
        (1, 3, 2),
        "{found:?}"
    );
}

#[test]
fn a_trial_that_cannot_be_is_refused() {
    let (server, api, _) = host_with_history();
    let path = format!("{INVOICING}/replay");
    api.post(&path, &json!({ "version": "9.9.9" }))
        .refused(404, "release-unknown");
    api.post(&path, &json!({})).refused(422, "schema");
    api.post(&path, &json!({ "version": "1.0.0", "policy": { "tax": "warn" } }))
        .refused(422, "schema");
    api.post(
        &path,
        &json!({ "version": "1.0.0", "policy": { "events": "maybe" } }),
    )
    .refused(422, "schema");
    api.post(
        "/admin/v1/tenants/demo/modules/nothing/replay",
        &json!({ "version": "1.0.0" }),
    )
    .refused(404, "not-found");
    let viewer = server.somebody(Some("demo"), &["viewer"]);
    viewer
        .post(&path, &json!({ "version": "1.0.0" }))
        .refused(403, "forbidden");
    // The release that serves equals itself.
    assert_eq!(classes(&replay(&api, "1.0.0")), []);
}

#[test]
fn a_read_model_that_does_not_come_out_the_same_twice_is_not_put_in_place() {
    let (server, api, client) = host_with_history();
    let _ = server.publish(release("1.2.0", "nought")).done();
    let _ = api.put(INVOICING, &json!({ "version": "1.2.0" })).done();
    let draft = books::draft(&api, &client, "30.00");
    let last = finalize(&api, &draft).done();
    seen(&api, "/api/v1/invoices", &last);
    let before = books::all(&api, "/api/v1/invoices");
    let rebuild = |projection: &str| {
        api.post(
            &format!("{INVOICING}/projections/{projection}/rebuild"),
            &json!({}),
        )
    };
    let refused = rebuild("Chances").refused(422, "read-model-not-repeatable");
    let detail = refused["detail"].as_str().unwrap();
    for part in [
        "projection Chances of invoicing@1.2.0",
        "chances has 3 documents and then 3",
    ] {
        assert!(detail.contains(part), "{part} is not in {detail}");
    }
    let _ = rebuild("Invoices").done();
    assert_eq!(books::all(&api, "/api/v1/invoices"), before);
    rebuild("Chances").refused(422, "read-model-not-repeatable");
}
