//! Sixty-four at once: nobody loses, nothing happens twice, nothing leaves a gap.

use std::collections::BTreeSet;

use millwork_host::event_store::{AppendError, EventStore};

use super::{account, claim, draft, number, on_every_backend, reach_mongodb, start_sqlite, tenant};

pub(super) const RACERS: u64 = 64;

on_every_backend! {
    backends: { sqlite: start_sqlite },
    servers: { mongodb: reach_mongodb },
    cases: [
        racers_on_one_aggregate,
        racers_on_one_claim,
        racers_on_one_sequence,
        racers_with_one_command,
        racers_of_several_tenants,
    ],
}

/// Runs one future per racer, all at once, and gives what they came to.
pub(super) async fn race<T, F: Future<Output = T>>(racer: impl Fn(u64) -> F) -> Vec<T> {
    let mut waiting: Vec<_> = (0..RACERS).map(|at| Box::pin(racer(at))).map(Some).collect();
    let mut ended: Vec<Option<T>> = (0..RACERS).map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (racer, end) in waiting.iter_mut().zip(&mut ended) {
            if let Some(std::task::Poll::Ready(outcome)) = racer.as_mut().map(|racer| racer.as_mut().poll(cx))
            {
                *end = Some(outcome);
                *racer = None;
            }
        }
        if waiting.iter().all(Option::is_none) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    ended.into_iter().flatten().collect()
}

pub(super) fn all<T: Ord + From<u32> + std::fmt::Debug>(found: impl IntoIterator<Item = T>) {
    let found: Vec<T> = found.into_iter().collect();
    let distinct: BTreeSet<&T> = found.iter().collect();
    assert_eq!(found.len(), distinct.len(), "something is there twice: {found:?}");
    let expected: Vec<T> = (1..=64_u32).map(T::from).collect();
    assert!(
        distinct.into_iter().eq(expected.iter()),
        "there is a gap: {found:?}"
    );
}

async fn racers_on_one_aggregate(store: &dyn EventStore) {
    let versions = race(|at| async move {
        let mut version = 0;
        loop {
            match draft(&format!("c{at}"), "x", version)
                .event("Paid")
                .append(store)
                .await
            {
                Ok(appended) => return appended.version,
                Err(AppendError::Version { actual, .. }) => version = actual,
                Err(other) => panic!("{other}"),
            }
        }
    });
    all(versions.await);
    let events = store.events(&tenant("a"), &account("x"), 0, 100).await.unwrap();
    assert!(events.iter().map(|event| event.version).eq(1..=RACERS));
    assert!(events.iter().map(|event| event.position).eq(1..=RACERS));
}

async fn racers_on_one_claim(store: &dyn EventStore) {
    let outcomes = race(|at| {
        let claiming = draft(&format!("c{at}"), &format!("x{at}"), 0).event("Opened");
        claiming
            .with(|append| append.claims.push(claim("DE1")))
            .append(store)
    });
    let outcomes = outcomes.await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let taken = |outcome: &&Result<_, _>| matches!(outcome, Err(AppendError::ClaimTaken { .. }));
    assert_eq!(outcomes.iter().filter(taken).count(), 63);
    assert_eq!(store.feed(&tenant("a"), 0, 100).await.unwrap().len(), 1);
}

async fn racers_on_one_sequence(store: &dyn EventStore) {
    let numbers = race(|at| async move {
        let mut taken = store.next_number(&tenant("a"), "bank", "receipt").await.unwrap();
        loop {
            let numbered = draft(&format!("c{at}"), &format!("x{at}"), 0).event("Opened");
            match numbered
                .with(|append| append.numbers.push(number("receipt", taken)))
                .append(store)
                .await
            {
                Ok(_) => return taken,
                Err(AppendError::Number { next, .. }) => taken = next,
                Err(other) => panic!("{other}"),
            }
        }
    });
    all(numbers.await);
    assert_eq!(
        store.next_number(&tenant("a"), "bank", "receipt").await.unwrap(),
        65
    );
}

async fn racers_with_one_command(store: &dyn EventStore) {
    let outcomes = race(|_| draft("c1", "x", 0).event("Opened").must_append(store)).await;
    assert_eq!(outcomes.iter().filter(|outcome| !outcome.replayed).count(), 1);
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.events == outcomes[0].events)
    );
    assert_eq!(store.feed(&tenant("a"), 0, 100).await.unwrap().len(), 1);
}

async fn racers_of_several_tenants(store: &dyn EventStore) {
    let tenants = ["a", "b", "c", "d"];
    race(|at| {
        let turn = usize::try_from(at).unwrap() % tenants.len();
        draft(&format!("c{at}"), &format!("x{at}"), 0)
            .of(tenants[turn])
            .event("Opened")
            .must_append(store)
    })
    .await;
    for name in tenants {
        let feed = store.feed(&tenant(name), 0, 100).await.unwrap();
        assert!(feed.iter().map(|event| event.position).eq(1..=16), "{name}");
    }
}
