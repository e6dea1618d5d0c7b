//! Conditions of an append: versions, claims, numbers. What is refused leaves no trace.

use millwork_host::event_store::{Append, AppendError, EventStore, StoreError};

use super::{
    Draft, account, claim, draft, feed, number, on_every_backend, reach_mongodb, start_sqlite, tenant,
};

on_every_backend! {
    backends: { sqlite: start_sqlite },
    servers: { mongodb: reach_mongodb },
    cases: [
        an_aggregate_that_moved_on_refuses,
        a_related_aggregate_that_moved_on_refuses,
        a_claimed_value_is_taken_for_others,
        a_holder_may_claim_again,
        a_released_value_is_free,
        only_the_holder_releases,
        a_value_can_be_released_and_claimed_at_once,
        claims_belong_to_a_module_and_a_tenant,
        numbers_follow_each_other,
        several_numbers_of_one_sequence,
        sequences_belong_to_a_module_and_a_tenant,
        what_is_refused_takes_nothing,
    ],
}

fn claiming(id: &str, on: &str, version: u64, value: &str) -> Draft {
    draft(id, on, version)
        .event("Claimed")
        .with(|append| append.claims.push(claim(value)))
}

fn releasing(id: &str, on: &str, version: u64, value: &str) -> Draft {
    draft(id, on, version)
        .event("Released")
        .with(|append| append.releases.push(claim(value)))
}

fn numbered(id: &str, on: &str, taken: u64) -> Draft {
    draft(id, on, 0)
        .event("Numbered")
        .with(|append| append.numbers.push(number("receipt", taken)))
}

async fn next(store: &dyn EventStore, of: &str, module: &str) -> u64 {
    store.next_number(&tenant(of), module, "receipt").await.unwrap()
}

async fn an_aggregate_that_moved_on_refuses(store: &dyn EventStore) {
    draft("c1", "x", 0).event("Opened").must_append(store).await;
    for wrong in [0, 2] {
        match draft("c2", "x", wrong).event("Paid").append(store).await {
            Err(AppendError::Version {
                subject,
                expected,
                actual,
            }) => {
                assert_eq!((subject, expected, actual), (account("x"), wrong, 1));
            }
            other => panic!("{other:?}"),
        }
    }
    let missing = draft("c3", "y", 1).event("Paid").append(store).await;
    assert!(
        matches!(
            missing,
            Err(AppendError::Version {
                expected: 1,
                actual: 0,
                ..
            })
        ),
        "{missing:?}"
    );
    assert_eq!(feed(store).await, ["Opened"]);
    draft("c2", "x", 1).event("Paid").must_append(store).await;
}

async fn a_related_aggregate_that_moved_on_refuses(store: &dyn EventStore) {
    draft("c1", "limit", 0).event("Opened").must_append(store).await;
    let related = |append: &mut Append| append.expected.push((account("limit"), 0));
    match draft("c2", "x", 0)
        .with(related)
        .event("Opened")
        .append(store)
        .await
    {
        Err(AppendError::Version { subject, .. }) => assert_eq!(subject, account("limit")),
        other => panic!("{other:?}"),
    }
}

async fn a_claimed_value_is_taken_for_others(store: &dyn EventStore) {
    claiming("c1", "x", 0, "DE1").must_append(store).await;
    match claiming("c2", "y", 0, "DE1").append(store).await {
        Err(AppendError::ClaimTaken { claim: taken }) => assert_eq!(taken, claim("DE1")),
        other => panic!("{other:?}"),
    }
    assert_eq!(feed(store).await.len(), 1);
    claiming("c3", "y", 0, "de1").must_append(store).await;
}

async fn a_holder_may_claim_again(store: &dyn EventStore) {
    claiming("c1", "x", 0, "DE1").must_append(store).await;
    claiming("c2", "x", 1, "DE1")
        .with(|append| append.claims.push(claim("DE1")))
        .must_append(store)
        .await;
    assert!(claiming("c3", "y", 0, "DE1").append(store).await.is_err());
}

async fn a_released_value_is_free(store: &dyn EventStore) {
    claiming("c1", "x", 0, "DE1").must_append(store).await;
    releasing("c2", "x", 1, "DE1").must_append(store).await;
    claiming("c3", "y", 0, "DE1").must_append(store).await;
}

