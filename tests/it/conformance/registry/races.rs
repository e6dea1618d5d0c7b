//! Two hosts, and several threads of each, that change the same record at the same moment.

use std::sync::Arc;
use std::thread;

use millwork_registry::store::Store;

use super::{Hosts, NAME, reads};

/// Threads that race, half of them on each host.
const RACERS: u8 = 8;
/// What each of them wants to do.
const TURNS: usize = 10;

/// Races, and gives what came of each.
fn race<T: Send>(hosts: &Hosts, run: impl Fn(u8, &Arc<dyn Store>) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let run = &run;
        let racers = (0..RACERS).zip(hosts.iter().cycle());
        let running: Vec<_> = racers
            .map(|(at, host)| scope.spawn(move || run(at, host)))
            .collect();
        running.into_iter().map(|racer| racer.join().unwrap()).collect()
    })
}

pub(super) async fn of_racers_one_creates(hosts: &Hosts) {
    for round in 0..TURNS {
        let name = format!("tenants/t{round}/tenant.json");
        let won = race(hosts, |at, host| host.create(&name, &[at]).unwrap());
        let winners: Vec<u8> = (0..)
            .zip(&won)
            .filter_map(|(at, won)| won.then_some(at))
            .collect();
        assert_eq!(winners.len(), 1, "round {round}");
        reads(hosts, &name, Some(&winners));
    }
}

pub(super) async fn of_racers_one_takes_each_turn(hosts: &Hosts) {
    let next = |read: Option<&[u8]>| {
        let number = read.map_or(0, |bytes| {
            String::from_utf8_lossy(bytes).parse::<usize>().unwrap()
        });
        (number + 1).to_string()
    };
    race(hosts, |_, host| {
        let mut turns = 0;
        while turns < TURNS {
            let read = host.read(NAME, 100).unwrap();
            let text = next(read.as_deref());
            turns += usize::from(host.replace_if(NAME, read.as_deref(), text.as_bytes()).unwrap());
        }
    });
    reads(
        hosts,
        NAME,
        Some((usize::from(RACERS) * TURNS).to_string().as_bytes()),
    );
}

pub(super) async fn of_racers_one_appends_each_line(hosts: &Hosts) {
    hosts[0].create(NAME, b"").unwrap();
    let appended = race(hosts, |at, host| {
        let won = |line: &usize| host.append(NAME, *line, at.to_string().as_bytes()).unwrap();
        let mut mine = Vec::new();
        while let Some(line) = {
            let there = host.read(NAME, 1 << 20).unwrap().unwrap();
            let lines = there.iter().filter(|byte| **byte == b'\n').count();
            (lines < TURNS).then_some(lines)
        } {
            mine.extend(Some(line).filter(won));
        }
        mine
    });
    let mut expected = vec![String::new(); TURNS];
    for (at, lines) in appended.iter().enumerate() {
        for line in lines {
            assert_eq!(expected[*line], "", "line {line} was won twice");
            expected[*line] = format!("{at}\n");
        }
    }
    reads(hosts, NAME, Some(expected.concat().as_bytes()));
}

pub(super) async fn racers_replace_it_whole(hosts: &Hosts) {
    let text = |at: u8| vec![at; 10_000 * (usize::from(at) + 1)];
    race(hosts, |at, host| {
        for _ in 0..TURNS {
            host.replace(NAME, &text(at)).unwrap();
            let read = host.read(NAME, 1 << 20).unwrap().unwrap();
            assert!(read == text(read[0]), "half a record of {} bytes", read.len());
        }
    });
}
