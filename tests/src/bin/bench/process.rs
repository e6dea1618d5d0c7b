//! What processes and the machine have used, from `/proc`.

use std::fs;
use std::thread;

use serde_json::{Value, json};

/// Ticks in a second of the times in `/proc`; the kernel's `USER_HZ`, fixed for programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds of a process so far, user and system, all threads.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // The name, in brackets, may hold spaces; `utime` and `stime` are fields 14 and 15.
    let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
    let ticks = |field: usize| {
        fields
            .split(' ')
            .nth(field - 3)
            .and_then(|ticks| ticks.parse::<f64>().ok())
    };
    (ticks(14).expect("utime") + ticks(15).expect("stime")) / TICKS_PER_SECOND
}

/// Seconds that all cores together have been idle so far, waiting for the disk included.
pub(crate) fn idle_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").expect("proc is mounted");
    let line = stat.lines().next().expect("a line of all cores");
    let idle = line
        .split_whitespace()
        .skip(4)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok());
    idle.sum::<f64>() / TICKS_PER_SECOND
}

/// Cores that this program may use.
#[expect(clippy::cast_precision_loss, reason = "a number of cores")]
pub(crate) fn cores() -> f64 {
    thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64)
}

/// What the figures were measured on.
pub(crate) fn machine() -> Value {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({ "cores": cores(), "cpu": model.map(|(_, name)| name) })
}
