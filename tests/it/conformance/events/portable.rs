//! What lets a tenant move: the gate, all it has as of one moment, and how it is put down elsewhere or removed.

use std::sync::Arc;

use millwork_host::event_store::portable::{Gate, Holding, Mark, Rejected};
use millwork_host::event_store::{AppendError, EventStore, Origin};

use super::super::eventually;
use super::{account, claim, draft, number, on_every_backend, reach_mongodb, start_sqlite, tenant};

on_every_backend! {
    backends: { sqlite: start_sqlite },
    servers: { mongodb: reach_mongodb },
    cases: [
        a_closed_gate_refuses_and_still_tells_outcomes,
        what_was_queued_before_the_gate_is_recorded,
        the_gate_is_each_tenants_own,
        a_mark_is_of_one_moment,
        holdings_come_in_the_order_of_their_bytes,
        accepted_commands_come_in_pages,
        what_was_put_down_is_what_is_read,
        a_forgotten_tenant_begins_anew,
    ],
}

/// The mark of a tenant with all it holds.
async fn marked(store: &dyn EventStore, of: &str) -> (Mark, Vec<Holding>) {
    let mut held = Vec::new();
    let mut keep = |holding| {
        held.push(holding);
        Ok(())
    };
    let mark = store.mark(&tenant(of), &mut keep).await.unwrap();
    (mark, held)
}

async fn a_closed_gate_refuses_and_still_tells_outcomes(store: &dyn EventStore) {
    let first = draft("c1", "x", 0).event("Opened").must_append(store).await;
    assert_eq!(store.gate(&tenant("a")).await.unwrap(), Gate::Open);
    for _ in 0..2 {
        store.set_gate(&tenant("a"), Gate::Closed).await.unwrap();
    }
    assert_eq!(store.gate(&tenant("a")).await.unwrap(), Gate::Closed);
    let refused = draft("c2", "x", 1).event("Paid").append(store).await;
    assert!(
        matches!(&refused, Err(AppendError::Closed(of)) if *of == tenant("a")),
        "{refused:?}"
    );
    let empty = draft("c3", "x", 1).append(store).await;
    assert!(matches!(empty, Err(AppendError::Closed(_))), "{empty:?}");
    let again = draft("c1", "x", 0).event("Opened").must_append(store).await;
    assert_eq!((again.replayed, again.position), (true, first.position));
    assert!(store.outcome(&tenant("a"), "c1").await.unwrap().is_some());
    store.set_gate(&tenant("a"), Gate::Open).await.unwrap();
    let paid = draft("c2", "x", 1).event("Paid").must_append(store).await;
    assert_eq!(paid.position, 2);
}

