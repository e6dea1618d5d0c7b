//! The bus of messages.

mod embedded;
mod moving;
mod nats;

use std::time::Duration;

use bytes::Bytes;
use millwork_host::capability::messaging::bus::{Bus, BusError, Letter, LetterKind, Message};
use millwork_registry::id::TenantId;
use serde_json::json;

use self::embedded::start as start_embedded;
use self::nats::start as start_nats;
use super::{eventually, on_every_backend, tenant};

/// Commands of one queue that may wait, on every backend of these tests.
const COMMANDS_MAX: u32 = 20;
/// How long a command may be with its taker, on every backend of these tests.
const SETTLE_WITHIN: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_secs(10);

on_every_backend! {
    backends: { sqlite: start_embedded },
    servers: { jetstream: start_nats },
    cases: [
        what_is_published_is_read_in_order,
        the_same_id_is_published_once,
        tenants_do_not_see_each_other,
        each_command_is_taken_by_one,
        what_waits_is_seen_without_being_taken,
        what_is_not_settled_comes_again,
        what_is_given_back_waits,
        a_full_queue_refuses,
        the_same_command_is_accepted_once,
        checkpoints_are_kept,
        dead_letters_stay_until_they_are_discarded,
        questions_are_answered,
        nobody_answers,
        a_forgotten_tenant_begins_anew,
    ],
}

fn message(id: &str, subject: &str) -> Message {
    Message {
        id: id.to_owned(),
        subject: subject.to_owned(),
        payload: Bytes::from(format!("{{\"id\":\"{id}\"}}")),
    }
}

async fn ids(bus: &dyn Bus, of: &str, after: u64) -> Vec<String> {
    let found = bus.published(&tenant(of), "plugin", after, 100).await.unwrap();
    assert!(found.windows(2).all(|pair| pair[0].position < pair[1].position));
    found.into_iter().map(|published| published.message.id).collect()
}

async fn what_is_published_is_read_in_order(bus: &dyn Bus) {
    let of = tenant("order");
    assert_eq!(bus.last_published(&of).await.unwrap(), 0);
    let mut news = bus.news(&of).await.unwrap();
    let both = [message("a", "plugin.x.A"), message("b", "plugin.x.B")];
    bus.publish(&of, &both).await.unwrap();
    bus.publish(&of, &[message("n", "client.Client.Created")])
        .await
        .unwrap();
    bus.publish(&of, &[message("c", "plugin.y.A")]).await.unwrap();
    tokio::time::timeout(SOON, news.changed()).await.unwrap().unwrap();
    assert_eq!(ids(bus, "order", 0).await, ["a", "b", "c"]);
    let first = bus.published(&of, "plugin", 0, 1).await.unwrap().remove(0);
    assert_eq!(first.message, both[0]);
    assert_eq!(ids(bus, "order", first.position).await, ["b", "c"]);
    let last = bus.last_published(&of).await.unwrap();
    assert_eq!(ids(bus, "order", last).await, [""; 0]);
}

async fn what_waits_is_seen_without_being_taken(bus: &dyn Bus) {
    let of = tenant("waiting");
    for id in ["a", "b", "c"] {
        bus.enqueue(&of, &message(id, "client.Create")).await.unwrap();
    }
    bus.enqueue(&tenant("waiting-too"), &message("x", "client.Create"))
        .await
        .unwrap();
    let settled = bus.take(&of, 1, SOON).await.unwrap().remove(0);
    bus.settle(&of, &settled).await.unwrap();
    let later = bus.take(&of, 1, SOON).await.unwrap().remove(0);
    bus.give_back(&of, &later, SOON).await.unwrap();
    let first = bus.queued(&of, 0, 1).await.unwrap().remove(0);
    let rest = bus.queued(&of, first.position, 10).await.unwrap();
    let seen: Vec<_> = std::iter::once(&first).chain(&rest).collect();
    let ids: Vec<_> = seen.iter().map(|seen| &*seen.message.id).collect();
    assert_eq!(ids, ["b", "c"]);
    assert_eq!(first.message, message("b", "client.Create"));
    let taken = bus.take(&of, 10, SOON).await.unwrap();
    assert_eq!(
        taken.len(),
        1,
        "they are there all the same, but for the one that waits"
    );
}

async fn the_same_id_is_published_once(bus: &dyn Bus) {
    for _ in 0..3 {
        bus.publish(&tenant("dedupe"), &[message("a", "plugin.x.A")])
            .await
            .unwrap();
    }
    bus.publish(&tenant("dedupe-other"), &[message("a", "plugin.x.A")])
        .await
        .unwrap();
    assert_eq!(ids(bus, "dedupe", 0).await, ["a"]);
    assert_eq!(ids(bus, "dedupe-other", 0).await, ["a"]);
}

