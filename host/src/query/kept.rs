//! Answers that are kept in the cache, by the rules of manifests: cache-aside.
//!
//! A kept answer counts while two things hold. Its epochs ([`crate::tenant::epochs`]) are still those of the collections
//! behind it, which every host sees at once. And it was made at a position that no projection behind it has been saved
//! beyond, as far as this host has told anybody: so nobody who read a position, or waited for one, gets less than that,
//! even where an epoch could not be raised or the cache has gone back to what it was. Without the cache the answer is made.

use std::future::Future;

use bytes::{BufMut as _, Bytes, BytesMut};
use millwork_registry::manifest::{Action, CacheRule};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::position;
use crate::capability::documents::query::{Find, Scope};
use crate::capability::documents::{Document, Page};
use crate::error::Error;
use crate::event_store::Position;
use crate::project;
use crate::tenant::{Module, Tenant, action_name};

/// Longest answer that is kept; longer ones are made each time.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Longest id of a document whose answer is kept.
const ID_BYTES_MAX: usize = 256;

/// An answer as it goes out.
#[derive(Debug, Clone)]
pub struct Answer {
    /// JSON text: the document, the array of documents of a page, or what the component said.
    pub body: Bytes,
    /// The document's version, where it has one.
    pub version: Option<u64>,
    /// Where the next page begins; absent on the last.
    pub next: Option<String>,
}

/// Who is asked what, as far as answers differ by it.
pub struct Question<'a> {
    /// The tenant that asks.
    pub tenant: &'a Tenant,
    /// The module asked.
    pub module: &'a Module,
    /// The view or query.
    pub action: &'a Action,
    /// Which documents the caller may see: where that is not all of the tenant, nothing is kept.
    pub scope: &'a Scope,
    /// What of it, from [`one`], [`page`] or [`params`].
    pub what: String,
}

/// What stands before the body of a kept answer, on a line of its own.
#[derive(Serialize, Deserialize)]
struct Head {
    /// What it was made by and under: release, configuration and epochs.
    under: String,
    /// The position that it is at least as new as.
    position: Position,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// One document.
#[must_use]
pub fn one(id: &str) -> String {
    format!("id:{id}")
}

/// One page.
#[must_use]
pub fn page(find: &Find) -> String {
    let Find {
        filter,
        // Answers are kept for one scope alone.
        scope: _,
        sort,
        limit,
        skip,
        cursor,
        fields,
    } = find;
    let asked = format!(
        "{} {sort:?} {limit} {skip} {cursor:?} {fields:?}",
        filter.as_json()
    );
    format!("page:{}", digest(&[asked.as_bytes()]))
}

/// The parameters of a computed query.
#[must_use]
pub fn params(params: &serde_json::Value) -> String {
    format!("params:{}", digest(&[params.to_string().as_bytes()]))
}

/// The rule of a view or query.
#[must_use]
pub fn rule(module: &Module, action: &Action) -> Option<CacheRule> {
    let manifest = &module.manifest;
    match action {
        Action::Command(_) => None,
        Action::View(name) => manifest.views.get(name).and_then(|view| view.cache),
        Action::Query(name) => manifest.queries.get(name).and_then(|query| query.cache),
    }
}

/// The answer that was kept, else the one that `made` gives, which is then kept.
///
/// # Errors
/// Those of `made`; the cache makes none.
pub async fn answer(
    question: &Question<'_>,
    made: impl Future<Output = Result<Answer, Error>>,
) -> Result<Answer, Error> {
    let Some(rule) = rule(question.module, question.action).filter(|_| question.is_kept()) else {
        return made.await;
    };
    let cache = &question.tenant.cache;
    let key = question.key();
    // Both before any document is read: what is read then is at least as new as either says.
    let at = position(question.tenant, question.module, question.action);
    let (under, kept) = tokio::join!(question.under(), cache.get(&key));
    let (Some(under), Ok(kept)) = (under, kept) else {
        question.count("bypass");
        return made.await;
    };
    if let Some((head, body)) = kept.and_then(opened)
        && head.under == under
        && head.position >= question.floor()
    {
        question.count("hit");
        return Ok(Answer {
            body,
            version: head.version,
            next: head.next,
        });
    }
    question.count("miss");
    let answer = made.await?;
    let head = Head {
        under,
        position: at,
        version: answer.version,
        next: answer.next.clone(),
    };
    if let Some(value) = closed(&head, &answer.body)
        && let Err(error) = cache.put(&key, value, rule.ttl.duration()).await
    {
        tracing::debug!(tenant = %question.tenant.id, key, %error, "an answer is not kept");
    }
    Ok(answer)
}

impl Question<'_> {
    fn is_kept(&self) -> bool {
        self.scope.is_whole_tenant() && self.what.len() <= ID_BYTES_MAX
    }

