//! The arithmetic: known figures, and what holds for every invoice.

use millwork_sdk::money::{Currency, Decimal};
use proptest::prelude::*;

use crate::amounts::{Discount, DiscountError, Line, Rounding, gross, totals};

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn currency(code: &str) -> Currency {
    Currency::new(code).unwrap()
}

fn line(quantity: Decimal, unit_price: Decimal, tax_rate: Decimal, currency: Currency) -> Line {
    Line {
        id: "l".into(),
        tax_rate,
        discount: currency.zero(),
        discount_percent: None,
        total: gross(quantity, unit_price, currency).unwrap(),
    }
}

/// Lines as quantity, unit price, tax rate; expects subtotal, discount, tax and grand total.
#[track_caller]
fn check(
    code: &str,
    rounding: Rounding,
    lines: &[(&str, &str, &str)],
    discount: Option<Discount>,
    expected: [&str; 4],
) {
    let lines: Vec<Line> = lines
        .iter()
        .map(|(q, p, r)| line(d(q), d(p), d(r), currency(code)))
        .collect();
    let t = totals(&lines, discount, currency(code), rounding).unwrap();
    let given = [t.subtotal, t.discount_total, t.tax_total, t.grand_total].map(|a| a.to_string());
    assert_eq!(given, expected.map(str::to_owned));
}

#[test]
fn tax_is_rounded_where_the_mode_says() {
    let twice = [("1", "15.89", "6"), ("1", "15.89", "6")];
    check(
        "EUR",
        Rounding::Document,
        &twice,
        None,
        ["31.78", "0.00", "1.91", "33.69"],
    );
    check(
        "EUR",
        Rounding::Line,
        &twice,
        None,
        ["31.78", "0.00", "1.90", "33.68"],
    );
    let group = [("1", "25.80", "23"), ("1", "25.80", "23")];
    check(
        "EUR",
        Rounding::Document,
        &group,
        None,
        ["51.60", "0.00", "11.87", "63.47"],
    );
    check(
        "EUR",
        Rounding::Line,
        &group,
        None,
        ["51.60", "0.00", "11.86", "63.46"],
    );
}

#[test]
fn rates_are_taxed_apart() {
    let lines = [("1", "15.89", "6"), ("1", "15.89", "3"), ("1", "15.89", "6.0")];
    // 31.78 at 6 % is 1.9068, 15.89 at 3 % is 0.4767.
    check(
        "EUR",
        Rounding::Document,
        &lines,
        None,
        ["47.67", "0.00", "2.39", "50.06"],
    );
    check(
        "EUR",
        Rounding::Line,
        &lines,
        None,
        ["47.67", "0.00", "2.38", "50.05"],
    );
}

#[test]
fn a_unit_price_may_have_more_digits_than_the_currency() {
    check(
        "EUR",
        Rounding::Document,
        &[("100", "1.001", "20")],
        None,
        ["100.10", "0.00", "20.02", "120.12"],
    );
    check(
        "EUR",
        Rounding::Document,
        &[("1", "1.005", "0")],
        None,
        ["1.01", "0.00", "0.00", "1.01"],
    );
}

#[test]
fn currencies_have_their_own_digits() {
    check(
        "JPY",
        Rounding::Document,
        &[("3", "33.5", "10")],
        None,
        ["101", "0", "10", "111"],
    );
    check(
        "KWD",
        Rounding::Document,
        &[("1", "1.2345", "5")],
        None,
        ["1.235", "0.000", "0.062", "1.297"],
    );
    check(
        "CLF",
        Rounding::Document,
        &[("1", "1.00005", "0")],
        None,
        ["1.0001", "0.0000", "0.0000", "1.0001"],
    );
}

#[test]
fn a_discount_is_spread_over_the_rates_before_tax() {
    let lines = [("1", "100", "19"), ("1", "100", "7"), ("1", "100", "0")];
    // 0.10 over three equal lines: 0.04, 0.03, 0.03.
    let discount = Some(Discount::Amount(d("0.10")));
    check(
        "EUR",
        Rounding::Document,
        &lines,
        discount,
        ["300.00", "0.10", "25.99", "325.89"],
    );
    check(
        "EUR",
        Rounding::Document,
        &lines,
        Some(Discount::Percent(d("100"))),
        ["300.00", "300.00", "0.00", "0.00"],
    );
}

