//! Figures for people and for programs.

use std::env;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use millwork_tests::artifacts;
use millwork_tests::server::now_seconds;
use serde_json::{Value, json};

use crate::cluster;
use crate::inside::Inside;
use crate::outside::Row;
use crate::reads::Reads;
use crate::requests::Work;
use crate::swaps::Phase;

/// Where the results go; `cargo xtask bench` sets it.
const PATH_VARIABLE: &str = "MILLWORK_BENCH_JSON";
/// Most microseconds of a decision in a fresh instance, in the median.
const FRESH_US_MAX: f64 = 20.0;
/// Largest share of the sandbox in a command's CPU.
const SHARE_MAX: f64 = 0.15;
/// Smallest share of what the disk allows, unless the cores are the bound.
const OF_DISK_MIN: f64 = 0.6;
/// How many times as long as without the slowest of 100 requests may take during swaps.
const SWAP_P99_MAX: f64 = 1.5;
/// Share of the cores that other programs may use before the figures are doubtful.
const OTHERS_MAX: f64 = 0.1;

/// How long each of many things took.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

/// Times in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Us {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) p99: f64,
}

impl Times {
    /// Times one thing, without the dropping of what it gives.
    pub(crate) fn time<T>(&mut self, thing: impl FnOnce() -> T) {
        let started = Instant::now();
        let done = black_box(thing());
        self.push(started.elapsed());
        drop(done);
    }

    pub(crate) fn push(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    pub(crate) fn count(&self) -> f64 {
        self.0.len() as f64
    }

    /// Smallest, middle and nearly largest.
    pub(crate) fn us(&self) -> Us {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let took = sorted.get(sorted.len().saturating_sub(1) * percent / 100);
            took.map_or(f64::NAN, |took| took.as_secs_f64() * 1e6)
        };
        Us {
            min: at(0),
            median: at(50),
            p99: at(99),
        }
    }
}

impl Us {
    pub(crate) fn json(self) -> Value {
        json!({ "min": self.min, "median": self.median, "p99": self.p99 })
    }
}

/// The middle of some figures; the mean of the two middle ones where there are two.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    f64::midpoint(
        middle(sorted.len().saturating_sub(1) / 2),
        middle(sorted.len() / 2),
    )
}

/// What the sandbox costs.
pub(crate) fn inside(inside: &Inside) {
    println!("\nInside, in microseconds (min / median / p99), ratio of medians to native");
    println!(
        "{:24} {:>24} {:>32} {:>32}",
        "", "native", "reused instance", "fresh instance"
    );
    for row in &inside.rows {
        let native = row.native.us();
        let against = |us: Us| format!("{} {:5.1}x", three(us), us.median / native.median);
        let reused = row
            .reused
            .as_ref()
            .map_or_else(|| "-".to_owned(), |times| against(times.us()));
        println!(
            "{:24} {:>24} {reused:>32} {:>32}",
            row.name,
            three(native),
            against(row.fresh.us())
        );
    }
    println!(
        "compile {:.0} ms, load {:.2} ms",
        millis(inside.compile),
        millis(inside.load)
    );
    let slowest = inside
        .rows
        .iter()
        .filter(|row| row.reused.is_some())
        .map(|row| row.fresh.us().median);
    let slowest = slowest.fold(0.0, f64::max);
    target(
        "fresh decide, median",
        (slowest <= FRESH_US_MAX).into(),
        &format!("{slowest:.1} us, at most {FRESH_US_MAX:.0}"),
    );
}

