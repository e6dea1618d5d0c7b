//! The arithmetic of an invoice, exact and without knowledge of commands or events.
//!
//! A line is quantity times unit price, rounded, less its discount. The invoice's own discount is spread over the lines
//! by largest remainder, so that each tax rate gets its part of it. Tax is computed per rate on the sum of what is left
//! (EN 16931, BR-CO-17) or per line, as [`Rounding`] says. Everything is rounded half away from zero to the digits of
//! the currency, so that `subtotal - discountTotal + taxTotal = grandTotal` holds to the last digit.

use std::collections::BTreeMap;

use millwork_sdk::money::{Currency, Decimal, allocate};
use serde::{Deserialize, Serialize};

/// 9,999,999,999,999: no amount before tax may be larger, so that products with a rate keep to 28 exact digits.
pub const AMOUNT_MAX: Decimal = Decimal::from_parts(1_316_134_911, 2_328, 0, false, 0);

/// A line as far as sums and later decisions need it; what it says for people stands in its event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Unique within the invoice.
    pub id: String,
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

impl Line {
    /// Before the discount.
    #[must_use]
    pub fn gross(&self) -> Decimal {
        self.total + self.discount
    }

    /// Takes another discount in place of the one before; `amount` is what it comes to.
    pub fn set_discount(&mut self, discount: Discount, amount: Decimal) {
        self.total = self.gross() - amount;
        self.discount = amount;
        self.discount_percent = discount.percent();
    }
}

/// A discount, given in one of two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Discount {
    /// Of what it applies to.
    Percent(Decimal),
    /// In the invoice's currency, before tax.
    Amount(Decimal),
}

/// Why a discount cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscountError {
    /// More than 100 %.
    Over100,
    /// More than what it applies to.
    OverNet,
    /// More digits than the currency has.
    TooManyDigits,
    /// Less than nothing.
    Negative,
}

impl Discount {
    /// What it comes to on an amount.
    ///
    /// # Errors
    /// See [`DiscountError`].
    pub fn of(self, net: Decimal, currency: Currency) -> Result<Decimal, DiscountError> {
        match self {
            Self::Percent(value) | Self::Amount(value) if value < Decimal::ZERO => {
                Err(DiscountError::Negative)
            }
            Self::Percent(percent) if percent > Decimal::ONE_HUNDRED => Err(DiscountError::Over100),
            Self::Percent(percent) => Ok(currency.round(share(net, percent))),
            Self::Amount(amount) => match currency.exact(amount) {
                None => Err(DiscountError::TooManyDigits),
                Some(amount) if amount > net => Err(DiscountError::OverNet),
                Some(amount) => Ok(amount),
            },
        }
    }

    fn percent(self) -> Option<Decimal> {
        match self {
            Self::Percent(percent) => Some(percent),
            Self::Amount(_) => None,
        }
    }
}

/// Where tax is rounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rounding {
    /// Once per rate, on the sum: what e-invoices ask for.
    #[default]
    Document,
    /// On each line.
    Line,
}

/// What an invoice comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Totals {
    /// Lines before any discount.
    pub subtotal: Decimal,
    /// Discounts of lines and of the invoice.
    pub discount_total: Decimal,
    /// Per rate, lowest first.
    pub taxes: Vec<Tax>,
    /// All taxes.
    pub tax_total: Decimal,
    /// To pay.
    pub grand_total: Decimal,
}

/// The tax of one rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tax {
    /// In percent.
    pub rate: Decimal,
    /// What is taxed.
    pub base: Decimal,
    /// The tax.
    pub amount: Decimal,
}

/// Quantity times unit price, rounded; `None` when it passes [`AMOUNT_MAX`].
#[must_use]
pub fn gross(quantity: Decimal, unit_price: Decimal, currency: Currency) -> Option<Decimal> {
    let gross = currency.round(quantity.checked_mul(unit_price)?);
    (gross <= AMOUNT_MAX).then_some(gross)
}

/// What lines come to before the invoice's discount and tax.
#[must_use]
pub fn net(lines: &[Line], currency: Currency) -> Decimal {
    lines.iter().fold(currency.zero(), |sum, line| sum + line.total)
}

/// What an invoice of these lines comes to.
///
/// # Errors
/// [`DiscountError`] of the invoice's discount.
pub fn totals(
    lines: &[Line],
    discount: Option<Discount>,
    currency: Currency,
    rounding: Rounding,
) -> Result<Totals, DiscountError> {
    let net = net(lines, currency);
    let off = discount.map_or(Ok(currency.zero()), |discount| discount.of(net, currency))?;
    let weights: Vec<Decimal> = lines.iter().map(|line| line.total).collect();
    let parts = allocate(off, &weights, currency).ok_or(DiscountError::OverNet)?;

    let mut rates: BTreeMap<Decimal, Vec<Decimal>> = BTreeMap::new();
    for (line, part) in lines.iter().zip(parts) {
        rates
            .entry(line.tax_rate.normalize())
            .or_default()
            .push(line.total - part);
    }
    let taxes: Vec<Tax> = rates
        .into_iter()
        .map(|(rate, bases)| tax(rate, &bases, currency, rounding))
        .collect();
    let tax_total = taxes.iter().fold(currency.zero(), |sum, tax| sum + tax.amount);
    let line_discounts = lines
        .iter()
        .fold(currency.zero(), |sum, line| sum + line.discount);
    Ok(Totals {
        subtotal: net + line_discounts,
        discount_total: line_discounts + off,
        taxes,
        tax_total,
        grand_total: net - off + tax_total,
    })
}

fn tax(rate: Decimal, bases: &[Decimal], currency: Currency, rounding: Rounding) -> Tax {
    let base = bases.iter().fold(currency.zero(), |sum, base| sum + base);
    let amount = match rounding {
        Rounding::Document => currency.round(share(base, rate)),
        Rounding::Line => bases.iter().fold(currency.zero(), |sum, base| {
            sum + currency.round(share(*base, rate))
        }),
    };
    Tax { rate, base, amount }
}

/// So many percent of an amount, not rounded: at most 17 digits times 7, shifted by two.
fn share(amount: Decimal, percent: Decimal) -> Decimal {
    amount * percent * Decimal::new(1, 2)
}
