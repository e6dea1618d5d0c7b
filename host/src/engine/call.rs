//! One call into a component: what it may use, and how its end is told apart.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Store, Trap};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::Engine;
use crate::capability::blobs::component::BlobsCall;
use crate::capability::cache::component::CacheCall;
use crate::capability::cache::keyvalue::KeyvalueCall;
use crate::capability::documents::component::DocumentsCall;
use crate::capability::messaging::component::MessagingCall;
use crate::capability::platform::PlatformCall;
use crate::capability::search::component::SearchCall;
use crate::capability::wasi_config::ConfigCall;
use crate::capability::{Budget, Exhausted};

/// What stands behind a call's imports. Made for one call and dropped after it.
pub struct Call {
    pub(super) platform: PlatformCall,
    effects: Option<Effects>,
    limiter: Limiter,
    wasi: Option<Box<Wasi>>,
}

/// The capabilities of a call that has some.
pub struct Effects {
    /// `millwork:documents`.
    pub documents: DocumentsCall,
    /// `millwork:cache`.
    pub cache: CacheCall,
    /// `millwork:search`.
    pub search: SearchCall,
    /// `millwork:blobs`.
    pub blobs: BlobsCall,
    /// `millwork:messaging`.
    pub messaging: MessagingCall,
    /// `wasi:config`.
    pub config: ConfigCall,
}

struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
}

/// Why a call into a component gave no answer. Nothing of what it did is kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The component trapped: a bug in it.
    #[error("trapped: {message}")]
    Trap {
        /// What wasmtime says, or the message of a Rust panic.
        message: String,
        /// Frames of the component, innermost first.
        backtrace: String,
    },
    /// It ran longer than a call may.
    #[error("ran longer than {0:?}")]
    Deadline(Duration),
    /// It wanted more memory or larger tables than a call may have.
    #[error("wanted more than {0} bytes of memory")]
    Memory(usize),
    /// Its calls were nested too deeply.
    #[error("used more stack than a call may")]
    Stack,
    /// It handed over more than a call may.
    #[error("handed over more than {0} bytes")]
    Transfer(usize),
    /// A pure function called a capability.
    #[error("pure function called {0}")]
    Impure(String),
    /// It called the host more often, or got more from it, than a call may.
    #[error("{0}")]
    HostCalls(String),
    /// It does not export what was to be called: the release was not verified.
    #[error("does not export {0}")]
    NotExported(&'static str),
    /// A capability failed, not the component: try again later.
    #[error("capability failed: {0}")]
    Unavailable(String),
}

impl CallError {
    /// Stable, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Trap { .. } => "component-trapped",
            Self::Deadline(_) => "component-deadline",
            Self::Memory(_) => "component-memory",
            Self::Stack => "component-stack",
            Self::Transfer(_) => "component-output",
            Self::Impure(_) => "component-impure",
            Self::HostCalls(_) => "component-host-calls",
            Self::NotExported(_) => "component-export",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

/// A pure function called a capability.
#[derive(Debug, thiserror::Error)]
#[error("pure function called {import}")]
pub(super) struct Impure {
    pub(super) import: String,
}

impl Call {
    /// For a call that can reach nothing but the log.
    pub(super) fn pure(engine: &Engine, tenant: Arc<str>, component: Arc<str>) -> Self {
        let limits = engine.limits();
        Self {
            platform: PlatformCall::new(tenant, component, limits.log_lines_max, limits.log_bytes_max),
            effects: None,
            limiter: Limiter::new(engine),
            wasi: None,
        }
    }

    /// The same, and nothing of it reaches the log.
    pub(super) fn on_trial(self) -> Self {
        Self {
            platform: self.platform.on_trial(),
            ..self
        }
    }

    /// For a call with capabilities.
    pub(super) fn with_effects(
        engine: &Engine,
        tenant: Arc<str>,
        component: Arc<str>,
        effects: Effects,
    ) -> Self {
        Self {
            effects: Some(effects),
            ..Self::pure(engine, tenant, component)
        }
    }

    /// For the linker. Only calls with effects are linked against capabilities.
    pub(super) fn documents(&mut self) -> &mut DocumentsCall {
        &mut self.effects_mut().documents
    }

    /// For the linker.
    pub(super) fn cache(&mut self) -> &mut CacheCall {
        &mut self.effects_mut().cache
    }

    /// For the linker.
    pub(super) fn search(&mut self) -> &mut SearchCall {
        &mut self.effects_mut().search
    }

    /// For the linker.
    pub(super) fn blobs(&mut self) -> &mut BlobsCall {
        &mut self.effects_mut().blobs
    }

    /// For the linker.
    pub(super) fn messaging(&mut self) -> &mut MessagingCall {
        &mut self.effects_mut().messaging
    }

    /// For the linker.
    pub(super) fn config(&mut self) -> &mut ConfigCall {
        &mut self.effects_mut().config
    }

