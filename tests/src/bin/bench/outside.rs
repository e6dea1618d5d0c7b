//! Durable commands over HTTP, in turns with what bounds them: the disk's flushes, and a server that only echoes; at the most
//! connections also the same host with its data in memory.

use std::path::Path;

use millwork_tests::server::{Server, Setup};
use serde_json::{Value, json};

use crate::echo::Echo;
use crate::load::{Done, Load};
use crate::process::Usage;
use crate::report::median;
use crate::requests::{Requests, Work};
use crate::spare::Trace;
use crate::{Effort, disk, process};

const WORKS: [Work; 3] = [Work::CreateClient, Work::AddLineItem, Work::OneAggregate];
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// Share of the cores in use from which on more work would not fit.
const BUSY_SHARE: f64 = 0.9;
/// A folder in memory, where flushes take no time.
const MEMORY: &str = "/dev/shm";

/// One kind of command at one number of connections; every figure the median of the rounds.
pub(crate) struct Row {
    pub(crate) work: Work,
    pub(crate) connections: usize,
    rounds: Vec<Round>,
}

/// One measurement with its baselines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// Commands a second.
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Flushes a second.
    pub(crate) flushes: f64,
    /// Requests a second of the echo.
    pub(crate) echo: f64,
    /// Requests that one transaction of the event store took, in the mean.
    pub(crate) batch: f64,
    /// The host's CPU for one command while they arrive, in microseconds.
    pub(crate) cpu_us: f64,
    /// As `cpu_us`, but until all read models have caught up.
    pub(crate) cpu_whole_us: f64,
    /// The client's CPU for one command, in microseconds.
    pub(crate) client_us: f64,
    /// Share of all cores that host and client used.
    pub(crate) cores_used: f64,
    /// Share of all cores that anybody used.
    pub(crate) cores_busy: f64,
    /// Share of the time in which somebody was awake and waited for a core.
    pub(crate) core_awaited: f64,
    /// Share of the time in which somebody waited for a disk.
    pub(crate) disk_awaited: f64,
    /// Share of the cores' time that was spare, at the most connections and where that can be traced.
    pub(crate) spare: Option<f64>,
    /// A host whose data is in memory, at the most connections.
    pub(crate) in_memory: Option<Memory>,
}

/// What the same load does when the disk takes no time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Commands a second.
    pub(crate) rate: f64,
    /// Share of all cores that host and client used.
    pub(crate) cores_used: f64,
}

/// A host whose data is in memory: what it does more is what the disk costs.
struct InMemory {
    server: Server,
    requests: Requests,
}

impl InMemory {
    fn start(effort: Effort) -> Option<Self> {
        let folder = Path::new(MEMORY);
        folder.is_dir().then(|| {
            let server = Server::start_in(folder, Setup::default());
            let requests = Requests::against(&server.admin(), effort.invoices);
            Self { server, requests }
        })
    }

    fn measure(&self, effort: Effort, work: Work, connections: usize) -> Memory {
        let load = self.requests.of(work, connections, effort.load);
        let (done, used) = used_by(&load, self.server.pid());
        self.requests.settle(&done);
        Memory {
            rate: done.rate(),
            cores_used: used.cores_used(done.took),
        }
    }
}

/// Puts a load on a host; tells what was used meanwhile, and when it ended.
fn used_by(load: &Load, host: u32) -> (Done, Usage) {
    let before = Usage::of(host);
    let done = load.run();
    let used = Usage::of(host).since(&before);
    (done, used)
}

