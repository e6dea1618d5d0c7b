//! A module that does what no module may: each attack is stopped with its own error, and nobody else notices.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use millwork_tests::artifacts;
use millwork_tests::client::Client;
use millwork_tests::poll;
use millwork_tests::server::Server;
use serde_json::{Value, json};

use crate::books::{self, seen, stored};

/// A host whose tenant `hostile` runs the module, beside the demo tenant.
fn host_with_attacker() -> (Server, Client) {
    let server = Server::demo();
    let attacker = join(&server, "attacker");
    (server, attacker)
}

/// A new tenant that runs the module beside the usual ones.
pub(crate) fn join(server: &Server, tenant: &str) -> Client {
    let wasm =
        artifacts::test_component("hostile").expect("the hostile module; `cargo xtask guest` makes it");
    let _ = server.publish(wasm).done();
    server.tenant(tenant, &["client", "invoicing", "hostile"])
}

fn attack(api: &Client, name: &str) -> millwork_tests::client::Reply {
    api.post(&format!("/api/v1/hostile/{name}"), &json!({}))
}

fn ask(api: &Client, name: &str) -> millwork_tests::client::Reply {
    api.get(&format!("/api/v1/hostile-queries/{name}"))
}

#[test]
fn attacks_from_decisions_end_with_their_own_error_and_nothing_is_stored() {
    let (server, attacker) = host_with_attacker();
    let before = stored(&server);
    for (name, code) in [
        ("loop", "component-deadline"),
        ("allocate", "component-memory"),
        ("recurse", "component-stack"),
        ("trap", "component-trapped"),
        ("huge-text", "component-memory"),
        ("aliased-text", "component-output"),
        ("many-events", "component-memory"),
        ("deep-json", "component-contract"),
        ("no-json", "component-contract"),
        ("invalid-event", "component-contract"),
        ("undeclared-event", "component-contract"),
        ("foreign-event", "component-contract"),
        ("undeclared-claim", "component-contract"),
        ("pure-documents", "component-impure"),
        ("pure-clock", "component-impure"),
        ("pure-random", "component-impure"),
        ("pure-cache", "component-impure"),
    ] {
        eprintln!("attack: {name}");
        let problem = attack(&attacker, name).refused(500, code);
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            !detail.contains("hostile") && !detail.contains("panic"),
            "clients learn nothing: {detail}"
        );
        assert_eq!(stored(&server), before, "{name}");
        assert_eq!(
            attack(&attacker, "flood-log?dry-run").status,
            200,
            "the module goes on after {name}"
        );
    }
    let _ = books::client(&server.admin(), "ACME");
}

#[test]
fn attacks_from_queries_end_with_their_own_error() {
    let (server, attacker) = host_with_attacker();
    for (name, code) in [
        ("loop", "component-deadline"),
        ("trap", "component-trapped"),
        ("no-json", "component-contract"),
        ("huge-text", "component-memory"),
        ("flood", "component-host-calls"),
        ("random", "component-host-calls"),
    ] {
        eprintln!("attack: {name}");
        ask(&attacker, name).refused(500, code);
    }
    let _ = books::client(&server.admin(), "ACME");
}

#[test]
fn a_trap_is_logged_with_its_message_and_where_it_happened() {
    let (server, attacker) = host_with_attacker();
    let id = attack(&attacker, "trap").refused(500, "component-trapped")["instance"]
        .as_str()
        .unwrap()
        .to_owned();
    let line: Value = poll::until("the trap is logged", || {
        let lines = server.log();
        let mut lines = lines
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["correlation_id"] == id && line["cause"].is_string())
    });
    let cause = line["cause"].as_str().unwrap();
    for part in [
        "hostile@0.1.0",
        "the message of a deliberate panic",
        "wasm backtrace",
        "excess::trap",
    ] {
        assert!(cause.contains(part), "{part} is not in {cause}");
    }
}

#[test]
fn a_flood_of_log_lines_is_cut_and_counted() {
    let (server, attacker) = host_with_attacker();
    let _ = attack(&attacker, "flood-log").done();
    let lines = server
        .log()
        .lines()
        .filter(|line| line.contains("one of a million lines"))
        .count();
    assert!((1..=1_000).contains(&lines), "{lines} lines");
    let metrics = server.admin().get("/metrics").text();
    assert!(
        metrics.contains("millwork_component_log_lines_dropped_total"),
        "{metrics}"
    );
}

