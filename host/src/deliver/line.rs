//! One line of one subscription: how far it has read, and which events wait for their turn.
//!
//! The checkpoint stands before the first event that waits. So a crash brings some events a second time and loses none.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use millwork_registry::manifest::published_event;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Addressee, DeliverError, Deliverer, Source};
use crate::bindings::subscriptions::exports::millwork::module::subscriptions::Outcome;
use crate::bindings::types;
use crate::capability::messaging::Outlet;
use crate::capability::messaging::bus::{Letter, LetterKind, Published};
use crate::capability::platform::now_ms;
use crate::engine::CallError;
use crate::engine::event::event_for_component;
use crate::event_store::Position;

/// Longest wait that a component may ask for, in milliseconds: a day.
const AFTER_MS_MAX: u32 = 86_400_000;

/// See the module.
pub(super) struct Line {
    source: Source,
    /// The name of its checkpoint.
    pub(super) reader: String,
    /// Where it was read to, and what was saved of that; nothing before the first step.
    at: Option<(Position, Position)>,
    waiting: BTreeMap<Position, Waiting>,
    /// Whether something was handed over since the checkpoint was saved.
    moved: bool,
}

struct Waiting {
    event: types::Event,
    attempts: u32,
    due: Instant,
}

/// An event that a component published, as it travels on the bus.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedEvent {
    /// The component.
    pub component: String,
    /// The event's name.
    pub name: String,
    /// The key that it was published under.
    pub key: String,
    /// When it was published, in milliseconds since 1970.
    pub recorded_at: u64,
    /// Who caused it.
    pub user: String,
    /// The same for all that one request causes.
    pub correlation_id: String,
    /// What led to it.
    pub causation_id: String,
    /// As the component gave it.
    pub data: Box<serde_json::value::RawValue>,
}

/// What one attempt came to.
enum Attempt {
    Done,
    Again {
        code: String,
        why: String,
        wait: Option<Duration>,
        counts: Counts,
    },
    Never {
        code: String,
        why: String,
    },
}

/// Whether an attempt counts: what the host could not do is not the component's fault.
#[derive(PartialEq, Eq)]
enum Counts {
    Yes,
    No,
}

impl Line {
    pub(super) fn new(source: Source, reader: String) -> Self {
        Self {
            source,
            reader,
            at: None,
            waiting: BTreeMap::new(),
            moved: false,
        }
    }

    /// When the next waiting event has its turn. What is held behind another of its aggregate has none before that one.
    pub(super) fn due(&self) -> Option<Instant> {
        let mut seen = HashSet::new();
        let mut soonest: Option<Instant> = None;
        for waiting in self.waiting.values() {
            if seen.insert((&waiting.event.of.aggregate, &waiting.event.of.id)) {
                soonest = Some(soonest.map_or(waiting.due, |soonest| soonest.min(waiting.due)));
            }
        }
        soonest
    }

    /// Reads a page, hands over what is due, and saves the checkpoint; whether there may be more to do at once.
    pub(super) async fn step(
        &mut self,
        deliverer: &Deliverer,
        to: &Addressee,
        outlet: &Arc<dyn Outlet>,
    ) -> Result<bool, DeliverError> {
        let (read, saved) = match self.at {
            Some(at) => at,
            None => {
                let kept = deliverer.bus.checkpoint(&to.tenant.id, &self.reader).await?;
                let Some(start) = kept else {
                    deliverer.begin(&to.tenant, [&to.module]).await?;
                    return Ok(true);
                };
                (start, start)
            }
        };
        self.at = Some((read, saved));
        let read_to = if self.waiting.len() < deliverer.limits.waiting_max {
            self.read(deliverer, to, read).await?
        } else {
            read
        };
        self.at = Some((read_to, saved));
        self.hand_over_due(deliverer, to, outlet).await;
        self.save(deliverer, to).await?;
        Ok(read_to > read)
    }

