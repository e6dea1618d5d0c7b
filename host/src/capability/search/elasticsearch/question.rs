//! What to find, in the server's query language. Whatever callers typed stands in it as a JSON value of a query that takes
//! text as text, never of one that parses it.

use millwork_registry::manifest::IndexKind;
use serde_json::{Value as Json, json};

use super::mapping::{json_of, kind_of, path, suggestions_path, words_path};
use crate::capability::search::filter::{Filter, Order};
use crate::capability::search::text::Clause;
use crate::capability::search::value::Value;
use crate::capability::search::{Find, Index};

/// Clauses score, the filter does not. Equal scores are in the order of ids, behind which the next page begins.
pub(super) fn of(index: &Index, find: &Find) -> Json {
    let clauses: Vec<Json> = find
        .clauses
        .iter()
        .map(|clause| clause_of(index, clause))
        .collect();
    let mut body = json!({
        "query": { "bool": { "must": clauses, "filter": [filter(index, &find.filter)] } },
        "sort": [{ "_score": "desc" }, { "id": "asc" }],
        "track_total_hits": true,
        // One more says whether there is another page.
        "size": find.limit + 1,
        "_source": ["document"],
    });
    if let (Some(cursor), Some(body)) = (&find.after, body.as_object_mut()) {
        body.insert(
            "search_after".to_owned(),
            json!([f64::from(cursor.score), cursor.id]),
        );
    }
    body
}

/// In one of the text fields, and the better the more of them.
fn clause_of(index: &Index, clause: &Clause) -> Json {
    let in_field = |field: &str| match clause {
        Clause::Words { typed, .. } => json!({ "match_phrase": { path(IndexKind::Text, field): typed } }),
        Clause::Prefix(prefix) => json!({ "prefix": { words_path(field): prefix } }),
        Clause::Nothing => json!({ "match_none": {} }),
    };
    let any: Vec<Json> = index.texts().map(in_field).collect();
    json!({ "bool": { "should": any, "minimum_should_match": 1 } })
}

fn filter(index: &Index, of: &Filter) -> Json {
    let all = |parts: &[Filter]| parts.iter().map(|part| filter(index, part)).collect::<Vec<_>>();
    match of {
        Filter::All(parts) if parts.is_empty() => json!({ "match_all": {} }),
        Filter::All(parts) => json!({ "bool": { "filter": all(parts) } }),
        Filter::Any(parts) => json!({ "bool": { "should": all(parts), "minimum_should_match": 1 } }),
        Filter::Not(part) => json!({ "bool": { "must_not": [filter(index, part)] } }),
        Filter::OneOf(field, values) => match values.first() {
            // A moment as a range of one: as a term it would be compared by its text where the mapping is not asked.
            Some(Value::Date(_)) => {
                let path = path(IndexKind::Date, field);
                let at = |value| {
                    let moment = json_of(value);
                    json!({ "range": { path.as_str(): { "gte": &moment, "lte": &moment } } })
                };
                let moments: Vec<Json> = values.iter().map(at).collect();
                json!({ "bool": { "should": moments, "minimum_should_match": 1 } })
            }
            Some(first) => {
                let values: Vec<Json> = values.iter().map(json_of).collect();
                json!({ "terms": { path(kind_of(first), field): values } })
            }
            None => json!({ "match_none": {} }),
        },
        Filter::Compare(field, order, value) => {
            let order = match order {
                Order::Less => "lt",
                Order::AtMost => "lte",
                Order::Greater => "gt",
                Order::AtLeast => "gte",
            };
            json!({ "range": { path(kind_of(value), field): { order: json_of(value) } } })
        }
        Filter::Exists(field) => {
            let kind = index.field(field).map_or(IndexKind::Keyword, |field| field.kind);
            json!({ "exists": { "field": path(kind, field) } })
        }
    }
}

/// Values of a field that begin so, each once and in their order, and no documents.
pub(super) fn suggestions(field: &str, folded: &str, limit: u32) -> Json {
    let path = suggestions_path(field);
    let terms = json!({
        "field": path,
        "include": format!("{}.*", literal(folded)),
        "order": { "_key": "asc" },
        "size": limit,
    });
    json!({
        "size": 0,
        "query": { "prefix": { path: folded } },
        "aggs": { "values": { "terms": terms } },
    })
}

/// Text in Lucene's regular expressions that stands for itself.
fn literal(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars() {
        if !c.is_alphanumeric() {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