impl Row {
    /// The median over the rounds.
    pub(crate) fn median(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(figure))
    }

    /// Of the commands that the disk's flushes would allow at this size of batches.
    pub(crate) fn of_disk(&self) -> f64 {
        self.median(|round| round.rate / (round.flushes * round.batch))
    }

    /// The median over the rounds in which the same was done with the data in memory.
    pub(crate) fn against_memory(&self, figure: impl Fn(&Round, Memory) -> f64) -> Option<f64> {
        let measured = self.rounds.iter();
        middle(measured.filter_map(|round| Some(figure(round, round.in_memory?))))
    }

    /// The median over the rounds in which it could be traced.
    pub(crate) fn spare(&self) -> Option<f64> {
        middle(self.rounds.iter().filter_map(|round| round.spare))
    }

    /// Whether the cores, and not the disk, set the bound.
    pub(crate) fn cpu_bound(&self) -> bool {
        self.median(|round| round.cores_used) >= BUSY_SHARE
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "command": self.work.name(),
            "connections": self.connections,
            "commandsPerSecond": self.median(|round| round.rate),
            "rounds": self.rounds.iter().map(|round| round.rate).collect::<Vec<_>>(),
            "p50Ms": self.median(|round| round.p50_ms),
            "p99Ms": self.median(|round| round.p99_ms),
            "flushesPerSecond": self.median(|round| round.flushes),
            "toFlushes": self.median(|round| round.rate / round.flushes),
            "toFlushesTimesBatch": self.of_disk(),
            "echoPerSecond": self.median(|round| round.echo),
            "toEcho": self.median(|round| round.rate / round.echo),
            "batch": self.median(|round| round.batch),
            "hostCpuUs": self.median(|round| round.cpu_us),
            "hostCpuWithProjectionsUs": self.median(|round| round.cpu_whole_us),
            "clientCpuUs": self.median(|round| round.client_us),
            "coresUsed": self.median(|round| round.cores_used),
            "coresBusy": self.median(|round| round.cores_busy),
            "coresSpare": self.spare(),
            "coreAwaited": self.median(|round| round.core_awaited),
            "diskAwaited": self.median(|round| round.disk_awaited),
            "toInMemory": self.against_memory(|round, memory| round.rate / memory.rate),
            "coresUsedInMemory": self.against_memory(|_, memory| memory.cores_used),
            "cpuBound": self.cpu_bound(),
        })
    }
}

/// Measures every kind at every number of connections.
pub(crate) fn measure(effort: Effort, server: &Server, requests: &Requests) -> Vec<Row> {
    let warm = requests.of(Work::AddLineItem, 16, effort.baseline).run();
    requests.settle(&warm);
    let echo = Echo::start(warm.body_bytes);
    let mut rows: Vec<Row> = CONNECTIONS
        .iter()
        .flat_map(|&connections| {
            WORKS.map(|work| Row {
                work,
                connections,
                rounds: Vec::new(),
            })
        })
        .collect();
    let memory = InMemory::start(effort);
    for _ in 0..effort.rounds {
        for row in &mut rows {
            let mut round = round(effort, server, requests, &echo, row.work, row.connections);
            if is_most(row.connections) {
                round.in_memory = memory
                    .as_ref()
                    .map(|memory| memory.measure(effort, row.work, row.connections));
            }
            row.rounds.push(round);
        }
    }
    rows
}

fn is_most(connections: usize) -> bool {
    CONNECTIONS.last() == Some(&connections)
}

/// The median, if there is any figure.
fn middle(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let figures: Vec<f64> = figures.collect();
    (!figures.is_empty()).then(|| median(figures.into_iter()))
}

fn round(
    effort: Effort,
    server: &Server,
    requests: &Requests,
    echo: &Echo,
    work: Work,
    connections: usize,
) -> Round {
    let flushes = disk::flushes_per_second(&server.data(), effort.baseline);
    let load = requests.of(work, connections, effort.load);
    let echoed = Load {
        address: echo.address.clone(),
        length: effort.baseline,
        ..load.clone()
    }
    .run();

    let host = server.pid();
    let host_before = process::cpu_seconds(host);
    let batches = requests.batches();
    let trace = is_most(connections).then(Trace::start).flatten();
    let (done, used) = used_by(&load, host);
    let spare = trace.and_then(|trace| trace.end(process::cores()));
    let (sum, count) = requests.batches();
    requests.settle(&done);
    let host_whole = process::cpu_seconds(host) - host_before;

    let commands = done.latencies.count();
    let latency = done.latencies.us();
    Round {
        rate: done.rate(),
        p50_ms: latency.median / 1e3,
        p99_ms: latency.p99 / 1e3,
        flushes,
        echo: echoed.rate(),
        batch: (sum - batches.0) / (count - batches.1).max(1.0),
        cpu_us: used.host * 1e6 / commands,
        cpu_whole_us: host_whole * 1e6 / commands,
        client_us: used.client * 1e6 / commands,
        cores_used: used.cores_used(done.took),
        cores_busy: used.cores_busy(done.took),
        core_awaited: used.core_awaited / done.took.as_secs_f64(),
        disk_awaited: used.disk_awaited / done.took.as_secs_f64(),
        spare,
        in_memory: None,
    }
}
