//! What can be done to a draft, up to its end as a numbered invoice.

use millwork_sdk::money::{Currency, Decimal};
use millwork_sdk::timestamp::Date;
use millwork_sdk::{Context, Decision, Rejection, Violations};

use super::{Client, Config, Invoice, Status};
use crate::account::ReceivablesAccount;
use crate::amounts::{self, AMOUNT_MAX, Discount, DiscountError, Line, Totals};
use crate::command::NewLine;
use crate::event::{AccountEvent, BillTo, Event, InvoiceFinalized, LineItem};

/// Most lines of an invoice, so that its state stays small enough to pass with every command.
const LINES_MAX: usize = 500;

pub(super) fn create(
    id: String,
    currency: Option<String>,
    ctx: &Context,
) -> Result<Decision<Event>, Rejection> {
    let client = Client::active(&id, ctx)?;
    let currency = currency
        .map_or(Ok(client.currency), |code| Currency::new(&code))
        .map_err(|e| Rejection::invalid("/currency", "unknown-currency", format!("{e}.")))?;
    let rounding = ctx.config::<Config>().rounding;
    Ok(Event::InvoiceCreated {
        client_id: id,
        client_name: client.name,
        currency,
        rounding,
    }
    .into())
}

/// The discount of a body that has room for both forms.
pub(super) fn one_of(percent: Option<Decimal>, amount: Option<Decimal>) -> Result<Discount, Rejection> {
    match (percent, amount) {
        (Some(percent), None) => Ok(Discount::Percent(percent)),
        (None, Some(amount)) => Ok(Discount::Amount(amount)),
        _ => Err(Rejection::invalid(
            "",
            "discount-form",
            "Give a percentage or an amount, and not both.",
        )),
    }
}

impl Invoice {
    pub(super) fn add_line(
        &self,
        new: NewLine,
        currency: Currency,
        ctx: &Context,
    ) -> Result<Decision<Event>, Rejection> {
        self.check_draft()?;
        if self.lines.len() >= LINES_MAX {
            let message = format!("An invoice has at most {LINES_MAX} lines.");
            return Err(Rejection::conflict("too-many-lines", message));
        }
        let item = line_item(new, ctx.fresh_id(0), currency)?;
        self.check_net(amounts::net(&self.lines, currency) + item.total, currency)?;
        Ok(Event::LineItemAdded(item).into())
    }

    pub(super) fn remove_line(&self, id: &str, currency: Currency) -> Result<Decision<Event>, Rejection> {
        self.check_draft()?;
        let line = self.line(id)?;
        self.check_net(amounts::net(&self.lines, currency) - line.total, currency)?;
        Ok(Event::LineItemRemoved {
            line_id: id.to_owned(),
        }
        .into())
    }

    pub(super) fn apply_discount(
        &self,
        line_id: Option<String>,
        discount: Discount,
        currency: Currency,
    ) -> Result<Decision<Event>, Rejection> {
        self.check_draft()?;
        let net = amounts::net(&self.lines, currency);
        let on = line_id.as_deref().map(|id| self.line(id)).transpose()?;
        let off = discount
            .of(on.map_or(net, Line::gross), currency)
            .map_err(|e| refused(e, "", discount, currency))?;
        if let Some(line) = on {
            self.check_net(net + line.discount - off, currency)?;
        }
        let discount = written_out(discount, currency);
        if on.map_or(self.discount == Some(discount), |line| line.has(discount)) {
            return Ok(Decision::nothing());
        }
        let line_discount = on.map(|_| off);
        Ok(Event::DiscountApplied {
            line_id,
            discount,
            line_discount,
        }
        .into())
    }

    pub(super) fn finalize(
        &self,
        due_date: Option<Date>,
        currency: Currency,
        ctx: &Context,
    ) -> Result<Decision<Event>, Rejection> {
        self.check_draft()?;
        let client = Client::active(&self.client_id, ctx)?;
        if self.lines.is_empty() {
            return Err(Rejection::conflict(
                "invoice-empty",
                "An invoice needs a line to be finalised.",
            ));
        }
        let totals = amounts::totals(&self.lines, self.discount, currency, self.rounding)
            .map_err(|_| over_net(amounts::net(&self.lines, currency), currency))?;
        let due_date = due_date_of(due_date, ctx)?;

        let mut account = ctx.related::<ReceivablesAccount>(0);
        check_credit(&client, account.state(), &totals, currency)?;
        if !totals.grand_total.is_zero() {
            account.record(AccountEvent::ReceivableRaised {
                invoice_id: ctx.target_id().to_owned(),
                currency,
                amount: totals.grand_total,
            });
        }
        let finalized = InvoiceFinalized {
            invoice_number: ctx.number("invoice").to_owned(),
            client_id: self.client_id.clone(),
            bill_to: BillTo {
                name: client.name,
                address: client.billing_address,
            },
            currency,
            rounding: self.rounding,
            subtotal: totals.subtotal,
            discount_total: totals.discount_total,
            taxes: totals.taxes,
            tax_total: totals.tax_total,
            grand_total: totals.grand_total,
            issued_at: ctx.now(),
            due_date,
        };
        Ok(Decision::from(Event::InvoiceFinalized(finalized)).and(account))
    }

    fn check_draft(&self) -> Result<(), Rejection> {
        if self.status == Status::Draft {
            return Ok(());
        }
        Err(Rejection::conflict(
            "invoice-not-draft",
            format!("{} is not a draft any more.", self.called()),
        ))
    }

