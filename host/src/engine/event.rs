//! Recorded events in the form that components take.

use crate::bindings::types;
use crate::event_store::Recorded;

/// An event as components see it: another module's carries that module's name.
#[must_use]
pub fn event_for_component(event: &Recorded, module: &str) -> types::Event {
    let own = event.of.module == module;
    types::Event {
        id: event.id.clone(),
        name: if own {
            event.name.clone()
        } else {
            format!("{}.{}", event.of.module, event.name)
        },
        of: types::SubjectId {
            aggregate: event.of.aggregate.clone(),
            id: event.of.id.clone(),
        },
        version: event.version,
        recorded_at: event.recorded_at,
        origin: types::Origin {
            user: event.origin.user.clone(),
            correlation_id: event.origin.correlation_id.clone(),
            causation_id: event.origin.causation_id.clone(),
        },
        data: event.data.to_string(),
    }
}
