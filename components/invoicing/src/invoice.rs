//! The rules of an invoice.
//!
//! A draft is free to edit. Finalising gives it a number, freezes party, lines and taxes, and raises what the client
//! owes in the same decision; after that only payments follow, or, while nothing is paid, voiding. A number that was
//! used stays used.

mod draft;
mod open;

use millwork_sdk::money::{Currency, Decimal};
use millwork_sdk::{Aggregate, Context, Decision, Rejection};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::amounts::{Discount, Line, Rounding};
use crate::command::Command;
use crate::event::Event;

/// An invoice as far as decisions need it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invoice {
    /// The manifest refers to it: `/state/clientId`.
    client_id: String,
    /// Absent before the first event only.
    currency: Option<Currency>,
    rounding: Rounding,
    status: Status,
    lines: Vec<Line>,
    discount: Option<Discount>,
    number: Option<String>,
    grand_total: Decimal,
    amount_paid: Decimal,
    payments: Vec<Payment>,
}

/// Where an invoice is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Free to edit.
    #[default]
    Draft,
    /// Numbered, nothing paid.
    Finalized,
    /// Something paid.
    Partial,
    /// Nothing left to pay.
    Paid,
    /// Taken back.
    Voided,
}

impl Status {
    /// Of a numbered invoice that is not voided.
    #[must_use]
    pub fn by_payment(paid: Decimal, due: Decimal) -> Self {
        match (paid.is_zero(), due.is_zero()) {
            (_, true) => Self::Paid,
            (true, false) => Self::Finalized,
            (false, false) => Self::Partial,
        }
    }
}

/// A payment as far as it must not be recorded twice.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payment {
    payment_id: String,
    amount: Decimal,
    method: String,
}

/// What the tenant decides about all invoices.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    payment_term_days: u32,
    rounding: Rounding,
}

/// Facts of the commands that need to know the client.
#[derive(Debug, Deserialize)]
struct Facts {
    client: Option<Client>,
}

/// What the module `client` says about who is to pay.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Client {
    name: String,
    status: String,
    currency: Currency,
    #[serde(default)]
    credit_limit: Option<Decimal>,
    #[serde(default)]
    billing_address: Option<Box<RawValue>>,
}

impl Client {
    /// The client that a command names, if it may get new invoices.
    fn active(id: &str, ctx: &Context) -> Result<Self, Rejection> {
        let Some(client) = ctx.facts::<Facts>().client else {
            return Err(Rejection::not_found(
                "client-not-found",
                format!("There is no client {id}."),
            ));
        };
        if client.status == "active" {
            return Ok(client);
        }
        let message = format!(
            "Client {} is {} and gets no new invoices.",
            client.name, client.status
        );
        Err(Rejection::conflict("client-inactive", message))
    }
}

impl Aggregate for Invoice {
    const NAME: &'static str = "Invoice";
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, ctx: &Context) -> Result<Decision<Event>, Rejection> {
        if let Command::CreateInvoice { client_id, currency } = command {
            return draft::create(client_id, currency, ctx);
        }
        let Some(currency) = self.currency else {
            let message = format!("There is no invoice {}.", ctx.target_id());
            return Err(Rejection::not_found("invoice-not-found", message));
        };
        match command {
            // Answered above.
            Command::CreateInvoice { .. } => Ok(Decision::nothing()),
            Command::AddLineItem(line) => self.add_line(line, currency, ctx),
            Command::RemoveLineItem { line_id } => self.remove_line(&line_id, currency),
            Command::ApplyDiscount {
                line_id,
                percent,
                amount,
            } => self.apply_discount(line_id, draft::one_of(percent, amount)?, currency),
            Command::FinalizeInvoice { due_date } => self.finalize(due_date, currency, ctx),
            Command::RecordPayment(payment) => self.record_payment(payment, currency, ctx),
            Command::VoidInvoice { reason } => self.void(reason, currency, ctx),
        }
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::InvoiceCreated {
                client_id,
                currency,
                rounding,
                ..
            } => {
                self.client_id = client_id;
                self.currency = Some(currency);
                self.rounding = rounding;
            }
            Event::LineItemAdded(item) => self.lines.push(item.line()),
            Event::LineItemRemoved { line_id } => self.lines.retain(|line| line.id != line_id),
            Event::DiscountApplied {
                line_id: None,
                discount,
                ..
            } => self.discount = Some(discount),
            Event::DiscountApplied {
                line_id: Some(id),
                discount,
                line_discount,
            } => {
                if let Some(line) = self.lines.iter_mut().find(|line| line.id == id) {
                    line.set_discount(discount, line_discount.unwrap_or_default());
                }
            }
            Event::InvoiceFinalized(finalized) => {
                self.number = Some(finalized.invoice_number);
                self.grand_total = finalized.grand_total;
                self.status = Status::by_payment(Decimal::ZERO, self.grand_total);
            }
            Event::PaymentRecorded(paid) => {
                self.amount_paid = paid.amount_paid;
                self.status = Status::by_payment(paid.amount_paid, paid.amount_due);
                let payment = Payment {
                    payment_id: paid.payment_id,
                    amount: paid.amount,
                    method: paid.method,
                };
                self.payments.push(payment);
            }
            Event::InvoiceVoided { .. } => self.status = Status::Voided,
        }
    }
}

impl Invoice {
    /// How people call it.
    fn called(&self) -> String {
        self.number
            .as_ref()
            .map_or_else(|| "This invoice".to_owned(), |number| format!("Invoice {number}"))
    }
}
