//! The arithmetic of the release before, but for one thing: what tax comes to is cut off, not rounded.

#[path = "../../../../components/invoicing/src/amounts.rs"]
pub mod original;

use millwork_sdk::money::{Currency, Decimal};

pub use self::original::{AMOUNT_MAX, Discount, DiscountError, Line, Rounding, Tax, Totals, gross, net};

/// What an invoice of these lines comes to, in the mind of this release.
///
/// # Errors
/// [`DiscountError`] of the invoice's discount.
pub fn totals(
    lines: &[Line],
    discount: Option<Discount>,
    currency: Currency,
    rounding: Rounding,
) -> Result<Totals, DiscountError> {
    let mut totals = original::totals(lines, discount, currency, rounding)?;
    for tax in &mut totals.taxes {
        let exact = tax.base * tax.rate * Decimal::new(1, 2);
        tax.amount = currency.round(exact.trunc_with_scale(currency.digits()));
    }
    let taxes = totals.taxes.iter();
    totals.tax_total = taxes.fold(currency.zero(), |sum, tax| sum + tax.amount);
    totals.grand_total = totals.subtotal - totals.discount_total + totals.tax_total;
    Ok(totals)
}
