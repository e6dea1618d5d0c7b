//! What one client owes: the consistent fact behind credit limits. Its id is the client's.
//!
//! Invoices record here in the same append as their own events, and the append checks this account's version; so two
//! invoices that are finalised at once cannot both take the last of a limit.

use std::collections::BTreeMap;

use millwork_sdk::money::{Currency, Decimal};
use millwork_sdk::{Aggregate, Context, Decision, NoCommands, Rejection};
use serde::{Deserialize, Serialize};

use crate::event::AccountEvent;

/// What is open.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ReceivablesAccount {
    /// Finalised and not yet paid, per currency.
    exposure: BTreeMap<Currency, Decimal>,
}

impl ReceivablesAccount {
    /// What is finalised and not yet paid in a currency.
    #[must_use]
    pub fn exposure(&self, currency: Currency) -> Decimal {
        self.exposure
            .get(&currency)
            .copied()
            .unwrap_or_else(|| currency.zero())
    }

    fn add(&mut self, currency: Currency, amount: Decimal) {
        *self.exposure.entry(currency).or_insert_with(|| currency.zero()) += amount;
    }
}

impl Aggregate for ReceivablesAccount {
    const NAME: &'static str = "ReceivablesAccount";
    type Command = NoCommands;
    type Event = AccountEvent;

    fn decide(&self, command: NoCommands, _: &Context) -> Result<Decision<AccountEvent>, Rejection> {
        match command {}
    }

    fn evolve(&mut self, event: AccountEvent) {
        match event {
            AccountEvent::ReceivableRaised { currency, amount, .. } => self.add(currency, amount),
            AccountEvent::ReceivableSettled { currency, amount, .. }
            | AccountEvent::ReceivableReleased { currency, amount, .. } => self.add(currency, -amount),
        }
    }
}
