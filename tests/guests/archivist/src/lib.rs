//! A module that keeps files and gives them out: what `millwork:blobs` is to a component written with the SDK.

use std::time::Duration;

use millwork_sdk::blobs::{self, blob};
use millwork_sdk::{
    Aggregate, Context, Decision, NotHandled, Projection, Query, QueryContext, QueryError, Recorded,
    Rejection, Subscription, SubscriptionContext, documents,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paper {
    bucket: String,
    key: String,
    text: String,
}

/// Where something is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    bucket: String,
    key: String,
}

/// What can be asked for.
#[derive(Debug, Deserialize)]
pub enum Command {
    /// Once more or for the first time.
    KeepPaper(Paper),
    /// Whether it is there or not.
    DropPaper(Place),
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// To be kept.
    PaperGiven(Paper),
    /// To be taken away.
    PaperUnwanted(Place),
}

/// Something to be done by the subscription.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Errand {}

impl Aggregate for Errand {
    const NAME: &'static str = "Errand";
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        Ok(match command {
            Command::KeepPaper(paper) => Event::PaperGiven(paper).into(),
            Command::DropPaper(place) => Event::PaperUnwanted(place).into(),
        })
    }

    fn evolve(&mut self, _: Event) {}
}

/// Does the errands.
pub struct Archive;

impl Subscription for Archive {
    const NAME: &'static str = "Archive";

    fn handle(event: &Recorded, _: &SubscriptionContext) -> Result<(), NotHandled> {
        match event.decode() {
            Some(Event::PaperGiven(Paper { bucket, key, text })) => {
                blob(&bucket, &key).put(text.as_bytes(), "text/plain; charset=utf-8")?;
            }
            Some(Event::PaperUnwanted(Place { bucket, key })) => blob(&bucket, &key).remove()?,
            None => {}
        }
        Ok(())
    }
}

/// Writes down what a projection is told that looks at blobs.
pub struct Tried;

impl Projection for Tried {
    const NAME: &'static str = "Tried";

    fn apply(event: &Recorded) -> Result<(), documents::Error> {
        let told = match blob("papers", "any").stat() {
            Ok(_) => "seen".to_owned(),
            Err(error) => error.to_string(),
        };
        documents::put("tried", event.aggregate_id(), &json!({ "told": told }))
    }
}

/// What is wanted; each query takes what it needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Wanted {
    bucket: String,
    key: String,
    version: Option<String>,
    cursor: Option<String>,
    offset: u64,
    length: Option<u32>,
    limit: Option<u32>,
    seconds: Option<u32>,
    media_type: String,
    size: u64,
    sha256: String,
}

impl Wanted {
    fn bucket(&self) -> &str {
        if self.bucket.is_empty() {
            "papers"
        } else {
            &self.bucket
        }
    }

    fn blob(&self) -> blobs::Blob<'_> {
        let blob = blob(self.bucket(), &self.key);
        self.version
            .as_deref()
            .map_or(blob, |version| blob.version(version))
    }

    fn ttl(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds.unwrap_or(60)))
    }
}

/// What the caller can mend is told; the rest fails the call.
fn told(error: blobs::Error) -> QueryError {
    match error {
        blobs::Error::NotFound => Rejection::not_found("no-paper", "There is no such paper.").into(),
        blobs::Error::Unavailable => error.into(),
        other => Rejection::invalid("", "query-refused", other.to_string()).into(),
    }
}

fn listed(page: blobs::Page) -> Value {
    let entries = page.entries.iter().map(
        |entry| json!({ "name": entry.name, "size": entry.size, "writtenAt": entry.written_at.millis() }),
    );
    json!({ "entries": entries.collect::<Vec<_>>(), "next": page.next })
}

fn link(link: blobs::Link) -> Value {
    json!({ "url": link.url, "headers": link.headers, "endsAt": link.ends_at.millis() })
}

