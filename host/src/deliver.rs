//! From the feed, and from what components publish, to subscriptions; and from the queue of commands to the dispatcher.
//!
//! One deliverer per tenant. Each subscription reads on two lines (the event feed, and published events) with a durable
//! checkpoint each. Per aggregate in order: while one event waits for its next attempt, those of other aggregates go on,
//! up to a bound. What cannot be delivered becomes a dead letter, and the rest goes on.

mod line;
pub mod letters;
pub mod relay;
pub mod commands;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use millwork_registry::manifest::{Manifest, Subscription, published_event};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use self::line::Line;
pub use self::line::PublishedEvent;
use crate::bindings::subscriptions::exports::millwork::module::subscriptions::Outcome;
use crate::bindings::types;
use crate::blocking;
use crate::capability::blobs::component::Keeping;
use crate::capability::documents::component::Access;
use crate::capability::messaging::component::Speech;
use crate::capability::messaging::{Bus, BusError, Outlet, Speaker};
use crate::capability::platform::now_ms;
use crate::capability::search::component::Searching;
use crate::config::EngineLimits;
use crate::engine::CallError;
use crate::event_store::{EventStore, StoreError};
use crate::tenant::{Module, Tenant};

/// Bounds of the delivery of messages.
#[derive(Debug, Clone)]
pub struct DeliverLimits {
    /// Events that a subscription reads at once.
    pub page_events_max: u32,
    /// Events of a subscription that may wait for their turn while others go on; beyond it none is read.
    pub waiting_max: usize,
    /// Subscriptions of all tenants that run at once.
    pub calls_at_once: usize,
    /// Longest wait before another attempt.
    pub backoff_max: Duration,
    /// The wait after the host itself failed, and between looks at a bus that may not tell all news.
    pub look_every: Duration,
    /// A line without events of its own saves its checkpoint at least after so many of others.
    pub checkpoint_every: u64,
    /// Commands of one tenant that are executed at once.
    pub commands_at_once: u32,
    /// Attempts at a command that was sent, before it becomes a dead letter.
    pub command_attempts_max: u32,
    /// The wait before the second attempt at a command; doubles up to `backoff_max`.
    pub command_backoff: Duration,
}

impl Default for DeliverLimits {
    fn default() -> Self {
        Self {
            page_events_max: 256,
            waiting_max: 1_000,
            calls_at_once: 8,
            backoff_max: Duration::from_secs(3_600),
            look_every: Duration::from_secs(5),
            checkpoint_every: 1_000,
            commands_at_once: 16,
            command_attempts_max: 8,
            command_backoff: Duration::from_millis(500),
        }
    }
}

/// Delivers to the subscriptions of all tenants.
pub struct Deliverer {
    events: Arc<dyn EventStore>,
    bus: Arc<dyn Bus>,
    limits: DeliverLimits,
    calls: EngineLimits,
    slots: Semaphore,
}

/// Why a line made no progress; all of it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The feed cannot be read.
    #[error(transparent)]
    Feed(#[from] StoreError),
    /// The bus does not do its work.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// Where a line of a subscription gets its events from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    /// What modules have recorded.
    Feed,
    /// What components have published.
    Published,
}

impl Source {
    const ALL: [Self; 2] = [Self::Feed, Self::Published];

    /// The name of the durable checkpoint.
    fn reader(self, module: &str, subscription: &str) -> String {
        match self {
            Self::Feed => format!("feed.{module}.{subscription}"),
            Self::Published => format!("published.{module}.{subscription}"),
        }
    }

    /// Whether the subscription wants anything from here.
    fn feeds(self, declared: &Subscription) -> bool {
        let published = |event: &String| published_event(event).is_some();
        declared
            .events
            .iter()
            .any(|event| published(event) == (self == Self::Published))
    }
}

/// One subscription of a module as it is now.
#[derive(Clone)]
struct Addressee {
    tenant: Arc<Tenant>,
    module: Arc<Module>,
    name: String,
    declared: Subscription,
}

impl Deliverer {
    /// A deliverer that reads `events` and `bus`.
    #[must_use]
    pub fn new(
        events: Arc<dyn EventStore>,
        bus: Arc<dyn Bus>,
        limits: DeliverLimits,
        calls: EngineLimits,
    ) -> Self {
        let slots = Semaphore::new(limits.calls_at_once);
        Self {
            events,
            bus,
            limits,
            calls,
            slots,
        }
    }

    /// Lets subscriptions that were never seen begin with what happens from now on: an effect for all of a tenant's past
    /// is not what somebody means who enables a component.
    ///
    /// # Errors
    /// [`DeliverError`].
    pub async fn begin(
        &self,
        tenant: &Tenant,
        modules: impl IntoIterator<Item = &Arc<Module>>,
    ) -> Result<(), DeliverError> {
        for module in modules {
            let manifest = &module.manifest;
            for (name, declared) in &manifest.subscriptions {
                for source in Source::ALL.into_iter().filter(|source| source.feeds(declared)) {
                    let reader = source.reader(&manifest.name, name);
                    if self.bus.checkpoint(&tenant.id, &reader).await?.is_some() {
                        continue;
                    }
                    let last = match source {
                        Source::Feed => *self.events.last_position(&tenant.id).await?.borrow(),
                        Source::Published => self.bus.last_published(&tenant.id).await?,
                    };
                    self.bus.keep_checkpoint(&tenant.id, &reader, last).await?;
                }
            }
        }
        Ok(())
    }

