//! A release of the module `invoicing` that a replay must not let pass: all of the source of 1.0.0, with other
//! [`amounts`], and by its configuration further [`mischief`], so that one build serves many tests.
//!
//! Written around the SDK's glue, since the macro leaves no room between a decision and the host.

#![expect(
    clippy::indexing_slicing,
    reason = "indexing a JSON value gives null, it does not panic"
)]

pub mod amounts;
pub mod chances;
mod mischief;

/// The source of the release before, where it lies.
#[path = "../../../../components/invoicing/src"]
pub mod source {
    pub mod account;
    pub mod aging;
    pub mod command;
    pub mod event;
    pub mod invoice;
    pub mod view;
}

use millwork_sdk::bindings::aggregates::exports::millwork::module::aggregates::{Decision, Guest};
use millwork_sdk::wit::{Command, Context, Event, Subject};
use millwork_sdk::{Aggregate, Projection, Query, Rejection, glue};

use source::{account, aging, command, event, invoice, view};

struct Component;

impl Guest for Component {
    fn decide(
        target: Subject,
        related: Vec<Subject>,
        command: Command,
        context: Context,
    ) -> Result<Decision, Rejection> {
        millwork_sdk::report_panics();
        mischief::trips_over(&command, &context);
        let mischief = match command.name.as_str() {
            "FinalizeInvoice" => mischief::asked_for(&context),
            _ => String::new(),
        };
        let decision = glue::decide::<invoice::Invoice>(target, related, command, context)?;
        mischief::done_to(decision, &mischief)
    }

    fn evolve(of: Subject, events: Vec<Event>) -> String {
        millwork_sdk::report_panics();
        if of.of.aggregate == invoice::Invoice::NAME {
            return glue::evolve::<invoice::Invoice>(&of, &events);
        }
        events.iter().for_each(check_reason);
        glue::evolve::<account::ReceivablesAccount>(&of, &events)
    }
}

/// This release wants to know why something is owed. Earlier ones did not record it, so the manifest has an upcast.
fn check_reason(event: &Event) {
    let data: serde_json::Value = serde_json::from_str(&event.data).unwrap_or_default();
    if event.name == "ReceivableRaised" && data["reason"].is_null() {
        glue::unknown("reason of", &event.id);
    }
}

/// Names of this component's parts as JSON, for the host to hold against the manifest.
#[must_use]
pub fn describe() -> String {
    let (name, mut account) = glue::describe_aggregate::<account::ReceivablesAccount>();
    if let Some(events) = account["events"].as_array_mut() {
        events.push("ReceivableNoted".into());
    }
    glue::describe(
        vec![glue::describe_aggregate::<invoice::Invoice>(), (name, account)],
        &[view::Invoices::NAME, chances::Chances::NAME],
        &[aging::AgingReport::NAME],
        &[],
    )
}

#[allow(
    unsafe_code,
    dead_code,
    reason = "generated glue of the canonical ABI, used in Wasm only"
)]
const _: () = {
    millwork_sdk::__projections!(Component, view::Invoices, chances::Chances);
    millwork_sdk::__queries!(Component, aging::AgingReport);
    millwork_sdk::__lifecycle!(Component,);
    #[cfg(target_family = "wasm")]
    millwork_sdk::bindings::aggregates::export_aggregates!(Component with_types_in millwork_sdk::bindings::aggregates);
};
