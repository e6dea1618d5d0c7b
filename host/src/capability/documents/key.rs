//! The one order of values, as bytes: `a` sorts before `b` exactly when `encode(a) < encode(b)`.
//!
//! Indexes, sorts, cursors and the comparisons of filters all use it, so they cannot disagree. Types follow MongoDB's order:
//! null and missing, numbers, strings, objects, arrays, booleans. Numbers of every kind have one exact order; a JSON
//! number with a fraction stands for the shortest decimal that reads back as it, which is what its author wrote.

use serde_json::{Number, Value};

/// First byte of a key, which tells its type.
mod kind {
    pub(super) const NULL: u8 = 0x10;
    pub(super) const NUMBER: u8 = 0x20;
    pub(super) const STRING: u8 = 0x30;
    pub(super) const OBJECT: u8 = 0x40;
    pub(super) const ARRAY: u8 = 0x50;
    pub(super) const BOOLEAN: u8 = 0x60;
}

/// How the text of a field is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reading {
    /// As text.
    Text,
    /// As an exact decimal where it is one: `10.5` equals `10.50` and the number `10.5`.
    Decimal,
}

/// A value's place in the order; `None` stands for a missing field.
#[must_use]
pub fn encode(value: Option<&Value>, reading: Reading) -> Vec<u8> {
    let mut key = Vec::with_capacity(16);
    match (value, reading) {
        (Some(Value::String(text)), Reading::Decimal) if is_decimal(text) => write_decimal(text, &mut key),
        (Some(value), _) => write(value, &mut key),
        (None, _) => key.push(kind::NULL),
    }
    key
}

/// The key just above all keys of this one's type.
pub(super) fn end_of_type(key: &[u8]) -> Vec<u8> {
    key.first()
        .map(|kind| vec![kind.saturating_add(1)])
        .unwrap_or_default()
}

/// The least key of this one's type.
pub(super) fn start_of_type(key: &[u8]) -> Vec<u8> {
    key.first().map(|kind| vec![*kind]).unwrap_or_default()
}

/// The text of a string's key; `None` for other types.
pub(super) fn text(key: &[u8]) -> Option<String> {
    let (kind, escaped) = key.split_first()?;
    let escaped = escaped.strip_suffix(&[0]).filter(|_| *kind == kind::STRING)?;
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.iter();
    while let Some(byte) = rest.next() {
        bytes.push(*byte);
        if *byte == 0 {
            rest.next();
        }
    }
    String::from_utf8(bytes).ok()
}

/// How a key's type stands to strings.
pub(super) fn type_beside_strings(key: &[u8]) -> std::cmp::Ordering {
    key.first().cmp(&Some(&kind::STRING))
}

/// Whether the text is a plain decimal: digits, perhaps a sign before and a point between.
#[must_use]
pub fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    // Longer text could not be placed by an exponent of two bytes, and is nobody's number.
    digits(whole) && digits(fraction) && text.len() <= 1_000
}

fn write(value: &Value, key: &mut Vec<u8>) {
    match value {
        Value::Null => key.push(kind::NULL),
        Value::Number(number) => write_number(number, key),
        Value::String(text) => {
            key.push(kind::STRING);
            write_text(text, key);
        }
        Value::Object(fields) => {
            key.push(kind::OBJECT);
            for (name, value) in fields {
                key.push(kind_of(value));
                write_text(name, key);
                write(value, key);
            }
            key.push(0);
        }
        Value::Array(items) => {
            key.push(kind::ARRAY);
            for item in items {
                write(item, key);
            }
            key.push(0);
        }
        Value::Bool(value) => key.extend([kind::BOOLEAN, u8::from(*value)]),
    }
}

fn kind_of(value: &Value) -> u8 {
    match value {
        Value::Null => kind::NULL,
        Value::Number(_) => kind::NUMBER,
        Value::String(_) => kind::STRING,
        Value::Object(_) => kind::OBJECT,
        Value::Array(_) => kind::ARRAY,
        Value::Bool(_) => kind::BOOLEAN,
    }
}

/// Bytes, then 0; a 0 within is followed by 255, which no key that follows the end begins with.
fn write_text(text: &str, key: &mut Vec<u8>) {
    for byte in text.bytes() {
        key.push(byte);
        if byte == 0 {
            key.push(0xFF);
        }
    }
    key.push(0);
}

