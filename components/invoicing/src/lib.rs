//! The module `invoicing`: invoices from draft to payment, and what each client owes.
//!
//! Start at [`invoice`] for the rules; [`account`] is the consistent fact that keeps credit limits, [`amounts`] the
//! arithmetic. [`command`] and [`event`] are the words they use, [`view`] the read model, [`aging`] the report.
//! `plugin.yaml` says how it is reached.

pub mod command;
pub mod event;
pub mod invoice;
pub mod amounts;
pub mod account;
pub mod view;
pub mod aging;
#[cfg(test)]
mod tests;

millwork_sdk::module! {
    aggregates: [invoice::Invoice, account::ReceivablesAccount],
    projections: [view::Invoices],
    queries: [aging::AgingReport],
}
