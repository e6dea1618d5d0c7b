//! How often something may be asked for.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// How often something may be asked for: `100` a second, or `100:500` for up to 500 at once after a time of silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Rate {
    /// What is granted for ever, at most [`Rate::PER_SECOND_MAX`].
    pub per_second: NonZeroU32,
    /// What is granted at once after a time of silence.
    pub burst: NonZeroU32,
}

impl Rate {
    /// The most that can be counted, since backends count in microseconds.
    pub const PER_SECOND_MAX: u32 = 1_000_000;

    /// The time that one takes up.
    #[must_use]
    pub fn interval(self) -> Duration {
        Duration::from_micros(u64::from(Self::PER_SECOND_MAX / self.per_second)).max(Duration::from_micros(1))
    }
}

impl TryFrom<String> for Rate {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a rate is <per second> or <per second>:<at once>, such as 100 or 100:500";
        let (per_second, burst) = text.split_once(':').unwrap_or((text, text));
        let per_second: NonZeroU32 = per_second.parse().map_err(|_| FORM)?;
        let burst = burst.parse().map_err(|_| FORM)?;
        if per_second.get() > Self::PER_SECOND_MAX {
            return Err("a rate is at most 1000000 a second");
        }
        Ok(Self { per_second, burst })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        let rate = |text: &str| {
            let rate: Result<Rate, _> = text.parse();
            rate.map(|rate| (rate.per_second.get(), rate.burst.get()))
        };
        assert_eq!(rate("100"), Ok((100, 100)));
        assert_eq!(rate("100:500"), Ok((100, 500)));
        assert_eq!(rate("1000000"), Ok((1_000_000, 1_000_000)));
        for text in ["", "0", "100:0", "-1", "a", "1:2:3", "1000001"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_takes_up_time() {
        for (text, micros) in [("1", 1_000_000), ("100", 10_000), ("1000000", 1)] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.interval(), Duration::from_micros(micros), "{text}");
        }
    }
}
