//! What a canary shows: how candidate and serving release fare on the commands of the same time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;

/// Decisions of which the time is kept, the newest; a median of these says enough.
const TIMES_KEPT: usize = 512;
/// Commands on either side before shares and medians say anything.
pub const COMMANDS_MIN: u64 = 20;

/// Seen so far.
pub struct Pulse {
    /// The candidate's commands.
    pub candidate: Side,
    /// Those of the release that serves.
    pub serving: Side,
    /// Told whenever the candidate has decided.
    pub beat: Notify,
    faults: AtomicU64,
    divergences: AtomicU64,
    kept_max: usize,
    /// The first faults and divergences, in sentences. std's lock: held to push and to copy.
    told: Mutex<Vec<String>>,
}

/// Commands of one release.
#[derive(Default)]
pub struct Side {
    commands: AtomicU64,
    rejections: AtomicU64,
    /// Microseconds in a ring. std's lock: held to push and to copy.
    times: Mutex<(Vec<u64>, usize)>,
}

/// A pulse at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// Commands that the candidate decided or failed at.
    pub candidate_commands: u64,
    /// Of these, rejected, in percent.
    pub candidate_rejected_percent: f64,
    /// Its median decision, in microseconds.
    pub candidate_median_us: Option<u64>,
    /// Commands that the serving release decided meanwhile.
    pub serving_commands: u64,
    /// Of these, rejected, in percent.
    pub serving_rejected_percent: f64,
    /// Its median decision, in microseconds.
    pub serving_median_us: Option<u64>,
    /// How often the candidate trapped, broke its contract or used more than a call may; none of it reached a client.
    pub faults: u64,
    /// How often it decided otherwise than the serving release would have.
    pub divergences: u64,
    /// The first faults and divergences, in sentences.
    pub told: Vec<String>,
}

impl Pulse {
    pub(super) fn new(kept_max: usize) -> Self {
        Self {
            candidate: Side::default(),
            serving: Side::default(),
            beat: Notify::new(),
            faults: AtomicU64::new(0),
            divergences: AtomicU64::new(0),
            kept_max,
            told: Mutex::default(),
        }
    }

    /// The candidate failed at a command.
    pub fn fault(&self, told: String) {
        self.faults.fetch_add(1, Ordering::Relaxed);
        self.tell(told);
    }

    /// The candidate decided otherwise than the serving release would have.
    pub fn divergence(&self, told: String) {
        self.divergences.fetch_add(1, Ordering::Relaxed);
        self.tell(told);
    }

    fn tell(&self, told: String) {
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < self.kept_max {
            all.push(told);
        }
    }

    /// How it stands now.
    #[must_use]
    pub fn read(&self) -> Reading {
        Reading {
            candidate_commands: self.candidate.commands.load(Ordering::Relaxed),
            candidate_rejected_percent: self.candidate.rejected_percent(),
            candidate_median_us: self.candidate.median_us(),
            serving_commands: self.serving.commands.load(Ordering::Relaxed),
            serving_rejected_percent: self.serving.rejected_percent(),
            serving_median_us: self.serving.median_us(),
            faults: self.faults.load(Ordering::Relaxed),
            divergences: self.divergences.load(Ordering::Relaxed),
            told: self.told.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

impl Side {
    /// A command was accepted, and deciding it took so long.
    pub fn accepted(&self, took: Duration) {
        self.commands.fetch_add(1, Ordering::Relaxed);
        self.keep_time(took);
    }

    /// A command was rejected.
    pub fn rejected(&self, took: Duration) {
        self.rejections.fetch_add(1, Ordering::Relaxed);
        self.accepted(took);
    }

    fn keep_time(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let (ring, next) = &mut *times;
        match ring.get_mut(*next) {
            Some(place) => *place = took,
            None => ring.push(took),
        }
        *next = (*next + 1) % TIMES_KEPT;
    }

    fn rejected_percent(&self) -> f64 {
        let commands = self.commands.load(Ordering::Relaxed).max(1);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a share of more than 2^52 commands is not shown exactly"
        )]
        let share = self.rejections.load(Ordering::Relaxed) as f64 / commands as f64;
        share * 100.0
    }

    fn median_us(&self) -> Option<u64> {
        let mut times = self
            .times
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .clone();
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }
}

impl Reading {
    /// What speaks against the candidate, as a sentence, if anything does.
    #[must_use]
    pub fn verdict(&self, slower_max: f64, rejections_more_max: f64) -> Option<String> {
        let first = self.told.first().map_or("", String::as_str);
        if self.faults > 0 {
            return Some(format!(
                "it failed at {} of {} commands: {first}",
                self.faults, self.candidate_commands
            ));
        }
        if self.divergences > 0 {
            return Some(format!(
                "it decided {} of {} commands otherwise: {first}",
                self.divergences, self.candidate_commands
            ));
        }
        if self.candidate_commands < COMMANDS_MIN || self.serving_commands < COMMANDS_MIN {
            return None;
        }
        if self.candidate_rejected_percent > self.serving_rejected_percent + rejections_more_max {
            return Some(format!(
                "it rejected {:.1} % of its commands, the serving release {:.1} %",
                self.candidate_rejected_percent, self.serving_rejected_percent
            ));
        }
        let (candidate, serving) = (self.candidate_median_us?, self.serving_median_us?);
        #[expect(clippy::cast_precision_loss, reason = "no decision takes 2^52 microseconds")]
        let slower = candidate as f64 > serving.max(1) as f64 * slower_max;
        slower.then(|| format!("its median decision took {candidate} us, the serving release's {serving} us"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse(candidate: &[(u64, bool)], serving: &[(u64, bool)]) -> Pulse {
        let pulse = Pulse::new(2);
        for (side, commands) in [(&pulse.candidate, candidate), (&pulse.serving, serving)] {
            for (us, rejected) in commands {
                let took = Duration::from_micros(*us);
                if *rejected {
                    side.rejected(took)
                } else {
                    side.accepted(took)
                }
            }
        }
        pulse
    }

    fn verdict(pulse: &Pulse) -> Option<String> {
        pulse.read().verdict(2.0, 5.0)
    }

    #[test]
    fn a_candidate_like_the_serving_release_passes() {
        let commands = vec![(20, false); 600];
        assert_eq!(verdict(&pulse(&commands, &commands)), None);
        assert_eq!(verdict(&pulse(&[], &commands)), None);
    }

    #[test]
    fn one_fault_or_divergence_is_too_many() {
        let pulse = pulse(&[(20, false)], &[]);
        pulse.divergence("tax 19 instead of 18".to_owned());
        assert!(verdict(&pulse).unwrap().contains("tax 19 instead of 18"));
        pulse.fault("trapped".to_owned());
        pulse.fault("never told".to_owned());
        let reading = pulse.read();
        assert_eq!((reading.faults, reading.told.len()), (2, 2));
        assert!(verdict(&pulse).unwrap().starts_with("it failed at 2"));
    }

    #[test]
    fn shares_and_medians_count_once_there_are_enough_commands() {
        let slow = |count| vec![(41, false); count];
        let quick = vec![(20, false); 20];
        assert_eq!(verdict(&pulse(&slow(19), &quick)), None);
        assert!(verdict(&pulse(&slow(20), &quick)).unwrap().contains("41 us"));
        let mut rejecting = vec![(20, false); 19];
        rejecting.push((20, true));
        assert_eq!(verdict(&pulse(&rejecting, &quick)), None, "5 % more are allowed");
        rejecting.push((20, true));
        assert!(
            verdict(&pulse(&rejecting, &quick))
                .unwrap()
                .contains("rejected 9.5 %")
        );
    }
}