    /// Reads the next page; gives its end.
    async fn read(
        &mut self,
        deliverer: &Deliverer,
        to: &Addressee,
        after: Position,
    ) -> Result<Position, DeliverError> {
        let (tenant, limit) = (&to.tenant.id, deliverer.limits.page_events_max);
        let mut end = after;
        match self.source {
            Source::Feed => {
                for event in deliverer.events.feed(tenant, after, limit).await? {
                    end = event.position;
                    if to.wants(&event.of.module, &event.name) {
                        let event = event_for_component(&event, &to.module.manifest);
                        self.waiting.insert(end, Waiting::new(event));
                    }
                }
            }
            Source::Published => {
                for published in deliverer.bus.published(tenant, "plugin", after, limit).await? {
                    end = published.position;
                    if let Some(event) = to.published(&published) {
                        self.waiting.insert(end, Waiting::new(event));
                    }
                }
            }
        }
        Ok(end)
    }

    /// Hands over, in order, what is due and not behind another of its aggregate, until the tenant is closed.
    async fn hand_over_due(&mut self, deliverer: &Deliverer, to: &Addressee, outlet: &Arc<dyn Outlet>) {
        let positions: Vec<Position> = self.waiting.keys().copied().collect();
        let mut held: HashSet<(String, String)> = HashSet::new();
        for position in positions {
            if to.tenant.check_open().is_err() {
                return;
            }
            let Some(waiting) = self.waiting.get_mut(&position) else {
                continue;
            };
            let of = (waiting.event.of.aggregate.clone(), waiting.event.of.id.clone());
            if held.contains(&of) {
                continue;
            }
            if waiting.due > Instant::now() {
                held.insert(of);
                continue;
            }
            let handled = if to.module.check_admitted().is_err() {
                Err(CallError::Unavailable("the module is quarantined".to_owned()))
            } else {
                deliverer.hand_over(to, outlet, &waiting.event).await
            };
            if waiting.settle(deliverer, to, handled).await {
                self.waiting.remove(&position);
                self.moved = true;
            } else {
                held.insert(of);
            }
        }
    }

    async fn save(&mut self, deliverer: &Deliverer, to: &Addressee) -> Result<(), DeliverError> {
        let Some((read, saved)) = self.at else {
            return Ok(());
        };
        let safe = self
            .waiting
            .keys()
            .next()
            .map_or(read, |first| first.saturating_sub(1));
        let passed = safe.saturating_sub(saved);
        if passed > 0 && (self.moved || passed >= deliverer.limits.checkpoint_every) {
            let (bus, tenant) = (&deliverer.bus, &to.tenant.id);
            bus.keep_checkpoint(tenant, &self.reader, safe).await?;
            self.at = Some((read, safe));
            self.moved = !self.waiting.is_empty();
        }
        Ok(())
    }
}

impl Waiting {
    fn new(event: types::Event) -> Self {
        Self {
            event,
            attempts: 0,
            due: Instant::now(),
        }
    }

    /// Draws the consequence of an attempt; whether the event is out of the way.
    async fn settle(
        &mut self,
        deliverer: &Deliverer,
        to: &Addressee,
        handled: Result<Outcome, CallError>,
    ) -> bool {
        let (code, why) = match attempt(to, handled) {
            Attempt::Done => return true,
            Attempt::Again {
                code,
                why,
                wait,
                counts,
            } => {
                if counts == Counts::Yes {
                    self.attempts += 1;
                }
                if self.attempts < to.declared.attempts {
                    let wait = wait.unwrap_or_else(|| self.backoff(deliverer, to));
                    self.due = Instant::now() + wait;
                    return false;
                }
                (code, why)
            }
            Attempt::Never { code, why } => {
                self.attempts += 1;
                (code, why)
            }
        };
        let letter = to.letter(&self.event, code, why, self.attempts);
        let (tenant, addressee) = (&to.tenant.id, &letter.addressee);
        match deliverer.bus.bury(tenant, &letter).await {
            Ok(number) => {
                let (code, reason) = (&letter.code, &letter.reason);
                tracing::error!(%tenant, addressee, number, code, reason, "an event became a dead letter");
                metrics::counter!("millwork_dead_letters_total", "addressee" => addressee.clone())
                    .increment(1);
                true
            }
            Err(error) => {
                tracing::error!(%tenant, addressee, %error, "a dead letter could not be kept");
                self.due = Instant::now() + deliverer.limits.look_every;
                false
            }
        }
    }