/// What durable commands cost.
pub(crate) fn outside(rows: &[Row]) {
    println!(
        "\nDurable commands over HTTP; `disk` is the share of flushes/s times batch, CPU in microseconds a command"
    );
    println!(
        "{:28} {:>5} {:>8} {:>7} {:>7} {:>8} {:>7} {:>6} {:>5} {:>8} {:>6} {:>6} {:>6} {:>6} {:>5} {:>5}",
        "",
        "conns",
        "cmds/s",
        "p50 ms",
        "p99 ms",
        "flush/s",
        "/flush",
        "batch",
        "disk",
        "echo/s",
        "/echo",
        "cpu",
        "+proj",
        "client",
        "used",
        "busy"
    );
    for row in rows {
        println!(
            "{:28} {:>5} {:>8.0} {:>7.2} {:>7.2} {:>8.0} {:>6.2}x {:>6.1} {:>4.0}% {:>8.0} {:>5.2}x {:>6.0} {:>6.0} {:>6.0} \
             {:>4.0}% {:>4.0}%",
            row.work.name(),
            row.connections,
            row.median(|round| round.rate),
            row.median(|round| round.p50_ms),
            row.median(|round| round.p99_ms),
            row.median(|round| round.flushes),
            row.median(|round| round.rate / round.flushes),
            row.median(|round| round.batch),
            row.of_disk() * 100.0,
            row.median(|round| round.echo),
            row.median(|round| round.rate / round.echo),
            row.median(|round| round.cpu_us),
            row.median(|round| round.cpu_whole_us),
            row.median(|round| round.client_us),
            row.median(|round| round.cores_used) * 100.0,
            row.median(|round| round.cores_busy) * 100.0,
        );
    }
    let others = median(
        rows.iter()
            .map(|row| row.median(|round| round.cores_busy - round.cores_used)),
    );
    if others > OTHERS_MAX {
        println!(
            "NOISE  other programs used {:.0} % of the cores: read these figures as lower bounds",
            others * 100.0
        );
    }
    bound(rows);
}

/// What bounds the commands at the most connections.
fn bound(rows: &[Row]) {
    let most = rows.iter().map(|row| row.connections).max();
    for row in rows.iter().filter(|row| Some(row.connections) == most) {
        let (of_disk, cpu_bound) = (row.of_disk(), row.cpu_bound());
        let bound = if cpu_bound { ", CPU-bound" } else { "" };
        let what = format!("{} at {} connections", row.work.name(), row.connections);
        let of_memory = row.against_memory(|round, memory| round.rate / memory.rate);
        let used_in_memory = row.against_memory(|_, memory| memory.cores_used);
        let (rate_in_memory, used_in_memory) = match of_memory.zip(used_in_memory) {
            Some((rate, used)) => (
                format!(", {:.0} % of the rate with data in memory", rate * 100.0),
                format!(", {:.0} % with data in memory", used * 100.0),
            ),
            None => Default::default(),
        };
        let spare = match row.spare() {
            Some(spare) => format!("idle with nobody waiting {:.0} %", spare * 100.0),
            None => "idle with nobody waiting unknown, without root and tracefs".to_owned(),
        };
        let said = format!(
            "{:.0} % of what the disk allows{rate_in_memory}{bound}; at least {:.0} % or CPU-bound\n       \
             cores used {:.0} %{used_in_memory}; {spare}; somebody waited for a core {:.0} % of the time, for the disk {:.0} %",
            of_disk * 100.0,
            OF_DISK_MIN * 100.0,
            row.median(|round| round.cores_used) * 100.0,
            row.median(|round| round.core_awaited) * 100.0,
            row.median(|round| round.disk_awaited) * 100.0,
        );
        target(&what, (of_disk >= OF_DISK_MIN || cpu_bound).into(), &said);
    }
}

/// The sandbox's share in a durable command: what a decision takes longer than natively, of the host's CPU.
pub(crate) fn share(inside: &Inside, rows: &[Row]) -> Value {
    let mut shares = Vec::new();
    for row in rows.iter().filter(|row| row.work == Work::AddLineItem) {
        let Some(sandbox_us) = inside.sandbox_us(row.work.name()) else {
            continue;
        };
        let share = sandbox_us / row.median(|round| round.cpu_us);
        let whole = sandbox_us / row.median(|round| round.cpu_whole_us);
        let what = format!("sandbox in {} at {}", row.work.name(), row.connections);
        let said = format!(
            "{:.1} % of the CPU while commands arrive, {:.1} % with all projections; at most {:.0} %",
            share * 100.0,
            whole * 100.0,
            SHARE_MAX * 100.0
        );
        target(&what, (share <= SHARE_MAX).into(), &said);
        shares.push(json!({
            "command": row.work.name(),
            "connections": row.connections,
            "sandboxUs": sandbox_us,
            "share": share,
            "shareWithProjections": whole,
        }));
    }
    shares.into()
}

