//! Redis: the real server, with each write on the disk before it answers. `MILLWORK_TEST_REDIS_URL=redis://:password@host:port`
//! names one of your own.

use std::fs;
use std::sync::{Once, OnceLock};

use super::{Kind, Launch, Place, wire};

/// See the module.
pub static REDIS: Kind = Kind {
    name: "Redis",
    what: "redis-server",
    variable: "MILLWORK_TEST_REDIS_URL",
    program: "redis-server",
    version: &["--version"],
    ports: 1,
    launch,
    url: |place| format!("redis://127.0.0.1:{}", place.port(0)),
    answers: |place| wire::says(place.port(0), b"PING\r\n", &[b"+PONG\r\n"]),
    shared: OnceLock::new(),
    told: Once::new(),
};

fn launch(place: &Place) -> Launch {
    let text = format!(
        "bind 127.0.0.1\nport {}\ndir {:?}\ndaemonize no\nsave \"\"\nappendonly yes\nappendfsync always\n",
        place.port(0),
        place.path(""),
    );
    let config = place.path("redis.conf");
    fs::write(&config, text).expect("a configuration");
    Launch::arguments([&config])
}
