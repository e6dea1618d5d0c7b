//! Gapless numbers: which sequence a number comes from and how it is written.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Most digits that `{number:0N}` may pad to: what a `u64` can always fill.
const DIGITS_MAX: usize = 19;
/// Longest template, in bytes.
const TEMPLATE_BYTES_MAX: usize = 64;

/// A gapless number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// The sequence it comes from; `{year}` and `{month}` of the command's time (UTC) start a new one: `invoice-{year}`.
    pub sequence: Template,
    /// How it is written: `INV-{year}-{number:06}` pads to six digits.
    pub format: Template,
}

impl Number {
    /// The sequence at a time (milliseconds since 1970, UTC): `invoice-2026`.
    #[must_use]
    pub fn sequence_at(&self, at_ms: u64) -> String {
        self.sequence.fill(at_ms, 0)
    }

    /// A number of that sequence as people read it: `INV-2026-000123`.
    #[must_use]
    pub fn render(&self, at_ms: u64, number: u64) -> String {
        self.format.fill(at_ms, number)
    }
}

/// Text with places to fill: `{year}`, `{month}`, `{number}` and `{number:0N}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template(Vec<Piece>);

/// A stretch of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Year,
    Month,
    /// Padded with zeros to so many digits; 0 pads nothing.
    Number(usize),
}

impl Template {
    /// Whether the year is part of it.
    pub(super) fn has_year(&self) -> bool {
        self.0.contains(&Piece::Year)
    }

    /// Whether the month is part of it.
    pub(super) fn has_month(&self) -> bool {
        self.0.contains(&Piece::Month)
    }

    /// How often the number is part of it.
    pub(super) fn numbers(&self) -> usize {
        self.0
            .iter()
            .filter(|piece| matches!(piece, Piece::Number(_)))
            .count()
    }

    fn fill(&self, at_ms: u64, number: u64) -> String {
        let (year, month) = year_and_month(at_ms);
        let filled = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Year => format!("{year:04}"),
            Piece::Month => format!("{month:02}"),
            Piece::Number(digits) => format!("{number:0digits$}"),
        });
        filled.collect()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Year => f.write_str("{year}"),
            Piece::Month => f.write_str("{month}"),
            Piece::Number(0) => f.write_str("{number}"),
            Piece::Number(digits) => write!(f, "{{number:0{digits}}}"),
        })
    }
}

impl TryFrom<String> for Template {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let short = !text.is_empty() && text.len() <= TEMPLATE_BYTES_MAX;
        match pieces(&text).filter(|_| short) {
            Some(pieces) => Ok(Self(pieces)),
            None => Err(Error::Form {
                what: "number template",
                text,
                expected: "1 to 64 characters of printable ASCII with {year}, {month}, {number} or {number:01} to \
                           {number:019}",
            }),
        }
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.to_string()
    }
}

fn pieces(text: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (place, next) = after.split_once('}')?;
        push_text(&mut pieces, before)?;
        pieces.push(place_of(place)?);
        rest = next;
    }
    push_text(&mut pieces, rest)?;
    Some(pieces)
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) -> Option<()> {
    let printable = text.bytes().all(|b| b.is_ascii_graphic() && b != b'}');
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
    printable.then_some(())
}

fn place_of(name: &str) -> Option<Piece> {
    match name {
        "year" => Some(Piece::Year),
        "month" => Some(Piece::Month),
        "number" => Some(Piece::Number(0)),
        _ => {
            let digits = name.strip_prefix("number:0")?;
            let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
            let digits = digits.parse().ok().filter(|_| plain)?;
            (1..=DIGITS_MAX)
                .contains(&digits)
                .then_some(Piece::Number(digits))
        }
    }
}

/// Year and month (1 to 12) in UTC, by the proleptic Gregorian calendar.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`; years start in March there, so that
/// the leap day is a year's last.
fn year_and_month(at_ms: u64) -> (u64, u64) {
    let days_since_march_0000 = at_ms / 86_400_000 + 719_468;
    let era = days_since_march_0000 / 146_097;
    let day_of_era = days_since_march_0000 % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month)
}

#[cfg(test)]
mod tests {
    use super::{Number, Template, year_and_month};

    fn template(text: &str) -> Template {
        Template::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn fills_sequence_and_format() {
        let number = Number {
            sequence: template("inv-{year}-{month}"),
            format: template("INV-{year}/{month}-{number:06}"),
        };
        let june_2026 = 1_781_000_000_000;
        assert_eq!(number.sequence_at(june_2026), "inv-2026-06");
        assert_eq!(number.render(june_2026, 123), "INV-2026/06-000123");
        assert_eq!(number.render(june_2026, 12_345_678), "INV-2026/06-12345678");
        assert_eq!(template("{number}").fill(0, u64::MAX), "18446744073709551615");
    }

    #[test]
    fn knows_the_calendar() {
        let cases = [
            (0, (1970, 1)),
            (951_782_399_999, (2000, 2)),
            (951_868_799_999, (2000, 2)),
            (951_868_800_000, (2000, 3)),
            (1_767_225_599_999, (2025, 12)),
            (1_767_225_600_000, (2026, 1)),
            (4_107_542_399_999, (2100, 2)),
            (4_107_542_400_000, (2100, 3)),
            (253_402_300_799_999, (9999, 12)),
        ];
        for (at_ms, expected) in cases {
            assert_eq!(year_and_month(at_ms), expected, "at {at_ms}");
        }
        assert!(year_and_month(u64::MAX).0 > 500_000_000);
    }

    #[test]
    fn refuses_other_templates_and_writes_the_rest_as_read() {
        for text in [
            "",
            "{",
            "}",
            "{day}",
            "{number:6}",
            "{number:00}",
            "{number:020}",
            "a b",
            "ä",
            "{year",
            "{number:0+6}",
        ] {
            assert!(Template::try_from(text.to_owned()).is_err(), "{text}");
        }
        for text in [
            "x",
            "{year}",
            "{year}{month}{number}",
            "INV-{number:019}",
            "a{number:01}b",
        ] {
            assert_eq!(template(text).to_string(), text);
        }
    }
}
