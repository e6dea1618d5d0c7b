//! Points in time and days, as the host counts them and as people and documents write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::format_description::well_known::Rfc3339;
use time::{Month, OffsetDateTime, UtcOffset};

use crate::trap::trap;

/// The last millisecond of the year 9999, where RFC 3339 ends.
const MILLIS_MAX: u64 = 253_402_300_799_999;

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
        match OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000) {
            Ok(time) => time,
            Err(error) => trap(format_args!("{} ms: {error}", self.0)),
        }
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
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.0.to_calendar_date();
        write!(f, "{year:04}-{:02}-{day:02}", u8::from(month))
    }
}

impl FromStr for Date {
    type Err = NotADate;

    fn from_str(text: &str) -> Result<Self, NotADate> {
        let mut parts = text.splitn(3, '-');
        let year = digits(parts.next(), 4)?.parse::<i32>().map_err(|_| NotADate)?;
        let month = digits(parts.next(), 2)?.parse::<u8>().map_err(|_| NotADate)?;
        let day = digits(parts.next(), 2)?.parse::<u8>().map_err(|_| NotADate)?;
        let month = Month::try_from(month).map_err(|_| NotADate)?;
        time::Date::from_calendar_date(year, month, day)
            .map(Self)
            .map_err(|_| NotADate)
    }
}

fn digits(part: Option<&str>, width: usize) -> Result<&str, NotADate> {
    part.filter(|p| p.len() == width && p.bytes().all(|b| b.is_ascii_digit()))
        .ok_or(NotADate)
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.utc();
        let (year, month, day) = t.to_calendar_date();
        let (hour, minute, second, milli) = t.to_hms_milli();
        write!(
            f,
            "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z",
            u8::from(month)
        )
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
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
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