    fn key(&self) -> String {
        let (tenant, module) = (&self.tenant.id, &self.module.manifest.name);
        format!("t:{tenant}:{module}:{}:{}", action_name(self.action), self.what)
    }

    /// Release, configuration and epochs; nothing when the cache cannot be reached.
    async fn under(&self) -> Option<String> {
        let module = self.module;
        let mut under = digest(&[module.digest.as_bytes(), module.config.as_bytes()]);
        for collection in module.collections_behind(self.action) {
            let epochs = &self.tenant.epochs;
            let epoch = epochs.current(&module.manifest.name, collection).await.ok()?;
            under.push(' ');
            under.push_str(&epoch);
        }
        Some(under)
    }

    /// The last position at which the documents behind may have been written, as far as this host knows.
    fn floor(&self) -> Position {
        let behind = self.module.projections_behind(self.action);
        let saved = behind.iter().filter_map(|projection| {
            let key = project::key(&self.module.manifest.name, projection);
            self.tenant.progress.get(&key).map(|(_, saved)| saved)
        });
        saved.max().unwrap_or_default()
    }

    fn count(&self, outcome: &'static str) {
        let (module, name) = (self.module.manifest.name.clone(), action_name(self.action));
        metrics::counter!("millwork_kept_answers_total", "module" => module, "name" => name.to_owned(), "outcome" => outcome)
            .increment(1);
    }
}

impl Answer {
    /// One document.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it is no JSON.
    pub fn of_document(document: &Document) -> Result<Self, Error> {
        Ok(Self {
            body: json(document)?,
            version: document.get("version").and_then(serde_json::Value::as_u64),
            next: None,
        })
    }

    /// The documents of a page.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when they are no JSON.
    pub fn of_page(page: Page) -> Result<Self, Error> {
        Ok(Self {
            body: json(&page.documents)?,
            version: None,
            next: page.next,
        })
    }
}

impl From<Box<RawValue>> for Answer {
    fn from(text: Box<RawValue>) -> Self {
        Self {
            body: Bytes::from(String::from(Box::<str>::from(text))),
            version: None,
            next: None,
        }
    }
}

fn json(value: &impl Serialize) -> Result<Bytes, Error> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| Error::Unavailable(format!("writing an answer: {error}")))
}

/// Head and body as one value; nothing when that would be too long.
fn closed(head: &Head, body: &Bytes) -> Option<Bytes> {
    let head = serde_json::to_vec(head).ok()?;
    let length = head.len() + 1 + body.len();
    if length > ANSWER_BYTES_MAX {
        return None;
    }
    let mut value = BytesMut::with_capacity(length);
    value.put_slice(&head);
    value.put_u8(b'\n');
    value.put_slice(body);
    Some(value.freeze())
}

/// Head and body of a value; nothing when it is none of ours.
fn opened(value: Bytes) -> Option<(Head, Bytes)> {
    let end = value.iter().position(|byte| *byte == b'\n')?;
    let head = serde_json::from_slice(value.get(..end)?).ok()?;
    Some((head, value.slice(end + 1..)))
}

/// SHA-256 over parts and their lengths, in hex.
fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            under: "d e".to_owned(),
            position: 7,
            version: None,
            next: Some("a\nb".to_owned()),
        }
    }

    #[test]
    fn a_kept_answer_comes_back_as_it_was() {
        let value = closed(&head(), &Bytes::from_static(b"[1,\n2]")).unwrap();
        let (head, body) = opened(value).unwrap();
        assert_eq!((head.under.as_str(), head.position), ("d e", 7));
        assert_eq!(head.next.unwrap(), "a\nb");
        assert_eq!(body, "[1,\n2]");
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for value in ["", "7", "{}", "{}\n1", "x\n{}"] {
            assert!(opened(Bytes::from(value)).is_none(), "{value}");
        }
    }

    #[test]
    fn long_answers_are_not_kept() {
        let room = ANSWER_BYTES_MAX - closed(&head(), &Bytes::new()).unwrap().len();
        assert!(closed(&head(), &Bytes::from(vec![b'1'; room])).is_some());
        assert!(closed(&head(), &Bytes::from(vec![b'1'; room + 1])).is_none());
    }
}