    fn line(&self, id: &str) -> Result<&Line, Rejection> {
        let found = self.lines.iter().find(|line| line.id == id);
        found.ok_or_else(|| Rejection::not_found("line-not-found", format!("The invoice has no line {id}.")))
    }

    /// What an edit leaves must bear the invoice's own discount, and stay within what is computed exactly.
    fn check_net(&self, net: Decimal, currency: Currency) -> Result<(), Rejection> {
        if net > AMOUNT_MAX {
            let message = format!("The lines would come to more than {AMOUNT_MAX} {currency}.");
            return Err(Rejection::conflict("amount-too-large", message));
        }
        match self.discount {
            Some(Discount::Amount(off)) if off > net => Err(over_net(net, currency)),
            _ => Ok(()),
        }
    }
}

impl Line {
    fn has(&self, discount: Discount) -> bool {
        match discount {
            Discount::Percent(percent) => self.discount_percent == Some(percent),
            Discount::Amount(amount) => self.discount_percent.is_none() && self.discount == amount,
        }
    }
}

fn line_item(new: NewLine, id: &str, currency: Currency) -> Result<LineItem, Rejection> {
    let mut violations = Violations::default();
    if new.quantity <= Decimal::ZERO {
        violations.add(
            "/quantity",
            "quantity-not-positive",
            "A quantity is greater than zero.",
        );
    }
    if new.unit_price < Decimal::ZERO {
        violations.add("/unitPrice", "price-negative", "A price is not negative.");
    }
    if new.tax_rate < Decimal::ZERO || new.tax_rate > Decimal::ONE_HUNDRED {
        violations.add(
            "/taxRate",
            "tax-rate-out-of-range",
            "A tax rate lies between 0 and 100 percent.",
        );
    }
    violations.check()?;
    let Some(gross) = amounts::gross(new.quantity, new.unit_price, currency) else {
        let message = format!("A line comes to at most {AMOUNT_MAX} {currency}.");
        return Err(Rejection::invalid("/unitPrice", "amount-too-large", message));
    };
    let mut item = LineItem {
        id: id.to_owned(),
        product_id: new.product_id,
        sku: new.sku,
        description: new.description,
        quantity: new.quantity,
        unit_price: new.unit_price,
        tax_rate: new.tax_rate,
        discount: currency.zero(),
        discount_percent: None,
        total: gross,
    };
    if let Some(discount) = new.discount {
        let off = discount
            .of(gross, currency)
            .map_err(|e| refused(e, "/discount", discount, currency))?;
        item.set_discount(discount, off);
    }
    Ok(item)
}

/// An amount with all the digits of its currency, so that equal discounts look equal.
fn written_out(discount: Discount, currency: Currency) -> Discount {
    match discount {
        Discount::Amount(amount) => Discount::Amount(currency.round(amount)),
        Discount::Percent(percent) => Discount::Percent(percent.normalize()),
    }
}

fn refused(error: DiscountError, at: &str, discount: Discount, currency: Currency) -> Rejection {
    let field = match discount {
        Discount::Percent(_) => "percent",
        Discount::Amount(_) => "amount",
    };
    let (code, message) = match error {
        DiscountError::Over100 => (
            "discount-over-100",
            "A discount is at most 100 percent.".to_owned(),
        ),
        DiscountError::OverNet => (
            "discount-over-net",
            "A discount is at most what it applies to.".to_owned(),
        ),
        DiscountError::TooManyDigits => (
            "too-many-digits",
            format!("{currency} has {} digits after the point.", currency.digits()),
        ),
        DiscountError::Negative => ("discount-negative", "A discount is not negative.".to_owned()),
    };
    Rejection::invalid(format!("{at}/{field}"), code, message)
}

fn over_net(net: Decimal, currency: Currency) -> Rejection {
    let message =
        format!("The invoice's discount would be more than its lines, {net} {currency}: change it first.");
    Rejection::conflict("discount-over-net", message)
}

fn due_date_of(asked: Option<Date>, ctx: &Context) -> Result<Date, Rejection> {
    let today = ctx.now().date();
    let due = asked.or_else(|| today.plus_days(ctx.config::<Config>().payment_term_days));
    match due {
        Some(due) if due >= today => Ok(due),
        _ => Err(Rejection::invalid(
            "/dueDate",
            "due-before-issue",
            "An invoice is not due before it is issued.",
        )),
    }
}

fn check_credit(
    client: &Client,
    account: &ReceivablesAccount,
    totals: &Totals,
    currency: Currency,
) -> Result<(), Rejection> {
    let Some(limit) = client.credit_limit else {
        return Ok(());
    };
    if client.currency != currency {
        let message = format!(
            "The credit limit of {} is in {}, so an invoice in {currency} cannot be held against it.",
            client.name, client.currency
        );
        return Err(Rejection::conflict("credit-limit-currency", message));
    }
    let open = account.exposure(currency);
    if open
        .checked_add(totals.grand_total)
        .is_some_and(|sum| sum <= limit)
    {
        return Ok(());
    }
    let message = format!(
        "{} owes {open} {currency}, and {} more would pass the credit limit of {limit} {currency}.",
        client.name, totals.grand_total
    );
    Err(Rejection::conflict("credit-limit-exceeded", message))
}
