//! The only place that enters a component.
//!
//! A release is compiled ahead of time into a file and mapped from there ([`compiled`]); each call gets a fresh instance
//! from a pool, so that nothing survives from one call to the next ([`component`]). Pure calls are linked against
//! nothing but the log ([`linker`]); what a call may use and how its end is told apart stands in [`call`].

pub mod component;
pub mod call;
pub mod event;
mod linker;
mod compiled;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use wasmtime::component::Linker;
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

pub use self::call::{Call, CallError};
pub use self::component::Component;
use crate::config::EngineLimits;

/// Compiles components and holds what all of them share. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    wasmtime: wasmtime::Engine,
    effects: Linker<Call>,
    limits: EngineLimits,
    compiled: PathBuf,
    ticker: Ticker,
}

/// A release that cannot be run here; says why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub String);

impl From<wasmtime::Error> for LoadError {
    fn from(error: wasmtime::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

impl Engine {
    /// An engine whose compiled components are kept in the folder `compiled`.
    ///
    /// # Errors
    /// [`LoadError`] when the machine cannot give what the limits ask for.
    pub fn new(limits: EngineLimits, compiled: PathBuf) -> Result<Self, LoadError> {
        let wasmtime = wasmtime::Engine::new(&wasmtime_config(&limits))?;
        let effects = linker::effects(&wasmtime)?;
        let ticker = Ticker::start(wasmtime.clone(), &limits);
        Ok(Self {
            inner: Arc::new(Inner {
                wasmtime,
                effects,
                limits,
                compiled,
                ticker,
            }),
        })
    }

    /// Makes a component ready to be called: compiles it if this machine has not done so before. Blocks for about
    /// 0.1 s (Rust) to 6 s (SpiderMonkey) then, else for about 1 ms.
    ///
    /// `label` is its name and version, for errors and logs; `digest` the hex SHA-256 of `wasm`.
    ///
    /// # Errors
    /// [`LoadError`] when it is no valid component or imports what the host does not give.
    pub fn load(&self, label: Arc<str>, digest: &str, wasm: &[u8]) -> Result<Component, LoadError> {
        let component = compiled::load(&self.inner.wasmtime, &self.inner.compiled, digest, wasm)?;
        Component::link(self, label, &component)
    }

    /// What calls may use.
    #[must_use]
    pub fn limits(&self) -> &EngineLimits {
        &self.inner.limits
    }

    fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner.wasmtime
    }

    fn effects(&self) -> &Linker<Call> {
        &self.inner.effects
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.ticker.stop();
    }
}

fn wasmtime_config(limits: &EngineLimits) -> Config {
    let instances = limits.instances_max;
    let mut pool = PoolingAllocationConfig::new();
    // QuickJS components have three core instances, memories and tables; others one.
    pool.total_component_instances(instances)
        .total_core_instances(instances * 4)
        .total_memories(instances * 3)
        .total_tables(instances * 4)
        .total_stacks(instances)
        .max_memory_size(limits.memory_bytes_max)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(2 << 20)
        .table_elements(limits.table_elements_max)
        .max_memories_per_component(4)
        .max_tables_per_component(10)
        .max_core_instances_per_component(20)
        .linear_memory_keep_resident(4 << 20)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10)
        .pagemap_scan(wasmtime::Enabled::Auto);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .max_wasm_stack(limits.stack_bytes_max)
        .async_stack_size(limits.stack_bytes_max + (1 << 20))
        .wasm_component_model(true);
    config
}

/// The thread that moves the engine's epoch on, which is what deadlines are counted in.
struct Ticker {
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine, limits: &EngineLimits) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let (stop, tick) = (Arc::clone(&stopped), limits.tick);
        let run = move || {
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(tick);
                engine.increment_epoch();
            }
        };
        let thread = std::thread::Builder::new()
            .name("epoch-ticker".to_owned())
            .spawn(run)
            .ok();
        Self { stopped, thread }
    }

    fn stop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
