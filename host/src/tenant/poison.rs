//! Quarantine: a module that fails at call after call is left alone for a while, so that it wastes nobody's time.
//!
//! After so many failures in a row its calls are refused until a pause is over; the next failure then makes the pause
//! twice as long, the next success ends it all. Views go on: the host answers them without the component.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::HealthLimits;

/// How a module has fared lately. Cheap as long as it works.
pub struct Poison {
    limits: HealthLimits,
    in_a_row: AtomicU32,
    failures: AtomicU64,
    /// Whether `quarantine` holds one, so that calls need not take the lock to learn that it does not.
    barred: AtomicBool,
    /// std's lock: held for a look only.
    quarantine: Mutex<Option<Quarantine>>,
}

#[derive(Clone, Copy)]
struct Quarantine {
    until: Instant,
    pause: Duration,
}

impl Poison {
    /// Of a module that was just loaded.
    #[must_use]
    pub fn new(limits: HealthLimits) -> Self {
        Self {
            limits,
            in_a_row: AtomicU32::new(0),
            failures: AtomicU64::new(0),
            barred: AtomicBool::new(false),
            quarantine: Mutex::default(),
        }
    }

    /// A call was answered.
    pub fn answered(&self) {
        if self.in_a_row.load(Ordering::Relaxed) > 0 {
            self.revive();
        }
    }

    /// A call failed; whether the module is in quarantine from now on.
    pub fn failed(&self, now: Instant) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let in_a_row = self.in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if in_a_row < self.limits.failures_in_a_row_max {
            return false;
        }
        let mut quarantine = self.quarantine.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = match *quarantine {
            None => self.limits.quarantine_min,
            // Calls that were under way when it began say nothing new.
            Some(kept) if kept.until > now => return false,
            Some(kept) => (kept.pause * 2).min(self.limits.quarantine_max),
        };
        *quarantine = Some(Quarantine {
            until: now + pause,
            pause,
        });
        self.barred.store(true, Ordering::Release);
        true
    }

    /// How long calls are refused yet; nothing when they are not.
    #[must_use]
    pub fn barred(&self, now: Instant) -> Option<Duration> {
        if !self.barred.load(Ordering::Acquire) {
            return None;
        }
        let quarantine = self.quarantine.lock().unwrap_or_else(PoisonError::into_inner);
        let left = quarantine.as_ref()?.until.checked_duration_since(now)?;
        (!left.is_zero()).then_some(left)
    }

    /// Calls that failed since the module was loaded.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Lets calls through again.
    pub fn revive(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
        let mut quarantine = self.quarantine.lock().unwrap_or_else(PoisonError::into_inner);
        *quarantine = None;
        self.barred.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_fails_again_and_again_is_left_alone_longer_and_longer() {
        let limits = HealthLimits::default();
        let poison = Poison::new(limits.clone());
        let start = Instant::now();
        for _ in 1..limits.failures_in_a_row_max {
            assert!(!poison.failed(start));
        }
        assert_eq!(poison.barred(start), None);
        assert!(poison.failed(start));
        assert_eq!(poison.barred(start), Some(limits.quarantine_min));
        assert!(!poison.failed(start), "a call that was under way");
        let over = start + limits.quarantine_min;
        assert_eq!(poison.barred(over), None);
        assert!(poison.failed(over));
        assert_eq!(poison.barred(over), Some(limits.quarantine_min * 2));
        poison.answered();
        assert_eq!(poison.barred(over), None);
        assert!(!poison.failed(over));
        assert_eq!(poison.failures(), u64::from(limits.failures_in_a_row_max) + 3);
    }

    #[test]
    fn a_pause_has_an_end() {
        let limits = HealthLimits::default();
        let poison = Poison::new(limits.clone());
        let mut now = Instant::now();
        for _ in 0..limits.failures_in_a_row_max + 40 {
            poison.failed(now);
            now += limits.quarantine_max;
        }
        assert!(poison.barred(now).is_none());
        poison.failed(now);
        assert_eq!(poison.barred(now), Some(limits.quarantine_max));
    }
}
