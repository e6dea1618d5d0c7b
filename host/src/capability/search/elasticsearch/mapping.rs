//! How an index stands on the server: text analyzed as [`words`](crate::capability::search::words) does, everything else
//! exact. Amounts are no floats but keywords in whose order they compare. The document itself is kept and not looked at.

use millwork_registry::id::TenantId;
use millwork_registry::manifest::IndexKind;
use serde_json::{Map, Value as Json, json};

use super::ElasticsearchSettings;
use crate::capability::search::Index;
use crate::capability::search::entry::Entry;
use crate::capability::search::value::Value;

/// The analyzer of whole words.
const ANALYZER: &str = "document_analyzer";
/// The analyzer of beginnings of words.
const EXACT_ANALYZER: &str = "exact_analyzer";
/// How long until writes are found by hosts that have not made them.
const REFRESH_INTERVAL: &str = "1s";

/// Where a field stands in what the server keeps.
pub(super) fn path(kind: IndexKind, field: &str) -> String {
    format!("{}.{field}", kind.name())
}

/// The words of a text field, not stemmed.
pub(super) fn words_path(field: &str) -> String {
    format!("{}.words", path(IndexKind::Text, field))
}

/// The suggestions of a field.
pub(super) fn suggestions_path(field: &str) -> String {
    format!("suggestions.{field}")
}

/// Settings and mapping of a new index.
pub(super) fn of(index: &Index, tenant: &TenantId, settings: &ElasticsearchSettings) -> Json {
    let mut kinds: Map<String, Json> = Map::new();
    for (name, field) in &index.fields {
        add(&mut kinds, field.kind.name(), name, of_field(field.kind));
        if field.suggested {
            add(&mut kinds, "suggestions", name, json!({ "type": "keyword" }));
        }
    }
    kinds.insert("id".to_owned(), json!({ "type": "keyword" }));
    kinds.insert("tenant_id".to_owned(), json!({ "type": "keyword" }));
    kinds.insert(
        "document".to_owned(),
        json!({ "type": "object", "enabled": false }),
    );
    let filters = ["lowercase", "asciifolding"];
    json!({
        "settings": {
            "number_of_shards": settings.shards,
            "number_of_replicas": settings.replicas,
            "refresh_interval": REFRESH_INTERVAL,
            "analysis": { "analyzer": {
                ANALYZER: { "type": "custom", "tokenizer": "standard", "filter": ["lowercase", "asciifolding", "snowball"] },
                EXACT_ANALYZER: { "type": "custom", "tokenizer": "standard", "filter": filters },
            } },
        },
        "mappings": {
            "dynamic": false,
            "_meta": { "tenant": tenant.as_str(), "module": index.module, "index": index.name },
            "properties": kinds,
        },
    })
}

fn of_field(kind: IndexKind) -> Json {
    match kind {
        IndexKind::Text => json!({
            "type": "text",
            "analyzer": ANALYZER,
            "fields": { "words": { "type": "text", "analyzer": EXACT_ANALYZER } },
        }),
        IndexKind::Keyword | IndexKind::Decimal => json!({ "type": "keyword" }),
        IndexKind::Number => json!({ "type": "double" }),
        IndexKind::Date => json!({ "type": "date", "format": "strict_date_time" }),
    }
}

fn add(kinds: &mut Map<String, Json>, kind: &str, name: &str, mapping: Json) {
    let of_kind = kinds.entry(kind).or_insert_with(|| json!({ "properties": {} }));
    if let Some(Json::Object(properties)) = of_kind.get_mut("properties") {
        properties.insert(name.to_owned(), mapping);
    }
}

/// What the server is given of an entry.
pub(super) fn source_of(entry: &Entry, tenant: &TenantId) -> Json {
    let mut source = Map::new();
    source.insert("id".to_owned(), entry.id.clone().into());
    source.insert("tenant_id".to_owned(), tenant.as_str().into());
    source.insert("document".to_owned(), Json::Object(entry.document.clone()));
    let mut put = |kind: &str, name: &str, values: Vec<Json>| {
        let of_kind = source.entry(kind).or_insert_with(|| json!({}));
        if let Json::Object(fields) = of_kind {
            fields.insert(name.to_owned(), Json::Array(values));
        }
    };
    for (name, texts) in &entry.texts {
        put(
            IndexKind::Text.name(),
            name,
            texts.iter().cloned().map(Json::from).collect(),
        );
    }
    for (name, values) in &entry.values {
        if let Some(first) = values.first() {
            put(kind_of(first).name(), name, values.iter().map(json_of).collect());
        }
    }
    for (name, suggestions) in &entry.suggestions {
        put(
            "suggestions",
            name,
            suggestions.iter().cloned().map(Json::from).collect(),
        );
    }
    Json::Object(source)
}

/// The kind of field that a value belongs to.
pub(super) fn kind_of(value: &Value) -> IndexKind {
    match value {
        Value::Keyword(_) => IndexKind::Keyword,
        Value::Number(_) => IndexKind::Number,
        Value::Decimal(_) => IndexKind::Decimal,
        Value::Date(_) => IndexKind::Date,
    }
}

/// A value as the server has it.
pub(super) fn json_of(value: &Value) -> Json {
    match value {
        Value::Keyword(text) | Value::Decimal(text) | Value::Date(text) => text.as_str().into(),
        Value::Number(number) => (*number).into(),
    }
}