    fn backoff(&self, deliverer: &Deliverer, to: &Addressee) -> Duration {
        let factor = 1_u32
            .checked_shl(self.attempts.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let first = Duration::from_millis(to.declared.backoff_ms.into());
        first.saturating_mul(factor).min(deliverer.limits.backoff_max)
    }
}

fn attempt(to: &Addressee, handled: Result<Outcome, CallError>) -> Attempt {
    match handled {
        Ok(outcome) => {
            to.module.poison.answered();
            match outcome {
                Outcome::Done => Attempt::Done,
                Outcome::Retry(delay) => Attempt::Again {
                    code: delay.reason.code,
                    why: delay.reason.message,
                    wait: delay
                        .after_ms
                        .map(|after| Duration::from_millis(after.min(AFTER_MS_MAX).into())),
                    counts: Counts::Yes,
                },
                Outcome::Reject(reason) => Attempt::Never {
                    code: reason.code,
                    why: reason.message,
                },
            }
        }
        Err(CallError::Unavailable(why)) => Attempt::Again {
            code: "unavailable".to_owned(),
            why,
            wait: Some(Duration::from_secs(1)),
            counts: Counts::No,
        },
        Err(error) => {
            let error = to.module.failed(&to.tenant.id, &to.name, error);
            Attempt::Again {
                code: error.code().to_owned(),
                why: error.to_string(),
                wait: None,
                counts: Counts::Yes,
            }
        }
    }
}

impl Addressee {
    /// `greeter.Welcome`.
    pub(super) fn label(&self) -> String {
        format!("{}.{}", self.module.manifest.name, self.name)
    }

    fn wants(&self, module: &str, name: &str) -> bool {
        let own = module == self.module.manifest.name;
        self.declared
            .events
            .iter()
            .filter(|wanted| published_event(wanted).is_none())
            .any(|wanted| match wanted.split_once('.') {
                Some((of, event)) => of == module && event == name,
                None => own && wanted == name,
            })
    }

    /// A published event as the component sees it, if it wants it. What was published under one key is one aggregate.
    fn published(&self, published: &Published) -> Option<types::Event> {
        let wanted = |wanted: &String| *wanted == published.message.subject;
        if !self.declared.events.iter().any(wanted) {
            return None;
        }
        let event: PublishedEvent = match serde_json::from_slice(&published.message.payload) {
            Ok(event) => event,
            Err(error) => {
                let (tenant, position) = (&self.tenant.id, published.position);
                tracing::error!(%tenant, position, %error, "a published event cannot be read and is passed over");
                return None;
            }
        };
        Some(types::Event {
            id: published.message.id.clone(),
            name: format!("plugin.{}.{}", event.component, event.name),
            of: types::SubjectId {
                aggregate: event.component,
                id: event.key,
            },
            version: published.position,
            recorded_at: event.recorded_at,
            origin: types::Origin {
                user: event.user,
                correlation_id: event.correlation_id,
                causation_id: event.causation_id,
            },
            data: String::from(Box::<str>::from(event.data)),
        })
    }

    fn letter(&self, event: &types::Event, code: String, reason: String, attempts: u32) -> Letter {
        Letter {
            addressee: self.label(),
            kind: LetterKind::Event,
            name: event.name.clone(),
            id: event.id.clone(),
            code,
            reason,
            attempts,
            buried_at: now_ms(),
            content: super::letters::content(event),
        }
    }
}