async fn what_was_queued_before_the_gate_is_recorded(store: &dyn EventStore) {
    let queued: Vec<_> = (0..50)
        .map(|at| store.append(draft(&format!("c{at}"), &format!("x{at}"), 0).event("Opened").0))
        .collect();
    store.set_gate(&tenant("a"), Gate::Closed).await.unwrap();
    let closed_at = marked(store, "a").await.0.position;
    let mut recorded = 0;
    for outcome in queued {
        match outcome.await {
            Ok(_) => recorded += 1,
            Err(AppendError::Closed(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(marked(store, "a").await.0.position, closed_at);
    assert_eq!(recorded, closed_at);
}

async fn the_gate_is_each_tenants_own(store: &dyn EventStore) {
    store.set_gate(&tenant("a"), Gate::Closed).await.unwrap();
    draft("c1", "x", 0)
        .of("b")
        .event("Opened")
        .must_append(store)
        .await;
    assert_eq!(store.gate(&tenant("b")).await.unwrap(), Gate::Open);
    store.set_gate(&tenant("c"), Gate::Arriving).await.unwrap();
    draft("c1", "x", 0)
        .of("c")
        .event("Opened")
        .must_append(store)
        .await;
    assert_eq!(store.gate(&tenant("c")).await.unwrap(), Gate::Arriving);
}

async fn a_mark_is_of_one_moment(store: &dyn EventStore) {
    assert_eq!(marked(store, "a").await, (Mark::default(), Vec::new()));
    let appends = async {
        for at in 1..=200 {
            let id = format!("c{at}");
            draft(&id, &id, 0)
                .event("Opened")
                .with(|append| {
                    append.claims.push(claim(&id));
                    append.numbers.push(number("receipt", at));
                })
                .must_append(store)
                .await;
        }
    };
    let marks = async {
        let mut last = 0;
        while last < 200 {
            let (mark, held) = marked(store, "a").await;
            let claims = held.iter().filter(|held| matches!(held, Holding::Claim { .. }));
            assert_eq!(claims.count() as u64, mark.position);
            let given = held.iter().find_map(|held| match held {
                Holding::Sequence { last, .. } => Some(*last),
                Holding::Claim { .. } => None,
            });
            assert_eq!(given.unwrap_or(0), mark.position);
            let commands = store
                .accepted(&tenant("a"), 0, mark.command, 1_000)
                .await
                .unwrap();
            assert_eq!(commands.last().map_or(0, |last| last.position), mark.position);
            assert!(mark.position >= last);
            last = mark.position;
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(appends, marks);
}

async fn holdings_come_in_the_order_of_their_bytes(store: &dyn EventStore) {
    draft("c1", "x/y", 0)
        .event("Opened")
        .with(|append| {
            append.claims = ["b", "a/2", "a-2", "ä", "A"].map(claim).into();
            append.numbers = vec![number("z", 1), number("a-1", 1), number("a", 1), number("a", 2)];
        })
        .must_append(store)
        .await;
    let held = marked(store, "a").await.1;
    let told: Vec<_> = held
        .iter()
        .map(|held| match held {
            Holding::Claim { holder, name, value } => {
                assert_eq!((holder, &**name), (&account("x/y"), "iban"));
                value.clone()
            }
            Holding::Sequence { module, name, last } => format!("{module} {name} {last}"),
        })
        .collect();
    let expected = ["A", "a-2", "a/2", "b", "ä", "bank a 2", "bank a-1 1", "bank z 1"];
    assert_eq!(told, expected);
}

async fn accepted_commands_come_in_pages(store: &dyn EventStore) {
    for at in 0..5 {
        let id = format!("c{at}");
        let draft = draft(&id, "x", at / 2);
        let draft = if at % 2 == 1 { draft.event("Paid") } else { draft };
        draft.must_append(store).await;
        super::draft(&id, "y", at)
            .of("b")
            .event("Paid")
            .must_append(store)
            .await;
    }
    let through = marked(store, "a").await.0.command;
    let (mut after, mut found) = (0, Vec::new());
    loop {
        let page = store.accepted(&tenant("a"), after, through, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.key;
        assert!(page.len() <= 2);
        found.extend(page);
    }
    let found: Vec<_> = found
        .iter()
        .map(|found| (&*found.command.id, found.before, found.position, found.version))
        .collect();
    let expected = [
        ("c0", 0, 0, 0),
        ("c1", 0, 1, 1),
        ("c2", 1, 1, 1),
        ("c3", 1, 2, 2),
        ("c4", 2, 2, 2),
    ];
    assert_eq!(found, expected);
}

async fn what_was_put_down_is_what_is_read(store: &dyn EventStore) {
    let holdings = vec![
        Holding::Claim {
            holder: account("x"),
            name: "iban".to_owned(),
            value: "DE/1".to_owned(),
        },
        Holding::Sequence {
            module: "bank".to_owned(),
            name: "receipt".to_owned(),
            last: 41,
        },
    ];
    store.set_gate(&tenant("a"), Gate::Arriving).await.unwrap();
    store
        .restore_holdings(&tenant("a"), holdings.clone())
        .await
        .unwrap();
    let rejected = |id: &str| Rejected {
        key: 0,
        command: draft(id, "x", 0).0.command,
        origin: Arc::new(Origin {
            user: "ann".to_owned(),
            correlation_id: "one".to_owned(),
            causation_id: id.to_owned(),
            traceparent: Some("t".to_owned()),
        }),
        rejection: format!("{{\"id\":\"{id}\"}}"),
    };
    let rejections = ["r2", "r1", "r3"].map(rejected).to_vec();
    store.restore_rejected(&tenant("a"), rejections).await.unwrap();
    store.restore_rejected(&tenant("a"), Vec::new()).await.unwrap();
    let (mark, held) = marked(store, "a").await;
    assert_eq!(held, holdings);
    let found = store.rejected(&tenant("a"), 0, mark.rejection, 10).await.unwrap();
    let ids: Vec<_> = found.iter().map(|found| &*found.command.id).collect();
    assert_eq!(ids, ["r2", "r1", "r3"]);
    assert_eq!(found[0].rejection, r#"{"id":"r2"}"#);
    assert_eq!(found[0].origin, rejected("r2").origin);
    assert_eq!(found[0].command.fingerprint, [7; 32]);
    // What is held is held.
    assert_eq!(
        store.next_number(&tenant("a"), "bank", "receipt").await.unwrap(),
        42
    );
    let taken = draft("c1", "z", 0).with(|append| append.claims.push(claim("DE/1")));
    assert!(matches!(
        taken.append(store).await,
        Err(AppendError::ClaimTaken { .. })
    ));
}

async fn a_forgotten_tenant_begins_anew(store: &dyn EventStore) {
    let fill = |of: &'static str| async move {
        draft("c1", "x", 0)
            .of(of)
            .event("Opened")
            .event("Paid")
            .with(|append| {
                append.claims.push(claim("DE"));
                append.numbers.push(number("receipt", 1));
            })
            .must_append(store)
            .await
    };
    // Names that begin alike.
    for of in ["a", "a-b", "a0"] {
        fill(of).await;
        let command = draft("r", "x", 2).0.command;
        let origin = draft("r", "x", 2).0.origin;
        store.journal_rejection(&tenant(of), command, origin, "{}".to_owned());
        eventually("a rejection is kept", async || {
            marked(store, of).await.0.rejection > 0
        })
        .await;
    }
    let others = [marked(store, "a-b").await, marked(store, "a0").await];
    store.set_gate(&tenant("a"), Gate::Arriving).await.unwrap();
    let watched = store.last_position(&tenant("a")).await.unwrap();
    assert_eq!(*watched.borrow(), 2);
    for events in [2, 0] {
        assert_eq!(store.forget(&tenant("a")).await.unwrap(), events);
    }
    let nowhere = draft("c1", "x", 0).of("a").event("Opened").append(store).await;
    assert!(matches!(nowhere, Err(AppendError::Gone(_))), "{nowhere:?}");
    assert_eq!(store.gate(&tenant("a")).await.unwrap(), Gate::Gone);
    store.set_gate(&tenant("a"), Gate::Open).await.unwrap();
    store.begin(&tenant("a"));
    assert_eq!(*store.last_position(&tenant("a")).await.unwrap().borrow(), 0);
    assert_eq!(marked(store, "a").await, (Mark::default(), Vec::new()));
    assert!(store.feed(&tenant("a"), 0, 10).await.unwrap().is_empty());
    assert!(store.outcome(&tenant("a"), "c1").await.unwrap().is_none());
    assert!(
        store
            .events(&tenant("a"), &account("x"), 0, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let anew = fill("a").await;
    assert_eq!((anew.position, anew.version, anew.replayed), (2, 2, false));
    assert_eq!([marked(store, "a-b").await, marked(store, "a0").await], others);
}
