//! Elasticsearch: noida-db in its place, an emulator that is good for the shapes of requests and answers and promises nothing
//! about durability. `MILLWORK_TEST_ELASTICSEARCH_URL=http://user:password@host:port` names one of your own.

use std::sync::{Once, OnceLock};

use super::{Kind, Launch, Place, wire};

/// See the module.
pub static ELASTICSEARCH: Kind = Kind {
    name: "Elasticsearch",
    what: "noida-db, an emulator of Elasticsearch",
    variable: "MILLWORK_TEST_ELASTICSEARCH_URL",
    program: "noida-db",
    version: &["version"],
    ports: 1,
    launch,
    url: |place| format!("http://127.0.0.1:{}", place.port(0)),
    answers: |place| wire::serves(place.port(0), "/_cluster/health", "\"status\":\"green\""),
    shared: OnceLock::new(),
    told: Once::new(),
};

fn launch(place: &Place) -> Launch {
    let port = place.port(0).to_string();
    Launch::arguments([
        "start",
        "--data-dir",
        &place.path("data"),
        "--host",
        "127.0.0.1",
        "--only",
        "elasticsearch",
        "--elasticsearch-port",
        &port,
    ])
}
