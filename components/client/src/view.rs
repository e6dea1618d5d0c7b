//! The read model of clients, one document each: the views `ClientSummary` and `ClientDetail`.
//!
//! `currentBalance` follows the invoices of the module `invoicing` in the client's own currency; what is owed in others
//! is seen there only.

use millwork_sdk::money::{Currency, Decimal};
use millwork_sdk::timestamp::Timestamp;
use millwork_sdk::{Projection, Recorded, documents};
use serde::{Deserialize, Serialize};

use crate::event::{ClientCreated, Event, Profile};

/// Where the documents are.
const COLLECTION: &str = "clients";

/// Keeps `clients`.
pub struct Clients;

/// One client.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(flatten)]
    profile: Profile,
    currency: Currency,
    credit_limit: Option<Decimal>,
    current_balance: Decimal,
    status: Status,
    created_at: Timestamp,
    updated_at: Timestamp,
    version: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Active,
    Inactive,
}

/// What the module `invoicing` tells about money owed; its other fields are of no concern here.
#[derive(Debug, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
enum Owed {
    #[serde(rename = "invoicing.InvoiceFinalized")]
    InvoiceFinalized {
        client_id: String,
        currency: Currency,
        grand_total: Decimal,
    },
    #[serde(rename = "invoicing.PaymentRecorded")]
    PaymentRecorded {
        client_id: String,
        currency: Currency,
        amount: Decimal,
    },
    #[serde(rename = "invoicing.InvoiceVoided")]
    InvoiceVoided {
        client_id: String,
        currency: Currency,
        released: Decimal,
    },
}

impl Projection for Clients {
    const NAME: &'static str = "Clients";

    fn apply(event: &Recorded) -> Result<(), documents::Error> {
        match event.decode::<Event>() {
            Some(Event::ClientCreated(created)) => {
                documents::put(COLLECTION, event.aggregate_id(), &Document::new(created, event))
            }
            Some(own) => change(event.aggregate_id(), |client| client.follow(own, event)),
            None => owed(event),
        }
    }
}

impl Document {
    fn new(created: ClientCreated, event: &Recorded) -> Self {
        Self {
            profile: created.profile,
            currency: created.currency,
            credit_limit: None,
            current_balance: created.currency.zero(),
            status: Status::Active,
            created_at: event.recorded_at(),
            updated_at: event.recorded_at(),
            version: event.version(),
        }
    }

    fn follow(&mut self, change: Event, event: &Recorded) {
        match change {
            // It starts a document and never comes second.
            Event::ClientCreated(_) => {}
            Event::ClientUpdated(change) => self.profile.change(change),
            Event::CreditLimitAssigned { credit_limit } => self.credit_limit = credit_limit,
            Event::ClientDeactivated {} => self.status = Status::Inactive,
        }
        self.updated_at = event.recorded_at();
        self.version = event.version();
    }
}

fn owed(event: &Recorded) -> Result<(), documents::Error> {
    let (id, currency, by) = match event.decode::<Owed>() {
        Some(Owed::InvoiceFinalized {
            client_id,
            currency,
            grand_total,
        }) => (client_id, currency, grand_total),
        Some(Owed::PaymentRecorded {
            client_id,
            currency,
            amount,
        }) => (client_id, currency, -amount),
        Some(Owed::InvoiceVoided {
            client_id,
            currency,
            released,
        }) => (client_id, currency, -released),
        None => return Ok(()),
    };
    change(&id, |client| {
        if client.currency == currency {
            client.current_balance += by;
        }
    })
}

fn change(id: &str, by: impl FnOnce(&mut Document)) -> Result<(), documents::Error> {
    let Some(mut client) = documents::get::<Document>(COLLECTION, id)? else {
        return Ok(());
    };
    by(&mut client);
    documents::put(COLLECTION, id, &client)
}
