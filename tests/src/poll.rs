//! Waiting for a condition, in bounds.

use std::thread;
use std::time::{Duration, Instant};

/// Longest wait; generous, since it only shows on failure.
pub const WITHIN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(2);

/// Asks until there is an answer, and gives it.
///
/// # Panics
/// When there is none within [`WITHIN`].
#[track_caller]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < WITHIN, "{what}: not within {WITHIN:?}");
        thread::sleep(PAUSE);
    }
}
