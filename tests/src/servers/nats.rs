//! NATS with JetStream: the real server. `MILLWORK_TEST_NATS_URL=nats://user:password@host:port` names one of your own.

use std::fs;
use std::sync::{Once, OnceLock};

use super::{Kind, Launch, Place, wire};

/// See the module.
pub static NATS: Kind = Kind {
    name: "NATS",
    what: "nats-server with JetStream",
    variable: "MILLWORK_TEST_NATS_URL",
    program: "nats-server",
    version: &["--version"],
    ports: 1,
    launch,
    url: |place| format!("nats://127.0.0.1:{}", place.port(0)),
    answers,
    shared: OnceLock::new(),
    told: Once::new(),
};

/// One that keeps a few megabytes and no more.
pub static NATS_SMALL: Kind = Kind {
    name: "NATS",
    what: "nats-server with a small JetStream",
    variable: "MILLWORK_TEST_NATS_URL",
    program: "nats-server",
    version: &["--version"],
    ports: 1,
    launch: |place| launch_with(place, "4MB"),
    url: |place| format!("nats://127.0.0.1:{}", place.port(0)),
    answers,
    shared: OnceLock::new(),
    told: Once::new(),
};

fn launch(place: &Place) -> Launch {
    launch_with(place, "2GB")
}

fn launch_with(place: &Place, kept_max: &str) -> Launch {
    let text = format!(
        "host: \"127.0.0.1\"\nport: {}\nmax_payload: 8MB\n\
         jetstream {{ store_dir: {:?}, max_mem: 256MB, max_file: {kept_max}, sync_interval: always }}\n",
        place.port(0),
        place.path("data"),
    );
    let config = place.path("nats.conf");
    fs::write(&config, text).expect("a configuration");
    Launch::arguments(["--config", &config])
}

/// JetStream tells of this account.
fn answers(place: &Place) -> bool {
    let request = b"CONNECT {\"verbose\":false}\r\nSUB answer 1\r\nPUB $JS.API.INFO answer 0\r\n\r\n";
    wire::says(
        place.port(0),
        request,
        &[b"io.nats.jetstream.api.v1.account_info_response", b"\"storage\""],
    )
}
