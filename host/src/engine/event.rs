//! Recorded events in the form that components take.

use millwork_registry::manifest::Manifest;

use crate::bindings::types;
use crate::event_store::Recorded;

/// An event as the component of `manifest` sees it: its own with what its upcasts add; another module's as it was
/// recorded, under that module's name.
#[must_use]
pub fn event_for_component(event: &Recorded, manifest: &Manifest) -> types::Event {
    let own = event.of.module == manifest.name;
    let declared = manifest.aggregates.get(&event.of.aggregate).filter(|_| own);
    let upcast = declared.and_then(|declared| declared.upcast(&event.name, &event.data));
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
        data: upcast.unwrap_or_else(|| event.data.to_string()),
    }
}
