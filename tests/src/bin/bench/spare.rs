//! How much of the cores' time was spare: a core was idle, and no thread waited for one.
//!
//! An idle core alone does not tell that there was nothing to do. A kernel may queue a thread at a busy core rather than wake
//! an idle one, as kernels of virtual machines do that pack threads on few cores. So this reads the kernel's trace of its
//! scheduler, which takes root and a mounted tracefs: `Documentation/trace/ftrace.rst` of Linux.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

const INSTANCES: &str = "/sys/kernel/tracing/instances";
/// Memory for the trace of each core: a second is some 30,000 events of 50 bytes on two cores.
const BUFFER_KIB: &str = "16384";
const EVENTS: [&str; 3] = ["sched_switch", "sched_wakeup", "sched_wakeup_new"];
/// The thread that a core runs when it is idle.
const IDLE: u32 = 0;

/// A trace under way.
pub(crate) struct Trace {
    /// Its folder, which goes with it.
    folder: PathBuf,
}

impl Trace {
    /// Nothing where the kernel lets nobody trace.
    pub(crate) fn start() -> Option<Self> {
        let folder = Path::new(INSTANCES).join(format!("millwork-bench-{}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        let trace = Self { folder };
        trace.set("buffer_size_kb", BUFFER_KIB)?;
        for event in EVENTS {
            trace.set(&format!("events/sched/{event}/enable"), "1")?;
        }
        Some(trace)
    }

    /// Ends the trace; gives the share of the time of `cores` cores that was spare. Nothing when events were lost, or the
    /// machine has more cores than this program may use.
    pub(crate) fn end(self, cores: f64) -> Option<f64> {
        self.set("tracing_on", "0")?;
        let trace = File::open(self.folder.join("trace")).ok()?;
        spare(BufReader::new(trace).lines().map_while(Result::ok), cores)
    }

    fn set(&self, what: &str, value: &str) -> Option<()> {
        fs::write(self.folder.join(what), value).ok()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // It is emptied first. What stays is a folder that costs memory until the machine is started anew.
        let gone = self.set("events/enable", "0").is_some() && fs::remove_dir(&self.folder).is_ok();
        if !gone {
            eprintln!("{} could not be removed", self.folder.display());
        }
    }
}

/// What happened to threads.
enum Event {
    /// A core has put one thread in the place of another, which could go on or not.
    Switch { from: u32, goes_on: bool, to: u32 },
    /// A thread has something to do again.
    Wakeup { thread: u32 },
}

/// What the cores do at a time, and what they have done so far.
#[derive(Default)]
struct Cores {
    running: HashMap<u32, u32>,
    waiting: HashSet<u32>,
    /// Seconds.
    since: f64,
    /// Seconds of all cores together since each has told what it runs.
    spare: f64,
    all: f64,
}

impl Cores {
    #[expect(clippy::cast_precision_loss, reason = "counts of cores and threads")]
    fn pass(&mut self, now: f64, cores: f64) {
        if self.running.len() as f64 >= cores {
            let idle = self.running.values().filter(|&&thread| thread == IDLE).count();
            let spare = idle.saturating_sub(self.waiting.len());
            self.spare += (now - self.since) * spare as f64;
            self.all += (now - self.since) * cores;
        }
        self.since = now;
    }

    fn note(&mut self, core: u32, event: &Event) {
        match *event {
            Event::Switch { from, goes_on, to } => {
                self.waiting.remove(&from);
                if goes_on && from != IDLE {
                    self.waiting.insert(from);
                }
                self.waiting.remove(&to);
                self.running.insert(core, to);
            }
            Event::Wakeup { thread } => {
                if !self.running.values().any(|&running| running == thread) {
                    self.waiting.insert(thread);
                }
            }
        }
    }
}

/// See [`Trace::end`]; the lines are those of the kernel's file `trace`.
fn spare(lines: impl Iterator<Item = String>, cores: f64) -> Option<f64> {
    let mut seen = Cores::default();
    for line in lines {
        if let Some((_, counts)) = line.split_once("entries-in-buffer/entries-written: ") {
            let (kept, written) = counts.split_whitespace().next()?.split_once('/')?;
            if kept != written {
                return None;
            }
        }
        if let Some((now, core, event)) = parse(&line) {
            seen.pass(now, cores);
            seen.note(core, &event);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of cores")]
    let are_ours = seen.running.len() as f64 <= cores;
    (are_ours && seen.all > 0.0).then(|| seen.spare / seen.all)
}

/// A line: `<thread> [<core>] <flags> <seconds>: sched_<event>: <name>=<value> ...`.
fn parse(line: &str) -> Option<(f64, u32, Event)> {
    let (head, tail) = line.split_once(": sched_")?;
    let mut head = head.split_whitespace().rev();
    let now = head.next()?.parse().ok()?;
    let core = head.nth(1)?.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
    let value = |name: &str| tail.split_once(name)?.1.split_whitespace().next();
    let event = if tail.starts_with("switch: ") {
        Event::Switch {
            from: value(" prev_pid=")?.parse().ok()?,
            goes_on: value(" prev_state=")?.starts_with('R'),
            to: value(" next_pid=")?.parse().ok()?,
        }
    } else {
        Event::Wakeup {
            thread: value(" pid=")?.parse().ok()?,
        }
    };
    Some((now, core, event))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switch(core: u32, at: f64, from: (u32, char), to: u32) -> String {
        format!(
            "  a b-{0} [00{core}] d..2. {at:.6}: sched_switch: prev_comm=a b prev_pid={0} prev_prio=120 prev_state={1} ==> \
             next_comm=c next_pid={to} next_prio=120",
            from.0, from.1
        )
    }

    #[test]
    fn a_core_is_spare_only_while_nobody_waits() {
        let events = [
            "# entries-in-buffer/entries-written: 6/6   #P:2".to_owned(),
            switch(0, 10.0, (IDLE, 'R'), 7),
            // From here on both cores are known, and one is idle: a second is spare.
            switch(1, 11.0, (8, 'S'), IDLE),
            // 7 waits for its core while the other is idle: two seconds.
            switch(0, 12.0, (7, 'R'), 9),
            // Whoever runs does not wait.
            "  c-7 [000] dNh4. 13.000000: sched_wakeup: comm=x pid=9 prio=120 target_cpu=000".to_owned(),
            switch(1, 14.0, (IDLE, 'R'), 7),
            switch(0, 15.0, (9, 'D'), IDLE),
            // Nobody waits until 8 is woken: half a second is spare.
            "  c-7 [001] dNh4. 15.500000: sched_wakeup: comm=a b pid=8 prio=120 target_cpu=001".to_owned(),
            switch(0, 17.0, (IDLE, 'R'), 8),
        ];
        let found = spare(events.into_iter(), 2.0).unwrap();
        assert!((found - 1.5 / 12.0).abs() < 1e-9, "{found}");
    }

    #[test]
    fn nothing_is_told_of_a_trace_with_gaps_or_of_cores_of_others() {
        let told = |header: &str, cores: u32| {
            let events = (0..cores).map(|core| switch(core, 10.0 + f64::from(core), (8, 'S'), IDLE));
            let end = [switch(0, 20.0, (IDLE, 'R'), 8)];
            let header = [format!("# entries-in-buffer/entries-written: {header}   #P:2")];
            spare(header.into_iter().chain(events).chain(end), 2.0)
        };
        assert_eq!(told("3/3", 2), Some(1.0));
        assert_eq!(told("3/9", 2), None);
        assert_eq!(told("4/4", 3), None);
    }
}
