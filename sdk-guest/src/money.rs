//! Exact amounts: currencies with their digits, rounding, and spreading an amount over parts without losing any.
//!
//! Amounts are [`Decimal`]s, text in JSON, never floats. A rounded amount has exactly its currency's digits, so that its
//! text does too. Multiplication of decimals is exact up to 28 digits; bodies' schemas keep amounts below that, and
//! arithmetic on them uses the `checked_` operations.

use std::fmt;
use std::str::FromStr;

pub use rust_decimal::Decimal;
use rust_decimal::RoundingStrategy;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// Active codes of ISO 4217 (list one, amendments up to 180) with two digits after the point; here as below sorted, and
/// each followed by a space.
const TWO_DIGITS: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD \
    CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL \
    HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK \
    MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS \
    SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG ";
/// Those without.
const NO_DIGITS: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF ";
/// Those with three.
const THREE_DIGITS: &str = "BHD IQD JOD KWD LYD OMR TND ";
/// Those with four.
const FOUR_DIGITS: &str = "CLF UYW ";

/// A currency of ISO 4217 that has a minor unit. Metals, testing codes and withdrawn currencies are none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    /// Where the code stands in one of the lists.
    code: &'static str,
    digits: u8,
}

/// The text is no active code of ISO 4217.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an active currency code of ISO 4217")]
pub struct UnknownCurrency(pub String);

impl Currency {
    /// Looks a code up; in capitals.
    ///
    /// # Errors
    /// [`UnknownCurrency`]: there is no default number of digits.
    pub fn new(code: &str) -> Result<Self, UnknownCurrency> {
        let lists = [
            (TWO_DIGITS, 2),
            (NO_DIGITS, 0),
            (THREE_DIGITS, 3),
            (FOUR_DIGITS, 4),
        ];
        let found = lists
            .into_iter()
            .find_map(|(list, digits)| Some((listed(list, code)?, digits)));
        match found {
            Some((code, digits)) => Ok(Self { code, digits }),
            None => Err(UnknownCurrency(code.to_owned())),
        }
    }

    /// Digits after the point.
    #[must_use]
    pub fn digits(self) -> u32 {
        u32::from(self.digits)
    }

    /// To the currency's digits, half away from zero.
    #[must_use]
    pub fn round(self, amount: Decimal) -> Decimal {
        let rounded = amount.round_dp_with_strategy(self.digits(), RoundingStrategy::MidpointAwayFromZero);
        self.written_out(rounded)
    }

    /// The amount with all of the currency's digits; `None` when it has more than those.
    #[must_use]
    pub fn exact(self, amount: Decimal) -> Option<Decimal> {
        let amount = amount.normalize();
        (amount.scale() <= self.digits()).then(|| self.written_out(amount))
    }

    /// Nothing.
    #[must_use]
    pub fn zero(self) -> Decimal {
        self.written_out(Decimal::ZERO)
    }

    fn written_out(self, mut amount: Decimal) -> Decimal {
        amount.rescale(self.digits());
        amount
    }
}

/// Finds a code in a list. States and events name a currency often, so codes are compared as numbers.
fn listed(list: &'static str, code: &str) -> Option<&'static str> {
    let [first, second, third] = *code.as_bytes() else {
        return None;
    };
    let (codes, _) = list.as_bytes().as_chunks();
    let wanted = u32::from_be_bytes([first, second, third, b' ']);
    let place = codes
        .binary_search_by_key(&wanted, |code| u32::from_be_bytes(*code))
        .ok()?;
    list.get(place * 4..place * 4 + 3)
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, UnknownCurrency> {
        Self::new(code)
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.code)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text::read(from, "a currency code of ISO 4217")
    }
}

/// Spreads an amount over parts in proportion to their weights, so that the parts add up to it exactly.
///
/// Each part gets its share rounded down to the currency's digits; what is left goes, one smallest unit each, to the
/// largest remainders, the earlier part first among equal ones. A weight of zero gets zero. `None` when the amount has
/// too many digits, a weight is negative, all weights are zero while the amount is not, or the sums pass 128 bits.
#[must_use]
pub fn allocate(amount: Decimal, weights: &[Decimal], currency: Currency) -> Option<Vec<Decimal>> {
    let total = currency.exact(amount)?.mantissa();
    let scale = weights.iter().map(Decimal::scale).max().unwrap_or(0);
    let weights = weights
        .iter()
        .map(|w| at_scale(*w, scale))
        .collect::<Option<Vec<i128>>>()?;
    let sum = weights.iter().try_fold(0_i128, |sum, w| sum.checked_add(*w))?;
    if weights.iter().any(|w| *w < 0) || (sum == 0 && total != 0) {
        return None;
    }
    if total == 0 {
        return Some(vec![currency.zero(); weights.len()]);
    }
    let products = weights
        .iter()
        .map(|w| total.checked_mul(*w))
        .collect::<Option<Vec<i128>>>()?;
    let mut shares: Vec<i128> = products.iter().map(|p| p.div_euclid(sum)).collect();
    let left = usize::try_from(total - shares.iter().sum::<i128>()).ok()?;
    let mut order: Vec<usize> = (0..products.len()).collect();
    // Stable, so equal remainders stay in the order of their parts.
    order.sort_by_key(|i| std::cmp::Reverse(products.get(*i).map_or(0, |p| p.rem_euclid(sum))));
    for part in order.into_iter().take(left) {
        *shares.get_mut(part)? += 1;
    }
    shares
        .into_iter()
        .map(|s| Decimal::try_from_i128_with_scale(s, currency.digits()).ok())
        .collect()
}

