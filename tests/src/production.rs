//! A host whose tenants have everything on servers: the profile that those use who outgrow one machine.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::server::{Setup, now_seconds};
use crate::servers::{ELASTICSEARCH, MONGODB, NATS, REDIS};

/// How a host is started whose tenants are on servers unless they say otherwise; nothing, which is said, where one of the
/// servers cannot be had. Each has a database, indexes, keys and streams of its own.
#[must_use]
pub fn setup() -> Option<Setup> {
    let (mongodb, redis) = (MONGODB.shared()?, REDIS.shared()?);
    let (elasticsearch, nats) = (ELASTICSEARCH.shared()?, NATS.shared()?);
    Some(over(mongodb.url(), redis.url(), elasticsearch.url(), nats.url()))
}

/// The same over servers at these addresses.
#[must_use]
pub fn over(mongodb: &str, redis: &str, elasticsearch: &str, nats: &str) -> Setup {
    static HOSTS: AtomicU32 = AtomicU32::new(0);
    let own = format!(
        "{}{}n{}",
        now_seconds(),
        std::process::id(),
        HOSTS.fetch_add(1, Ordering::Relaxed)
    );
    let upper = own.to_uppercase();
    let settings = format!(
        r#"
profile = "production"
[profiles.production]
events = "mongodb"
documents = "mongodb"
cache = "redis"
search = "elasticsearch"
messages = "nats"
[profiles.production.mongodb]
url = "{mongodb}"
database = "m{own}"
[profiles.production.redis]
url = "{redis}"
key_prefix = "{own}:"
[profiles.production.elasticsearch]
url = "{elasticsearch}"
prefix = "m{own}-"
replicas = 0
[profiles.production.nats]
url = "{nats}"
prefix = "M{upper}"
"#
    );
    Setup {
        settings,
        ..Setup::default()
    }
}
