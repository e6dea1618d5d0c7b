//! Reads over HTTP, and how long after a burst of commands it can be read.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Effort;
use crate::load::Load;
use crate::report::median;
use crate::requests::{Requests, Work};

const CONNECTIONS: usize = 16;
/// Commands of a burst.
const BURST: u64 = 1_000;
/// Single commands that are read again at once.
const SINGLES: usize = 20;

/// All that was measured of reads.
pub(crate) struct Reads {
    pub(crate) rows: Vec<Row>,
    /// From the end of a burst until all of it can be read, in milliseconds.
    pub(crate) burst_lag_ms: f64,
    /// From the reply to a single command until it has been read, in milliseconds.
    pub(crate) single_lag_ms: f64,
}

/// One kind of read; medians of the rounds.
pub(crate) struct Row {
    pub(crate) work: Work,
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Measures.
pub(crate) fn measure(effort: Effort, requests: &Requests) -> Reads {
    let rows = [Work::OneInvoice, Work::InvoiceList]
        .map(|work| row(effort, requests, work))
        .into();
    let bursts = (0..effort.rounds).map(|_| lag(requests, CONNECTIONS, BURST));
    let singles = (0..SINGLES).map(|_| lag(requests, 1, 1));
    Reads {
        rows,
        burst_lag_ms: median(bursts),
        single_lag_ms: median(singles),
    }
}

fn row(effort: Effort, requests: &Requests, work: Work) -> Row {
    let load = requests.of(work, CONNECTIONS, effort.baseline);
    let rounds: Vec<_> = (0..effort.rounds).map(|_| load.run()).collect();
    Row {
        work,
        rate: median(rounds.iter().map(|done| done.rate())),
        p50_ms: median(rounds.iter().map(|done| done.latencies.us().median / 1e3)),
        p99_ms: median(rounds.iter().map(|done| done.latencies.us().p99 / 1e3)),
    }
}

fn lag(requests: &Requests, connections: usize, commands: u64) -> f64 {
    let load = requests.of(Work::AddLineItem, connections, Duration::from_secs(60));
    let done = Load {
        requests_max: commands,
        ..load
    }
    .run();
    let replied = Instant::now();
    requests.settle(&done);
    replied.elapsed().as_secs_f64() * 1e3
}

impl Reads {
    pub(crate) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "read": row.work.name(),
                "connections": CONNECTIONS,
                "perSecond": row.rate,
                "p50Ms": row.p50_ms,
                "p99Ms": row.p99_ms,
            })
        });
        json!({
            "rows": rows.collect::<Vec<_>>(),
            "burstCommands": BURST,
            "burstLagMs": self.burst_lag_ms,
            "singleLagMs": self.single_lag_ms,
        })
    }
}
