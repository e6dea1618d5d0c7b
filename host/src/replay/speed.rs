//! Whether the candidate decides slower, from measurements on the same inputs by turns.

use millwork_registry::replay::{Class, Example, Report, Speed};

use crate::config::ReplayLimits;

/// Notes the medians, and the difference when the candidate's is too far above the other's. Each sample is what the release
/// that serves took and what the candidate took, in nanoseconds.
pub(super) fn judge(report: &mut Report, samples: Vec<(u64, u64)>, limits: &ReplayLimits) {
    let count = samples.len();
    let (serving, candidate): (Vec<_>, Vec<_>) = samples.into_iter().unzip();
    let (Some(from_ns), Some(to_ns)) = (median(serving), median(candidate)) else {
        return;
    };
    if count < limits.slower_samples_min {
        return;
    }
    let percent = to_ns.saturating_mul(100) / from_ns.max(1);
    report.speed = Some(Speed {
        samples: count as u64,
        from_ns,
        to_ns,
        percent,
    });
    if percent > limits.slower_percent {
        let (from, to) = (from_ns / 1_000, to_ns / 1_000);
        let detail = format!("decisions take {to} us in the median, and {from} us before");
        let example = Example {
            detail: Some(detail),
            ..Example::default()
        };
        report.add(Class::Slower, example, limits.examples_max);
    }
}

fn median(mut times: Vec<u64>) -> Option<u64> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use semver::Version;

    use super::*;

    fn check(samples: Vec<(u64, u64)>, percent: Option<u64>, slower: u64) {
        let limits = ReplayLimits {
            slower_percent: 150,
            slower_samples_min: 3,
            ..ReplayLimits::default()
        };
        let mut report = Report::new("m".to_owned(), Version::new(1, 0, 0), Version::new(1, 1, 0));
        judge(&mut report, samples, &limits);
        assert_eq!(report.speed.map(|speed| speed.percent), percent);
        assert_eq!(report.count(Class::Slower), slower);
    }

    #[test]
    fn medians_are_held_against_a_factor() {
        check(vec![(10, 15), (10, 15), (10, 900)], Some(150), 0);
        check(vec![(10, 16), (10, 16), (900, 10)], Some(160), 1);
        check(vec![(0, 16), (0, 16), (0, 10)], Some(1_600), 1);
        check(vec![(10, 90), (10, 90)], None, 0);
        check(Vec::new(), None, 0);
    }
}
