//! The read model of invoices, one document each: the views `InvoiceList` and `InvoiceDetail`.
//!
//! Drafts show what they would come to, by the arithmetic that finalising uses, and follow their client's name; a
//! finalised invoice shows what its event froze.

use millwork_sdk::money::{Currency, Decimal};
use millwork_sdk::timestamp::{Date, Timestamp};
use millwork_sdk::{Projection, Recorded, documents};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::amounts::{self, Discount, Line, Rounding, Tax, Totals};
use crate::event::{BillTo, Event, InvoiceFinalized, LineItem, PaymentRecorded};
use crate::invoice::Status;

/// Where the documents are.
pub(crate) const COLLECTION: &str = "invoices";

/// Keeps `invoices`.
pub struct Invoices;

/// One invoice.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    invoice_number: Option<String>,
    client_id: String,
    client_name: String,
    bill_to: Option<BillTo>,
    status: Status,
    line_items: Vec<LineItem>,
    discount: Option<Discount>,
    rounding: Rounding,
    subtotal: Decimal,
    discount_total: Decimal,
    taxes: Vec<Tax>,
    tax_total: Decimal,
    grand_total: Decimal,
    amount_paid: Decimal,
    amount_due: Decimal,
    currency: Currency,
    due_date: Option<Date>,
    issued_at: Option<Timestamp>,
    paid_at: Option<Timestamp>,
    payments: Vec<Payment>,
    created_at: Timestamp,
    updated_at: Timestamp,
    version: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payment {
    payment_id: String,
    amount: Decimal,
    method: String,
    paid_at: Timestamp,
}

/// What the module `client` tells; its other fields are of no concern here.
#[derive(Debug, Deserialize)]
enum ClientEvent {
    #[serde(rename = "client.ClientUpdated")]
    Updated {
        /// Absent when the name did not change.
        #[serde(default)]
        name: Option<String>,
    },
}

impl Projection for Invoices {
    const NAME: &'static str = "Invoices";

    fn apply(event: &Recorded) -> Result<(), documents::Error> {
        let id = event.aggregate_id();
        match event.decode::<Event>() {
            Some(Event::InvoiceCreated {
                client_id,
                client_name,
                currency,
                rounding,
            }) => {
                let draft = Document::draft(client_id, client_name, (currency, rounding), event);
                documents::put(COLLECTION, id, &draft)
            }
            Some(own) => follow(id, own, event),
            None => match event.decode() {
                Some(ClientEvent::Updated { name: Some(name) }) => rename_drafts(id, &name),
                _ => Ok(()),
            },
        }
    }
}

fn follow(id: &str, own: Event, event: &Recorded) -> Result<(), documents::Error> {
    let Some(mut invoice) = documents::get::<Document>(COLLECTION, id)? else {
        return Ok(());
    };
    invoice.follow(own);
    invoice.updated_at = event.recorded_at();
    invoice.version = event.version();
    documents::put(COLLECTION, id, &invoice)
}

/// A numbered invoice keeps the name it was issued to.
fn rename_drafts(client_id: &str, name: &str) -> Result<(), documents::Error> {
    #[derive(Deserialize)]
    struct Found {
        #[serde(rename = "_id")]
        id: String,
    }
    let mut drafts = Vec::new();
    // Read to the end before the first write, so that writing cannot move the pages.
    documents::find(COLLECTION)
        .filter(&json!({ "clientId": client_id, "status": "draft" }))
        .fields(&["_id"])
        .each(|Found { id }| drafts.push(id))?;
    for id in drafts {
        documents::update(COLLECTION, &id, &json!({ "$set": { "clientName": name } }))?;
    }
    Ok(())
}

impl Document {
    fn draft(
        client_id: String,
        client_name: String,
        (currency, rounding): (Currency, Rounding),
        event: &Recorded,
    ) -> Self {
        let zero = currency.zero();
        Self {
            invoice_number: None,
            client_id,
            client_name,
            bill_to: None,
            status: Status::Draft,
            line_items: Vec::new(),
            discount: None,
            rounding,
            subtotal: zero,
            discount_total: zero,
            taxes: Vec::new(),
            tax_total: zero,
            grand_total: zero,
            amount_paid: zero,
            amount_due: zero,
            currency,
            due_date: None,
            issued_at: None,
            paid_at: None,
            payments: Vec::new(),
            created_at: event.recorded_at(),
            updated_at: event.recorded_at(),
            version: event.version(),
        }
    }

    fn follow(&mut self, event: Event) {
        match event {
            // It starts a document and never comes second.
            Event::InvoiceCreated { .. } => {}
            Event::LineItemAdded(item) => {
                self.line_items.push(item);
                self.sum_up();
            }
            Event::LineItemRemoved { line_id } => {
                self.line_items.retain(|line| line.id != line_id);
                self.sum_up();
            }
            Event::DiscountApplied {
                line_id,
                discount,
                line_discount,
            } => {
                self.set_discount(line_id.as_deref(), discount, line_discount);
                self.sum_up();
            }
            Event::InvoiceFinalized(finalized) => self.finalize(finalized),
            Event::PaymentRecorded(payment) => self.pay(payment),
            Event::InvoiceVoided { .. } => {
                self.status = Status::Voided;
                self.amount_due = self.currency.zero();
            }
        }
    }

    fn set_discount(&mut self, line_id: Option<&str>, discount: Discount, line_discount: Option<Decimal>) {
        let Some(id) = line_id else {
            self.discount = Some(discount);
            return;
        };
        if let Some(line) = self.line_items.iter_mut().find(|line| line.id == id) {
            line.set_discount(discount, line_discount.unwrap_or_default());
        }
    }

    /// Decisions keep every draft such that it can be summed up; one that cannot keeps the last sums.
    fn sum_up(&mut self) {
        let lines: Vec<Line> = self.line_items.iter().map(LineItem::line).collect();
        if let Ok(totals) = amounts::totals(&lines, self.discount, self.currency, self.rounding) {
            self.set_totals(totals);
        }
    }

    fn set_totals(&mut self, totals: Totals) {
        self.subtotal = totals.subtotal;
        self.discount_total = totals.discount_total;
        self.taxes = totals.taxes;
        self.tax_total = totals.tax_total;
        self.grand_total = totals.grand_total;
    }

    fn finalize(&mut self, finalized: InvoiceFinalized) {
        self.set_totals(Totals {
            subtotal: finalized.subtotal,
            discount_total: finalized.discount_total,
            taxes: finalized.taxes,
            tax_total: finalized.tax_total,
            grand_total: finalized.grand_total,
        });
        self.amount_due = self.grand_total;
        self.status = Status::by_payment(self.amount_paid, self.amount_due);
        self.paid_at = (self.status == Status::Paid).then_some(finalized.issued_at);
        self.invoice_number = Some(finalized.invoice_number);
        self.client_name.clone_from(&finalized.bill_to.name);
        self.bill_to = Some(finalized.bill_to);
        self.rounding = finalized.rounding;
        self.issued_at = Some(finalized.issued_at);
        self.due_date = Some(finalized.due_date);
    }

    fn pay(&mut self, payment: PaymentRecorded) {
        self.amount_paid = payment.amount_paid;
        self.amount_due = payment.amount_due;
        self.status = Status::by_payment(self.amount_paid, self.amount_due);
        self.paid_at = (self.status == Status::Paid).then_some(payment.paid_at);
        self.payments.push(Payment {
            payment_id: payment.payment_id,
            amount: payment.amount,
            method: payment.method,
            paid_at: payment.paid_at,
        });
    }
}
