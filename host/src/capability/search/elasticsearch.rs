//! Search on an Elasticsearch server: an index of the server for each index of a tenant.
//!
//! Writes are durable when the server has answered. What is found lags behind them by the refresh interval, so this host
//! refreshes an index that it has written to before it searches it; other hosts see the writes with the next interval.
//! Each request has a time after which the server counts as unreachable.

mod mapping;
mod question;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use elasticsearch::auth::Credentials;
use elasticsearch::http::Url;
use elasticsearch::http::request::JsonBody;
use elasticsearch::http::response::Response;
use elasticsearch::http::transport::{SingleNodeConnectionPool, TransportBuilder};
use elasticsearch::indices::{IndicesCreateParts, IndicesDeleteParts, IndicesRefreshParts};
use elasticsearch::{BulkParts, Elasticsearch, SearchParts};
use millwork_registry::id::TenantId;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::{Change, Document, Find, Found, Index, Matches, Search, SearchError, entry};

/// Most of a server's explanation that an error repeats, in characters.
const REASON_CHARS_MAX: usize = 300;

/// Indexes that one request removes: their names stand in its path.
const FORGOTTEN_AT_ONCE: usize = 20;

/// Where the server is and what it is asked for.
#[derive(Debug, Clone)]
pub struct ElasticsearchSettings {
    /// `http://host:9200` or `https://...`.
    pub url: String,
    /// How this host shows who it is.
    pub credentials: ElasticsearchCredentials,
    /// Begins the name of every index, so that several installations can share a server: lowercase letters, digits, hyphens.
    pub prefix: String,
    /// After this long without an answer the server counts as unreachable.
    pub request_timeout: Duration,
    /// Shards of each index. An index holds one tenant's documents of one kind, for which one shard does mostly.
    pub shards: u32,
    /// Copies of each shard.
    pub replicas: u32,
}

/// How a host shows who it is.
#[derive(Debug, Clone)]
pub enum ElasticsearchCredentials {
    /// Not at all.
    None,
    /// With a user's name and password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// With an API key in its encoded form.
    ApiKey(String),
}

impl Default for ElasticsearchSettings {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:9200".to_owned(),
            credentials: ElasticsearchCredentials::None,
            prefix: "millwork-".to_owned(),
            request_timeout: Duration::from_secs(10),
            shards: 1,
            replicas: 1,
        }
    }
}

/// See the module.
pub struct ElasticsearchSearch {
    client: Elasticsearch,
    settings: ElasticsearchSettings,
    /// By the server's name of an index that this host has written to. A std mutex: no await inside.
    written: Mutex<HashMap<String, Written>>,
}

/// How many writes there were, and how many of them can be found.
#[derive(Debug, Clone, Copy, Default)]
struct Written {
    writes: u64,
    refreshed: u64,
}

