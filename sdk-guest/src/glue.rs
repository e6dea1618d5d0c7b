//! Between the exports of the WIT and the traits of this crate. [`crate::module!`] expands to calls of these, and
//! [`crate::testing`] calls them too, so that tests pass through the same code.

use serde_json::json;

use crate::aggregate::{Aggregate, Context, Folded, encoded, json_of, read};
use crate::bindings::aggregates::exports::millwork::module::aggregates::{Claim, Decision, NewEvent};
use crate::bindings::lifecycle::millwork::module::types::{self, Command, Event, Subject, SubjectId};
use crate::bindings::subscriptions::exports::millwork::module::subscriptions::Outcome;
use crate::log;
use crate::projection::{Projection, Recorded};
use crate::query::{Query, QueryContext, QueryError};
use crate::rejection::Rejection;
use crate::subscription::{Subscription, SubscriptionContext};
use crate::trap::trap;
use crate::wire;

/// Decides a command: reads it and the state, asks, and folds the new events for the states after them.
///
/// # Errors
/// The aggregate's rejection; a body that the schema lets pass and the command's type does not is one too.
pub fn decide<A: Aggregate>(
    target: Subject,
    related: Vec<Subject>,
    command: Command,
    given: types::Context,
) -> Result<Decision, Rejection> {
    let asked = match wire::decode::<A::Command>(&command.name, &command.data) {
        Ok(Some(asked)) => asked,
        Ok(None) => trap(format_args!("{} has no command {:?}", A::NAME, command.name)),
        Err(error) => {
            return Err(Rejection::invalid(
                "",
                "malformed",
                format!("The body does not fit: {error}."),
            ));
        }
    };
    let mut state: A = target
        .state
        .as_deref()
        .map_or_else(A::default, |json| read(A::NAME, json));
    let ctx = Context {
        target: target.of,
        version: target.version,
        related,
        command_id: command.id,
        given,
    };
    let decided = state.decide(asked, &ctx)?;

    let mut events = Vec::with_capacity(decided.events.len() + decided.related.len());
    let mut states = Vec::with_capacity(1 + decided.related.len());
    for event in decided.events {
        let (name, data) = encoded(A::NAME, &event);
        events.push(NewEvent {
            name: name.to_owned(),
            of: ctx.target.clone(),
            data,
        });
        state.evolve(event);
    }
    if !events.is_empty() {
        states.push((ctx.target, json_of(A::NAME, &state)));
    }
    for folded in decided.related {
        add(folded, &mut events, &mut states);
    }
    Ok(Decision {
        events,
        states,
        claims: claims(decided.claims),
        releases: claims(decided.releases),
    })
}

fn add(folded: Folded, events: &mut Vec<NewEvent>, states: &mut Vec<(SubjectId, String)>) {
    let of = SubjectId {
        aggregate: folded.aggregate.to_owned(),
        id: folded.id,
    };
    for (name, data) in folded.events {
        events.push(NewEvent {
            name: name.to_owned(),
            of: of.clone(),
            data,
        });
    }
    states.push((of, folded.state));
}

fn claims(claims: Vec<crate::aggregate::Claim>) -> Vec<Claim> {
    claims
        .into_iter()
        .map(|(name, value)| Claim {
            name: name.to_owned(),
            value,
        })
        .collect()
}

/// Folds events into a state. An event that only a newer version knows leaves it as it is, and says so in the log.
#[must_use]
pub fn evolve<A: Aggregate>(of: &Subject, events: &[Event]) -> String {
    let mut state: A = of
        .state
        .as_deref()
        .map_or_else(A::default, |json| read(A::NAME, json));
    for event in events {
        match wire::decode(&event.name, &event.data) {
            Ok(Some(known)) => state.evolve(known),
            Ok(None) => log::warn(&format!(
                "{} {} has an unknown event {:?}",
                A::NAME,
                of.of.id,
                event.name
            )),
            Err(error) => trap(format_args!(
                "{} {} of {} {}: {error}",
                event.name,
                event.version,
                A::NAME,
                of.of.id
            )),
        }
    }
    json_of(A::NAME, &state)
}

/// Applies events in order; an error ends the call, and the host tries it again.
pub fn apply<P: Projection>(events: Vec<Event>) {
    for event in events.into_iter().map(Recorded) {
        if let Err(error) = P::apply(&event) {
            trap(format_args!(
                "projection {} at {} of {}: {error}",
                P::NAME,
                event.name(),
                event.aggregate_id()
            ));
        }
    }
}

/// Answers a query.
///
/// # Errors
/// The query's rejection; parameters that the schema lets pass and the type does not are one too.
pub fn answer<Q: Query>(params: &str, given: types::Context) -> Result<String, Rejection> {
    let params = if params.is_empty() { "{}" } else { params };
    let params = serde_json::from_str(params).map_err(|error| {
        Rejection::invalid("", "malformed", format!("The parameters do not fit: {error}."))
    })?;
    match Q::answer(params, &QueryContext(given)) {
        Ok(answer) => Ok(json_of(Q::NAME, &answer)),
        Err(QueryError::Rejected(rejection)) => Err(rejection),
        Err(error) => trap(format_args!("query {}: {error}", Q::NAME)),
    }
}

/// Hands an event to a subscription.
#[must_use]
pub fn handle<S: Subscription>(event: Event, given: types::Context) -> Outcome {
    match S::handle(&Recorded(event), &SubscriptionContext(given)) {
        Ok(()) => Outcome::Done,
        Err(not_handled) => not_handled.into(),
    }
}

/// Ends a call for something the component does not have.
pub fn unknown(kind: &str, name: &str) -> ! {
    trap(format_args!("this component has no {kind} {name:?}"))
}

/// Names of an aggregate's commands and events, taken from its types.
#[must_use]
pub fn describe_aggregate<A: Aggregate>() -> (&'static str, serde_json::Value) {
    (
        A::NAME,
        json!({ "commands": wire::names::<A::Command>(), "events": wire::names::<A::Event>() }),
    )
}

/// See `lifecycle.describe` in the WIT.
#[must_use]
pub fn describe(
    aggregates: Vec<(&'static str, serde_json::Value)>,
    projections: &[&str],
    queries: &[&str],
    subscriptions: &[&str],
) -> String {
    let aggregates: serde_json::Map<_, _> = aggregates
        .into_iter()
        .map(|(name, of)| (name.to_owned(), of))
        .collect();
    json!({ "aggregates": aggregates, "projections": projections, "queries": queries, "subscriptions": subscriptions }).to_string()
}
