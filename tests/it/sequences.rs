//! Whatever administrators and power losses do in whatever order: one release serves each module, what it needs is there,
//! and nothing ever serves that was not verified and agreed to.

use millwork_tests::client::Client;
use millwork_tests::poll;
use millwork_tests::server::Server;
use proptest::prelude::{Just, Strategy, prop, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use semver::{Version, VersionReq};
use serde_json::{Value, json};

use crate::books;
use crate::swaps::{mischievous, release};

const TENANT: &str = "/admin/v1/tenants/acme";
/// Releases of invoicing that are there to be enabled: the first, one that adds, one that wants more, one that decides
/// otherwise, one that is published late.
const VERSIONS: [&str; 5] = ["1.0.0", "1.1.0", "1.1.1", "1.2.0", "1.1.2"];

#[derive(Debug, Clone)]
enum Act {
    Publish,
    Enable(&'static str),
    Canary(&'static str),
    Disable(&'static str),
    RollBack,
    Tell(&'static str),
    Work,
    Kill,
    CrashAt(&'static str),
}

fn any_act() -> impl Strategy<Value = Act> {
    let version = || prop::sample::select(VERSIONS.to_vec());
    let step = prop::sample::select(vec![
        "before:verified",
        "after:verified",
        "after:activated",
        "after:rebuilt",
        "before:flipping",
        "after:flipping",
        "before:flipped",
        "after:flipped",
        "after:canary-started",
    ]);
    prop_oneof![
        1 => Just(Act::Publish),
        4 => version().prop_map(Act::Enable),
        2 => version().prop_map(Act::Canary),
        1 => prop::sample::select(vec!["client", "invoicing"]).prop_map(Act::Disable),
        2 => Just(Act::RollBack),
        3 => prop::sample::select(vec!["consent", "cancel", "promote"]).prop_map(Act::Tell),
        4 => Just(Act::Work),
        1 => Just(Act::Kill),
        1 => step.prop_map(Act::CrashAt),
    ]
}

/// A tenant under test, and what is known of it.
struct World {
    server: Server,
    clients: usize,
    finalized: usize,
}

impl World {
    fn new() -> Self {
        let server = Server::bare();
        for wasm in [
            millwork_tests::artifacts::component("client"),
            millwork_tests::artifacts::component("invoicing"),
            release("invoicing-1.1.0", &[]),
            release(
                "invoicing-1.1.0",
                &[
                    ("version: 1.1.0", "version: 1.1.1"),
                    ("- documents\n", "- documents\n  - http:outbound\n"),
                    ("  Invoices:\n    version: 1\n", "  Invoices:\n    version: 2\n"),
                ],
            ),
            mischievous("1.2.0", "nought"),
        ] {
            let _ = server.publish(wasm).done();
        }
        let api = server.tenant("acme", &["client"]);
        let first = json!({ "version": "1.0.0" });
        let _ = api.put(&format!("{TENANT}/modules/invoicing"), &first).done();
        let mut world = Self {
            server,
            clients: 0,
            finalized: 0,
        };
        // A history on which a release that decides otherwise can be told.
        world.work(&api);
        world
    }

    fn api(&self) -> Client {
        self.server.somebody(Some("acme"), &["admin"])
    }

    /// Does something; whether it goes well is not asked for, but a crash must come back.
    fn act(&mut self, act: &Act) {
        let invoicing = format!("{TENANT}/modules/invoicing");
        let api = self.api();
        let last = || {
            let swaps = api.get(&format!("{TENANT}/swaps")).done();
            swaps["swaps"][0]["number"].as_u64().unwrap_or_default()
        };
        let send = |method: &str, path: &str, body: &Value| drop(api.ask(method, path).json(body).try_send());
        match act {
            Act::Publish => drop(self.server.publish(release(
                "invoicing-1.1.0",
                &[("version: 1.1.0", "version: 1.1.2")],
            ))),
            Act::Enable(version) => send("PUT", &invoicing, &json!({ "version": version })),
            Act::Canary(version) => {
                let canary = json!({ "percent": 50, "seconds": 600, "commands": 3, "slowerMax": 1000 });
                send(
                    "PUT",
                    &invoicing,
                    &json!({ "version": version, "canary": canary }),
                );
            }
            Act::Disable(module) => drop(
                api.ask("DELETE", &format!("{TENANT}/modules/{module}"))
                    .try_send(),
            ),
            Act::RollBack => send("POST", &format!("{invoicing}/rollback"), &json!({})),
            Act::Tell(wish) => {
                let number = last();
                send("POST", &format!("{TENANT}/swaps/{number}/{wish}"), &json!({}));
            }
            Act::Work => self.work(&api),
            Act::Kill => {
                self.server.kill();
                self.server.run();
            }
            Act::CrashAt(step) => {
                self.server.crash_at(step);
                let api = self.api();
                let running = serving(&api, "invoicing");
                let other = if running.as_deref() == Some("1.0.0") {
                    "1.1.0"
                } else {
                    "1.0.0"
                };
                let canary = json!({ "percent": 50, "seconds": 600 });
                let body = if *step == "after:canary-started" {
                    json!({ "version": other, "canary": canary })
                } else {
                    json!({ "version": other })
                };
                drop(api.ask("PUT", &invoicing).json(&body).try_send());
                if !self.server.has_ended() {
                    // It did not come to that step: another swap waits, or nothing had to change.
                    self.server.kill();
                } else {
                    self.server.ended();
                }
                self.server.run();
            }
        }
    }

    fn work(&mut self, api: &Client) {
        if serving(api, "client").is_none() || serving(api, "invoicing").is_none() {
            return;
        }
        self.clients += 1;
        let client = books::client(api, &format!("C{}", self.clients));
        let id = books::invoice(api, &client);
        let line = json!({ "description": "Work", "quantity": "1", "unitPrice": "10.03", "taxRate": "19" });
        let _ = books::act(api, &id, "line-items", &line).done();
        let done = books::finalize(api, &id).done();
        self.finalized += 1;
        assert_eq!(
            books::number(&done),
            books::invoice_number(self.finalized),
            "numbers have no gap"
        );
        assert_eq!(
            books::event(&done, "InvoiceFinalized")["taxTotal"],
            "1.91",
            "nothing serves that decides otherwise"
        );
    }

    /// What must hold at every moment.
    fn check(&self) {
        let api = self.api();
        let (swaps, status) = poll::until("no swap moves while it is looked at", || {
            let swaps = || api.get(&format!("{TENANT}/swaps")).done();
            let before = swaps();
            let status = api.get(&format!("{TENANT}/modules")).done();
            (before == swaps()).then_some((before, status))
        });
        let swaps = swaps["swaps"].as_array().unwrap();
        let open = |swap: &&Value| {
            !matches!(
                swap["stage"].as_str().unwrap(),
                "completed" | "failed" | "cancelled" | "draining"
            )
        };
        assert!(swaps.iter().filter(open).count() <= 1, "one swap at a time");
        for swap in swaps {
            check_history(swap);
        }
        assert_eq!(status["broken"], json!([]));
        let modules = status["modules"].as_array().unwrap();
        let version = |name: &str| {
            let mut of_name = modules.iter().filter(|module| module["name"] == name);
            let version = of_name
                .next()
                .map(|module| Version::parse(module["version"].as_str().unwrap()).unwrap());
            assert!(of_name.next().is_none(), "one release of a module serves");
            version
        };
        if version("invoicing").is_some() {
            let client = version("client").expect("invoicing depends on it");
            assert!(VersionReq::parse("^1.0").unwrap().matches(&client));
        }
        assert_ne!(
            version("invoicing"),
            Some(Version::new(1, 2, 0)),
            "it decides otherwise"
        );
        if let Some(done) = swaps
            .iter()
            .find(|swap| swap["generation"].is_u64() && swap["stage"] != "flipping")
        {
            assert_eq!(
                status["generation"], done["generation"],
                "the last swap is what runs"
            );
        }
    }
}

/// Nothing flips before it is verified, nor before it is agreed to.
fn check_history(swap: &Value) {
    let mut before: Vec<&str> = Vec::new();
    for entry in swap["history"].as_array().unwrap() {
        let step = entry["step"].as_str().unwrap();
        if matches!(step, "canary-started" | "flipping") {
            assert!(before.contains(&"verified"), "{swap}");
            let asked = swap["wider"].as_array().unwrap().is_empty();
            assert!(asked || before.contains(&"consented"), "{swap}");
        }
        before.push(step);
    }
}

fn serving(api: &Client, module: &str) -> Option<String> {
    let status = api.get(&format!("{TENANT}/modules")).done();
    let modules = status["modules"].as_array().unwrap();
    let found = modules.iter().find(|known| known["name"] == module)?;
    Some(found["version"].as_str().unwrap().to_owned())
}

#[test]
fn any_sequence_of_changes_and_crashes_keeps_the_invariants() {
    let mut runner = TestRunner::new(Config {
        cases: 6,
        // A failing sequence is told as it is: making it smaller would start hundreds of hosts.
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    });
    let sequences = prop::collection::vec(any_act(), 10..25);
    let run = runner.run(&sequences, |acts| {
        let mut world = World::new();
        for act in &acts {
            eprintln!("{act:?}");
            world.act(act);
            world.check();
        }
        // What goes on by itself comes to rest, and then the tenant works as ever.
        let api = world.api();
        poll::until("all is settled or waits for somebody", || {
            let swaps = api.get(&format!("{TENANT}/swaps")).done();
            let stage = swaps["swaps"][0]["stage"]
                .as_str()
                .unwrap_or("completed")
                .to_owned();
            matches!(
                stage.as_str(),
                "completed" | "failed" | "cancelled" | "awaiting-consent" | "canary"
            )
            .then_some(())
        });
        world.work(&api);
        world.check();
        Ok(())
    });
    run.unwrap();
}
