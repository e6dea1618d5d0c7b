//! What stands in for `millwork:search` in native tests: documents in the order of their ids.
//!
//! It understands less than the host: a word is found where the text of some field of the document contains it, without
//! stems, accents or scores; of filters equality. Fragments show a field in whole and mark the words as they were typed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

pub(crate) use crate::bindings::lifecycle::millwork::search::search::{Error, Hit, Hits, Query};

type Index = BTreeMap<String, Map<String, Value>>;

thread_local! {
    static INDEXES: RefCell<BTreeMap<String, Index>> = RefCell::default();
}

/// Forgets everything.
pub(super) fn clear() {
    INDEXES.with_borrow_mut(BTreeMap::clear);
}

pub(crate) fn index(name: &str, id: &str, document: &str) -> Result<(), Error> {
    let document = serde_json::from_str(document).map_err(|e| Error::Malformed(e.to_string()))?;
    INDEXES.with_borrow_mut(|all| {
        all.entry(name.to_owned())
            .or_default()
            .insert(id.to_owned(), document)
    });
    Ok(())
}

pub(crate) fn remove(name: &str, id: &str) -> Result<(), Error> {
    INDEXES.with_borrow_mut(|all| all.get_mut(name).map(|index| index.remove(id)));
    Ok(())
}

pub(crate) fn find(name: &str, query: &Query) -> Result<Hits, Error> {
    let filter: Map<String, Value> = match query.filter.as_str() {
        "" => Map::new(),
        filter => serde_json::from_str(filter).map_err(|e| Error::Malformed(e.to_string()))?,
    };
    if filter.keys().any(|name| name.starts_with('$')) || filter.values().any(Value::is_object) {
        return Err(Error::Malformed(
            "the stand-in of native tests filters by equality".to_owned(),
        ));
    }
    let words = words(&query.text);
    let fits = |document: &Map<String, Value>| {
        let texts: Vec<String> = document
            .values()
            .flat_map(texts)
            .map(|t| t.to_lowercase())
            .collect();
        let has_word = |word: &String| texts.iter().any(|text| text.contains(word));
        words.iter().all(has_word)
            && filter
                .iter()
                .all(|(field, wanted)| holds(document.get(field), wanted))
    };
    let index = INDEXES.with_borrow(|all| all.get(name).cloned().unwrap_or_default());
    let found: Vec<_> = index.into_iter().filter(|(_, document)| fits(document)).collect();
    let start = query.cursor.as_deref().and_then(|c| c.parse().ok()).unwrap_or(0);
    let end = start + query.limit as usize;
    let (total, count) = (found.len() as u64, found.len());
    let page = found.into_iter().skip(start).take(query.limit as usize);
    let hits = page.map(|(id, document)| Hit {
        id,
        score: 0.0,
        fragments: fragments(&document, &query.highlight, &words),
        document: Value::Object(document).to_string(),
    });
    Ok(Hits {
        total,
        hits: hits.collect(),
        next: (end < count).then(|| end.to_string()),
    })
}

pub(crate) fn suggest(name: &str, field: &str, prefix: &str, limit: u32) -> Result<Vec<String>, Error> {
    let prefix = prefix.to_lowercase();
    let index = INDEXES.with_borrow(|all| all.get(name).cloned().unwrap_or_default());
    let values = index
        .values()
        .filter_map(|document| document.get(field))
        .flat_map(texts);
    let fitting: BTreeSet<_> = values
        .map(|value| (value.to_lowercase(), value))
        .filter(|(lower, _)| lower.starts_with(&prefix))
        .collect();
    Ok(fitting
        .into_iter()
        .take(limit as usize)
        .map(|(_, value)| value.to_owned())
        .collect())
}

/// Words and what stands in quotes, in lowercase.
fn words(text: &str) -> Vec<String> {
    let part = |(at, part): (usize, &str)| -> Vec<String> {
        let part = part.to_lowercase();
        if at % 2 == 1 {
            vec![part]
        } else {
            part.split_whitespace()
                .map(|word| word.trim_end_matches('*').to_owned())
                .collect()
        }
    };
    text.split('"').enumerate().flat_map(part).collect()
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn holds(value: Option<&Value>, wanted: &Value) -> bool {
    match value {
        Some(Value::Array(values)) => values.contains(wanted),
        Some(value) => value == wanted,
        None => false,
    }
}

fn fragments(
    document: &Map<String, Value>,
    fields: &[String],
    words: &[String],
) -> Vec<(String, Vec<String>)> {
    let of_field = |name: &String| {
        let texts = texts(document.get(name)?);
        let marked: Vec<String> = texts.iter().filter_map(|text| marked(text, words)).collect();
        (!marked.is_empty()).then(|| (name.clone(), marked))
    };
    fields.iter().filter_map(of_field).collect()
}

/// The whole text as HTML, if one of the words is in it.
fn marked(text: &str, words: &[String]) -> Option<String> {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let hit = |word: &String| !word.is_empty() && escaped.contains(word.as_str());
    let word = words.iter().find(|word| hit(word))?;
    Some(escaped.replace(word.as_str(), &format!("<em>{word}</em>")))
}
