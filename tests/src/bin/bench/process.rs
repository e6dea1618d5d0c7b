//! What processes and the machine have used, from `/proc`.

use std::fs;
use std::thread;
use std::time::Duration;

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

/// What a host, this program as its client and the whole machine have used so far, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// CPU of the host.
    pub(crate) host: f64,
    /// CPU of this program.
    pub(crate) client: f64,
    /// Of all cores together, waiting for the disk included.
    pub(crate) idle: f64,
    /// In which somebody was awake and waited for a core.
    pub(crate) core_awaited: f64,
    /// In which somebody waited for a disk.
    pub(crate) disk_awaited: f64,
}

impl Usage {
    /// Until now.
    pub(crate) fn of(host: u32) -> Self {
        Self {
            host: cpu_seconds(host),
            client: cpu_seconds(std::process::id()),
            idle: idle_seconds(),
            core_awaited: awaited_seconds("cpu"),
            disk_awaited: awaited_seconds("io"),
        }
    }

    /// Since an earlier time.
    pub(crate) fn since(self, before: &Self) -> Self {
        Self {
            host: self.host - before.host,
            client: self.client - before.client,
            idle: self.idle - before.idle,
            core_awaited: self.core_awaited - before.core_awaited,
            disk_awaited: self.disk_awaited - before.disk_awaited,
        }
    }

    /// Share of all cores that host and client used within a time.
    pub(crate) fn cores_used(&self, took: Duration) -> f64 {
        (self.host + self.client) / (took.as_secs_f64() * cores())
    }

    /// Share of all cores that anybody used within a time.
    pub(crate) fn cores_busy(&self, took: Duration) -> f64 {
        (1.0 - self.idle / (took.as_secs_f64() * cores())).max(0.0)
    }
}

/// Seconds that all cores together have been idle so far, waiting for the disk included.
fn idle_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").expect("proc is mounted");
    let line = stat.lines().next().expect("a line of all cores");
    let idle = line
        .split_whitespace()
        .skip(4)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok());
    idle.sum::<f64>() / TICKS_PER_SECOND
}

/// Seconds so far in which somebody waited for what he could have used, by the kernel's pressure stall information; not a
/// number where the kernel does not count them.
fn awaited_seconds(what: &str) -> f64 {
    let pressure = fs::read_to_string(format!("/proc/pressure/{what}")).unwrap_or_default();
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "));
    let total_us = some.and_then(|line| line.split_once("total=")?.1.parse::<f64>().ok());
    total_us.map_or(f64::NAN, |us| us / 1e6)
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