fn at_scale(amount: Decimal, scale: u32) -> Option<i128> {
    amount
        .mantissa()
        .checked_mul(10_i128.checked_pow(scale.checked_sub(amount.scale())?)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn d(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn the_table_has_every_active_code_once() {
        let counts =
            [TWO_DIGITS, NO_DIGITS, THREE_DIGITS, FOUR_DIGITS].map(|list| list.split_whitespace().count());
        assert_eq!(counts, [139, 17, 7, 2]);
        let all = [TWO_DIGITS, NO_DIGITS, THREE_DIGITS, FOUR_DIGITS].concat();
        let codes: std::collections::BTreeSet<&str> = all.split_whitespace().collect();
        assert_eq!(codes.len(), 165);
        assert!(codes.iter().all(|code| Currency::new(code).is_ok()));
        assert!(
            codes
                .iter()
                .all(|c| c.len() == 3 && c.bytes().all(|b| b.is_ascii_uppercase()))
        );
    }

    #[test]
    fn digits_are_those_of_the_code() {
        let digits = |code| Currency::new(code).map(Currency::digits);
        assert_eq!(
            [digits("JPY"), digits("EUR"), digits("KWD"), digits("CLF")],
            [Ok(0), Ok(2), Ok(3), Ok(4)]
        );
        for unknown in ["", "eur", "EURO", "XAU", "XTS", "HRK", "E R", "EUR USD"] {
            assert_eq!(
                Currency::new(unknown),
                Err(UnknownCurrency(unknown.to_owned())),
                "{unknown}"
            );
        }
    }

    #[track_caller]
    fn check_round(amount: &str, code: &str, rounded: &str) {
        assert_eq!(Currency::new(code).unwrap().round(d(amount)).to_string(), rounded);
    }

    #[test]
    fn halves_go_away_from_zero_and_digits_are_written_out() {
        check_round("1.005", "EUR", "1.01");
        check_round("-1.005", "EUR", "-1.01");
        check_round("1.0049999", "EUR", "1.00");
        check_round("2.5", "JPY", "3");
        check_round("7", "KWD", "7.000");
        check_round("0", "EUR", "0.00");
    }

    #[test]
    fn exact_takes_no_more_digits_than_there_are() {
        let eur = Currency::new("EUR").unwrap();
        assert_eq!(
            eur.exact(d("1.500")).map(|a| a.to_string()).as_deref(),
            Some("1.50")
        );
        assert_eq!(eur.exact(d("1.005")), None);
    }

    #[track_caller]
    fn check_allocate(amount: &str, weights: &[&str], code: &str, parts: Option<&[&str]>) {
        let weights: Vec<Decimal> = weights.iter().map(|w| d(w)).collect();
        let given = allocate(d(amount), &weights, Currency::new(code).unwrap());
        let given = given.map(|parts| parts.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(given, parts.map(|p| p.iter().map(|s| (*s).to_owned()).collect()));
    }

    #[test]
    fn remainders_go_to_the_largest_fractions() {
        check_allocate("100", &["1", "1", "1"], "JPY", Some(&["34", "33", "33"]));
        check_allocate("-5", &["7", "3"], "JPY", Some(&["-3", "-2"]));
        check_allocate("0.05", &["3", "7"], "EUR", Some(&["0.02", "0.03"]));
        check_allocate("1.00", &["0", "1.5"], "EUR", Some(&["0.00", "1.00"]));
        check_allocate("0", &["0", "0"], "EUR", Some(&["0.00", "0.00"]));
        check_allocate("1", &["0", "0"], "EUR", None);
        check_allocate("1", &["2", "-1"], "EUR", None);
        check_allocate("0.001", &["1"], "EUR", None);
    }

    proptest! {
        #[test]
        fn parts_add_up_and_stay_within_a_unit_of_their_share(
            total in 0_i64..1_000_000_000_000,
            weights in prop::collection::vec(0_i64..1_000_000_000, 1..50),
        ) {
            prop_assume!(weights.iter().any(|w| *w > 0));
            let eur = Currency::new("EUR").unwrap();
            let total = Decimal::new(total, 2);
            let weights: Vec<Decimal> = weights.into_iter().map(|w| Decimal::new(w, 2)).collect();
            let parts = allocate(total, &weights, eur).unwrap();
            prop_assert_eq!(parts.iter().sum::<Decimal>(), total);
            let sum: Decimal = weights.iter().sum();
            for (part, weight) in parts.iter().zip(&weights) {
                prop_assert!((*part - total * *weight / sum).abs() < Decimal::new(1, 2));
                prop_assert!(!weight.is_zero() || part.is_zero());
            }
        }
    }
}
