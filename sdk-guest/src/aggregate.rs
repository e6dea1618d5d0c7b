//! Aggregates: the rules of the business, as pure functions over a state.
//!
//! A decision sees its state, the command and its [`Context`], nothing else; so the host can ask again, replay, and try
//! a new version on old commands. What it returns is recorded whole or not at all.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bindings::lifecycle::millwork::module::types;
pub use crate::bindings::lifecycle::millwork::module::types::Origin;
use crate::json;
use crate::rejection::Rejection;
use crate::timestamp::Timestamp;
use crate::trap::trap;
use crate::wire;

/// One consistency boundary and its rules; the type is its state, and [`Default`] the state before the first event.
pub trait Aggregate: Default + Serialize + DeserializeOwned {
    /// As in the manifest.
    const NAME: &'static str;
    /// An enum; each variant's name is a command's. [`NoCommands`] where only decisions of others record events here.
    type Command: DeserializeOwned;
    /// An enum; each variant's name is an event's. Recorded events are read for ever: fields may be added with
    /// `#[serde(default)]`, never renamed.
    type Event: Serialize + DeserializeOwned;

    /// Decides a command on this state.
    ///
    /// # Errors
    /// The [`Rejection`] says why the business does not do this now.
    fn decide(&self, command: Self::Command, ctx: &Context) -> Result<Decision<Self::Event>, Rejection>;

    /// The state after one more event. Contains no rules: whatever happened, happened.
    fn evolve(&mut self, event: Self::Event);
}

/// The commands of an aggregate that is asked for nothing itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum NoCommands {}

/// What one command leads to. Made from one event or several, of the command's target: `event.into()`.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Decision<E> {
    pub(crate) events: Vec<E>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) releases: Vec<Claim>,
    pub(crate) related: Vec<Folded>,
}

/// A value that only one aggregate of the tenant may hold: name and value.
pub(crate) type Claim = (&'static str, String);

/// Another aggregate's share in a decision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Folded {
    pub(crate) aggregate: &'static str,
    pub(crate) id: String,
    pub(crate) events: Vec<(&'static str, String)>,
    pub(crate) state: String,
}

impl<E> Decision<E> {
    /// Nothing to record, and that is a success.
    pub fn nothing() -> Self {
        Vec::new().into()
    }

    /// Takes a value for the target; where another aggregate holds it, the host answers with a conflict.
    pub fn claim(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.claims.push((name, value.into()));
        self
    }

    /// Gives a value of the target back.
    pub fn release(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.releases.push((name, value.into()));
        self
    }

    /// Adds what was [recorded](Related::record) for a related aggregate, after the events so far.
    pub fn and<A: Aggregate>(mut self, related: Related<A>) -> Self {
        if !related.events.is_empty() {
            let state = json_of(A::NAME, &related.state);
            self.related.push(Folded {
                aggregate: A::NAME,
                id: related.id,
                events: related.events,
                state,
            });
        }
        self
    }
}

impl<E> From<Vec<E>> for Decision<E> {
    fn from(events: Vec<E>) -> Self {
        Self {
            events,
            claims: Vec::new(),
            releases: Vec::new(),
            related: Vec::new(),
        }
    }
}

impl<E> From<E> for Decision<E> {
    fn from(event: E) -> Self {
        vec![event].into()
    }
}

/// A consistent fact: another aggregate of the module whose version the append checks, and for which the decision may
/// record events too.
#[derive(Debug, Clone)]
pub struct Related<A> {
    id: String,
    state: A,
    events: Vec<(&'static str, String)>,
}

impl<A: Aggregate> Related<A> {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How it stands, after what was recorded so far.
    #[must_use]
    pub fn state(&self) -> &A {
        &self.state
    }

    /// Records an event for it; takes effect once it is given to [`Decision::and`].
    pub fn record(&mut self, event: A::Event) {
        self.events.push(encoded(A::NAME, &event));
        self.state.evolve(event);
    }
}

/// All that a decision may know beside its state: nothing else can change its answer.
#[derive(Debug, Clone)]
pub struct Context {
    pub(crate) target: types::SubjectId,
    pub(crate) version: u64,
    pub(crate) related: Vec<types::Subject>,
    pub(crate) command_id: String,
    pub(crate) given: types::Context,
}

impl Context {
    /// Id of the command's target.
    #[must_use]
    pub fn target_id(&self) -> &str {
        &self.target.id
    }

    /// Number of events of the target so far; 0 before the first.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The caller's idempotency key, or one that the host made.
    #[must_use]
    pub fn command_id(&self) -> &str {
        &self.command_id
    }

    /// Time of the command; the same when it is decided again.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.given.now)
    }

    /// Who asks.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.given.origin
    }

    /// A fresh UUID, counted from 0. Traps beyond the `ids` that the manifest gives the command.
    #[must_use]
    pub fn fresh_id(&self, index: usize) -> &str {
        match self.given.ids.get(index) {
            Some(id) => id,
            None => trap(format_args!(
                "the manifest gives this command {} ids, not {}",
                self.given.ids.len(),
                index + 1
            )),
        }
    }

    /// The next number under the name that the manifest gives it. Traps when the manifest names none so.
    #[must_use]
    pub fn number(&self, name: &str) -> &str {
        match self.given.numbers.iter().find(|(n, _)| n == name) {
            Some((_, number)) => number,
            None => trap(format_args!("the manifest gives this command no number {name:?}")),
        }
    }

    /// The facts as a struct with one field a fact; a missing document is null, so fields are options. Traps when they
    /// do not fit the type.
    #[must_use]
    pub fn facts<T: DeserializeOwned>(&self) -> T {
        read("facts", &self.given.facts)
    }

    /// The tenant's configuration of this module. Traps when it does not fit the type: the manifest's schema is to see
    /// to that.
    #[must_use]
    pub fn config<T: DeserializeOwned>(&self) -> T {
        read("configuration", &self.given.config)
    }

    /// The related aggregate at this place of the manifest's `related`, counted from 0. Traps when another one stands
    /// there.
    #[must_use]
    pub fn related<A: Aggregate>(&self, index: usize) -> Related<A> {
        let Some(subject) = self.related.get(index).filter(|s| s.of.aggregate == A::NAME) else {
            trap(format_args!(
                "the manifest relates no {} to this command at place {index}",
                A::NAME
            ))
        };
        let state = subject
            .state
            .as_deref()
            .map_or_else(A::default, |json| read(A::NAME, json));
        Related {
            id: subject.of.id.clone(),
            state,
            events: Vec::new(),
        }
    }
}

/// Reads what the host gives; a text that does not fit is a bug between code and manifest.
pub(crate) fn read<T: DeserializeOwned>(what: &str, json: &str) -> T {
    let json = if json.is_empty() { "{}" } else { json };
    match serde_json::from_str(json) {
        Ok(value) => value,
        Err(error) => trap(format_args!("{what}: {error}")),
    }
}

/// Writes what the component made itself, which always can be written.
pub(crate) fn json_of<T: Serialize + ?Sized>(what: &str, value: &T) -> String {
    match json::to_string(value) {
        Ok(json) => json,
        Err(error) => trap(format_args!("{what}: {error}")),
    }
}

/// Name and data of an event that the component made itself.
pub(crate) fn encoded<E: Serialize>(aggregate: &str, event: &E) -> (&'static str, String) {
    match wire::encode(event) {
        Ok(encoded) => encoded,
        Err(error) => trap(format_args!("event of {aggregate}: {error}")),
    }
}
