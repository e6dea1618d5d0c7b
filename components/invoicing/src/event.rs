//! What happens to invoices and to what clients owe. Recorded for ever: fields are added with a default, never renamed.

use millwork_sdk::money::{Currency, Decimal};
use millwork_sdk::timestamp::{Date, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::amounts::{Discount, Line, Rounding, Tax};

/// The events of `Invoice`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum Event {
    /// A draft was started.
    InvoiceCreated {
        /// Who is to pay.
        client_id: String,
        /// As it was then; drafts follow later changes in the read model.
        client_name: String,
        /// Of all amounts.
        currency: Currency,
        /// Where tax is rounded, by the configuration then.
        rounding: Rounding,
    },
    /// A line was added, with its amounts.
    LineItemAdded(LineItem),
    /// A line was taken away.
    LineItemRemoved {
        /// Which one.
        line_id: String,
    },
    /// The discount of the invoice or of a line is another one.
    DiscountApplied {
        /// The line; the whole invoice when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line_id: Option<String>,
        /// What was asked for.
        discount: Discount,
        /// What it comes to, for a line; for an invoice that depends on later lines.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line_discount: Option<Decimal>,
    },
    /// The invoice has its number and cannot change any more.
    InvoiceFinalized(InvoiceFinalized),
    /// Money was received.
    PaymentRecorded(PaymentRecorded),
    /// The invoice was taken back.
    InvoiceVoided {
        /// Who was to pay.
        client_id: String,
        /// Of `released`.
        currency: Currency,
        /// What is not owed any more; zero for a draft.
        released: Decimal,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
    },
}

/// A line with its amounts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LineItem {
    /// Unique within the invoice.
    pub id: String,
    /// The product, where there is one.
    #[serde(default)]
    pub product_id: Option<String>,
    /// The product's key, for people.
    #[serde(default)]
    pub sku: Option<String>,
    /// What is sold.
    pub description: String,
    /// How many.
    pub quantity: Decimal,
    /// Before tax; may have more digits than the currency.
    pub unit_price: Decimal,
    /// In percent.
    pub tax_rate: Decimal,
    /// The amount off; the invoice's own discount is not in it.
    pub discount: Decimal,
    /// How the discount was given, when as a percentage.
    #[serde(default)]
    pub discount_percent: Option<Decimal>,
    /// After the discount, before tax.
    pub total: Decimal,
}

impl LineItem {
    /// What sums and later decisions need of it.
    #[must_use]
    pub fn line(&self) -> Line {
        Line {
            id: self.id.clone(),
            tax_rate: self.tax_rate,
            discount: self.discount,
            discount_percent: self.discount_percent,
            total: self.total,
        }
    }

    /// See [`Line::set_discount`].
    pub fn set_discount(&mut self, discount: Discount, amount: Decimal) {
        let mut line = self.line();
        line.set_discount(discount, amount);
        self.discount = line.discount;
        self.discount_percent = line.discount_percent;
        self.total = line.total;
    }
}

/// All that an invoice says beside its lines, frozen.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvoiceFinalized {
    /// Without gaps within the year.
    pub invoice_number: String,
    /// Who is to pay.
    pub client_id: String,
    /// Name and billing address then.
    pub bill_to: BillTo,
    /// Of all amounts.
    pub currency: Currency,
    /// Where tax was rounded.
    pub rounding: Rounding,
    /// See [`Totals::subtotal`](crate::amounts::Totals::subtotal).
    pub subtotal: Decimal,
    /// Discounts of lines and of the invoice.
    pub discount_total: Decimal,
    /// Per rate, lowest first.
    pub taxes: Vec<Tax>,
    /// All taxes.
    pub tax_total: Decimal,
    /// To pay.
    pub grand_total: Decimal,
    /// When.
    pub issued_at: Timestamp,
    /// When it is to be paid.
    pub due_date: Date,
}

/// The client as it stands on the invoice.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BillTo {
    /// Name.
    pub name: String,
    /// Billing address, as the client module gave it; nothing here looks into it.
    pub address: Option<Box<RawValue>>,
}

/// Money received, and what is left to pay.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRecorded {
    /// The caller's key, or a fresh id.
    pub payment_id: String,
    /// Who paid.
    pub client_id: String,
    /// Of the amounts.
    pub currency: Currency,
    /// Received.
    pub amount: Decimal,
    /// How.
    pub method: String,
    /// When it was received.
    pub paid_at: Timestamp,
    /// Received so far, with this.
    pub amount_paid: Decimal,
    /// Left to pay.
    pub amount_due: Decimal,
}

/// The events of `ReceivablesAccount`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum AccountEvent {
    /// The client owes more.
    ReceivableRaised {
        /// By which invoice.
        invoice_id: String,
        /// Of the amount.
        currency: Currency,
        /// How much more.
        amount: Decimal,
    },
    /// The client has paid.
    ReceivableSettled {
        /// Which invoice.
        invoice_id: String,
        /// With which payment.
        payment_id: String,
        /// Of the amount.
        currency: Currency,
        /// How much less.
        amount: Decimal,
    },
    /// An invoice was taken back.
    ReceivableReleased {
        /// Which one.
        invoice_id: String,
        /// Of the amount.
        currency: Currency,
        /// How much less.
        amount: Decimal,
    },
}
