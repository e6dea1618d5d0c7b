//! Values of fields that are no text. Each kind has one normal form, in which equal values are equal, and a key in which
//! greater ones are greater as text.

use millwork_registry::manifest::IndexKind;
use rust_decimal::Decimal;
use serde_json::Value as Json;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

/// Longest keyword, in bytes.
const KEYWORD_BYTES_MAX: usize = 1_024;
/// Digits after the point of a decimal.
const SCALE_MAX: u32 = 9;
/// What a decimal stays below, without its sign; with [`SCALE_MAX`] it fits 28 digits.
const DECIMAL_BOUND: u64 = 1_000_000_000_000_000_000;
/// Added to a decimal's units so that none is negative: [`DECIMAL_BOUND`] times ten to the [`SCALE_MAX`].
const DECIMAL_OFFSET: i128 = 1_000_000_000_000_000_000_000_000_000;

/// A value of a field that is no text.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// As it is.
    Keyword(String),
    /// Finite.
    Number(f64),
    /// [`decimal_key`] of it: no float on the way.
    Decimal(String),
    /// In UTC, to the millisecond, always as long: `2026-01-31T00:00:00.000Z`.
    Date(String),
}

impl Value {
    /// Reads a value of a document or filter.
    ///
    /// # Errors
    /// What would do.
    pub fn read(kind: IndexKind, json: &Json) -> Result<Self, String> {
        match (kind, json) {
            (IndexKind::Keyword, Json::String(text)) if text.len() <= KEYWORD_BYTES_MAX => {
                Ok(Self::Keyword(text.clone()))
            }
            (IndexKind::Keyword, _) => Err(format!("must be text of at most {KEYWORD_BYTES_MAX} bytes")),
            (IndexKind::Number, Json::Number(number)) => match number.as_f64() {
                // Negative zero would be less than zero.
                Some(number) if number.is_finite() => Ok(Self::Number(number + 0.0)),
                _ => Err("must be a finite number".to_owned()),
            },
            (IndexKind::Number, _) => Err("must be a number".to_owned()),
            (IndexKind::Decimal, Json::String(text)) => decimal_key(text).map(Self::Decimal).ok_or_else(|| {
                format!("must be decimal text below {DECIMAL_BOUND} with at most {SCALE_MAX} digits after the point")
            }),
            (IndexKind::Decimal, _) => Err("must be decimal text, not a number".to_owned()),
            (IndexKind::Date, Json::String(text)) => date(text)
                .map(Self::Date)
                .ok_or_else(|| "must be a day or a time of RFC 3339".to_owned()),
            (IndexKind::Date, _) => Err("must be the text of a day or time".to_owned()),
            (IndexKind::Text, _) => Err("is text, which is searched and not compared".to_owned()),
        }
    }

    /// Text that compares as the value does.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Keyword(text) | Self::Decimal(text) | Self::Date(text) => text.clone(),
            Self::Number(number) => {
                let bits = number.to_bits();
                // Positive numbers above negative ones, and these in the other order of their bits.
                let ordered = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
                format!("{ordered:016x}")
            }
        }
    }
}

/// Units of ten to the minus [`SCALE_MAX`], moved above zero, in 28 digits: `10` and `10.00` give the same.
fn decimal_key(text: &str) -> Option<String> {
    let mut decimal: Decimal = Decimal::from_str_exact(text).ok()?.normalize();
    if decimal.scale() > SCALE_MAX || decimal.abs() >= Decimal::from(DECIMAL_BOUND) {
        return None;
    }
    decimal.rescale(SCALE_MAX);
    let exact = decimal.scale() == SCALE_MAX;
    exact.then(|| format!("{:028}", decimal.mantissa() + DECIMAL_OFFSET))
}

fn date(text: &str) -> Option<String> {
    let day = format_description!("[year]-[month]-[day]");
    let time = match Date::parse(text, day) {
        Ok(date) => date.midnight().assume_utc(),
        Err(_) => OffsetDateTime::parse(text, &Rfc3339).ok()?,
    };
    let time = time.checked_to_offset(time::UtcOffset::UTC)?;
    let millis = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    // Another year would have another length.
    (0..=9_999)
        .contains(&time.year())
        .then(|| time.format(millis).ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(kind: IndexKind, json: Json) -> String {
        Value::read(kind, &json).unwrap().key()
    }

    #[test]
    fn keys_are_in_the_order_of_their_values() {
        for (kind, values) in [
            (
                IndexKind::Number,
                json!([-1e300, -2, -1.5, 0, 1e-9, 2, 10, 1e300]),
            ),
            (
                IndexKind::Decimal,
                json!([
                    "-999999999999999999.999999999",
                    "-10",
                    "-9.5",
                    "0",
                    "0.000000001",
                    "9.5",
                    "10.00",
                    "999999999999999999.9"
                ]),
            ),
            (
                IndexKind::Date,
                json!([
                    "0999-12-31",
                    "2026-01-31T01:00:00+02:00",
                    "2026-01-31",
                    "2026-01-31T00:00:00.001Z"
                ]),
            ),
        ] {
            let keys: Vec<_> = values
                .as_array()
                .unwrap()
                .iter()
                .map(|value| key(kind, value.clone()))
                .collect();
            assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
        }
    }

    #[test]
    fn equal_values_have_one_key() {
        assert_eq!(
            key(IndexKind::Decimal, json!("10")),
            key(IndexKind::Decimal, json!("10.00"))
        );
        assert_eq!(
            key(IndexKind::Number, json!(-0.0)),
            key(IndexKind::Number, json!(0))
        );
        assert_eq!(
            key(IndexKind::Date, json!("2026-01-31")),
            key(IndexKind::Date, json!("2026-01-31T02:00:00+02:00"))
        );
    }

    #[test]
    fn what_has_no_key_is_refused() {
        for (kind, json) in [
            (IndexKind::Decimal, json!(10)),
            (IndexKind::Decimal, json!("1e3")),
            (IndexKind::Decimal, json!("1000000000000000000")),
            (IndexKind::Decimal, json!("0.0000000001")),
            (IndexKind::Date, json!("2026-02-30")),
            (IndexKind::Date, json!(0)),
            (IndexKind::Number, json!("1")),
            (IndexKind::Keyword, json!("x".repeat(1_025))),
            (IndexKind::Keyword, json!(true)),
        ] {
            assert!(Value::read(kind, &json).is_err(), "{kind:?} {json}");
        }
    }
}
