//! The benchmarks: what a decision costs in the sandbox, and what a durable command costs from outside.
//!
//! `cargo xtask bench [--quick | --commands | --cluster | --swaps]`. Every figure stands beside a baseline that is measured in turns with
//! it: the same decider natively, the flushes of the disk below the data folder, a server that only echoes. A noisy machine
//! spoils both alike, so read the ratios. [`inside`] enters components itself, [`outside`], [`reads`] and [`swaps`] talk to a
//! real host, [`cluster`] to several over servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that fails ends with a message"
)]

mod disk;
mod echo;
mod inside;
mod load;
mod native;
mod outside;
mod process;
mod reads;
mod report;
mod requests;
mod sample;
mod spare;
mod cluster;
mod swaps;

use std::env;
use std::time::Duration;

use serde_json::json;

use millwork_tests::server::Server;

use crate::requests::Requests;

// As in the host, whose engine is measured in this process too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Effort {
    /// How often measured things and baselines take turns.
    rounds: usize,
    /// Calls of each kind in one round inside.
    calls: usize,
    /// Length of one load of commands.
    load: Duration,
    /// Length of one load on the echo, and of one probe of the disk.
    baseline: Duration,
    /// Invoices that lines are added to in turn.
    invoices: usize,
    /// Length of each phase of the load in which modules are swapped; those between are half as long.
    swap: Duration,
}

impl Effort {
    const FULL: Self = Self {
        rounds: 3,
        calls: 2_000,
        load: Duration::from_millis(1_200),
        baseline: Duration::from_millis(500),
        invoices: 3_000,
        swap: Duration::from_secs(12),
    };
    const QUICK: Self = Self {
        rounds: 1,
        calls: 500,
        load: Duration::from_millis(600),
        baseline: Duration::from_millis(250),
        invoices: 600,
        swap: Duration::from_secs(3),
    };
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        [] => measure(Effort::FULL),
        ["--quick"] => measure(Effort::QUICK),
        ["--commands"] => {
            let server = Server::demo();
            let requests = Requests::against(&server.admin(), Effort::FULL.invoices);
            report::outside(&outside::measure(Effort::FULL, &server, &requests));
        }
        ["--cluster"] => report::cluster(&cluster::measure(Effort::FULL)),
        ["--swaps"] => report::swaps(&swaps::measure(Effort::FULL)),
        [echo::ARGUMENT, answer_bytes] => echo::serve(answer_bytes.parse().expect("a number of bytes")),
        _ => panic!("usage: bench [--quick | --commands | --cluster | --swaps]"),
    }
}

fn measure(effort: Effort) {
    let inside = inside::measure(effort);
    report::inside(&inside);
    let server = Server::demo();
    let requests = Requests::against(&server.admin(), effort.invoices);
    let outside = outside::measure(effort, &server, &requests);
    report::outside(&outside);
    let share = report::share(&inside, &outside);
    let reads = reads::measure(effort, &requests);
    report::reads(&reads);
    drop(server);
    let swaps = swaps::measure(effort);
    report::swaps(&swaps);
    let cluster = cluster::measure(effort);
    report::cluster(&cluster);
    let path = report::save(&json!({
        "machine": process::machine(),
        "inside": inside.json(),
        "outside": outside.iter().map(outside::Row::json).collect::<Vec<_>>(),
        "sandboxShare": share,
        "reads": reads.json(),
        "cluster": cluster.iter().map(cluster::Row::json).collect::<Vec<_>>(),
        "swaps": swaps.iter().map(swaps::Phase::json).collect::<Vec<_>>(),
    }));
    println!("\n{}", path.display());
}