impl ElasticsearchSearch {
    /// Does not connect yet: a server that cannot be reached now may be later.
    ///
    /// # Errors
    /// [`SearchError::Failed`] when the URL or prefix cannot be used.
    pub fn new(settings: ElasticsearchSettings) -> Result<Self, SearchError> {
        let failed = |why: String| SearchError::Failed(why);
        let starts_well = settings.prefix.starts_with(|c: char| c.is_ascii_lowercase());
        let holds = settings
            .prefix
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !starts_well || !holds {
            return Err(failed(format!(
                "prefix {:?} must be lowercase letters, digits and hyphens",
                settings.prefix
            )));
        }
        let url =
            Url::parse(&settings.url).map_err(|error| failed(format!("url {:?}: {error}", settings.url)))?;
        let mut transport = TransportBuilder::new(SingleNodeConnectionPool::new(url))
            .timeout(settings.request_timeout)
            .disable_proxy();
        transport = match &settings.credentials {
            ElasticsearchCredentials::None => transport,
            ElasticsearchCredentials::Basic { user, password } => {
                transport.auth(Credentials::Basic(user.clone(), password.clone()))
            }
            ElasticsearchCredentials::ApiKey(key) => transport.auth(Credentials::EncodedApiKey(key.clone())),
        };
        let transport = transport.build().map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            client: Elasticsearch::new(transport),
            settings,
            written: Mutex::default(),
        })
    }

    /// The server's name of an index: readable, and by its hash no other's.
    fn name(&self, tenant: &TenantId, of: &Index) -> String {
        let mut hash = Sha256::new();
        for part in [tenant.as_str(), &of.module, &of.name, &of.shape()] {
            hash.update(part);
            hash.update([0]);
        }
        let hash: String = hash
            .finalize()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let (beginning, lower) = (self.beginning(tenant), of.name.to_ascii_lowercase());
        format!("{beginning}{}.{lower}.{hash}", of.module)
    }

    /// What the names of a tenant's indexes begin with. No tenant's id has a dot.
    fn beginning(&self, tenant: &TenantId) -> String {
        format!("{}{tenant}.", self.settings.prefix)
    }

    fn written(&self, name: &str) -> Option<Written> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.get(name).copied()
    }

    fn note(&self, name: &str, change: impl FnOnce(&mut Written)) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        change(written.entry(name.to_owned()).or_default());
    }

    /// Makes the index with its mapping, unless it is there.
    async fn ensure(&self, name: &str, tenant: &TenantId, of: &Index) -> Result<(), SearchError> {
        if self.written(name).is_some() {
            return Ok(());
        }
        let body = mapping::of(of, tenant, &self.settings);
        let indices = self.client.indices();
        let made = indices
            .create(IndicesCreateParts::Index(name))
            .body(body)
            .send()
            .await;
        let made = answered(made.map_err(unreachable)?).await;
        match made {
            Err(Refused { kind, .. }) if kind == "resource_already_exists_exception" => {}
            other => drop(other?),
        }
        self.note(name, |_| ());
        Ok(())
    }

    /// Makes what this host has written before found by what it asks next.
    async fn refresh(&self, name: &str) -> Result<(), SearchError> {
        let Some(Written { writes, refreshed }) = self.written(name) else {
            return Ok(());
        };
        if writes <= refreshed {
            return Ok(());
        }
        let names = [name];
        let indices = self.client.indices();
        let done = indices.refresh(IndicesRefreshParts::Index(&names)).send().await;
        answered(done.map_err(unreachable)?).await?;
        self.note(name, |written| written.refreshed = written.refreshed.max(writes));
        Ok(())
    }

    /// The server's answer to a search; nothing when there is no such index.
    async fn search(&self, name: &str, body: Json) -> Result<Option<Json>, SearchError> {
        self.refresh(name).await?;
        let names = [name];
        let request = self.client.search(SearchParts::Index(&names)).body(body);
        let found = request.send().await;
        match answered(found.map_err(unreachable)?).await {
            Ok(answer) => Ok(Some(answer)),
            Err(Refused { kind, .. }) if kind == "index_not_found_exception" => Ok(None),
            Err(refused) => Err(refused.into()),
        }
    }
}

#[async_trait]
impl Search for ElasticsearchSearch {
    async fn write(&self, tenant: &TenantId, of: &Index, changes: &[Change]) -> Result<(), SearchError> {
        let name = self.name(tenant, of);
        self.ensure(&name, tenant, of).await?;
        let mut lines = Vec::with_capacity(changes.len() * 2);
        for change in changes {
            match change {
                Change::Put(entry) => {
                    lines.push(JsonBody::new(json!({ "index": { "_id": entry.id } })));
                    lines.push(JsonBody::new(mapping::source_of(entry, tenant)));
                }
                Change::Remove(id) => lines.push(JsonBody::new(json!({ "delete": { "_id": id } }))),
            }
        }
        let sent = self.client.bulk(BulkParts::Index(&name)).body(lines).send().await;
        // Also when it is not known whether the server has written: a refresh too many does no harm.
        self.note(&name, |written| written.writes += 1);
        let answer = answered(sent.map_err(unreachable)?).await?;
        check_bulk(&answer)
    }

    async fn find(&self, tenant: &TenantId, of: &Index, find: &Find) -> Result<Matches, SearchError> {
        let name = self.name(tenant, of);
        let Some(mut answer) = self.search(&name, question::of(of, find)).await? else {
            return Ok(Matches::default());
        };
        let total = answer.pointer("/hits/total/value").and_then(Json::as_u64);
        let total = total.ok_or_else(|| strange("it counts no hits"))?;
        let hits = answer.pointer_mut("/hits/hits").and_then(Json::as_array_mut);
        let hits = std::mem::take(hits.ok_or_else(|| strange("it lists no hits"))?);
        let found: Result<_, _> = hits.into_iter().map(found).collect();
        Ok(Matches { total, found: found? })
    }

