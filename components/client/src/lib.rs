//! The module `client`: billing parties, their addresses and their credit limits.
//!
//! Start at [`client`] for the rules; [`command`] and [`event`] are the words they use, [`view`] the read model.
//! `plugin.yaml` says how it is reached. Who owes what belongs to the module `invoicing`; the balance here is a copy.

pub mod command;
pub mod event;
pub mod client;
pub mod view;
#[cfg(test)]
mod tests;

millwork_sdk::module! {
    aggregates: [client::Client],
    projections: [view::Clients],
}