#[test]
fn nothing_comes_to_nothing() {
    check("EUR", Rounding::Document, &[], None, ["0.00"; 4]);
    check(
        "EUR",
        Rounding::Line,
        &[("1", "0", "20")],
        Some(Discount::Percent(d("50"))),
        ["0.00"; 4],
    );
}

#[test]
fn a_discount_has_bounds() {
    let of = |discount: Discount| discount.of(d("10.00"), currency("EUR"));
    assert_eq!(of(Discount::Percent(d("100"))), Ok(d("10.00")));
    assert_eq!(of(Discount::Percent(d("100.0001"))), Err(DiscountError::Over100));
    assert_eq!(of(Discount::Amount(d("10"))), Ok(d("10.00")));
    assert_eq!(of(Discount::Amount(d("10.01"))), Err(DiscountError::OverNet));
    assert_eq!(
        of(Discount::Amount(d("0.001"))),
        Err(DiscountError::TooManyDigits)
    );
    assert_eq!(of(Discount::Amount(d("-0.01"))), Err(DiscountError::Negative));
}

#[test]
fn the_largest_line_is_exact() {
    let largest = gross(d("9999999.999"), d("999999.999999"), currency("CLF")).unwrap();
    assert_eq!(largest.to_string(), "9999999998990.0000");
    assert_eq!(
        gross(d("9999999.999"), d("1000000"), currency("EUR"))
            .map(|g| g.to_string())
            .as_deref(),
        Some("9999999999000.00")
    );
    assert_eq!(
        gross(d("9999999.999"), d("999999999999.999999"), currency("CLF")),
        None
    );
}

fn lines() -> impl Strategy<Value = Vec<(u32, u32, u32, u32)>> {
    // Quantity in thousandths, price in millionths, rate in hundredths of a percent, line discount in percent.
    prop::collection::vec(
        (
            1_u32..9_999_999,
            0_u32..2_000_000_000,
            0_u32..=10_000,
            0_u32..=100,
        ),
        0..40,
    )
}

proptest! {
    #[test]
    fn sums_hold_to_the_last_digit_in_every_mode(
        parts in lines(),
        percent in 0_u32..=10_000,
        by_amount: bool,
        per_line: bool,
        code in prop::sample::select(vec!["EUR", "JPY", "KWD", "CLF"]),
    ) {
        let currency = currency(code);
        let lines: Vec<Line> = parts.into_iter().map(|(quantity, price, rate, discount)| {
            let mut line = line(Decimal::new(quantity.into(), 3), Decimal::new(price.into(), 6), Decimal::new(rate.into(), 2), currency);
            let discount = Discount::Percent(discount.into());
            let off = discount.of(line.gross(), currency).unwrap();
            line.set_discount(discount, off);
            line
        }).collect();
        let net: Decimal = lines.iter().map(|l| l.total).sum();
        let percent = Decimal::new(percent.into(), 2);
        let off = currency.round(net * percent / Decimal::ONE_HUNDRED);
        let discount = if by_amount { Discount::Amount(off) } else { Discount::Percent(percent) };
        let rounding = if per_line { Rounding::Line } else { Rounding::Document };
        let t = totals(&lines, Some(discount), currency, rounding).unwrap();

        prop_assert_eq!(t.subtotal - t.discount_total + t.tax_total, t.grand_total);
        prop_assert_eq!(t.taxes.iter().map(|tax| tax.base).sum::<Decimal>(), net - off);
        prop_assert_eq!(t.taxes.iter().map(|tax| tax.amount).sum::<Decimal>(), t.tax_total);
        prop_assert_eq!(lines.iter().map(Line::gross).sum::<Decimal>(), t.subtotal);
        for amount in [t.subtotal, t.discount_total, t.tax_total, t.grand_total] {
            prop_assert_eq!(amount.scale(), currency.digits());
            prop_assert!(amount >= Decimal::ZERO);
        }
        let unit = Decimal::new(1, currency.digits());
        for tax in &t.taxes {
            prop_assert!(tax.base >= Decimal::ZERO);
            let exact = tax.base * tax.rate / Decimal::ONE_HUNDRED;
            let most = match rounding {
                Rounding::Document => unit / Decimal::TWO,
                Rounding::Line => unit * Decimal::from(lines.len()) / Decimal::TWO,
            };
            prop_assert!((tax.amount - exact).abs() <= most);
        }
    }
}
