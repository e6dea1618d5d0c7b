//! A host whose tenants have everything on servers: the profile that those use who outgrow one machine.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::server::{Setup, now_seconds};
use crate::servers::s3::Access;
use crate::servers::{ELASTICSEARCH, MONGODB, NATS, REDIS, S3};

/// How a host is started whose tenants are on servers unless they say otherwise; nothing, which is said, where one of the
/// servers cannot be had. Each has a database, indexes, keys, buckets and streams of its own.
#[must_use]
pub fn setup() -> Option<Setup> {
    Some(Setup {
        settings: format!("profile = \"production\"\n{}", profile("production")?),
        ..Setup::default()
    })
}

/// The same with a second profile, `dedicated`, for a tenant that shares nothing but the servers.
#[must_use]
pub fn tiers() -> Option<Setup> {
    let setup = setup()?;
    let settings = setup.settings + &profile("dedicated")?;
    Some(Setup { settings, ..setup })
}

fn profile(name: &str) -> Option<String> {
    static PROFILES: AtomicU32 = AtomicU32::new(0);
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
        PROFILES.fetch_add(1, Ordering::Relaxed)
    );
    let upper = own.to_uppercase();
    Some(format!(
        r#"
[profiles.{name}]
events = "mongodb"
documents = "mongodb"
cache = "redis"
search = "elasticsearch"
blobs = "s3"
messages = "nats"
[profiles.{name}.mongodb]
url = "{mongodb}"
database = "m{own}"
[profiles.{name}.redis]
url = "{redis}"
key_prefix = "{own}:"
[profiles.{name}.elasticsearch]
url = "{elasticsearch}"
prefix = "m{own}-"
replicas = 0
[profiles.{name}.s3]
endpoint = "{endpoint}"
region = "{region}"
access_key = "{access_key}"
secret_key = "{secret_key}"
bucket_prefix = "{own}-"
path_style = true
[profiles.{name}.nats]
url = "{nats}"
prefix = "M{upper}"
"#
    ))
}
