//! A component made ready: what it exports, and a typed function for each of its exports.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Semaphore;
use wasmtime::Store;
use wasmtime::component::Component as Compiled;

use super::call::{self, Call, CallError, Effects};
use super::{Engine, LoadError, linker};
use crate::bindings::aggregates::AggregatesPre;
use crate::bindings::aggregates::exports::millwork::module::aggregates::Decision;
use crate::bindings::lifecycle::LifecyclePre;
use crate::bindings::projections::ProjectionsPre;
use crate::bindings::queries::QueriesPre;
use crate::bindings::subscriptions::SubscriptionsPre;
use crate::bindings::subscriptions::exports::millwork::module::subscriptions::Outcome;
use crate::bindings::types::{Command, Context, Event, Failure, Rejection, Subject};

/// What a pure call that was not over in time counts for; one that was takes 1 away again. A busy machine stops a quick
/// call in the middle now and then, and such a call says nothing of its component.
const SLOW_CALL: u32 = 16;
/// From this count on all pure calls of a component go to the slow lane: four in a row, or every sixteenth for long.
const SLOW_CALLS: u32 = 4 * SLOW_CALL;

/// A component, linked and ready. Every call gets an instance of its own.
pub struct Component {
    engine: Engine,
    label: Arc<str>,
    aggregates: Option<AggregatesPre<Call>>,
    projections: Option<ProjectionsPre<Call>>,
    queries: Option<QueriesPre<Call>>,
    subscriptions: Option<SubscriptionsPre<Call>>,
    lifecycle: Option<LifecyclePre<Call>>,
    /// At [`SLOW_CALLS`] its pure calls go to the slow lane at once: it needs WASI, or takes too long again and again.
    slow_calls: AtomicU32,
}

/// The whole input of a decision.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The aggregate that the command is for.
    pub target: Subject,
    /// The consistent facts, in the manifest's order.
    pub related: Vec<Subject>,
    /// What is asked.
    pub command: Command,
    /// All else that the answer may depend on.
    pub context: Context,
}

/// What `decide` says: a decision, or the business says no.
pub type Verdict = Result<Decision, Rejection>;

/// Who a call is made for, and the bound of that tenant's calls in the slow lane.
#[derive(Clone)]
pub struct Caller {
    /// The tenant's id.
    pub tenant: Arc<str>,
    /// Permits of the tenant's slow lane.
    pub slow: Arc<Semaphore>,
}

impl Component {
    /// Links a component against what it may use; which interfaces it exports is read from the binary.
    pub(super) fn link(engine: &Engine, label: Arc<str>, compiled: &Compiled) -> Result<Self, LoadError> {
        let not_given = linker::not_given(engine.wasmtime(), compiled);
        if !not_given.is_empty() {
            let imports = not_given.join(", ");
            return Err(LoadError(format!(
                "it imports {imports}, which this host does not give"
            )));
        }
        let exports = |interface: &str| {
            let prefix = format!("millwork:module/{interface}@0.");
            compiled
                .component_type()
                .exports(engine.wasmtime())
                .any(|(name, _)| name.starts_with(&prefix))
        };
        let pure = || linker::pure(engine.wasmtime(), compiled)?.instantiate_pre(compiled);
        let effects = || engine.effects().instantiate_pre(compiled);
        Ok(Self {
            engine: engine.clone(),
            label,
            aggregates: exports("aggregates")
                .then(|| AggregatesPre::new(pure()?))
                .transpose()?,
            projections: exports("projections")
                .then(|| ProjectionsPre::new(effects()?))
                .transpose()?,
            queries: exports("queries")
                .then(|| QueriesPre::new(effects()?))
                .transpose()?,
            subscriptions: exports("subscriptions")
                .then(|| SubscriptionsPre::new(effects()?))
                .transpose()?,
            lifecycle: exports("lifecycle")
                .then(|| LifecyclePre::new(effects()?))
                .transpose()?,
            slow_calls: AtomicU32::new(if linker::imports_wasi(engine.wasmtime(), compiled) {
                SLOW_CALLS
            } else {
                0
            }),
        })
    }

