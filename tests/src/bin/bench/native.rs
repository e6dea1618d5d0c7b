//! The same deciders without a sandbox: the module's crate, through the function that the component's export calls.

use invoicing::invoice::Invoice;
use millwork_host::bindings::types as host;
use millwork_host::engine::component::Asked;
use millwork_sdk::bindings::aggregates::exports::millwork::module::aggregates::Decision;
use millwork_sdk::{Rejection, glue, wit};

/// What `decide` takes, in the guest's types.
#[derive(Clone)]
pub(crate) struct Input {
    target: wit::Subject,
    related: Vec<wit::Subject>,
    command: wit::Command,
    context: wit::Context,
}

impl Input {
    /// The same input.
    pub(crate) fn of(asked: &Asked) -> Self {
        let Asked {
            target,
            related,
            command,
            context,
        } = asked.clone();
        Self {
            target: subject(target),
            related: related.into_iter().map(subject).collect(),
            command: wit::Command {
                id: command.id,
                name: command.name,
                data: command.data,
            },
            context: wit::Context {
                now: context.now,
                origin: origin(context.origin),
                ids: context.ids,
                facts: context.facts,
                numbers: context.numbers,
                config: context.config,
            },
        }
    }
}

/// Decides, from texts to texts.
pub(crate) fn decide(input: Input) -> Result<Decision, Rejection> {
    glue::decide::<Invoice>(input.target, input.related, input.command, input.context)
}

/// Folds, from texts to a text.
pub(crate) fn evolve(of: &wit::Subject, events: &[wit::Event]) -> String {
    glue::evolve::<Invoice>(of, events)
}

/// A history in the guest's types.
pub(crate) fn history(of: host::Subject, events: Vec<host::Event>) -> (wit::Subject, Vec<wit::Event>) {
    (subject(of), events.into_iter().map(event).collect())
}

fn event(event: host::Event) -> wit::Event {
    wit::Event {
        id: event.id,
        name: event.name,
        of: subject_id(event.of),
        version: event.version,
        recorded_at: event.recorded_at,
        origin: origin(event.origin),
        data: event.data,
    }
}

fn subject(subject: host::Subject) -> wit::Subject {
    wit::Subject {
        of: subject_id(subject.of),
        version: subject.version,
        state: subject.state,
    }
}

fn subject_id(id: host::SubjectId) -> wit::SubjectId {
    wit::SubjectId {
        aggregate: id.aggregate,
        id: id.id,
    }
}

fn origin(origin: host::Origin) -> wit::Origin {
    wit::Origin {
        user: origin.user,
        correlation_id: origin.correlation_id,
        causation_id: origin.causation_id,
    }
}
