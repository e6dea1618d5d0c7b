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

/// What all cores together have spent so far, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    /// Idle, waiting for the disk included.
    pub(crate) idle: f64,
    /// In soft interrupts: packets that the kernel moves, here between host and client. They are in no process's time.
    pub(crate) interrupts: f64,
}

impl Cores {
    pub(crate) fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").expect("proc is mounted");
        let line = stat.lines().next().expect("a line of all cores");
        // Fields as of proc(5): cpu user nice system idle iowait irq softirq ...
        let seconds = |field: usize| {
            let ticks = line.split_whitespace().nth(field);
            let ticks = ticks.and_then(|ticks| ticks.parse::<f64>().ok());
            ticks.expect("a time of all cores") / TICKS_PER_SECOND
        };
        Self {
            idle: seconds(4) + seconds(5),
            interrupts: seconds(7),
        }
    }
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
