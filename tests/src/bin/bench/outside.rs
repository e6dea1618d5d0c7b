//! Durable commands over HTTP, in turns with what bounds them: the disk's flushes, and a server that only echoes; at the most
//! connections also the same host with its data in memory.

use std::path::Path;

use millwork_tests::server::{Server, Setup};
use serde_json::{Value, json};

use crate::echo::Echo;
use crate::load::Load;
use crate::report::median;
use crate::requests::{Requests, Work};
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
    /// Commands a second of a host whose data is in memory, at the most connections.
    pub(crate) in_memory: Option<f64>,
}

/// A host whose data is in memory: what it does more is what the disk costs.
struct InMemory {
    _server: Server,
    requests: Requests,
}

impl InMemory {
    fn start(effort: Effort) -> Option<Self> {
        let folder = Path::new(MEMORY);
        folder.is_dir().then(|| {
            let server = Server::start_in(folder, Setup::default());
            let requests = Requests::against(&server.admin(), effort.invoices);
            Self {
                _server: server,
                requests,
            }
        })
    }

    fn rate(&self, effort: Effort, work: Work, connections: usize) -> f64 {
        let done = self.requests.of(work, connections, effort.load).run();
        self.requests.settle(&done);
        done.rate()
    }
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

    /// Of the commands that are answered when the disk takes no time, where that was measured.
    pub(crate) fn of_memory(&self) -> Option<f64> {
        let measured = self
            .rounds
            .iter()
            .filter_map(|round| Some(round.rate / round.in_memory?));
        let shares: Vec<f64> = measured.collect();
        (!shares.is_empty()).then(|| median(shares.into_iter()))
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
            "toInMemory": self.of_memory(),
            "coresBusy": self.median(|round| round.cores_busy),
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
            if CONNECTIONS.last() == Some(&row.connections) {
                let rate = |memory: &InMemory| memory.rate(effort, row.work, row.connections);
                round.in_memory = memory.as_ref().map(rate);
            }
            row.rounds.push(round);
        }
    }
    rows
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

    let (host, client) = (server.pid(), std::process::id());
    let batches = requests.batches();
    let before = [host, client].map(process::cpu_seconds);
    let idle = process::idle_seconds();
    let done = load.run();
    let idle = process::idle_seconds() - idle;
    let after = [host, client].map(process::cpu_seconds);
    let (sum, count) = requests.batches();
    requests.settle(&done);
    let whole = process::cpu_seconds(host);

    let [host_before, client_before] = before;
    let [host_after, client_after] = after;
    let commands = done.latencies.count();
    let available = done.took.as_secs_f64() * process::cores();
    let latency = done.latencies.us();
    Round {
        rate: done.rate(),
        p50_ms: latency.median / 1e3,
        p99_ms: latency.p99 / 1e3,
        flushes,
        echo: echoed.rate(),
        batch: (sum - batches.0) / (count - batches.1).max(1.0),
        cpu_us: (host_after - host_before) * 1e6 / commands,
        cpu_whole_us: (whole - host_before) * 1e6 / commands,
        client_us: (client_after - client_before) * 1e6 / commands,
        cores_used: (host_after - host_before + client_after - client_before) / available,
        cores_busy: (1.0 - idle / available).max(0.0),
        in_memory: None,
    }
}
