//! The next minor release of the module `invoicing`: all of its source, and one more query, so that an upgrade can be
//! seen from outside. The rest of its manifest is that of the release before, too.

mod statuses;

/// The source of the release before, where it lies.
#[path = "../../../../components/invoicing/src"]
pub mod source {
    pub mod account;
    pub mod aging;
    pub mod amounts;
    pub mod command;
    pub mod event;
    pub mod invoice;
    pub mod view;
}

// It names its parts from the root of its crate.
use source::{account, aging, amounts, command, event, invoice, view};

millwork_sdk::module! {
    aggregates: [invoice::Invoice, account::ReceivablesAccount],
    projections: [view::Invoices],
    queries: [aging::AgingReport, statuses::StatusReport],
}