/// What reads cost.
pub(crate) fn reads(reads: &Reads) {
    println!("\nReads over HTTP, 16 connections");
    for row in &reads.rows {
        let name = row.work.name();
        println!(
            "{name:28} {:>8.0}/s  p50 {:.2} ms  p99 {:.2} ms",
            row.rate, row.p50_ms, row.p99_ms
        );
    }
    println!(
        "readable after the reply to one command: {:.2} ms",
        reads.single_lag_ms
    );
    println!(
        "readable after the last reply of a burst of 1000: {:.1} ms",
        reads.burst_lag_ms
    );
}

/// What requests notice of swaps.
pub(crate) fn swaps(phases: &[Phase]) {
    println!(
        "\nReads and writes over HTTP, 32 connections with a pause after each answer, while this is changed; ratio of p99 to nothing"
    );
    let unchanged = phases.first().map_or(f64::NAN, |phase| phase.p99_ms);
    for phase in phases {
        println!(
            "{:28} {:>8.0}/s  p50 {:.2} ms  p99 {:.2} ms  {:.2}x",
            phase.name,
            phase.rate,
            phase.p50_ms,
            phase.p99_ms,
            phase.p99_ms / unchanged
        );
    }
    let worst = phases
        .iter()
        .map(|phase| phase.p99_ms / unchanged)
        .fold(0.0, f64::max);
    let said = format!("{worst:.2}x of without, at most {SWAP_P99_MAX}x; no request failed");
    target("p99 during swaps", (worst <= SWAP_P99_MAX).into(), &said);
}

/// Prints what the production profile does at several numbers of hosts, beside one.
pub(crate) fn cluster(rows: &[cluster::Row]) {
    if rows.is_empty() {
        println!("\nThe production profile was not measured: a server is not here");
        return;
    }
    println!(
        "\nThe production profile, all hosts, servers and the client on this machine; 48 connections over all hosts"
    );
    for row in rows {
        let alone = rows.iter().find(|other| other.work == row.work);
        let ratio = row.rate / alone.map_or(f64::NAN, |alone| alone.rate);
        println!(
            "{} host{} {:14} {:>6.0}/s {ratio:.2}x of one  p50 {:.1} ms  p99 {:.1} ms  relayed {:>6.0}/s  all read {:.0} ms after the last answer",
            row.hosts,
            if row.hosts == 1 { " " } else { "s" },
            row.work.name(),
            row.rate,
            row.p50_ms,
            row.p99_ms,
            row.relayed,
            row.lag_ms,
        );
    }
}

/// Writes all figures to a file, and gives its path.
pub(crate) fn save(figures: &Value) -> PathBuf {
    let path = env::var_os(PATH_VARIABLE).map_or_else(default_path, PathBuf::from);
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).expect("a folder for the results");
    let text = serde_json::to_string_pretty(figures).expect("figures are JSON");
    fs::write(&path, text + "\n").expect("a file for the results");
    path
}

/// `bench/<seconds since 1970>.json` in the target folder.
fn default_path() -> PathBuf {
    artifacts::components()
        .join("../bench")
        .join(format!("{}.json", now_seconds()))
}

/// How a target came out.
enum Verdict {
    Met,
    Missed,
}

impl From<bool> for Verdict {
    fn from(met: bool) -> Self {
        if met { Self::Met } else { Self::Missed }
    }
}

fn target(what: &str, verdict: Verdict, said: &str) {
    let mark = match verdict {
        Verdict::Met => "ok    ",
        Verdict::Missed => "MISSED",
    };
    println!("{mark} {what}: {said}");
}

fn three(us: Us) -> String {
    format!("{:.1} / {:.1} / {:.1}", us.min, us.median, us.p99)
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
