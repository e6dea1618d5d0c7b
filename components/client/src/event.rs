//! What happens to clients. Recorded for ever: fields are added with a default, never renamed.

use millwork_sdk::Patch;
use millwork_sdk::money::{Currency, Decimal};
use serde::{Deserialize, Serialize};

/// The events of `Client`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum Event {
    /// A client was created.
    ClientCreated(ClientCreated),
    /// Some fields changed.
    ClientUpdated(ClientUpdated),
    /// The credit limit is another one.
    CreditLimitAssigned {
        /// With all digits of the client's currency; none: without limit.
        credit_limit: Option<Decimal>,
    },
    /// New business with the client has ended.
    ClientDeactivated {},
}

/// A client as it was created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientCreated {
    /// Of credit limit and balance; never changes.
    pub currency: Currency,
    /// Everything that [`ClientUpdated`] may change.
    #[serde(flatten)]
    pub profile: Profile,
}

/// The fields that describe a client.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// In capitals, without spaces around it.
    pub code: String,
    /// As it stands on invoices.
    pub name: String,
    /// Where invoices are mailed to.
    pub email: Option<String>,
    /// As people write it.
    pub phone: Option<String>,
    /// What stands on invoices.
    pub billing_address: Option<Address>,
    /// Where goods may go.
    pub shipping_addresses: Vec<Address>,
    /// Words to find clients by.
    pub tags: Vec<String>,
    /// The tenant's own fields.
    pub custom_fields: CustomFields,
}

/// What changed, and only that; `null` where a field was cleared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientUpdated {
    /// See [`Profile::code`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// See [`Profile::name`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// See [`Profile::email`].
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub email: Patch<String>,
    /// See [`Profile::phone`].
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub phone: Patch<String>,
    /// See [`Profile::billing_address`].
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub billing_address: Patch<Address>,
    /// See [`Profile::shipping_addresses`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_addresses: Option<Vec<Address>>,
    /// See [`Profile::tags`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// See [`Profile::custom_fields`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_fields: Option<CustomFields>,
}

/// Names and plain values (text, numbers, booleans) that the tenant chose.
pub type CustomFields = serde_json::Map<String, serde_json::Value>;

/// A postal address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// Street and number, lines separated by line feeds.
    pub street: String,
    /// City.
    pub city: String,
    /// ISO 3166-1, two letters.
    pub country: String,
    /// Where the country has one.
    #[serde(default)]
    pub postal_code: Option<String>,
}

impl Profile {
    /// Makes the change that an event tells of.
    pub fn change(&mut self, by: ClientUpdated) {
        set(&mut self.code, by.code);
        set(&mut self.name, by.name);
        by.email.apply(&mut self.email);
        by.phone.apply(&mut self.phone);
        by.billing_address.apply(&mut self.billing_address);
        set(&mut self.shipping_addresses, by.shipping_addresses);
        set(&mut self.tags, by.tags);
        set(&mut self.custom_fields, by.custom_fields);
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
