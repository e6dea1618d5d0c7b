//! Servers that have as much as they may keep: JetStream with a small store, Redis with little memory.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use millwork_host::capability::messaging::bus::{Bus, BusError, Message};
use millwork_host::capability::messaging::nats::{NatsBus, NatsLimits, NatsSettings};
use millwork_registry::id::TenantId;
use millwork_tests::poll;
use millwork_tests::server::{Server, Setup};
use millwork_tests::servers::{NATS_SMALL, REDIS};
use serde_json::json;

use super::{CLIENTS, create};
use crate::books;
use crate::servers::redis;

/// Messages that are more than the small store keeps, by far.
const MANY: usize = 1_000;
const SOON: Duration = Duration::from_secs(10);

fn tenant() -> TenantId {
    TenantId::new("demo").unwrap()
}

fn message(number: usize, subject: &str) -> Message {
    Message {
        id: format!("{subject}-{number}"),
        subject: subject.to_owned(),
        payload: Bytes::from(format!("{{\"text\":\"{}\"}}", "x".repeat(16 << 10))),
    }
}

async fn connect(url: &str) -> NatsBus {
    let settings = NatsSettings {
        url: url.to_owned(),
        prefix: "FULL".to_owned(),
        replicas: 1,
        limits: NatsLimits::default(),
    };
    NatsBus::connect(&settings).await.unwrap()
}

/// All events that were published, in order.
async fn published(bus: &NatsBus) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), 0);
    loop {
        let page = bus.published(&tenant(), "plugin", after, 50).await.unwrap();
        let Some(last) = page.last() else { return found };
        after = last.position;
        found.extend(page.into_iter().map(|published| published.message.id));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jetstream_refuses_what_it_cannot_keep_and_loses_nothing_that_it_accepted() {
    let Some(mut server) = NATS_SMALL.start() else {
        return;
    };
    let (bus, of) = (connect(server.url()).await, tenant());
    bus.keep_checkpoint(&of, "reader", 1).await.unwrap();
    let mut events = Vec::new();
    for number in 0..MANY {
        let event = message(number, "plugin.x.Happened");
        match bus.publish(&of, std::slice::from_ref(&event)).await {
            Ok(()) => events.push(event.id),
            Err(error) => {
                assert!(matches!(error, BusError::Full), "{error}");
                break;
            }
        }
    }
    assert!(
        (1..MANY).contains(&events.len()),
        "{} events were accepted",
        events.len()
    );
    // What is sent meanwhile is refused as well, and what is there is read.
    let refused = bus.enqueue(&of, &message(0, "client.Do")).await.unwrap_err();
    assert!(matches!(refused, BusError::Full), "{refused}");
    assert_eq!(published(&bus).await, events);
    server.kill();
    server.run();
    let bus = connect(server.url()).await;
    assert_eq!(published(&bus).await, events);
    assert_eq!(bus.checkpoint(&of, "reader").await.unwrap(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_are_done_make_room_for_others() {
    let Some(server) = NATS_SMALL.start() else { return };
    let (bus, of) = (connect(server.url()).await, tenant());
    let mut accepted = BTreeSet::new();
    for number in 0..MANY {
        let command = message(number, "client.Do");
        if bus.enqueue(&of, &command).await.is_err() {
            break;
        }
        accepted.insert(command.id);
    }
    assert!(
        (10..MANY).contains(&accepted.len()),
        "{} commands were accepted",
        accepted.len()
    );
    let mut done = BTreeSet::new();
    while done.len() < 10 {
        for taken in bus.take(&of, 5, SOON).await.unwrap() {
            bus.settle(&of, &taken).await.unwrap();
            done.insert(taken.message.id);
        }
    }
    let room = async {
        while bus.enqueue(&of, &message(MANY, "client.Do")).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, room).await.unwrap();
    accepted.insert(message(MANY, "client.Do").id);
    while done.len() < accepted.len() {
        for taken in bus.take(&of, 50, SOON).await.unwrap() {
            bus.settle(&of, &taken).await.unwrap();
            assert!(done.insert(taken.message.id));
        }
    }
    assert_eq!(done, accepted);
}

#[test]
fn without_room_in_redis_answers_are_not_kept_and_all_else_goes_on() {
    let Some(service) = REDIS.start() else { return };
    let url = service.url();
    let server = Server::start(Setup {
        settings: format!(
            "profile = \"p\"\nhttp.tenant_rate = \"100000\"\n[profiles.p]\ncache = \"redis\"\nredis.url = \"{url}\"\n"
        ),
        ..Setup::default()
    });
    let api = server.somebody(Some("demo"), &["admin"]);
    let session = api.post("/api/v1/sessions", &json!({})).done();
    let by_session = api.with_token(session["id"].as_str());
    books::client(&api, "ACME");
    assert_eq!(books::all(&api, CLIENTS).len(), 1);
    assert_eq!(redis(url, "CONFIG SET maxmemory-policy noeviction"), "+OK");
    assert_eq!(redis(url, "CONFIG SET maxmemory 1"), "+OK");
    assert!(redis(url, "SET full 1").starts_with("-OOM"));
    for number in 0..5 {
        let made = create(&api, &format!("C{number}"));
        assert_eq!(made.status, 201, "{}", made.text());
        let seen = books::seen(&api, CLIENTS, &made.json());
        assert_eq!(seen["code"], format!("C{number}"));
        // What was kept before does not count any more, though nothing could be written about it.
        assert_eq!(books::all(&api, CLIENTS).len(), number + 2);
    }
    // Nobody new signs in; who is signed in stays so, and can sign out.
    api.post("/api/v1/sessions", &json!({}))
        .refused(503, "sessions-unavailable");
    assert_eq!(by_session.get(CLIENTS).status, 200);
    assert_eq!(by_session.delete("/api/v1/sessions/current").status, 200);
    by_session.get(CLIENTS).refused(401, "session-over");

    assert_eq!(redis(url, "CONFIG SET maxmemory 0"), "+OK");
    poll::until("sessions begin again", || {
        (api.post("/api/v1/sessions", &json!({})).status == 201).then_some(())
    });
}
