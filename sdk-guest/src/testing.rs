//! Tests without a host: given, when, then for decisions, and a small memory in place of the host's capabilities.
//!
//! Native builds only. A decision runs through the same code as in the host, from JSON text to JSON text.

pub(crate) mod blobs;
pub(crate) mod memory;
pub(crate) mod search;
mod scenario;

use serde::Serialize;
use serde_json::Value;

pub use self::memory::{commands_sent, published, set_answer, set_now};
pub use self::scenario::{Scenario, given};
use crate::bindings::lifecycle::millwork::module::types::{Context, Event, Origin, SubjectId};
use crate::documents;
use crate::glue;
use crate::projection::{Projection, Recorded};
use crate::query::Query;
use crate::rejection::Rejection;
use crate::subscription::{NotHandled, Subscription, SubscriptionContext};
use crate::timestamp::Timestamp;

/// The time at which tests run unless they say otherwise: 2026-03-01T12:00:00Z.
pub const NOW: u64 = 1_772_366_400_000;

/// Feeds events to projections and puts questions, over documents in memory. One a test: a new one starts empty.
#[derive(Debug)]
pub struct ReadModels {
    versions: std::collections::HashMap<(String, String), u64>,
    now: u64,
    config: Value,
}

impl Default for ReadModels {
    fn default() -> Self {
        memory::clear();
        Self {
            versions: std::collections::HashMap::new(),
            now: NOW,
            config: Value::Object(serde_json::Map::new()),
        }
    }
}

impl ReadModels {
    /// Sets the time of the events and questions that follow.
    ///
    /// # Panics
    /// When the text is no time in RFC 3339.
    pub fn at(&mut self, time: &str) -> &mut Self {
        self.now = millis(time);
        memory::set_now(Timestamp::from_millis(self.now));
        self
    }

    /// Sets the tenant's configuration for the questions that follow.
    pub fn config(&mut self, config: Value) -> &mut Self {
        self.config = config;
        self
    }

    /// Applies an event of `aggregate` and `id`, as the next of its versions.
    ///
    /// # Panics
    /// When the projection fails.
    pub fn apply<P: Projection>(&mut self, of: (&str, &str), name: &str, data: Value) -> &mut Self {
        let version = self
            .versions
            .entry((of.0.to_owned(), of.1.to_owned()))
            .or_default();
        *version += 1;
        let event = event(of, *version, self.now, name, &data.to_string());
        glue::apply::<P>(vec![event]);
        self
    }

    /// Hands an event of `aggregate` and `id` to a subscription; [`published`] and [`commands_sent`] say what it did.
    ///
    /// # Errors
    /// What the subscription gives.
    pub fn hand<S: Subscription>(
        &self,
        of: (&str, &str),
        name: &str,
        data: &Value,
    ) -> Result<(), NotHandled> {
        let event = event(of, 1, self.now, name, &data.to_string());
        let ctx = context(self.now, "{}", &self.config, &[], &[]);
        S::handle(&Recorded(event), &SubscriptionContext(ctx))
    }

    /// Answers a query, through JSON as in the host.
    ///
    /// # Errors
    /// The query's rejection.
    ///
    /// # Panics
    /// When the query fails otherwise.
    pub fn ask<Q: Query>(&self, params: &Value) -> Result<Value, Rejection> {
        let answer = glue::answer::<Q>(
            &params.to_string(),
            context(self.now, "{}", &self.config, &[], &[]),
        )?;
        Ok(serde_json::from_str(&answer).unwrap_or_else(|error| fail(&format!("answer: {error}"))))
    }

    /// One document as it stands, or null.
    ///
    /// # Panics
    /// When the memory cannot give it.
    #[must_use]
    pub fn document(&self, collection: &str, id: &str) -> Value {
        match documents::get(collection, id) {
            Ok(document) => document.unwrap_or(Value::Null),
            Err(error) => fail(&error.to_string()),
        }
    }
}

/// Name and data of an event made from its type, to give to [`ReadModels::apply`].
///
/// # Panics
/// When it cannot be written.
pub fn event_json<E: Serialize>(event: &E) -> (&'static str, Value) {
    let (name, data) = crate::aggregate::encoded("event", event);
    (
        name,
        serde_json::from_str(&data).unwrap_or_else(|error| fail(&format!("{name}: {error}"))),
    )
}

fn event(of: (&str, &str), version: u64, recorded_at: u64, name: &str, data: &str) -> Event {
    Event {
        id: format!("event-{}-{version}", of.1),
        name: name.to_owned(),
        of: SubjectId {
            aggregate: of.0.to_owned(),
            id: of.1.to_owned(),
        },
        version,
        recorded_at,
        origin: origin(),
        data: data.to_owned(),
    }
}

fn context(now: u64, facts: &str, config: &Value, ids: &[String], numbers: &[(String, String)]) -> Context {
    Context {
        now,
        origin: origin(),
        ids: ids.to_vec(),
        facts: facts.to_owned(),
        numbers: numbers.to_vec(),
        config: config.to_string(),
    }
}

fn origin() -> Origin {
    Origin {
        user: "tester".to_owned(),
        correlation_id: "correlation".to_owned(),
        causation_id: "command".to_owned(),
    }
}

fn millis(time: &str) -> u64 {
    match time.parse::<Timestamp>() {
        Ok(time) => time.millis(),
        Err(error) => fail(&format!("{time:?}: {error}")),
    }
}

#[expect(clippy::panic, reason = "how a test fails")]
#[track_caller]
fn fail(message: &str) -> ! {
    panic!("{message}")
}