async fn tenants_do_not_see_each_other(bus: &dyn Bus) {
    let (mine, theirs) = (tenant("mine"), tenant("theirs"));
    bus.publish(&mine, &[message("a", "plugin.x.A")]).await.unwrap();
    bus.enqueue(&mine, &message("a", "client.Do")).await.unwrap();
    bus.keep_checkpoint(&mine, "r", 3).await.unwrap();
    let number = bus.bury(&mine, &letter("a")).await.unwrap();
    assert_eq!(ids(bus, "theirs", 0).await, [""; 0]);
    assert_eq!(bus.take(&theirs, 1, Duration::ZERO).await.unwrap(), []);
    assert_eq!(bus.checkpoint(&theirs, "r").await.unwrap(), None);
    assert_eq!(bus.letters(&theirs, 0, 10).await.unwrap(), []);
    assert!(!bus.discard(&theirs, number).await.unwrap());
    assert_eq!(bus.letters(&mine, 0, 10).await.unwrap().len(), 1);
}

async fn each_command_is_taken_by_one(bus: &dyn Bus) {
    let of = tenant("shared");
    for at in 0..10 {
        bus.enqueue(&of, &message(&format!("c{at}"), "client.Do"))
            .await
            .unwrap();
    }
    let work = async || {
        let mut done = Vec::new();
        loop {
            let taken = bus.take(&of, 2, Duration::ZERO).await.unwrap();
            if taken.is_empty() {
                return done;
            }
            for one in taken {
                assert_eq!((one.attempt, one.message.subject.as_str()), (1, "client.Do"));
                bus.settle(&of, &one).await.unwrap();
                done.push(one.message.id);
            }
        }
    };
    let (mut one, two) = tokio::join!(work(), work());
    one.extend(two);
    one.sort();
    assert_eq!(one, (0..10).map(|at| format!("c{at}")).collect::<Vec<_>>());
}

async fn what_is_not_settled_comes_again(bus: &dyn Bus) {
    let of = tenant("again");
    bus.enqueue(&of, &message("c", "client.Do")).await.unwrap();
    let first = bus.take(&of, 1, SOON).await.unwrap().remove(0);
    assert_eq!(bus.take(&of, 1, Duration::ZERO).await.unwrap(), []);
    let second = bus.take(&of, 1, SOON).await.unwrap().remove(0);
    assert_eq!((first.attempt, second.attempt), (1, 2));
    assert_eq!(first.message, second.message);
    bus.settle(&of, &second).await.unwrap();
    assert_eq!(bus.take(&of, 1, 2 * SETTLE_WITHIN).await.unwrap(), []);
}

async fn what_is_given_back_waits(bus: &dyn Bus) {
    let of = tenant("back");
    bus.enqueue(&of, &message("c", "client.Do")).await.unwrap();
    let taken = bus.take(&of, 1, SOON).await.unwrap().remove(0);
    bus.give_back(&of, &taken, Duration::from_millis(200))
        .await
        .unwrap();
    assert_eq!(bus.take(&of, 1, Duration::ZERO).await.unwrap(), []);
    let again = bus.take(&of, 1, SOON).await.unwrap().remove(0);
    assert_eq!(again.attempt, 2);
    bus.settle(&of, &again).await.unwrap();
}

async fn a_full_queue_refuses(bus: &dyn Bus) {
    let of = tenant("full");
    for at in 0..COMMANDS_MAX {
        bus.enqueue(&of, &message(&format!("c{at}"), "client.Do"))
            .await
            .unwrap();
    }
    let refused = bus.enqueue(&of, &message("more", "client.Do")).await;
    assert_eq!(refused, Err(BusError::Full));
    let taken = bus.take(&of, 1, SOON).await.unwrap().remove(0);
    assert_eq!(taken.message.id, "c0");
    bus.settle(&of, &taken).await.unwrap();
    bus.enqueue(&of, &message("more", "client.Do")).await.unwrap();
}

async fn the_same_command_is_accepted_once(bus: &dyn Bus) {
    let of = tenant("once");
    for _ in 0..3 {
        bus.enqueue(&of, &message("c", "client.Do")).await.unwrap();
    }
    let taken = bus.take(&of, 10, SOON).await.unwrap();
    assert_eq!(taken.len(), 1);
    bus.settle(&of, &taken[0]).await.unwrap();
}

async fn checkpoints_are_kept(bus: &dyn Bus) {
    let of = tenant("reader");
    assert_eq!(bus.checkpoint(&of, "feed.a.B").await.unwrap(), None);
    for at in [1, 7] {
        bus.keep_checkpoint(&of, "feed.a.B", at).await.unwrap();
        assert_eq!(bus.checkpoint(&of, "feed.a.B").await.unwrap(), Some(at));
    }
    assert_eq!(bus.checkpoint(&of, "feed.a.C").await.unwrap(), None);
}

fn letter(id: &str) -> Letter {
    Letter {
        addressee: "greeter.Welcome".to_owned(),
        kind: LetterKind::Event,
        name: "client.ClientCreated".to_owned(),
        id: id.to_owned(),
        code: "not-now".to_owned(),
        reason: "It never works.".to_owned(),
        attempts: 3,
        buried_at: 1,
        content: json!({ "id": id }),
    }
}

