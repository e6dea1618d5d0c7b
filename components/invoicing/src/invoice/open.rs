//! What happens to a numbered invoice: payments, and voiding.

use millwork_sdk::money::{Currency, Decimal};
use millwork_sdk::{Context, Decision, Rejection};

use super::{Invoice, Status};
use crate::account::ReceivablesAccount;
use crate::command::NewPayment;
use crate::event::{AccountEvent, Event, PaymentRecorded};

/// Most payments of an invoice, so that its state stays small enough to pass with every command.
const PAYMENTS_MAX: usize = 500;

impl Invoice {
    pub(super) fn record_payment(
        &self,
        new: NewPayment,
        currency: Currency,
        ctx: &Context,
    ) -> Result<Decision<Event>, Rejection> {
        if matches!(self.status, Status::Draft | Status::Voided) {
            let message = format!("{} is not open for payments.", self.called());
            return Err(Rejection::conflict("invoice-not-open", message));
        }
        let amount = payable(new.amount, currency)?;
        if let Some(id) = new.payment_id.as_deref()
            && self.has_recorded(id, amount, &new.method)?
        {
            return Ok(Decision::nothing());
        }
        let due = self.grand_total - self.amount_paid;
        if amount > due {
            let message = format!("{amount} {currency} is more than the {due} {currency} that are due.");
            return Err(Rejection::conflict("payment-exceeds-due", message));
        }
        if self.payments.len() >= PAYMENTS_MAX {
            let message = format!("An invoice has at most {PAYMENTS_MAX} payments.");
            return Err(Rejection::conflict("too-many-payments", message));
        }
        let paid_at = new.paid_at.unwrap_or_else(|| ctx.now());
        if paid_at > ctx.now() {
            return Err(Rejection::invalid(
                "/paidAt",
                "paid-in-future",
                "A payment was received before it is recorded.",
            ));
        }
        let payment_id = new.payment_id.unwrap_or_else(|| ctx.fresh_id(0).to_owned());

        let mut account = ctx.related::<ReceivablesAccount>(0);
        account.record(AccountEvent::ReceivableSettled {
            invoice_id: ctx.target_id().to_owned(),
            payment_id: payment_id.clone(),
            currency,
            amount,
        });
        let recorded = PaymentRecorded {
            payment_id,
            client_id: self.client_id.clone(),
            currency,
            amount,
            method: new.method,
            paid_at,
            amount_paid: self.amount_paid + amount,
            amount_due: due - amount,
        };
        Ok(Decision::from(Event::PaymentRecorded(recorded)).and(account))
    }

    pub(super) fn void(
        &self,
        reason: Option<String>,
        currency: Currency,
        ctx: &Context,
    ) -> Result<Decision<Event>, Rejection> {
        if self.status == Status::Voided {
            return Err(Rejection::conflict(
                "invoice-voided",
                format!("{} is voided already.", self.called()),
            ));
        }
        if !self.payments.is_empty() {
            let message = format!("{} has payments and cannot be voided.", self.called());
            return Err(Rejection::conflict("invoice-has-payments", message));
        }
        let released = if self.status == Status::Draft {
            currency.zero()
        } else {
            self.grand_total
        };
        let mut account = ctx.related::<ReceivablesAccount>(0);
        if !released.is_zero() {
            account.record(AccountEvent::ReceivableReleased {
                invoice_id: ctx.target_id().to_owned(),
                currency,
                amount: released,
            });
        }
        let voided = Event::InvoiceVoided {
            client_id: self.client_id.clone(),
            currency,
            released,
            reason,
        };
        Ok(Decision::from(voided).and(account))
    }

    /// Whether this payment is recorded already; a conflict when another one is, under the same id.
    fn has_recorded(&self, id: &str, amount: Decimal, method: &str) -> Result<bool, Rejection> {
        match self.payments.iter().find(|payment| payment.payment_id == id) {
            None => Ok(false),
            Some(same) if same.amount == amount && same.method == method => Ok(true),
            Some(_) => {
                let message = format!("Payment {id} was recorded with another amount or method.");
                Err(Rejection::conflict("payment-id-reused", message))
            }
        }
    }
}

fn payable(amount: Decimal, currency: Currency) -> Result<Decimal, Rejection> {
    if amount <= Decimal::ZERO {
        return Err(Rejection::invalid(
            "/amount",
            "amount-not-positive",
            "A payment is greater than zero.",
        ));
    }
    currency.exact(amount).ok_or_else(|| {
        let message = format!("{currency} has {} digits after the point.", currency.digits());
        Rejection::invalid("/amount", "too-many-digits", message)
    })
}