    async fn forget(&self, tenant: &TenantId, indexes: &[Index]) -> Result<(), SearchError> {
        let names: Vec<String> = indexes.iter().map(|of| self.name(tenant, of)).collect();
        for some in names.chunks(FORGOTTEN_AT_ONCE) {
            let some: Vec<&str> = some.iter().map(String::as_str).collect();
            let indices = self.client.indices();
            let delete = indices.delete(IndicesDeleteParts::Index(&some));
            let done = delete.ignore_unavailable(true).send().await;
            answered(done.map_err(unreachable)?).await?;
        }
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|name, _| !names.contains(name));
        Ok(())
    }

    fn begin(&self, tenant: &TenantId) {
        let own = self.beginning(tenant);
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|name, _| !name.starts_with(&own));
    }

    async fn suggest(
        &self,
        tenant: &TenantId,
        of: &Index,
        field: &str,
        folded: &str,
        limit: u32,
    ) -> Result<Vec<String>, SearchError> {
        let name = self.name(tenant, of);
        let Some(answer) = self
            .search(&name, question::suggestions(field, folded, limit))
            .await?
        else {
            return Ok(Vec::new());
        };
        let buckets = answer
            .pointer("/aggregations/values/buckets")
            .and_then(Json::as_array);
        let buckets = buckets.ok_or_else(|| strange("it lists no values"))?;
        let keys = buckets.iter().filter_map(|bucket| bucket.get("key")?.as_str());
        // A document with several values is found by one of them and brings the others along.
        let fitting = keys
            .filter(|key| key.starts_with(folded))
            .filter_map(entry::suggested);
        Ok(fitting.map(str::to_owned).collect())
    }
}

/// A hit as the server lists it.
fn found(mut hit: Json) -> Result<Found, SearchError> {
    let id = hit.get("_id").and_then(Json::as_str).map(str::to_owned);
    let score = hit.pointer("/sort/0").and_then(Json::as_f64);
    let document = hit.pointer_mut("/_source/document").map(Json::take);
    let (Some(id), Some(score), Some(Json::Object(document))) = (id, score, document) else {
        return Err(strange("a hit is incomplete"));
    };
    let document: Document = document;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the server computes scores as 32-bit floats"
    )]
    let score = score as f32;
    Ok(Found { id, score, document })
}

/// A change that the server did not carry out fails all, which may be sent again.
fn check_bulk(answer: &Json) -> Result<(), SearchError> {
    if answer.get("errors").and_then(Json::as_bool) == Some(false) {
        return Ok(());
    }
    let items = answer.get("items").and_then(Json::as_array);
    let outcomes = items
        .into_iter()
        .flatten()
        .filter_map(|item| item.as_object()?.iter().next());
    for (action, outcome) in outcomes {
        let status = outcome.get("status").and_then(Json::as_u64).unwrap_or_default();
        let gone_already = action == "delete" && status == 404;
        if !(200..300).contains(&status) && !gone_already {
            let reason = outcome
                .pointer("/error/reason")
                .and_then(Json::as_str)
                .unwrap_or("no reason");
            let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
            return Err(SearchError::Failed(format!(
                "the server has not carried out {action}: {reason}"
            )));
        }
    }
    Ok(())
}

/// What a server said that did not do as it was asked.
struct Refused {
    kind: String,
    reason: String,
}

impl From<Refused> for SearchError {
    fn from(refused: Refused) -> Self {
        Self::Failed(format!(
            "the server refuses: {}: {}",
            refused.kind, refused.reason
        ))
    }
}

async fn answered(response: Response) -> Result<Json, Refused> {
    let status = response.status_code();
    let body = response.json::<Json>().await;
    if status.is_success() {
        return body.map_err(|error| Refused {
            kind: "unreadable".to_owned(),
            reason: error.to_string(),
        });
    }
    let body = body.unwrap_or_default();
    let said = |pointer: &str| body.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    let kind = match said("/error/type") {
        "" => status.to_string(),
        kind => kind.to_owned(),
    };
    let reason = said("/error/reason").chars().take(REASON_CHARS_MAX).collect();
    Err(Refused { kind, reason })
}

fn unreachable(error: elasticsearch::Error) -> SearchError {
    SearchError::Failed(format!("the server cannot be reached: {error}"))
}

fn strange(what: &str) -> SearchError {
    SearchError::Failed(format!("the server's answer is strange: {what}"))
}
