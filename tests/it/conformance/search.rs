//! Search.

mod filters;
mod malformed;
mod pages;
mod tantivy;
mod texts;
mod unreachable;
mod writes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use millwork_host::capability::search::elasticsearch::{ElasticsearchSearch, ElasticsearchSettings};
use millwork_host::capability::search::entry::Entry;
use millwork_host::capability::search::tantivy::{TantivySearch, TantivySearchLimits};
use millwork_host::capability::search::{self, Change, Find, Hits, Index, Search, SearchError};
use millwork_registry::id::TenantId;
use millwork_registry::manifest::IndexField;
use millwork_tests::servers::ELASTICSEARCH;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::tenant;

/// A store with the folder that it lives in.
struct Tantivy {
    store: Arc<dyn Search>,
    _folder: TempDir,
}

impl Tantivy {
    fn store(&self) -> &Arc<dyn Search> {
        &self.store
    }
}

async fn start_tantivy() -> Tantivy {
    let folder = tempfile::tempdir().unwrap();
    Tantivy {
        store: Arc::new(TantivySearch::new(folder.path(), TantivySearchLimits::default())),
        _folder: folder,
    }
}

/// A prefix of its own on the server that all cases share.
struct Server(Arc<dyn Search>);

impl Server {
    fn store(&self) -> &Arc<dyn Search> {
        &self.0
    }
}

async fn reach_elasticsearch() -> Option<Server> {
    Some(Server(Arc::new(elasticsearch_at(ELASTICSEARCH.shared()?.url()))))
}

/// Without copies: a server of the tests is one node, and would wait for another to hold them.
fn elasticsearch_at(url: &str) -> ElasticsearchSearch {
    static CASES: AtomicU32 = AtomicU32::new(0);
    let case = CASES.fetch_add(1, Ordering::Relaxed);
    ElasticsearchSearch::new(ElasticsearchSettings {
        url: url.to_owned(),
        prefix: format!("t{}-{case}-", std::process::id()),
        request_timeout: Duration::from_secs(20),
        replicas: 0,
        ..ElasticsearchSettings::default()
    })
    .unwrap()
}

/// Runs each case on both backends.
macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        use crate::conformance::search::{reach_elasticsearch, start_tantivy};
        crate::conformance::on_every_backend! {
            backends: { tantivy: start_tantivy },
            servers: { elasticsearch: reach_elasticsearch },
            cases: [$($case),+],
        }
    };
}
use on_both;

fn index(fields: &[(&str, &str)]) -> Index {
    let field = |(name, kind): &(&str, &str)| {
        (
            (*name).to_owned(),
            IndexField::try_from((*kind).to_owned()).unwrap(),
        )
    };
    Index {
        module: "library".to_owned(),
        name: "papers".to_owned(),
        fields: fields.iter().map(field).collect(),
    }
}

/// Papers with a field of each type.
fn papers() -> Index {
    index(&[
        ("title", "text suggested"),
        ("body", "text"),
        ("tags", "keyword suggested"),
        ("total", "decimal"),
        ("pages", "number"),
        ("due", "date"),
    ])
}

fn put(of: &Index, id: &str, document: &Value) -> Change {
    Change::Put(Entry::read(of, id, &document.to_string()).unwrap())
}

/// Writes documents for the tenant `a`.
async fn fill(store: &Arc<dyn Search>, of: &Index, documents: &[(&str, Value)]) {
    let changes: Vec<_> = documents
        .iter()
        .map(|(id, document)| put(of, id, document))
        .collect();
    store.write(&tenant("a"), of, &changes).await.unwrap();
}

async fn ask(store: &Arc<dyn Search>, of: &Index, text: &str, filter: &Value) -> Result<Hits, SearchError> {
    let filter = filter.to_string();
    let find = Find::parse(
        of,
        text,
        &filter,
        100,
        None,
        vec!["title".to_owned(), "body".to_owned()],
    )?;
    search::find(store, &tenant("a"), of, &find).await
}

/// Ids in the order in which they are found.
async fn ids(store: &Arc<dyn Search>, of: &Index, text: &str, filter: &Value) -> Vec<String> {
    let hits = ask(store, of, text, filter).await.unwrap();
    assert_eq!(hits.total, hits.hits.len() as u64);
    hits.hits.into_iter().map(|(found, _)| found.id).collect()
}

/// What a text finds of the tenant `a`, by id.
async fn found(store: &Arc<dyn Search>, of: &Index, text: &str) -> Vec<String> {
    let mut found = ids(store, of, text, &json!({})).await;
    found.sort();
    found
}

async fn suggested(
    store: &Arc<dyn Search>,
    tenant: &TenantId,
    of: &Index,
    field: &str,
    prefix: &str,
) -> Vec<String> {
    search::suggest(store, tenant, of, field, prefix, 10)
        .await
        .unwrap()
}
