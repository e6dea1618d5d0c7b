//! Points in time and days, as the host counts them and as people and documents write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::{Month, OffsetDateTime, UtcOffset};

use crate::text;
use crate::trap::trap;

/// The last millisecond of the year 9999, where RFC 3339 ends.
const MILLIS_MAX: u64 = 253_402_300_799_999;
/// Length of `2026-03-01T00:00:00.000Z`.
const TEXT_BYTES: usize = 24;

/// Milliseconds since 1970-01-01T00:00:00Z; as text RFC 3339 in UTC with three decimals, which sorts as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// The text is no time from 1970 to 9999 in RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time between 1970 and 9999 in RFC 3339")]
pub struct NotATime;

impl Timestamp {
    /// Times after the year 9999 count as its end.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min(MILLIS_MAX))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn millis(self) -> u64 {
        self.0
    }

    /// The day in UTC.
    #[must_use]
    pub fn date(self) -> Date {
        Date(self.utc().date())
    }

    fn utc(self) -> OffsetDateTime {
        let since = time::Duration::milliseconds(self.0.cast_signed());
        match OffsetDateTime::UNIX_EPOCH.checked_add(since) {
            Some(time) => time,
            None => trap(format_args!("{} ms are beyond the year 9999", self.0)),
        }
    }

    fn text(self) -> String {
        let time = self.utc();
        let (hour, minute, second, milli) = time.to_hms_milli();
        let mut text = Date(time.date()).text();
        for (before, number, width) in [
            ('T', hour.into(), 2),
            (':', minute.into(), 2),
            (':', second.into(), 2),
            ('.', milli.into(), 3),
        ] {
            text.push(before);
            push_digits(&mut text, number, width);
        }
        text.push('Z');
        text
    }
}

/// Writes a number's last digits. States and events hold many days, and `format!` is a long way to a few digits.
fn push_digits(text: &mut String, number: u32, width: u32) {
    for place in (0..width).rev() {
        text.extend(char::from_digit(number / 10_u32.pow(place) % 10, 10));
    }
}

/// A day of the calendar, from year 0 to 9999; as text `2026-03-01` (RFC 3339), which sorts as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(time::Date);

/// The text is no day of the form `2026-03-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a day of the form 2026-03-01")]
pub struct NotADate;

impl Date {
    /// The day that comes so many days later; `None` after the year 9999.
    #[must_use]
    pub fn plus_days(self, days: u32) -> Option<Self> {
        self.0
            .checked_add(time::Duration::days(i64::from(days)))
            .map(Self)
    }

    /// How many days this one comes after another; negative when it comes before.
    #[must_use]
    pub fn days_since(self, other: Self) -> i64 {
        (self.0 - other.0).whole_days()
    }

    fn text(self) -> String {
        let (year, month, day) = self.0.to_calendar_date();
        let mut text = String::with_capacity(TEXT_BYTES);
        push_digits(&mut text, year.unsigned_abs(), 4);
        text.push('-');
        push_digits(&mut text, u8::from(month).into(), 2);
        text.push('-');
        push_digits(&mut text, day.into(), 2);
        text
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl FromStr for Date {
    type Err = NotADate;

    fn from_str(text: &str) -> Result<Self, NotADate> {
        let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = text.as_bytes() else {
            return Err(NotADate);
        };
        let month = Month::try_from(number::<u8, 2>([m0, m1])?).map_err(|_| NotADate)?;
        time::Date::from_calendar_date(number([y0, y1, y2, y3])?, month, number([d0, d1])?)
            .map(Self)
            .map_err(|_| NotADate)
    }
}

/// The number that decimal digits stand for.
fn number<T: TryFrom<u32>, const WIDTH: usize>(digits: [&u8; WIDTH]) -> Result<T, NotADate> {
    let number = digits.into_iter().try_fold(0, |number, byte| {
        Some(number * 10 + char::from(*byte).to_digit(10)?)
    });
    T::try_from(number.ok_or(NotADate)?).map_err(|_| NotADate)
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text::read(from, "a day of the form 2026-03-01")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let time = OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|_| NotATime)?
            .to_offset(UtcOffset::UTC);
        let millis = u64::try_from(time.unix_timestamp_nanos() / 1_000_000).map_err(|_| NotATime)?;
        if millis > MILLIS_MAX {
            Err(NotATime)
        } else {
            Ok(Self(millis))
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text::read(from, "a time in RFC 3339")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, millis: u64, written: &str) {
        let read: Timestamp = text.parse().unwrap();
        assert_eq!(read.millis(), millis);
        assert_eq!(read.to_string(), written);
    }

    #[test]
    fn text_and_millis_are_the_same_time() {
        check("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00.000Z");
        check(
            "2026-02-28T23:30:00.5-01:00",
            1_772_325_000_500,
            "2026-03-01T00:30:00.500Z",
        );
        check("9999-12-31T23:59:59.999Z", MILLIS_MAX, "9999-12-31T23:59:59.999Z");
        assert_eq!(
            Timestamp::from_millis(u64::MAX).to_string(),
            "9999-12-31T23:59:59.999Z"
        );
        assert_eq!(
            Timestamp::from_millis(1_772_325_000_500).date().to_string(),
            "2026-03-01"
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "2026-02-30T00:00:00Z", "2026-02-28", "1969-12-31T23:59:59Z"] {
            assert_eq!(text.parse::<Timestamp>(), Err(NotATime), "{text}");
        }
    }

    #[test]
    fn days_are_counted_over_months_and_leap_years() {
        let day: Date = "2028-02-28".parse().unwrap();
        assert_eq!(
            day.plus_days(2).map(|d| d.to_string()).as_deref(),
            Some("2028-03-01")
        );
        assert_eq!(day.days_since("2028-03-01".parse().unwrap()), -2);
        assert_eq!("9999-12-31".parse::<Date>().unwrap().plus_days(1), None);
        assert_eq!(serde_json::to_string(&day).unwrap(), "\"2028-02-28\"");
        for text in ["", "2026-02-30", "2026-2-03", "2026-02-03T", "+026-02-03"] {
            assert_eq!(text.parse::<Date>(), Err(NotADate), "{text}");
        }
    }
}