/// Above this every `f64` is whole, and below the second its digits are few enough to write out.
const WHOLE_FROM: f64 = 9_007_199_254_740_992.0;
const WHOLE_TO: f64 = 1e38;

fn write_number(number: &Number, key: &mut Vec<u8>) {
    match number.as_f64() {
        // The shortest digits of a large float are not its value, and integers stand close enough to tell.
        Some(float) if number.is_f64() && (WHOLE_FROM..WHOLE_TO).contains(&float.abs()) => {
            write_decimal(&format!("{float:.0}"), key);
        }
        Some(float) if number.is_f64() => write_scientific(&format!("{float:e}"), key),
        _ => write_decimal(&number.to_string(), key),
    }
}

fn write_scientific(text: &str, key: &mut Vec<u8>) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    write_digits(mantissa, exponent.parse().unwrap_or(0), key);
}

fn write_decimal(text: &str, key: &mut Vec<u8>) {
    write_digits(text, 0, key);
}

/// Writes `mantissa * 10^shift` as sign, exponent and digits, where the number is `0.digits * 10^exponent`.
fn write_digits(mantissa: &str, shift: i32, key: &mut Vec<u8>) {
    let negative = mantissa.starts_with('-');
    let unsigned = mantissa.trim_start_matches('-');
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let all: Vec<u8> = whole
        .bytes()
        .chain(fraction.bytes())
        .map(|byte| byte.wrapping_sub(b'0'))
        .collect();
    let leading = all.iter().take_while(|digit| **digit == 0).count();
    let trailing = all.iter().rev().take_while(|digit| **digit == 0).count();
    let digits = all
        .get(leading..all.len().saturating_sub(trailing))
        .unwrap_or_default();
    key.push(kind::NUMBER);
    if digits.is_empty() {
        key.push(1);
        return;
    }
    let point = i32::try_from(whole.len()).unwrap_or(i32::MAX) - i32::try_from(leading).unwrap_or(i32::MAX);
    let biased = u16::try_from(point.saturating_add(shift).saturating_add(0x4000)).unwrap_or(u16::MAX);
    key.push(if negative { 0 } else { 2 });
    let start = key.len();
    key.extend(biased.to_be_bytes());
    // Two digits a byte, above 0, which ends them.
    key.extend(digits.chunks(2).map(|pair| match pair {
        [tens, units] => tens * 10 + units + 1,
        _ => pair.first().map_or(1, |tens| tens * 10 + 1),
    }));
    key.push(0);
    if negative {
        for byte in key.iter_mut().skip(start) {
            *byte = !*byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::{Strategy, any, prop_assert_eq, prop_oneof, proptest};
    use rust_decimal::Decimal;
    use serde_json::json;

    use super::*;

    fn decimal(value: &Value) -> Vec<u8> {
        encode(Some(value), Reading::Decimal)
    }

    /// Each of these stands strictly below the next; values of one line are equal.
    #[test]
    fn values_stand_in_mongodbs_order() {
        let order = [
            vec![json!(null)],
            vec![json!(-1e300)],
            vec![json!("-79228162514264337593543950335")],
            vec![json!(i64::MIN)],
            vec![json!(-1.5), json!("-1.50")],
            vec![json!(-1), json!(-1.0), json!("-1"), json!("-01.0")],
            vec![json!(-1e-300)],
            vec![json!(0), json!(-0.0), json!("0.00"), json!("-0")],
            vec![json!(5e-324)],
            vec![json!(0.1), json!("0.1"), json!("0.10")],
            vec![json!("0.1000000000000000000000000001")],
            vec![json!(10), json!("10"), json!("10.00"), json!(1e1)],
            vec![json!(10.5), json!("10.50")],
            vec![json!(9_007_199_254_740_992_u64), json!(9_007_199_254_740_992.0)],
            vec![json!(9_007_199_254_740_993_u64), json!("9007199254740993")],
            vec![json!(9_223_372_036_854_775_807_i64)],
            vec![
                json!(9_223_372_036_854_775_808_u64),
                json!(9_223_372_036_854_775_808.0),
            ],
            vec![json!(u64::MAX)],
            vec![json!("79228162514264337593543950335")],
            vec![json!(f64::MAX)],
            vec![json!("")],
            vec![json!("1e5")],
            vec![json!("a")],
            vec![json!("a\0")],
            vec![json!("a\0b")],
            vec![json!("ab")],
            vec![json!("b")],
            vec![json!({})],
            vec![json!({"a": 1})],
            vec![json!({"a": 1, "b": 0})],
            vec![json!({"a": 2})],
            vec![json!({"b": 0})],
            vec![json!({"a": "x"})],
            vec![json!([])],
            vec![json!([1])],
            vec![json!([1, 2])],
            vec![json!([2])],
            vec![json!(["a"])],
            vec![json!(["a", 1])],
            vec![json!(["a\0"])],
            vec![json!(false)],
            vec![json!(true)],
        ];
        for (at, equals) in order.iter().enumerate() {
            for value in equals {
                assert_eq!(decimal(value), decimal(&equals[0]), "{value} and {}", equals[0]);
                if let Some(next) = order.get(at + 1) {
                    assert!(decimal(value) < decimal(&next[0]), "{value} < {}", next[0]);
                }
            }
        }
    }

    #[test]
    fn text_of_other_fields_stays_text() {
        assert!(encode(Some(&json!("10")), Reading::Text) < encode(Some(&json!("9")), Reading::Text));
        assert!(encode(Some(&json!(10)), Reading::Text) < encode(Some(&json!("9")), Reading::Text));
        assert_eq!(
            encode(None, Reading::Text),
            encode(Some(&json!(null)), Reading::Text)
        );
    }

    fn decimals() -> impl Strategy<Value = Decimal> {
        prop_oneof![
            (any::<i64>(), 0u32..=18).prop_map(|(units, scale)| Decimal::new(units, scale)),
            (-1000i64..1000, 0u32..=3).prop_map(|(units, scale)| Decimal::new(units, scale)),
            (any::<u32>(), any::<u32>(), any::<u32>(), any::<bool>(), 0u32..=28)
                .prop_map(|(lo, mid, hi, negative, scale)| Decimal::from_parts(lo, mid, hi, negative, scale)),
        ]
    }

    fn order(a: &Value, b: &Value) -> Ordering {
        decimal(a).cmp(&decimal(b))
    }

    proptest! {
        #[test]
        fn decimals_sort_as_numbers(a in decimals(), b in decimals()) {
            prop_assert_eq!(order(&json!(a.to_string()), &json!(b.to_string())), a.cmp(&b));
        }

        #[test]
        fn floats_sort_as_numbers(a in any::<f64>(), b in any::<f64>()) {
            if let (Some(expected), true) = (a.partial_cmp(&b), a.is_finite() && b.is_finite()) {
                prop_assert_eq!(order(&json!(a), &json!(b)), expected);
            }
        }

        #[test]
        fn integers_of_both_signs_sort_as_numbers(a in any::<i64>(), b in any::<u64>(), near in -3i64..=3) {
            prop_assert_eq!(order(&json!(a), &json!(b)), i128::from(a).cmp(&i128::from(b)));
            prop_assert_eq!(order(&json!(a), &json!(a.saturating_add(near))), a.cmp(&a.saturating_add(near)));
        }

        #[test]
        fn floats_and_integers_share_one_order(a in any::<i64>(), units in -3i64..=3) {
            #[expect(clippy::cast_precision_loss, reason = "the loss is what is tested")]
            let float = a as f64;
            let exact: i128 = format!("{float:.0}").parse().unwrap();
            let other = a.saturating_add(units);
            prop_assert_eq!(order(&json!(float), &json!(other)), exact.cmp(&i128::from(other)));
        }

        #[test]
        fn texts_sort_as_bytes(a in "[\\x00a-c]{0,4}", b in "[\\x00a-c]{0,4}", x in any::<bool>(), y in any::<bool>()) {
            prop_assert_eq!(order(&json!(a), &json!(b)), a.as_bytes().cmp(b.as_bytes()));
            prop_assert_eq!(order(&json!([a, x]), &json!([b, y])), (a, x).cmp(&(b, y)));
        }
    }
}