    /// Name and version: `invoicing@1.0.0`.
    #[must_use]
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// Whether it exports `lifecycle`.
    #[must_use]
    pub fn has_lifecycle(&self) -> bool {
        self.lifecycle.is_some()
    }

    /// Decides a command. What was asked is given back, so that the journal can keep it.
    ///
    /// # Errors
    /// [`CallError`]; nothing has happened then.
    pub async fn decide(
        self: &Arc<Self>,
        caller: &Caller,
        asked: Asked,
    ) -> Result<(Asked, Verdict), CallError> {
        let tenant = Arc::clone(&caller.tenant);
        if let Some(done) = self.inline(|ticks| self.decide_within(Arc::clone(&tenant), &asked, ticks))? {
            return Ok((asked, done));
        }
        let component = Arc::clone(self);
        let ticks = self.engine.limits().pure_ticks;
        slow_lane(caller, move || {
            let done = component.decide_within(tenant, &asked, ticks)?;
            Ok((asked, done))
        })
        .await
    }

    /// Folds events into a state.
    ///
    /// # Errors
    /// [`CallError`]; nothing has happened then.
    pub async fn evolve(
        self: &Arc<Self>,
        caller: &Caller,
        of: Subject,
        events: Vec<Event>,
    ) -> Result<String, CallError> {
        let tenant = caller.tenant.clone();
        if let Some(state) = self.inline(|ticks| self.evolve_within(tenant.clone(), &of, &events, ticks))? {
            return Ok(state);
        }
        let component = Arc::clone(self);
        let ticks = self.engine.limits().pure_ticks;
        slow_lane(caller, move || {
            component.evolve_within(tenant, &of, &events, ticks)
        })
        .await
    }

