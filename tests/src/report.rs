//! What the tests say on the terminal past what their harness captures, which it shows of failed ones alone.

use std::io::{self, Write as _};
use std::thread;

/// Says a line.
pub fn say(line: &str) {
    // Nobody may be reading, which is no reason to fail.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Says that the test of this thread is not run, since it needs what is not here. It then returns, and the harness, which
/// knows of no test that is left out while it runs, counts it among the passed.
pub fn not_run(needed: &str, reason: &str) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    say(&format!("not run: {test} needs {needed}: {reason}"));
}
