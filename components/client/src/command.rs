//! What can be asked of a client. The manifest's schemas have checked lengths and forms before any of this is read.

use millwork_sdk::Patch;
use millwork_sdk::money::Decimal;
use serde::Deserialize;

use crate::event::{Address, CustomFields};

/// The commands of `Client`.
#[derive(Debug, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum Command {
    /// Starts a client.
    CreateClient(CreateClient),
    /// Changes what is mentioned and leaves the rest.
    UpdateClient(UpdateClient),
    /// Sets how much may be open at once.
    AssignCreditLimit {
        /// In the client's currency; none: without limit.
        credit_limit: Option<Decimal>,
    },
    /// Ends new business with the client; payments of what is open go on.
    DeactivateClient {},
}

/// A new client.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateClient {
    /// The tenant's own key for the client; unique, in capitals.
    pub code: String,
    /// As it is to stand on invoices.
    pub name: String,
    /// ISO 4217, for credit limit and balance; the configuration's `defaultCurrency` when absent.
    pub currency: Option<String>,
    /// Where invoices are mailed to.
    pub email: Option<String>,
    /// As people write it.
    pub phone: Option<String>,
    /// What stands on invoices.
    pub billing_address: Option<Address>,
    /// Where goods may go.
    #[serde(default)]
    pub shipping_addresses: Vec<Address>,
    /// Words to find clients by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The tenant's own fields.
    #[serde(default)]
    pub custom_fields: CustomFields,
}

/// A partial change; lists and custom fields are replaced whole.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateClient {
    /// Frees the old code.
    pub code: Option<String>,
    /// As it is to stand on invoices from now on.
    pub name: Option<String>,
    /// `null` clears it.
    #[serde(default)]
    pub email: Patch<String>,
    /// `null` clears it.
    #[serde(default)]
    pub phone: Patch<String>,
    /// `null` clears it.
    #[serde(default)]
    pub billing_address: Patch<Address>,
    /// All of them.
    pub shipping_addresses: Option<Vec<Address>>,
    /// All of them.
    pub tags: Option<Vec<String>>,
    /// All of them.
    pub custom_fields: Option<CustomFields>,
}
