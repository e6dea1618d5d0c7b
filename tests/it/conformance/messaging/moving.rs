//! What has not been delivered moves with its tenant, and with it how far everybody is who listens.

use std::collections::BTreeMap;
use std::io::Write as _;

use millwork_host::capability::messaging::bus::{Bus, Letter, LetterKind};
use millwork_host::migrate::manifest::{FORMAT, Kind, Manifest, Whose};
use millwork_host::migrate::messages::{self, Readers};
use millwork_host::migrate::pack::Packer;
use millwork_host::migrate::unpack::Archive;
use serde_json::json;
use tokio::sync::mpsc;

use super::{message, on_every_backend, start_embedded, start_nats, tenant};

on_every_backend! {
    backends: { sqlite: start_embedded },
    servers: { jetstream: start_nats },
    cases: [what_is_not_delivered_moves, a_tenant_without_messages_moves],
}

/// An archive with what the bus has of a tenant whose feed ends at position 10.
async fn packed(bus: &dyn Bus, of: &str, readers: &Readers) -> Archive {
    let (out, mut pieces) = mpsc::channel(1_000);
    let mut packer = Packer::new(out);
    messages::pack(bus, &tenant(of), readers, 10, &mut packer)
        .await
        .unwrap();
    let manifest = Manifest {
        format: FORMAT,
        host: String::new(),
        exported_at_ms: 0,
        tenant: Whose {
            id: tenant(of),
            name: String::new(),
            created_at_ms: 0,
            profile: String::new(),
        },
        generation: 0,
        frozen: true,
        position: 10,
        contents: BTreeMap::new(),
        publishers: Vec::new(),
        parts: Vec::new(),
    };
    packer.finish(manifest).await.unwrap();
    let mut file = tempfile::tempfile().unwrap();
    while let Some(piece) = pieces.recv().await {
        file.write_all(&piece.unwrap()).unwrap();
    }
    Archive::open(file).unwrap()
}

fn letter(id: &str) -> Letter {
    Letter {
        addressee: "x.Y".to_owned(),
        kind: LetterKind::Command,
        name: "Create".to_owned(),
        id: id.to_owned(),
        code: "not-ever".to_owned(),
        reason: "because".to_owned(),
        attempts: 3,
        buried_at: 17,
        content: json!({ "payload": "1.50" }),
    }
}

async fn what_is_not_delivered_moves(bus: &dyn Bus) {
    let (from, to) = (tenant("moves-from"), tenant("moves-to"));
    for id in ["p1", "p2", "p3", "p4"] {
        bus.publish(
            &from,
            &[
                message(id, "plugin.x.A"),
                message(&format!("n{id}"), "client.Client.Made"),
            ],
        )
        .await
        .unwrap();
    }
    let published = bus.published(&from, "plugin", 0, 10).await.unwrap();
    let places: Vec<u64> = published.iter().map(|published| published.position).collect();
    for (reader, at) in [
        ("published.x.behind", places[1]),
        ("published.x.even", places[3]),
        ("feed.x.ahead", 12),
        ("feed.x.behind", 3),
    ] {
        bus.keep_checkpoint(&from, reader, at).await.unwrap();
    }
    for id in ["q1", "q2"] {
        bus.enqueue(&from, &message(id, "client.Create")).await.unwrap();
    }
    bus.bury(&from, &letter("l1")).await.unwrap();
    bus.bury(&from, &letter("l2")).await.unwrap();

    let readers = Readers {
        feed: ["feed.x.ahead", "feed.x.behind", "feed.x.none"]
            .map(str::to_owned)
            .into(),
        published: ["published.x.behind", "published.x.even", "published.x.none"]
            .map(str::to_owned)
            .into(),
    };
    let archive = packed(bus, "moves-from", &readers).await;
    let count = |kind| archive.manifest().contents[&kind].count;
    assert_eq!(
        [Kind::Published, Kind::Queue, Kind::Letters, Kind::Checkpoints].map(count),
        [2, 2, 2, 4]
    );
    messages::unpack(&archive, bus, &to).await.unwrap();

    let after = async |reader: &str| {
        let at = bus.checkpoint(&to, reader).await.unwrap().unwrap();
        let left = bus.published(&to, "plugin", at, 10).await.unwrap();
        left.into_iter().map(|left| left.message.id).collect::<Vec<_>>()
    };
    assert_eq!(after("published.x.behind").await, ["p3", "p4"]);
    assert_eq!(after("published.x.even").await, [""; 0]);
    for (reader, at) in [
        ("feed.x.ahead", Some(10)),
        ("feed.x.behind", Some(3)),
        ("feed.x.none", None),
    ] {
        assert_eq!(bus.checkpoint(&to, reader).await.unwrap(), at, "{reader}");
    }
    let queued = bus.queued(&to, 0, 10).await.unwrap();
    let queued: Vec<_> = queued.into_iter().map(|queued| queued.message).collect();
    assert_eq!(queued, ["q1", "q2"].map(|id| message(id, "client.Create")));
    let letters = bus.letters(&to, 0, 10).await.unwrap();
    let letters: Vec<_> = letters.into_iter().map(|(_, letter)| letter).collect();
    assert_eq!(letters, ["l1", "l2"].map(letter));
}

async fn a_tenant_without_messages_moves(bus: &dyn Bus) {
    let archive = packed(bus, "quiet-from", &Readers::default()).await;
    assert!(archive.manifest().contents.values().all(|sum| sum.count == 0));
    messages::unpack(&archive, bus, &tenant("quiet-to"))
        .await
        .unwrap();
    assert_eq!(bus.last_published(&tenant("quiet-to")).await.unwrap(), 0);
}
