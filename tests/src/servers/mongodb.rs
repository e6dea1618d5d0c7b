//! MongoDB: SecantusDB in its place, a re-implementation that speaks MongoDB's protocol and reports as a replica set of one
//! node. `MILLWORK_TEST_MONGODB_URL=mongodb://user:password@host:port/?replicaSet=name` names a MongoDB of your own.

use std::sync::{Once, OnceLock};

use super::{Kind, Launch, Place, wire};

/// See the module.
pub static MONGODB: Kind = Kind {
    name: "MongoDB",
    what: "SecantusDB, a re-implementation of MongoDB",
    variable: "MILLWORK_TEST_MONGODB_URL",
    program: "secantusd-py",
    version: &[],
    ports: 1,
    launch,
    url: |place| format!("mongodb://127.0.0.1:{}/?directConnection=true", place.port(0)),
    answers,
    shared: OnceLock::new(),
    told: Once::new(),
};

fn launch(place: &Place) -> Launch {
    let port = place.port(0).to_string();
    let data = place.path("data");
    let mut launch = Launch::arguments([
        "--host",
        "127.0.0.1",
        "--port",
        &port,
        "--storage-path",
        &data,
        // Beyond a fifth of it no client goes on until something is written out, which changes cannot be that an open
        // transaction, also one of a host that was killed, still holds. All tests together write less than that fifth.
        "--cache-size",
        "2G",
        "--log-level",
        "WARNING",
        // A success means durable, as the backends ask of a MongoDB.
        "--sync-on-commit",
    ]);
    // Its own configuration is looked for there.
    launch.variables.push(("HOME", place.path("")));
    launch
}

/// It says that it takes writes: `{ hello: 1, $db: "admin" }`.
fn answers(place: &Place) -> bool {
    let body = b"\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0";
    let document_bytes = 4 + body.len();
    // Length, number of the request, of what it answers, OP_MSG, no flags, and one section of the kind 0.
    let mut message = Vec::new();
    for number in [21 + document_bytes, 1, 0, 2_013, 0] {
        message.extend_from_slice(&int32(number));
    }
    message.push(0);
    message.extend_from_slice(&int32(document_bytes));
    message.extend_from_slice(body);
    wire::says(place.port(0), &message, &[b"\x08isWritablePrimary\0\x01"])
}

fn int32(number: usize) -> [u8; 4] {
    i32::try_from(number).expect("a small number").to_le_bytes()
}
