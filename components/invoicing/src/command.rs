//! What can be asked of an invoice. The manifest's schemas have checked lengths and forms before any of this is read.

use millwork_sdk::money::Decimal;
use millwork_sdk::timestamp::{Date, Timestamp};
use serde::Deserialize;

use crate::amounts::Discount;

/// The commands of `Invoice`.
#[derive(Debug, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum Command {
    /// Starts a draft.
    CreateInvoice {
        /// Who is to pay.
        client_id: String,
        /// ISO 4217; the client's when absent.
        currency: Option<String>,
    },
    /// Adds a line to a draft.
    AddLineItem(NewLine),
    /// Takes a line from a draft.
    RemoveLineItem {
        /// Which one.
        line_id: String,
    },
    /// Sets the discount of a draft or of one of its lines, in place of the one before.
    ApplyDiscount {
        /// The line; the whole invoice when absent.
        line_id: Option<String>,
        /// Of the line's amount, or of the sum of lines before tax. This or `amount`.
        percent: Option<Decimal>,
        /// In the invoice's currency, before tax.
        amount: Option<Decimal>,
    },
    /// Gives a draft its number, and makes it unchangeable.
    FinalizeInvoice {
        /// When it is to be paid; counted by the configured term when absent.
        due_date: Option<Date>,
    },
    /// Records money received for the invoice.
    RecordPayment(NewPayment),
    /// Takes an invoice back for which nothing was paid. Its number stays used.
    VoidInvoice {
        /// Why, for the record.
        reason: Option<String>,
    },
}

/// A line to add.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewLine {
    /// The product, where there is one.
    pub product_id: Option<String>,
    /// The product's key, for people.
    pub sku: Option<String>,
    /// What is sold.
    pub description: String,
    /// How many; not zero.
    pub quantity: Decimal,
    /// Before tax, in the invoice's currency; may have more digits than that.
    pub unit_price: Decimal,
    /// In percent.
    pub tax_rate: Decimal,
    /// For this line.
    pub discount: Option<Discount>,
}

/// Money received.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewPayment {
    /// In the invoice's currency; not zero.
    pub amount: Decimal,
    /// How it was paid.
    pub method: String,
    /// The caller's key: the same payment is recorded once. A fresh one when absent.
    pub payment_id: Option<String>,
    /// When it was received; now when absent.
    pub paid_at: Option<Timestamp>,
}
