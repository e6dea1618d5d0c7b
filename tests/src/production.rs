//! A host whose tenants have everything on servers: the profile that those use who outgrow one machine.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::server::{Setup, now_seconds};
use crate::servers::s3::Access;
use crate::servers::{ELASTICSEARCH, MONGODB, NATS, REDIS, S3};

/// How a host is started whose tenants are on servers unless they say otherwise; nothing, which is said, where one of the
/// servers cannot be had. Each has a database, indexes, keys, buckets and streams of its own.
#[must_use]
pub fn setup() -> Option<Setup> {
    static HOSTS: AtomicU32 = AtomicU32::new(0);
    let (mongodb, redis) = (MONGODB.shared()?, REDIS.shared()?);
    let (elasticsearch, nats) = (ELASTICSEARCH.shared()?, NATS.shared()?);
    let s3 = Access::to(S3.shared()?);
    let (mongodb, redis, nats) = (mongodb.url(), redis.url(), nats.url());
    let elasticsearch = elasticsearch.url();
    let Access {
        endpoint,
        access_key,
        secret_key,
        region,
    } = s3;
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
blobs = "s3"
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
[profiles.production.s3]
endpoint = "{endpoint}"
region = "{region}"
access_key = "{access_key}"
secret_key = "{secret_key}"
bucket_prefix = "{own}-"
path_style = true
[profiles.production.nats]
url = "{nats}"
prefix = "M{upper}"
"#
    );
    Some(Setup {
        settings,
        ..Setup::default()
    })
}