    /// The names of the checkpoints of a module's subscriptions: those that read the feed, and those that read what is
    /// published.
    #[must_use]
    pub fn readers(manifest: &Manifest) -> (Vec<String>, Vec<String>) {
        let of = |source: Source| {
            let fed = manifest.subscriptions.iter();
            fed.filter(|(_, declared)| source.feeds(declared))
                .map(|(name, _)| source.reader(&manifest.name, name))
                .collect()
        };
        (of(Source::Feed), of(Source::Published))
    }

    /// Runs a tenant's subscriptions until `stop` turns true or its sender is gone.
    pub async fn run(
        self: Arc<Self>,
        tenant: Arc<Tenant>,
        outlet: Arc<dyn Outlet>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut lines = HashMap::new();
        let (mut feed, mut news) = loop {
            let feed = self.events.last_position(&tenant.id).await;
            let news = self.bus.news(&tenant.id).await;
            match (feed, news) {
                (Ok(feed), Ok(news)) => break (feed, news),
                (feed, news) => {
                    tracing::error!(tenant = %tenant.id, feed = ?feed.err(), bus = ?news.err(), "cannot deliver");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.limits.look_every) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        };
        let mut moving = tenant.moving();
        loop {
            // What a tenant that moves has not delivered is delivered where it is then.
            tokio::select! {
                _ = moving.wait_for(|moving| !*moving) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            feed.mark_unchanged();
            news.mark_unchanged();
            let next;
            (lines, next) = self.pass(&tenant, &outlet, lines).await;
            tokio::select! {
                changed = feed.changed() => if changed.is_err() { return },
                changed = news.changed() => if changed.is_err() { return },
                () = tenant.delivering.notified() => {}
                () = tokio::time::sleep_until(next) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Brings every line as far as it goes; gives when to look again.
    async fn pass(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        outlet: &Arc<dyn Outlet>,
        mut lines: HashMap<String, Line>,
    ) -> (HashMap<String, Line>, Instant) {
        let generation = tenant.generation();
        let mut running = Vec::new();
        for module in generation.modules.values() {
            for (name, declared) in &module.manifest.subscriptions {
                for source in Source::ALL.into_iter().filter(|source| source.feeds(declared)) {
                    let reader = source.reader(&module.manifest.name, name);
                    let line = lines.remove(&reader);
                    let line = line.unwrap_or_else(|| Line::new(source, reader));
                    let addressee = Addressee {
                        tenant: Arc::clone(tenant),
                        module: Arc::clone(module),
                        name: name.clone(),
                        declared: declared.clone(),
                    };
                    running.push(self.advance(addressee, Arc::clone(outlet), line));
                }
            }
        }
        // A subscription that is gone keeps its checkpoint, and goes on from there when it comes back.
        let mut next = Instant::now() + self.limits.look_every;
        let mut kept = HashMap::new();
        for line in join_all(running).await {
            next = next.min(line.due().unwrap_or(next));
            kept.insert(line.reader.clone(), line);
        }
        (kept, next)
    }

    async fn advance(
        self: &Arc<Self>,
        addressee: Addressee,
        outlet: Arc<dyn Outlet>,
        mut line: Line,
    ) -> Line {
        loop {
            let _step = addressee.tenant.handing_over.read().await;
            if addressee.tenant.check_open().is_err() || addressee.tenant.check_here().is_err() {
                return line;
            }
            match line.step(self, &addressee, &outlet).await {
                Ok(true) => {}
                Ok(false) => return line,
                Err(error) => {
                    let (tenant, reader) = (&addressee.tenant.id, &line.reader);
                    tracing::error!(%tenant, reader, %error, "a subscription makes no progress");
                    return line;
                }
            }
        }
    }

    /// Hands one event to its subscription, on a thread that may block.
    async fn hand_over(
        &self,
        to: &Addressee,
        outlet: &Arc<dyn Outlet>,
        event: &types::Event,
    ) -> Result<Outcome, CallError> {
        let closed = |_| CallError::Unavailable("the host is shutting down".to_owned());
        let _slot = self.slots.acquire().await.map_err(closed)?;
        let caller = to.tenant.caller().clone();
        let access = Access::Read(Arc::clone(&to.tenant.documents));
        let searching = Searching::Read(Arc::clone(&to.tenant.search));
        let keeping = Keeping::Write(Arc::clone(&to.tenant.blobs));
        let cache = &to.tenant.cache;
        let mut effects = to
            .module
            .effects(&caller.tenant, access, cache, searching, keeping, &self.calls);
        let speaker = Speaker {
            component: Arc::from(to.module.manifest.name.as_str()),
            user: event.origin.user.clone(),
            correlation_id: event.origin.correlation_id.clone(),
            causation_id: event.id.clone(),
            depth: 0,
        };
        let permissions = &to.module.manifest.permissions;
        effects
            .messaging
            .open(Arc::clone(outlet), speaker, permissions, Speech::Free);
        let context = context(&to.module, event);
        let (component, name, event) = (Arc::clone(&to.module.component), to.name.clone(), event.clone());
        let handled = blocking::on_own_thread(move || async move {
            component
                .handle(caller.tenant, effects, &name, &event, &context)
                .await
        });
        let handled = handled
            .await
            .unwrap_or_else(|| Err(CallError::Unavailable("the host is shutting down".to_owned())));
        metrics::counter!("millwork_deliveries_total").increment(1);
        handled
    }
}

fn context(module: &Module, event: &types::Event) -> types::Context {
    types::Context {
        now: now_ms(),
        origin: types::Origin {
            user: event.origin.user.clone(),
            correlation_id: event.origin.correlation_id.clone(),
            causation_id: event.id.clone(),
        },
        ids: Vec::new(),
        facts: "{}".to_owned(),
        numbers: Vec::new(),
        config: module.config.to_string(),
    }
}
