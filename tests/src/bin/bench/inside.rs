//! What the sandbox costs: the same decision natively, in an instance that is reused, and in a fresh one each time.
//!
//! One thread, warm. The reused instance is what could be had at best; the host never reuses one.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millwork_host::bindings::aggregates::Aggregates;
use millwork_host::config::EngineLimits;
use millwork_host::engine::Engine;
use millwork_host::engine::component::{Asked, Caller, Component};
use millwork_tests::artifacts;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use wasmtime::component::Linker;

use crate::report::Times;
use crate::{Effort, native, sample};

/// Turns that the kinds take within one measurement.
const TURNS: usize = 20;

/// All that was measured inside.
pub(crate) struct Inside {
    pub(crate) rows: Vec<Row>,
    /// Compiling the component, as at its first start on a machine.
    pub(crate) compile: Duration,
    /// Loading what was compiled before.
    pub(crate) load: Duration,
}

/// One function in its three forms.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) native: Times,
    pub(crate) reused: Option<Times>,
    pub(crate) fresh: Times,
}

/// Measures.
pub(crate) fn measure(effort: Effort) -> Inside {
    let folder = tempfile::tempdir().expect("a folder for compiled code");
    let engine = Engine::new(EngineLimits::default(), folder.path().to_path_buf()).expect("an engine");
    let wasm = artifacts::component("invoicing");
    let started = Instant::now();
    load(&engine, &wasm);
    let compile = started.elapsed();
    let started = Instant::now();
    let component = load(&engine, &wasm);
    let load = started.elapsed();

    let mut reused = Reused::new(&wasm);
    let mut rows: Vec<Row> = Vec::new();
    for sample in sample::decisions() {
        rows.push(decide(effort, &component, &mut reused, sample));
    }
    rows.push(evolve(effort, &component));
    Inside { rows, compile, load }
}

fn load(engine: &Engine, wasm: &[u8]) -> Arc<Component> {
    // Only names the file of the compiled code.
    let digest = "0".repeat(64);
    Arc::new(
        engine
            .load(Arc::from("invoicing"), &digest, wasm)
            .expect("the component loads"),
    )
}

fn decide(effort: Effort, component: &Arc<Component>, reused: &mut Reused, sample: sample::Sample) -> Row {
    let (runtime, caller, input) = (runtime(), caller(), native::Input::of(&sample.asked));
    let (mut native, mut warm, mut fresh) = (Times::default(), Times::default(), Times::default());
    for turn in 0..=TURNS {
        let (mut n, mut w, mut f) = (Times::default(), Times::default(), Times::default());
        for _ in 0..effort.calls / TURNS {
            let input = input.clone();
            n.time(|| native::decide(input).expect("a decision"));
        }
        for _ in 0..effort.calls / TURNS {
            w.time(|| reused.decide(&sample.asked));
        }
        for _ in 0..effort.calls / TURNS {
            let asked = sample.asked.clone();
            f.time(|| {
                runtime
                    .block_on(component.decide(&caller, asked))
                    .expect("a call")
                    .1
                    .expect("a decision")
            });
        }
        // The first turn warms up.
        if turn > 0 {
            native.extend(n);
            warm.extend(w);
            fresh.extend(f);
        }
    }
    Row {
        name: format!("decide {}", sample.name),
        native,
        reused: Some(warm),
        fresh,
    }
}

fn evolve(effort: Effort, component: &Arc<Component>) -> Row {
    let (runtime, caller, (of, events)) = (runtime(), caller(), sample::history());
    let (native_of, native_events) = native::history(of.clone(), events.clone());
    let (mut native, mut fresh) = (Times::default(), Times::default());
    for _ in 0..effort.calls / TURNS {
        native.time(|| native::evolve(&native_of, &native_events));
        let (of, events) = (of.clone(), events.clone());
        fresh.time(|| {
            runtime
                .block_on(component.evolve(&caller, of, events))
                .expect("a call")
        });
    }
    Row {
        name: format!("evolve {} events", events.len()),
        native,
        reused: None,
        fresh,
    }
}

/// The host has one around every call; a pure one does not leave its thread.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
}

fn caller() -> Caller {
    Caller {
        tenant: Arc::from("bench"),
        slow: Arc::new(Semaphore::new(1)),
    }
}

/// One instance for all calls.
struct Reused {
    store: wasmtime::Store<()>,
    instance: Aggregates,
}

impl Reused {
    fn new(wasm: &[u8]) -> Self {
        let mut config = wasmtime::Config::new();
        // As the host has it: deadlines cost a check in every loop.
        config.epoch_interruption(true);
        let engine = wasmtime::Engine::new(&config).expect("an engine");
        let component = wasmtime::component::Component::new(&engine, wasm).expect("the component compiles");
        let mut linker = Linker::new(&engine);
        linker
            .define_unknown_imports_as_traps(&component)
            .expect("imports");
        let mut store = wasmtime::Store::new(&engine, ());
        store.set_epoch_deadline(1);
        let instance = Aggregates::instantiate(&mut store, &component, &linker).expect("an instance");
        Self { store, instance }
    }

    fn decide(&mut self, asked: &Asked) {
        let Asked {
            target,
            related,
            command,
            context,
        } = asked;
        let aggregates = self.instance.millwork_module_aggregates();
        let decided = aggregates.call_decide(&mut self.store, target, related, command, context);
        black_box(decided.expect("a call").expect("a decision"));
    }
}

impl Inside {
    /// Microseconds that the sandbox adds to a decision, in the median.
    pub(crate) fn sandbox_us(&self, command: &str) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.name.ends_with(command))?;
        Some(row.fresh.us().median - row.native.us().median)
    }

    pub(crate) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "name": row.name,
                "nativeUs": row.native.us().json(),
                "reusedUs": row.reused.as_ref().map(|times| times.us().json()),
                "freshUs": row.fresh.us().json(),
            })
        });
        json!({
            "rows": rows.collect::<Vec<_>>(),
            "compileMs": self.compile.as_secs_f64() * 1e3,
            "loadMs": self.load.as_secs_f64() * 1e3,
        })
    }
}