async fn dead_letters_stay_until_they_are_discarded(bus: &dyn Bus) {
    let of = tenant("dead");
    let first = bus.bury(&of, &letter("a")).await.unwrap();
    let second = bus.bury(&of, &letter("b")).await.unwrap();
    let all = bus.letters(&of, 0, 10).await.unwrap();
    assert_eq!(all, [(first, letter("a")), (second, letter("b"))]);
    assert_eq!(bus.letters(&of, 0, 1).await.unwrap(), all[..1]);
    assert!(bus.discard(&of, first).await.unwrap());
    assert!(!bus.discard(&of, first).await.unwrap());
    assert_eq!(bus.letters(&of, 0, 10).await.unwrap(), all[1..]);
}

async fn questions_are_answered(bus: &dyn Bus) {
    let (of, other) = (tenant("asked"), tenant("asked-other"));
    let mut one = bus.answer(&of, "plugin.x.Y").await.unwrap();
    let mut two = bus.answer(&of, "plugin.x.Y").await.unwrap();
    let answering = async {
        for _ in 0..4 {
            let question = tokio::select! {
                question = one.recv() => question.unwrap(),
                question = two.recv() => question.unwrap(),
            };
            let answer = [b"answer to ", &question.payload[..]].concat();
            question.answer.send(answer.into()).unwrap();
        }
    };
    let asking = async {
        for at in 0..4 {
            let answer = bus.ask(&of, "plugin.x.Y", format!("{at}").into(), SOON).await;
            assert_eq!(answer.unwrap(), format!("answer to {at}"));
        }
        let elsewhere = bus
            .ask(&other, "plugin.x.Y", Bytes::new(), Duration::from_millis(100))
            .await;
        assert_eq!(elsewhere, Err(BusError::Timeout));
    };
    tokio::join!(answering, asking);
}

async fn nobody_answers(bus: &dyn Bus) {
    let of = tenant("silent");
    let limit = Duration::from_millis(100);
    let asked = bus.ask(&of, "plugin.x.Y", Bytes::new(), limit).await;
    assert_eq!(asked, Err(BusError::Timeout));
    // Somebody is there, and says nothing.
    let mut silent = bus.answer(&of, "plugin.x.Y").await.unwrap();
    let asked = bus.ask(&of, "plugin.x.Y", Bytes::new(), limit).await;
    assert_eq!(asked, Err(BusError::Timeout));
    assert!(silent.recv().await.is_some());
    eventually("a queue without takers", || async {
        bus.take(&of, 1, Duration::ZERO).await.unwrap().is_empty()
    })
    .await;
}

async fn a_forgotten_tenant_begins_anew(bus: &dyn Bus) {
    let (gone, other) = (tenant("gone"), tenant("gone-not"));
    let fill = async |of: &TenantId| {
        bus.publish(of, &[message("a", "plugin.x.A")]).await.unwrap();
        for id in ["settled", "waiting"] {
            bus.enqueue(of, &message(id, "client.Do")).await.unwrap();
        }
        bus.keep_checkpoint(of, "r.s.t", 3).await.unwrap();
        bus.bury(of, &letter("a")).await.unwrap();
    };
    for (of, life) in [(&gone, Some("first")), (&other, None)] {
        bus.begin(of, life);
        fill(of).await;
    }
    let taken = bus.take(&gone, 1, SOON).await.unwrap().remove(0);
    assert_eq!(taken.message.id, "settled");
    bus.settle(&gone, &taken).await.unwrap();

    for _ in 0..2 {
        bus.forget(&gone).await.unwrap();
        bus.begin(&gone, Some("second"));
        assert_eq!(bus.last_published(&gone).await.unwrap(), 0);
        assert_eq!(bus.queued(&gone, 0, 10).await.unwrap(), []);
        assert_eq!(bus.take(&gone, 10, Duration::ZERO).await.unwrap(), []);
        assert_eq!(bus.checkpoint(&gone, "r.s.t").await.unwrap(), None);
        assert_eq!(bus.letters(&gone, 0, 10).await.unwrap(), []);
    }
    // What was accepted in the life before is accepted again, whether it was settled or not.
    fill(&gone).await;
    for of in ["gone", "gone-not"] {
        assert_eq!(ids(bus, of, 0).await, ["a"]);
        let queued = bus.queued(&tenant(of), 0, 10).await.unwrap();
        let queued: Vec<_> = queued.iter().map(|queued| &*queued.message.id).collect();
        assert_eq!(queued, ["settled", "waiting"]);
        assert_eq!(bus.letters(&tenant(of), 0, 10).await.unwrap().len(), 1);
        assert_eq!(bus.checkpoint(&tenant(of), "r.s.t").await.unwrap(), Some(3));
    }
    let taken = bus.take(&gone, 2, SOON).await.unwrap();
    let taken: Vec<_> = taken.iter().map(|taken| &*taken.message.id).collect();
    assert_eq!(taken, ["settled", "waiting"]);
}