    /// For the linker.
    pub(super) fn keyvalue(&mut self) -> KeyvalueCall<'_> {
        let effects = self.effects.get_or_insert_with(Effects::none);
        let wasi = self.wasi.get_or_insert_with(|| Box::new(Wasi::empty()));
        KeyvalueCall::new(&mut effects.cache, &mut wasi.table)
    }

    fn effects_mut(&mut self) -> &mut Effects {
        self.effects.get_or_insert_with(Effects::none)
    }

    /// The capabilities after the call.
    pub(super) fn into_effects(self) -> Effects {
        self.effects.unwrap_or_else(Effects::none)
    }
}

impl Effects {
    /// No capability at all.
    #[must_use]
    pub fn none() -> Self {
        let budget = Arc::new(Budget::new(0, 0));
        let access =
            crate::capability::documents::component::Access::Denied("this call may not use documents");
        Self {
            documents: DocumentsCall::new(access, None, Arc::clone(&budget)),
            cache: CacheCall::new(None, "", "", Arc::clone(&budget)),
            search: SearchCall::denied("this call may not search", Arc::clone(&budget)),
            blobs: BlobsCall::denied("this call may not use blobs", Arc::clone(&budget)),
            messaging: MessagingCall::closed(Arc::clone(&budget)),
            config: ConfigCall::new(Arc::from("{}"), budget),
        }
    }
}

/// A store for one call, within the engine's limits and `ticks` of time.
pub(super) fn store(engine: &Engine, call: Call, ticks: u64) -> Store<Call> {
    let mut store = Store::new(engine.wasmtime(), call);
    store.limiter(|call| &mut call.limiter);
    store.set_epoch_deadline(ticks);
    store.set_hostcall_fuel(engine.limits().transfer_bytes_max);
    store
}

/// What ended a call, told apart by what its reader can do about it.
pub(super) fn classify(engine: &Engine, error: &wasmtime::Error, call: &Call, ticks: u64) -> CallError {
    let limits = engine.limits();
    if let Some(impure) = error.downcast_ref::<Impure>() {
        return CallError::Impure(impure.import.clone());
    }
    if let Some(exhausted) = error.downcast_ref::<Exhausted>() {
        return CallError::HostCalls(exhausted.to_string());
    }
    if call.limiter.refused {
        return CallError::Memory(limits.memory_bytes_max);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => {
            return CallError::Deadline(limits.tick * u32::try_from(ticks).unwrap_or(u32::MAX));
        }
        Some(Trap::StackOverflow) => return CallError::Stack,
        _ => {}
    }
    let root = error.root_cause().to_string();
    // Wasmtime's error for this has no public type, only this text.
    if root.contains("fuel allocated for hostcalls") {
        return CallError::Transfer(limits.transfer_bytes_max);
    }
    let message = call.platform.last_error().map_or(root, str::to_owned);
    let backtrace = error
        .downcast_ref::<wasmtime::WasmBacktrace>()
        .map(ToString::to_string)
        .unwrap_or_default();
    CallError::Trap { message, backtrace }
}

/// Refuses memory and tables over the limit and remembers that it did: the guest sees only a failed allocation and
/// traps for a reason of its own.
struct Limiter {
    memory_bytes_max: usize,
    table_elements_max: usize,
    refused: bool,
}

impl Limiter {
    fn new(engine: &Engine) -> Self {
        let limits = engine.limits();
        Self {
            memory_bytes_max: limits.memory_bytes_max,
            table_elements_max: limits.table_elements_max,
            refused: false,
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= self.memory_bytes_max;
        self.refused |= !fits;
        Ok(fits)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= self.table_elements_max;
        self.refused |= !fits;
        Ok(fits)
    }
}

impl WasiView for Call {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let make = if self.effects.is_none() {
            Wasi::pure
        } else {
            Wasi::empty
        };
        let wasi = self.wasi.get_or_insert_with(|| Box::new(make()));
        WasiCtxView {
            ctx: &mut wasi.ctx,
            table: &mut wasi.table,
        }
    }
}

impl Wasi {
    /// No files, arguments, environment or sockets.
    fn empty() -> Self {
        Self::of(WasiCtx::builder())
    }

    /// Nor a clock that runs, nor randomness: a pure call gets both as arguments.
    fn pure() -> Self {
        let mut builder = WasiCtx::builder();
        builder
            .wall_clock(StandingClock)
            .monotonic_clock(StandingClock)
            .secure_random(wasmtime_wasi::random::Deterministic::new(vec![0x5a; 64]))
            .insecure_random(wasmtime_wasi::random::Deterministic::new(vec![0xa5; 64]))
            .insecure_random_seed(0x5a5a);
        Self::of(builder)
    }

    fn of(mut builder: WasiCtxBuilder) -> Self {
        builder
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false);
        Self {
            ctx: builder.build(),
            table: ResourceTable::new(),
        }
    }
}

/// A clock for pure calls, which get the time as an argument.
struct StandingClock;

impl HostWallClock for StandingClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for StandingClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}