#[test]
fn other_collections_are_out_of_reach() {
    let (_server, attacker) = host_with_attacker();
    let client = books::client(&attacker, "ACME");
    for collection in [
        "clients",
        "client.clients",
        "invoices",
        "../clients",
        "",
        "sqlite_master",
        "clients\" --",
    ] {
        let body = json!({ "collection": collection, "id": client });
        let done = attacker.post("/api/v1/hostile/trespass", &body).done();
        let outcome = seen(&attacker, "/api/v1/hostile", &done);
        assert_eq!(
            (&outcome["write"], &outcome["read"]),
            (&json!("denied"), &json!("denied")),
            "{collection}"
        );
        let place = format!(
            "?collection={}&id={client}",
            collection.replace('"', "%22").replace(' ', "%20")
        );
        for query in ["read-document", "write-document"] {
            assert_eq!(
                ask(&attacker, &format!("{query}{place}")).done()["outcome"],
                "denied",
                "{query} {collection}"
            );
        }
    }
    let own = format!("?collection=outcomes&id={client}");
    assert_eq!(
        ask(&attacker, &format!("write-document{own}")).done()["outcome"],
        "denied",
        "queries only read"
    );
    assert_eq!(
        ask(&attacker, &format!("read-document{own}")).done()["outcome"],
        "nothing"
    );
    assert_eq!(
        attacker.get(&format!("/api/v1/clients/{client}")).done()["code"],
        "ACME"
    );
}

#[test]
fn a_projection_that_traps_or_stalls_stands_still_alone() {
    let (server, attacker) = host_with_attacker();
    let _ = attack(&attacker, "poison").done();
    let _ = attack(&attacker, "stall").done();
    let lag = |projection: &str| {
        let metrics = server.admin().get("/metrics").text();
        let mut lines = metrics
            .lines()
            .filter(|line| line.starts_with("millwork_projection_lag_events"));
        lines
            .find(|line| line.contains(projection))
            .and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    for projection in ["Poison", "Stall"] {
        poll::until("the lag shows", || lag(projection).filter(|lag| *lag > 0.0));
    }
    // From now on it is known what they do.
    let behaved = attacker.post("/api/v1/hostile", &json!({})).done();
    assert_eq!(seen(&attacker, "/api/v1/hostile", &behaved)["behaved"], true);
    let client = books::client(&attacker, "ACME");
    let draft = books::draft(&attacker, &client, "1.00");
    let done = books::finalize(&attacker, &draft).done();
    seen(&attacker, "/api/v1/invoices", &done);
}

#[test]
fn endless_projections_of_many_tenants_do_not_hold_up_another_tenant() {
    let (server, first) = host_with_attacker();
    let mut attackers = vec![first];
    attackers.extend(["b", "c"].map(|name| join(&server, name)));
    for attacker in &attackers {
        let _ = attack(attacker, "stall").done();
    }
    let api = server.admin();
    for number in 0..20 {
        let _ = books::client(&api, &format!("C{number}"));
    }
}

/// How long a command may take in the median while another tenant attacks; far above what it takes alone.
const MEDIAN_MAX: Duration = Duration::from_millis(250);

/// While eight threads of one tenant repeat an attack, another tenant works.
fn check_neighbour(attacks: &[&str]) {
    let (server, attacker) = host_with_attacker();
    let api = server.admin();
    let client = books::client(&api, "ACME");
    let done = AtomicBool::new(false);
    let mut times: Vec<Duration> = thread::scope(|scope| {
        for index in 0..8 {
            let (attacker, done, name) = (&attacker, &done, attacks[index % attacks.len()]);
            scope.spawn(move || {
                while !done.load(Ordering::Acquire) {
                    assert!(attack(attacker, name).status >= 500, "{name}");
                }
            });
        }
        let work = || {
            let started = Instant::now();
            let draft = books::draft(&api, &client, "1.00");
            let finalized = books::finalize(&api, &draft).done();
            seen(&api, "/api/v1/invoices", &finalized);
            started.elapsed() / 4
        };
        // Ends the attackers even when the work fails.
        let times =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (0..25).map(|_| work()).collect()));
        done.store(true, Ordering::Release);
        times.unwrap_or_else(|failure| std::panic::resume_unwind(failure))
    });
    times.sort();
    let median = times[times.len() / 2];
    eprintln!("{attacks:?}: a neighbour's request takes {median:?} in the median");
    assert!(median < MEDIAN_MAX, "{median:?}");
}

#[test]
fn eight_endless_loops_do_not_hold_up_another_tenant() {
    check_neighbour(&["loop"]);
}

#[test]
fn eight_attackers_of_all_kinds_do_not_hold_up_another_tenant() {
    check_neighbour(&["allocate", "recurse", "trap", "aliased-text"]);
}
