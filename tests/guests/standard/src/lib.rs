//! A module that reaches the host under the names of WASI proposals: the cache as `wasi:keyvalue`, its configuration as
//! `wasi:config`, the log as `wasi:logging`.

mod bindings;

use millwork_sdk::{
    Aggregate, Context, Decision, Projection, Query, QueryContext, QueryError, Recorded, Rejection, documents,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::bindings::wasi::config::store as config;
use self::bindings::wasi::keyvalue::{atomics, store};
use self::bindings::wasi::logging::logging::{self, Level};

/// What can be asked of a thing.
#[derive(Debug, Deserialize)]
pub enum Command {
    /// Made with the help of what a pure call may use, or not.
    MakeThing {
        /// `logging`, `config` or `keyvalue`.
        how: String,
    },
}

/// What happened to a thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// It is there.
    ThingMade {},
}

/// A thing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Thing {}

impl Aggregate for Thing {
    const NAME: &'static str = "Thing";
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        let Command::MakeThing { how } = command;
        match how.as_str() {
            "config" => drop(config::get("greeting")),
            "keyvalue" => drop(store::open("")),
            _ => logging::log(Level::Critical, "things", "a thing is made"),
        }
        Ok(Event::ThingMade {}.into())
    }

    fn evolve(&mut self, _: Event) {}
}

/// Keeps the things.
pub struct Things;

impl Projection for Things {
    const NAME: &'static str = "Things";

    fn apply(event: &Recorded) -> Result<(), documents::Error> {
        documents::put("things", event.aggregate_id(), &json!({}))
    }
}

/// Does one thing with a bucket.
pub struct UseBucket;

/// What to do.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    #[serde(rename = "do")]
    what: String,
    #[serde(default)]
    bucket: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
}

impl Query for UseBucket {
    const NAME: &'static str = "UseBucket";
    type Params = Wanted;
    type Answer = Value;

    fn answer(wanted: Wanted, _: &QueryContext) -> Result<Value, QueryError> {
        Ok(used(&wanted).unwrap_or_else(|error| json!({ "error": format!("{error:?}") })))
    }
}

fn used(wanted: &Wanted) -> Result<Value, store::Error> {
    let (bucket, key) = (store::open(&wanted.bucket)?, wanted.key.as_str());
    Ok(match wanted.what.as_str() {
        "get" => json!(
            bucket
                .get(key)?
                .map(|value| String::from_utf8_lossy(&value).into_owned())
        ),
        "set" => json!(bucket.set(key, wanted.value.as_bytes())?),
        "delete" => json!(bucket.delete(key)?),
        "exists" => json!(bucket.exists(key)?),
        "add" => json!(atomics::increment(
            &bucket,
            key,
            wanted.value.parse().unwrap_or_default()
        )?),
        _ => json!(all_keys(&bucket)?),
    })
}

fn all_keys(bucket: &store::Bucket) -> Result<Vec<String>, store::Error> {
    let (mut keys, mut cursor) = (Vec::new(), None);
    loop {
        let page = bucket.list_keys(cursor.as_deref())?;
        keys.extend(page.keys);
        cursor = page.cursor;
        if cursor.is_none() {
            keys.sort();
            keys.dedup();
            return Ok(keys);
        }
    }
}

/// All of the configuration, or one value.
pub struct ReadConfig;

/// Which one.
#[derive(Debug, Deserialize)]
pub struct Which {
    key: Option<String>,
}

impl Query for ReadConfig {
    const NAME: &'static str = "ReadConfig";
    type Params = Which;
    type Answer = Value;

    fn answer(which: Which, _: &QueryContext) -> Result<Value, QueryError> {
        let told = |error: config::Error| json!({ "error": format!("{error:?}") });
        Ok(match which.key {
            Some(key) => config::get(&key).map_or_else(told, |value| json!(value)),
            None => config::get_all().map_or_else(told, |all| json!(all)),
        })
    }
}

/// What a query that is kept is told of who asks.
pub struct WhoAsks;

/// Nothing.
#[derive(Debug, Deserialize)]
pub struct Nothing {}

impl Query for WhoAsks {
    const NAME: &'static str = "WhoAsks";
    type Params = Nothing;
    type Answer = String;

    fn answer(_: Nothing, context: &QueryContext) -> Result<String, QueryError> {
        Ok(context.origin().user.clone())
    }
}

millwork_sdk::module! {
    aggregates: [Thing],
    projections: [Things],
    queries: [UseBucket, ReadConfig, WhoAsks],
}
