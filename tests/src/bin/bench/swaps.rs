//! What requests notice of swaps: 32 connections read and write while a module is upgraded, a broken canary is taken
//! back, a read model is built anew, and all of it is rolled back. Between these phases are others in which nothing is
//! changed: the history grows meanwhile, and the machine has its moods.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use millwork_tests::artifacts;
use millwork_tests::client::{Client, Reply};
use millwork_tests::server::Server;
use serde_json::{Value, json};

use crate::Effort;
use crate::load::{Done, Load};
use crate::requests::{Requests, Work};

const CONNECTIONS: usize = 32;
/// The load is put on in slices of this length, until the change is over.
const SLICE: Duration = Duration::from_secs(1);
/// Longest a swap may take: it verifies on all that the bench has recorded.
const SWAP_MAX: Duration = Duration::from_secs(600);
/// Of each connection after an answer: at most 2,000 requests a second in all. Where the cores have no rest, latency tells
/// how they are shared and nothing else.
const PAUSE: Duration = Duration::from_millis(16);
/// Between two looks at where a swap stands.
const LOOK: Duration = Duration::from_millis(50);
const TENANT: &str = "/admin/v1/tenants/demo";

/// One kind of phase of the load.
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Measures; the first phase given is all those in which nothing was changed. A request that fails ends the bench.
pub(crate) fn measure(effort: Effort) -> Vec<Phase> {
    // Of its own, so that the history that is replayed and rebuilt is that of this load.
    let server = Server::demo();
    let requests = &Requests::against(&server.admin(), effort.invoices);
    for (component, changes) in releases() {
        let _ = server.publish(changed(component, &changes)).done();
    }
    let api = requests.admin();
    let warm = requests.of(Work::ReadsAndWrites, CONNECTIONS, SLICE).run();
    requests.settle(&warm);

    let mut unchanged = Done::default();
    let mut phase = |name, change: &(dyn Fn() + Sync)| {
        let before = load(effort.swap / 2, requests, || {});
        unchanged.took += before.took;
        unchanged.add(before);
        Phase::of(name, &load(effort.swap, requests, change))
    };
    let mut phases = vec![
        phase("upgrade", &|| {
            change(api, &json!({ "version": "1.1.0" }), "completed");
        }),
        phase("broken canary", &|| {
            let canary = json!({ "percent": 50, "seconds": 600 });
            let body = json!({ "version": "1.2.9", "skipReplay": true, "canary": canary });
            change(api, &body, "failed");
        }),
        phase("canary and rebuild", &|| {
            let canary = json!({ "percent": 20, "seconds": 600, "commands": 500 });
            change(api, &json!({ "version": "1.1.1", "canary": canary }), "completed");
        }),
        phase("rollback", &|| {
            let path = format!("{TENANT}/modules/invoicing/rollback");
            let reply = api.post(&path, &json!({ "version": "1.0.0" }));
            come_to(api, &reply, "completed");
        }),
    ];
    phases.insert(0, Phase::of("nothing", &unchanged));
    phases
}

/// Components and what is changed in their manifests.
fn releases() -> [(&'static str, Vec<(&'static str, &'static str)>); 3] {
    let rebuilt = ("  Invoices:\n    version: 1\n", "  Invoices:\n    version: 2\n");
    [
        ("invoicing-1.1.0", Vec::new()),
        (
            "invoicing-1.1.0",
            vec![("version: 1.1.0", "version: 1.1.1"), rebuilt],
        ),
        (
            "invoicing-tax",
            vec![
                ("version: 1.2.0", "version: 1.2.9"),
                ("default: nought", "default: fitful"),
            ],
        ),
    ]
}

fn changed(component: &str, changes: &[(&str, &str)]) -> Vec<u8> {
    let wasm = artifacts::test_component(component)
        .expect("components of the tests; `cargo xtask guest` makes them");
    artifacts::with_manifest(&wasm, |text| {
        changes
            .iter()
            .fold(text.to_owned(), |text, (from, to)| text.replacen(from, to, 1))
    })
}

/// Puts the load on, for so long and until the change has come to its end.
fn load(length: Duration, requests: &Requests, change: impl FnOnce()) -> Done {
    let changed = AtomicBool::new(false);
    let done = thread::scope(|scope| {
        let loaded = scope.spawn(|| {
            let mut all = Done::default();
            while all.took < length || !changed.load(Ordering::Acquire) {
                let load = Load {
                    pause: PAUSE,
                    ..requests.of(Work::ReadsAndWrites, CONNECTIONS, SLICE)
                };
                let done = load.run();
                all.took += done.took;
                all.add(done);
            }
            all
        });
        change();
        changed.store(true, Ordering::Release);
        loaded.join().expect("every request succeeds")
    });
    requests.settle(&done);
    done
}

/// Asks for a change and waits until it has come to this end.
fn change(api: &Client, body: &Value, end: &str) {
    let reply = api.put(&format!("{TENANT}/modules/invoicing"), body);
    come_to(api, &reply, end);
}

/// Waits until the change that was answered so has come to this end.
fn come_to(api: &Client, reply: &Reply, end: &str) {
    let answer = reply.json();
    let number = answer
        .get("number")
        .or(answer.get("swap"))
        .unwrap_or_else(|| panic!("{}", reply.text()));
    let path = format!("{TENANT}/swaps/{number}");
    let asked = Instant::now();
    loop {
        let stage = api.get(&path).json().get("stage").cloned().unwrap_or_default();
        if ["completed", "failed", "draining"]
            .iter()
            .any(|over| stage == *over)
        {
            assert!(stage == end || stage == "draining", "{stage}");
            return;
        }
        assert!(asked.elapsed() < SWAP_MAX, "the swap is {stage} for too long");
        thread::sleep(LOOK);
    }
}

impl Phase {
    fn of(name: &'static str, done: &Done) -> Self {
        let us = done.latencies.us();
        Self {
            name,
            rate: done.rate(),
            p50_ms: us.median / 1e3,
            p99_ms: us.p99 / 1e3,
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "phase": self.name, "connections": CONNECTIONS, "perSecond": self.rate, "p50Ms": self.p50_ms, "p99Ms": self.p99_ms })
    }
}