async fn only_the_holder_releases(store: &dyn EventStore) {
    claiming("c1", "x", 0, "DE1").must_append(store).await;
    for (id, value) in [("c2", "DE1"), ("c3", "DE2")] {
        let refused = releasing(id, "y", 0, value).append(store).await;
        assert!(
            matches!(refused, Err(AppendError::Store(StoreError::Failed(_)))),
            "{refused:?}"
        );
    }
    assert!(claiming("c4", "z", 0, "DE1").append(store).await.is_err());
}

async fn a_value_can_be_released_and_claimed_at_once(store: &dyn EventStore) {
    claiming("c1", "x", 0, "DE1").must_append(store).await;
    let renamed = claiming("c2", "x", 1, "DE2").with(|append| append.releases.push(claim("DE1")));
    renamed.must_append(store).await;
    claiming("c3", "y", 0, "DE1").must_append(store).await;
    let same = claiming("c4", "x", 2, "DE2").with(|append| append.releases.push(claim("DE2")));
    same.must_append(store).await;
    assert!(claiming("c5", "z", 0, "DE2").append(store).await.is_err());
}

async fn claims_belong_to_a_module_and_a_tenant(store: &dyn EventStore) {
    claiming("c1", "x", 0, "DE1").must_append(store).await;
    claiming("c1", "y", 0, "DE1").of("b").must_append(store).await;
    let other_module = claiming("c2", "y", 0, "DE1").with(|append| {
        append.command.target.module = "post".to_owned();
        append.expected[0].0.module = "post".to_owned();
        append.events[0].of.module = "post".to_owned();
    });
    other_module.must_append(store).await;
}

async fn numbers_follow_each_other(store: &dyn EventStore) {
    assert_eq!(next(store, "a", "bank").await, 1);
    for (id, wrong) in [("w0", 0), ("w2", 2)] {
        match numbered(id, id, wrong).append(store).await {
            Err(AppendError::Number { sequence, next }) => {
                assert_eq!((sequence.as_str(), next), ("receipt", 1))
            }
            other => panic!("{other:?}"),
        }
    }
    numbered("c1", "x", 1).must_append(store).await;
    assert_eq!(next(store, "a", "bank").await, 2);
    let taken = numbered("c2", "y", 1).append(store).await;
    assert!(
        matches!(taken, Err(AppendError::Number { next: 2, .. })),
        "{taken:?}"
    );
    numbered("c2", "y", 2).must_append(store).await;
    assert_eq!(next(store, "a", "bank").await, 3);
}

async fn several_numbers_of_one_sequence(store: &dyn EventStore) {
    let three = numbered("c1", "x", 3).with(|append| {
        append
            .numbers
            .extend([number("receipt", 1), number("other", 1), number("receipt", 2)]);
    });
    three.must_append(store).await;
    assert_eq!(next(store, "a", "bank").await, 4);
    let gap = numbered("c2", "y", 4).with(|append| append.numbers.push(number("receipt", 6)));
    assert!(matches!(
        gap.append(store).await,
        Err(AppendError::Number { next: 4, .. })
    ));
    let twice = numbered("c3", "y", 4).with(|append| append.numbers.push(number("receipt", 4)));
    assert!(matches!(
        twice.append(store).await,
        Err(AppendError::Number { next: 4, .. })
    ));
}

async fn sequences_belong_to_a_module_and_a_tenant(store: &dyn EventStore) {
    numbered("c1", "x", 1).must_append(store).await;
    assert_eq!(
        (next(store, "b", "bank").await, next(store, "a", "post").await),
        (1, 1)
    );
    numbered("c1", "x", 1).of("b").must_append(store).await;
}

async fn what_is_refused_takes_nothing(store: &dyn EventStore) {
    numbered("c1", "taken", 1)
        .with(|append| append.claims.push(claim("DE1")))
        .must_append(store)
        .await;
    let all = numbered("c2", "x", 2).with(|append| append.claims.push(claim("DE2")));
    let wrong_version = all.clone().with(|append| append.expected[0].1 = 1);
    let wrong_claim = all.clone().with(|append| append.claims.push(claim("DE1")));
    let wrong_number = all.clone().with(|append| append.numbers[0].number = 3);
    for refused in [wrong_version, wrong_claim, wrong_number] {
        assert!(refused.append(store).await.is_err());
        assert_eq!(next(store, "a", "bank").await, 2);
        assert!(store.outcome(&tenant("a"), "c2").await.unwrap().is_none());
        assert_eq!(feed(store).await.len(), 1);
    }
    claiming("c3", "y", 0, "DE2").must_append(store).await;
}
