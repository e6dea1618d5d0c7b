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

fn launch(place: &Place) -> Launch {
    let text = format!(
        "host: \"127.0.0.1\"\nport: {}\nmax_payload: 8MB\n\
         jetstream {{ store_dir: {:?}, max_mem: 256MB, max_file: 2GB, sync_interval: always }}\n",
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