    /// Decides a command to see what would be, on this thread, however long a pure call may take: for threads that may
    /// block. Nothing of it reaches the log, and it does not count for where live calls are run.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn decide_on_trial(&self, tenant: &Arc<str>, asked: &Asked) -> Result<Verdict, CallError> {
        let call = self.pure_call(tenant).on_trial();
        self.decide_with(call, asked, self.engine.limits().pure_ticks)
    }

    /// Folds events to see what would be; see [`Component::decide_on_trial`].
    ///
    /// # Errors
    /// [`CallError`].
    pub fn evolve_on_trial(
        &self,
        tenant: &Arc<str>,
        of: &Subject,
        events: &[Event],
    ) -> Result<String, CallError> {
        let call = self.pure_call(tenant).on_trial();
        self.evolve_with(call, of, events, self.engine.limits().pure_ticks)
    }

    /// Runs a pure call on this thread, as most are over in microseconds. One that is not is given up and, being pure,
    /// can be run again from the start where it blocks nobody: then the answer is nothing.
    fn inline<T>(&self, run: impl FnOnce(u64) -> Result<T, CallError>) -> Result<Option<T>, CallError> {
        let slow_calls = self.slow_calls.load(Ordering::Relaxed);
        if slow_calls >= SLOW_CALLS {
            return Ok(None);
        }
        match run(self.engine.limits().inline_ticks) {
            Ok(done) => {
                if slow_calls > 0 {
                    self.note(|count| count.saturating_sub(1));
                }
                Ok(Some(done))
            }
            Err(CallError::Deadline(_)) => {
                if self.note(|count| count.saturating_add(SLOW_CALL)) {
                    tracing::warn!(component = %self.label, "pure calls are slow, using the slow lane from now on");
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Changes the count of slow calls, unless it is settled; whether this settles it.
    fn note(&self, change: impl Fn(u32) -> u32) -> bool {
        let open = |count| (count < SLOW_CALLS).then(|| change(count));
        let before = self
            .slow_calls
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, open);
        before.is_ok_and(|count| change(count) >= SLOW_CALLS)
    }

    fn decide_within(&self, tenant: Arc<str>, asked: &Asked, ticks: u64) -> Result<Verdict, CallError> {
        self.decide_with(self.pure_call(&tenant), asked, ticks)
    }

    fn decide_with(&self, call: Call, asked: &Asked, ticks: u64) -> Result<Verdict, CallError> {
        let pre = self
            .aggregates
            .as_ref()
            .ok_or(CallError::NotExported("millwork:module/aggregates"))?;
        self.pure(call, ticks, |store| {
            let instance = pre.instantiate(&mut *store)?;
            let Asked {
                target,
                related,
                command,
                context,
            } = asked;
            instance
                .millwork_module_aggregates()
                .call_decide(store, target, related, command, context)
        })
    }

    fn evolve_within(
        &self,
        tenant: Arc<str>,
        of: &Subject,
        events: &[Event],
        ticks: u64,
    ) -> Result<String, CallError> {
        self.evolve_with(self.pure_call(&tenant), of, events, ticks)
    }

    fn evolve_with(
        &self,
        call: Call,
        of: &Subject,
        events: &[Event],
        ticks: u64,
    ) -> Result<String, CallError> {
        let pre = self
            .aggregates
            .as_ref()
            .ok_or(CallError::NotExported("millwork:module/aggregates"))?;
        self.pure(call, ticks, |store| {
            let instance = pre.instantiate(&mut *store)?;
            instance
                .millwork_module_aggregates()
                .call_evolve(store, of, events)
        })
    }

    fn pure_call(&self, tenant: &Arc<str>) -> Call {
        Call::pure(&self.engine, Arc::clone(tenant), Arc::clone(&self.label))
    }

    fn pure<T>(
        &self,
        call: Call,
        ticks: u64,
        run: impl FnOnce(&mut Store<Call>) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let mut store = call::store(&self.engine, call, ticks);
        run(&mut store).map_err(|error| call::classify(&self.engine, &error, store.data(), ticks))
    }

    /// Applies events to a projection. The unit of work in `effects` is given back to be committed; on an error it is
    /// gone, and with it all that was written.
    ///
    /// Like every call with effects it blocks its thread while the component computes.
    ///
    /// # Errors
    /// [`CallError`]; nothing has happened then.
    pub async fn apply(
        &self,
        tenant: Arc<str>,
        effects: Effects,
        projection: &str,
        events: &[Event],
    ) -> Result<Effects, CallError> {
        let exported = self.projections.as_ref();
        let pre = exported.ok_or(CallError::NotExported("millwork:module/projections"))?;
        let run = async |store: &mut Store<Call>| {
            let instance = pre.instantiate_async(&mut *store).await?;
            let projections = instance.millwork_module_projections();
            projections.call_apply(store, projection, events).await
        };
        self.effect(tenant, effects, run)
            .await
            .map(|((), effects)| effects)
    }

    /// Answers a computed query.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn answer(
        &self,
        tenant: Arc<str>,
        effects: Effects,
        query: &str,
        params: String,
        context: &Context,
    ) -> Result<Result<String, Rejection>, CallError> {
        let exported = self.queries.as_ref();
        let pre = exported.ok_or(CallError::NotExported("millwork:module/queries"))?;
        let run = async |store: &mut Store<Call>| {
            let instance = pre.instantiate_async(&mut *store).await?;
            let queries = instance.millwork_module_queries();
            queries.call_answer(store, query, &params, context).await
        };
        self.effect(tenant, effects, run).await.map(|(answer, _)| answer)
    }

    /// Hands an event to a subscription.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn handle(
        &self,
        tenant: Arc<str>,
        effects: Effects,
        subscription: &str,
        event: &Event,
        context: &Context,
    ) -> Result<Outcome, CallError> {
        let exported = self.subscriptions.as_ref();
        let pre = exported.ok_or(CallError::NotExported("millwork:module/subscriptions"))?;
        let run = async |store: &mut Store<Call>| {
            let instance = pre.instantiate_async(&mut *store).await?;
            let subscriptions = instance.millwork_module_subscriptions();
            subscriptions
                .call_handle(store, subscription, event, context)
                .await
        };
        self.effect(tenant, effects, run).await.map(|(answer, _)| answer)
    }

    /// Tells the component that it starts to serve a tenant.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn activate(
        &self,
        tenant: Arc<str>,
        effects: Effects,
        previous: Option<&str>,
    ) -> Result<Result<(), Failure>, CallError> {
        let Some(pre) = &self.lifecycle else {
            return Ok(Ok(()));
        };
        let run = async |store: &mut Store<Call>| {
            let instance = pre.instantiate_async(&mut *store).await?;
            instance
                .millwork_module_lifecycle()
                .call_activate(store, previous)
                .await
        };
        self.effect(tenant, effects, run).await.map(|(answer, _)| answer)
    }

    /// Tells the component that its last call for a tenant has ended.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn deactivate(
        &self,
        tenant: Arc<str>,
        effects: Effects,
    ) -> Result<Result<(), Failure>, CallError> {
        let Some(pre) = &self.lifecycle else {
            return Ok(Ok(()));
        };
        let run = async |store: &mut Store<Call>| {
            let instance = pre.instantiate_async(&mut *store).await?;
            instance.millwork_module_lifecycle().call_deactivate(store).await
        };
        self.effect(tenant, effects, run).await.map(|(answer, _)| answer)
    }

    /// Asks the component whether it can do its work; the inner error says why not.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn health(&self, tenant: Arc<str>, effects: Effects) -> Result<Result<(), String>, CallError> {
        let Some(pre) = &self.lifecycle else {
            return Ok(Ok(()));
        };
        let run = async |store: &mut Store<Call>| {
            let instance = pre.instantiate_async(&mut *store).await?;
            instance.millwork_module_lifecycle().call_health(store).await
        };
        self.effect(tenant, effects, run).await.map(|(answer, _)| answer)
    }

    /// What the code says it implements, as JSON text; nothing when it does not export `lifecycle`.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn describe(&self) -> Result<Option<String>, CallError> {
        let Some(pre) = &self.lifecycle else {
            return Ok(None);
        };
        let run = async |store: &mut Store<Call>| {
            let instance = pre.instantiate_async(&mut *store).await?;
            instance.millwork_module_lifecycle().call_describe(store).await
        };
        let described = self.effect(Arc::from("-"), Effects::none(), run).await;
        described.map(|(answer, _)| Some(answer))
    }

    /// Runs a call with effects and gives them back. A failing capability outweighs whatever the component made of it.
    async fn effect<T>(
        &self,
        tenant: Arc<str>,
        effects: Effects,
        run: impl AsyncFnOnce(&mut Store<Call>) -> wasmtime::Result<T>,
    ) -> Result<(T, Effects), CallError> {
        let ticks = self.engine.limits().effect_ticks;
        let call = Call::with_effects(&self.engine, tenant, Arc::clone(&self.label), effects);
        let mut store = call::store(&self.engine, call, ticks);
        let done = run(&mut store).await;
        let done = done.map_err(|error| call::classify(&self.engine, &error, store.data(), ticks));
        let mut effects = store.into_data().into_effects();
        if let Some(failure) = effects.documents.take_failure() {
            return Err(CallError::Unavailable(failure));
        }
        let answer = done?;
        // Before the unit of work commits: its checkpoint says that what these events wrote is there.
        effects.search.finish().await.map_err(CallError::Unavailable)?;
        Ok((answer, effects))
    }
}

/// Runs a long pure call where it may block, with the tenant's bound on how many do so at once.
async fn slow_lane<T: Send + 'static>(
    caller: &Caller,
    run: impl FnOnce() -> Result<T, CallError> + Send + 'static,
) -> Result<T, CallError> {
    let unavailable = |what: &str| CallError::Unavailable(format!("the slow lane {what}"));
    let permit = Arc::clone(&caller.slow)
        .acquire_owned()
        .await
        .map_err(|_| unavailable("is closed"))?;
    let task = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        run()
    });
    task.await.map_err(|_| unavailable("was stopped"))?
}
