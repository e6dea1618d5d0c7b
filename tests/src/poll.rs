//! Waiting for a condition, in bounds.

use std::thread;
use std::time::{Duration, Instant};

/// Longest wait; generous, since it only shows on failure.
pub const WITHIN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(2);

/// Longest wait for what does much on a machine that others keep busy.
pub const WITHIN_LONG: Duration = Duration::from_secs(300);

/// Asks until there is an answer, and gives it.
///
/// # Panics
/// When there is none within [`WITHIN`].
#[track_caller]
pub fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(WITHIN, what, ask)
}

/// Asks until there is an answer, and gives it.
///
/// # Panics
/// When there is none in this time.
#[track_caller]
pub fn within<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        thread::sleep(PAUSE);
    }
}