macro_rules! queries {
    ($($(#[$doc:meta])* $name:ident($wanted:ident) $answer:block)+) => {
        $(
            $(#[$doc])*
            pub struct $name;

            impl Query for $name {
                const NAME: &'static str = stringify!($name);
                type Params = Wanted;
                type Answer = Value;

                fn answer($wanted: Wanted, _: &QueryContext) -> Result<Value, QueryError> $answer
            }
        )+
    };
}

queries! {
    /// A part of a paper.
    Read(wanted) {
        let bytes = wanted
            .blob()
            .read(wanted.offset, wanted.length.unwrap_or(blobs::READ_BYTES_MAX))
            .map_err(told)?;
        Ok(json!({ "text": String::from_utf8_lossy(&bytes) }))
    }

    /// What is known of a paper.
    Known(wanted) {
        let info = wanted.blob().stat().map_err(told)?;
        Ok(json!({
            "version": info.version,
            "size": info.size,
            "mediaType": info.media_type,
            "sha256": info.sha256,
            "writtenAt": info.written_at.millis(),
        }))
    }

    /// Papers by the beginning of their keys.
    Listed(wanted) {
        let limit = wanted.limit.unwrap_or(blobs::PAGE_MAX);
        blobs::page(wanted.bucket(), &wanted.key, wanted.cursor.as_deref(), limit)
            .map(listed)
            .map_err(told)
    }

    /// All that a paper was.
    Versions(wanted) {
        let limit = wanted.limit.unwrap_or(blobs::PAGE_MAX);
        wanted
            .blob()
            .versions(wanted.cursor.as_deref(), limit)
            .map(listed)
            .map_err(told)
    }

    /// A link to a paper.
    Download(wanted) {
        wanted.blob().download(wanted.ttl()).map(link).map_err(told)
    }

    /// A link for a paper to come.
    Upload(wanted) {
        let upload = blobs::Upload {
            media_type: wanted.media_type.clone(),
            size: wanted.size,
            sha256: wanted.sha256.clone(),
        };
        wanted.blob().upload(&upload, wanted.ttl()).map(link).map_err(told)
    }

    /// What a query is told that writes, and that goes where it may not.
    Trespass(_wanted) {
        let error = |error: Option<blobs::Error>| error.map(|error| error.to_string());
        Ok(json!({
            "write": error(blob("papers", "planted").put(b"x", "text/plain").err()),
            "remove": error(blob("papers", "planted").remove().err()),
            "other": error(blob("invoices", "a").stat().err()),
        }))
    }
}

millwork_sdk::module! {
    aggregates: [Errand],
    projections: [Tried],
    queries: [Read, Known, Listed, Versions, Download, Upload, Trespass],
    subscriptions: [Archive],
}

#[cfg(test)]
mod tests {
    use millwork_sdk::testing::ReadModels;

    use super::*;

    #[test]
    fn papers_are_kept_without_a_host() {
        let models = ReadModels::default();
        let keep = |key: &str, text: &str| {
            let paper = json!({ "bucket": "papers", "key": key, "text": text });
            models
                .hand::<Archive>(("Errand", "e"), "PaperGiven", &paper)
                .unwrap();
        };
        keep("a/1", "first");
        keep("a/1", "second");
        keep("a/2", "x");
        let read = |wanted: Value| models.ask::<Read>(&wanted).unwrap()["text"].clone();
        assert_eq!(read(json!({ "key": "a/1", "offset": 1, "length": 3 })), "eco");
        assert_eq!(read(json!({ "key": "a/1", "version": "v1" })), "first");
        let known = models.ask::<Known>(&json!({ "key": "a/2" })).unwrap();
        let digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        assert_eq!((&known["size"], &known["sha256"]), (&json!(1), &json!(digest)));
        let first = models.ask::<Listed>(&json!({ "key": "a/", "limit": 1 })).unwrap();
        assert_eq!(
            (&first["entries"][0]["name"], &first["next"]),
            (&json!("a/1"), &json!("a/1"))
        );
        let versions = models.ask::<Versions>(&json!({ "key": "a/1" })).unwrap();
        assert_eq!(versions["entries"].as_array().unwrap().len(), 2);
        let place = json!({ "bucket": "papers", "key": "a/1" });
        models
            .hand::<Archive>(("Errand", "e"), "PaperUnwanted", &place)
            .unwrap();
        let gone = models.ask::<Known>(&json!({ "key": "a/1" })).unwrap_err();
        assert_eq!(gone.code(), "no-paper");
        assert_eq!(read(json!({ "key": "a/1", "version": "v2" })), "second");
    }
}
