//! The production profile at one, two and three hosts: commands over HTTP, how soon the feed is relayed, and how soon what was
//! recorded can be read. Hosts, servers and client share this machine, so that the figures tell what another host costs rather
//! than what it brings.

use std::thread;
use std::time::{Duration, Instant};

use millwork_host::http::position;
use millwork_tests::client::Client;
use millwork_tests::cluster::Hosts;
use millwork_tests::poll::{self, WITHIN_LONG};
use millwork_tests::production;
use serde_json::{Value, json};

use crate::Effort;
use crate::load::{Done, Load};
use crate::requests::{Requests, Work};

/// Connections of the load, over all hosts together.
const CONNECTIONS: usize = 48;
const HOSTS_MAX: usize = 3;

/// A cluster of some hosts, and what it did.
pub(crate) struct Row {
    pub(crate) hosts: usize,
    pub(crate) work: Work,
    /// Commands a second.
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Events a second from the feed to the bus, from the first command until all are there.
    pub(crate) relayed: f64,
    /// From the last answer until all that was recorded can be read, in milliseconds.
    pub(crate) lag_ms: f64,
}

impl Row {
    pub(crate) fn json(&self) -> Value {
        json!({
            "hosts": self.hosts,
            "command": self.work.name(),
            "commandsPerSecond": self.rate,
            "p50Ms": self.p50_ms,
            "p99Ms": self.p99_ms,
            "relayedPerSecond": self.relayed,
            "lagMs": self.lag_ms,
        })
    }
}

/// Measures every number of hosts; nothing where a server cannot be had.
pub(crate) fn measure(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for count in 1..=HOSTS_MAX {
        let Some(setup) = production::setup() else {
            return rows;
        };
        let hosts = Hosts::of(vec![setup; count]);
        let requests = Requests::against(&hosts.api(0), effort.invoices / 10);
        rows.extend([Work::CreateClient, Work::AddLineItem].map(|work| row(effort, &hosts, &requests, work)));
    }
    rows
}

fn row(effort: Effort, hosts: &Hosts, requests: &Requests, work: Work) -> Row {
    let count = hosts.hosts.len();
    let relayed_before = relayed(hosts);
    let started = Instant::now();
    let done = load(hosts, requests, work, 4 * effort.load);
    let answered = Instant::now();
    let apis: Vec<Client> = (0..count).map(|host| hosts.api(host)).collect();
    for api in &apis {
        settle(api, &done);
    }
    let lag = answered.elapsed();
    // Each of these commands records one event.
    poll::within(WITHIN_LONG, "all is relayed", || {
        (relayed(hosts) - relayed_before >= done.latencies.count()).then_some(())
    });
    let relayed = done.latencies.count() / started.elapsed().as_secs_f64();
    let latency = done.latencies.us();
    Row {
        hosts: count,
        work,
        rate: done.rate(),
        p50_ms: latency.median / 1e3,
        p99_ms: latency.p99 / 1e3,
        relayed,
        lag_ms: lag.as_secs_f64() * 1e3,
    }
}

/// The same load on all hosts at once.
fn load(hosts: &Hosts, requests: &Requests, work: Work, length: Duration) -> Done {
    let count = hosts.hosts.len();
    thread::scope(|scope| {
        let loads: Vec<_> = hosts
            .hosts
            .iter()
            .map(|host| {
                let load = Load {
                    address: host.url().trim_start_matches("http://").to_owned(),
                    ..requests.of(work, CONNECTIONS / count, length)
                };
                scope.spawn(move || load.run())
            })
            .collect();
        let mut all = Done::default();
        for load in loads {
            let done = load.join().expect("a load");
            all.took = all.took.max(done.took);
            all.add(done);
        }
        all
    })
}

fn settle(api: &Client, done: &Done) {
    for list in ["clients", "invoices"] {
        let path = format!("/api/v1/{list}?limit=1&after={}", position::encode(done.position));
        poll::within(WITHIN_LONG, "the projections catch up", || {
            (api.get(&path).status == 200).then_some(())
        });
    }
}

/// Events that all hosts together have relayed.
fn relayed(hosts: &Hosts) -> f64 {
    let of = |host: usize| {
        let text = hosts.api(host).get("/metrics").text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("millwork_relayed_events_total "));
        line.and_then(|value| value.trim().parse::<f64>().ok())
            .unwrap_or_default()
    };
    (0..hosts.hosts.len()).map(of).sum()
}
