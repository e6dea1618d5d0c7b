//! What stands in for the host in native tests: one world a thread, with the functions of the generated imports.
//!
//! It understands less than the host, and refuses the rest instead of guessing: filters by equality and by `$eq $ne $gt
//! $gte $lt $lte $in $exists`, updates by `$set $unset $inc $push`. Text compares as text, also where a manifest
//! declares a decimal. Limits are not enforced.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use crate::timestamp::Timestamp;

#[derive(Default)]
struct World {
    documents: BTreeMap<String, BTreeMap<String, Map<String, Value>>>,
    cache: HashMap<String, Vec<u8>>,
    now: Option<u64>,
    uuids: u32,
    published: Vec<(String, String, Value)>,
    commands: Vec<(String, String, String, Value)>,
    answers: HashMap<(String, String), Value>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

fn world<T>(visit: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(visit)
}

/// Forgets everything.
pub(crate) fn clear() {
    world(|w| *w = World::default());
    super::search::clear();
    super::blobs::clear();
}

/// Sets what [`crate::clock::now`] gives on this thread.
pub fn set_now(now: Timestamp) {
    world(|w| w.now = Some(now.millis()));
}

/// Events published so far: name, key, data. The same key stands here once.
#[must_use]
pub fn published() -> Vec<(String, String, Value)> {
    world(|w| w.published.clone())
}

/// Commands sent and executed so far: key, module, name, data. The same key stands here once.
#[must_use]
pub fn commands_sent() -> Vec<(String, String, String, Value)> {
    world(|w| w.commands.clone())
}

/// Sets what a question is answered with; others are denied.
pub fn set_answer(module: &str, query: &str, answer: Value) {
    world(|w| w.answers.insert((module.to_owned(), query.to_owned()), answer));
}

fn parsed(text: &str) -> Result<Value, crate::bindings::lifecycle::millwork::messaging::types::Error> {
    use crate::bindings::lifecycle::millwork::messaging::types::Error;
    serde_json::from_str(text).map_err(|error| Error::Malformed(error.to_string()))
}

pub(crate) mod events {
    use super::{parsed, world};
    use crate::bindings::lifecycle::millwork::messaging::types::Error;

    pub(crate) fn publish(event: &str, key: &str, data: &str) -> Result<(), Error> {
        let data = parsed(data)?;
        world(|w| {
            if !w.published.iter().any(|(_, known, _)| known == key) {
                w.published.push((event.to_owned(), key.to_owned(), data));
            }
        });
        Ok(())
    }
}

pub(crate) mod commands {
    use super::{parsed, world};
    use crate::bindings::lifecycle::millwork::messaging::commands::Outgoing;
    use crate::bindings::lifecycle::millwork::messaging::types::Error;

    pub(crate) fn send(command: &Outgoing) -> Result<(), Error> {
        execute(command).map(drop)
    }

    /// Every target is new.
    pub(crate) fn execute(command: &Outgoing) -> Result<u64, Error> {
        let data = parsed(&command.data)?;
        world(|w| {
            if !w.commands.iter().any(|(known, ..)| *known == command.key) {
                let (key, module, name) = (&command.key, &command.module, &command.name);
                w.commands.push((key.clone(), module.clone(), name.clone(), data));
            }
        });
        Ok(1)
    }
}

pub(crate) mod requests {
    use super::world;
    use crate::bindings::lifecycle::millwork::messaging::types::Error;

    pub(crate) fn ask(module: &str, query: &str, _params: &str) -> Result<String, Error> {
        let name = (module.to_owned(), query.to_owned());
        let answer = world(|w| w.answers.get(&name).map(ToString::to_string));
        answer.ok_or_else(|| Error::Denied(format!("the test has set no answer of {module}.{query}")))
    }
}

pub(crate) mod clock {
    pub(crate) fn now() -> u64 {
        super::world(|w| w.now.unwrap_or(crate::testing::NOW))
    }
}

pub(crate) mod random {
    /// The same in every run, and different each time.
    pub(crate) fn bytes(length: u32) -> Vec<u8> {
        uuid().bytes().rev().cycle().take(length as usize).collect()
    }

    pub(crate) fn uuid() -> String {
        super::world(|w| {
            w.uuids += 1;
            format!("00000000-0000-7000-8000-{:012x}", w.uuids)
        })
    }
}

pub(crate) mod log {
    use crate::log::Level;

    /// Shown by the test runner for tests that fail.
    pub(crate) fn write(level: Level, message: &str, fields: &str) {
        println!("{level:?}: {message} {fields}");
    }
}

pub(crate) mod cache {
    use super::world;
    pub(crate) use crate::bindings::lifecycle::millwork::cache::cache::Error;

    pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(world(|w| w.cache.get(key).cloned()))
    }

    pub(crate) fn put(key: &str, value: &[u8], _ttl_ms: u32) -> Result<(), Error> {
        world(|w| w.cache.insert(key.to_owned(), value.to_owned()));
        Ok(())
    }

    pub(crate) fn remove(key: &str) -> Result<bool, Error> {
        Ok(world(|w| w.cache.remove(key).is_some()))
    }

    pub(crate) fn add(key: &str, by: i64, _ttl_ms: u32) -> Result<i64, Error> {
        world(|w| {
            let now = w
                .cache
                .get(key)
                .and_then(|v| str::from_utf8(v).ok()?.parse::<i64>().ok())
                .unwrap_or(0);
            let sum = now.wrapping_add(by);
            w.cache.insert(key.to_owned(), sum.to_string().into_bytes());
            Ok(sum)
        })
    }
}

pub(crate) mod documents {
    use super::{Map, Value, change, compare, matches, path, pick, world};
    pub(crate) use crate::bindings::lifecycle::millwork::documents::documents::{Error, Page, Query};

    fn object(json: &str) -> Result<Map<String, Value>, Error> {
        serde_json::from_str(json).map_err(|e| Error::Malformed(e.to_string()))
    }

    fn text(document: &Map<String, Value>) -> Result<String, Error> {
        serde_json::to_string(document).map_err(|e| Error::Malformed(e.to_string()))
    }

    pub(crate) fn get(collection: &str, id: &str) -> Result<Option<String>, Error> {
        world(|w| {
            w.documents
                .get(collection)
                .and_then(|c| c.get(id))
                .map(text)
                .transpose()
        })
    }

    pub(crate) fn find(collection: &str, query: &Query) -> Result<Page, Error> {
        let filter = object(&query.filter)?;
        let sort = if query.sort.is_empty() {
            Map::new()
        } else {
            object(&query.sort)?
        };
        let mut found = Vec::new();
        for document in world(|w| w.documents.get(collection).cloned().unwrap_or_default()).into_values() {
            if matches(&document, &filter)? {
                found.push(document);
            }
        }
        // Stable, so equal ones stay in the order of their ids.
        found.sort_by(|a, b| compare(a, b, &sort));
        let start = query.skip as usize + query.cursor.as_deref().and_then(|c| c.parse().ok()).unwrap_or(0);
        let end = start + query.limit as usize;
        let page = found.iter().skip(start).take(query.limit as usize);
        let documents = page
            .map(|d| text(&pick(d, &query.fields)))
            .collect::<Result<_, _>>()?;
        Ok(Page {
            documents,
            next: (end < found.len()).then(|| end.to_string()),
        })
    }

    pub(crate) fn count(collection: &str, filter: &str) -> Result<u64, Error> {
        let filter = object(filter)?;
        let all = world(|w| w.documents.get(collection).cloned().unwrap_or_default());
        let mut count = 0;
        for document in all.values() {
            count += u64::from(matches(document, &filter)?);
        }
        Ok(count)
    }

    pub(crate) fn put(collection: &str, id: &str, document: &str) -> Result<(), Error> {
        let mut document = object(document)?;
        document.insert("_id".to_owned(), id.into());
        world(|w| {
            w.documents
                .entry(collection.to_owned())
                .or_default()
                .insert(id.to_owned(), document)
        });
        Ok(())
    }

    #[expect(
        clippy::fn_params_excessive_bools,
        reason = "the signature of the generated import"
    )]
    pub(crate) fn update(collection: &str, id: &str, by: &str, upsert: bool) -> Result<bool, Error> {
        let by = object(by)?;
        let stored = world(|w| w.documents.get(collection).and_then(|c| c.get(id)).cloned());
        let Some(mut document) = stored.clone().or_else(|| upsert.then(Map::new)) else {
            return Ok(false);
        };
        change(&mut document, &by)?;
        put(collection, id, &text(&document)?)?;
        Ok(stored.is_some())
    }

    pub(crate) fn remove(collection: &str, id: &str) -> Result<bool, Error> {
        Ok(world(|w| {
            w.documents
                .get_mut(collection)
                .is_some_and(|c| c.remove(id).is_some())
        }))
    }

    /// The value at a dotted path of a filter.
    pub(super) fn at<'a>(document: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
        path(document, field)
    }
}

fn path<'a>(document: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    let mut parts = field.split('.');
    let first = document.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

fn unsupported<T>(what: &str) -> Result<T, documents::Error> {
    Err(documents::Error::Malformed(format!(
        "{what} is not supported by the stand-in of native tests"
    )))
}

fn matches(document: &Map<String, Value>, filter: &Map<String, Value>) -> Result<bool, documents::Error> {
    for (field, wanted) in filter {
        if field.starts_with('$') {
            return unsupported(field);
        }
        let value = documents::at(document, field);
        let operators = wanted
            .as_object()
            .filter(|o| o.keys().any(|k| k.starts_with('$')));
        let holds = match operators {
            None => equal(value, wanted),
            Some(operators) => {
                let mut all = true;
                for (operator, operand) in operators {
                    all &= operator_holds(value, operator, operand)?;
                }
                all
            }
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal(value: Option<&Value>, wanted: &Value) -> bool {
    match value {
        None => wanted.is_null(),
        Some(Value::Array(values)) if !wanted.is_array() => values.contains(wanted),
        Some(value) => value == wanted,
    }
}

fn operator_holds(value: Option<&Value>, operator: &str, operand: &Value) -> Result<bool, documents::Error> {
    let ordered = |holds: fn(Ordering) -> bool| value.and_then(|v| order(v, operand)).is_some_and(holds);
    Ok(match operator {
        "$eq" => equal(value, operand),
        "$ne" => !equal(value, operand),
        "$gt" => ordered(Ordering::is_gt),
        "$gte" => ordered(Ordering::is_ge),
        "$lt" => ordered(Ordering::is_lt),
        "$lte" => ordered(Ordering::is_le),
        "$in" => operand
            .as_array()
            .is_some_and(|all| all.iter().any(|one| equal(value, one))),
        "$exists" => value.is_some() == operand.as_bool().unwrap_or(false),
        other => return unsupported(other),
    })
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn compare(a: &Map<String, Value>, b: &Map<String, Value>, sort: &Map<String, Value>) -> Ordering {
    for (field, direction) in sort {
        let ordering = match (path(a, field), path(b, field)) {
            (Some(a), Some(b)) => order(a, b).unwrap_or(Ordering::Equal),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        let ordering = if direction.as_i64() == Some(-1) {
            ordering.reverse()
        } else {
            ordering
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    Ordering::Equal
}

fn pick(document: &Map<String, Value>, fields: &[String]) -> Map<String, Value> {
    if fields.is_empty() {
        return document.clone();
    }
    let roots: Vec<&str> = fields.iter().filter_map(|f| f.split('.').next()).collect();
    document
        .iter()
        .filter(|(k, _)| *k == "_id" || roots.contains(&k.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn change(document: &mut Map<String, Value>, by: &Map<String, Value>) -> Result<(), documents::Error> {
    for (operator, fields) in by {
        for (field, value) in fields.as_object().into_iter().flatten() {
            if field.contains('.') {
                return unsupported("a dotted path in an update");
            }
            match operator.as_str() {
                "$set" => drop(document.insert(field.clone(), value.clone())),
                "$unset" => drop(document.remove(field)),
                "$inc" => {
                    let now = document.get(field).map_or(Some(0), Value::as_i64);
                    let (Some(now), Some(by)) = (now, value.as_i64()) else {
                        return unsupported("$inc of no integer");
                    };
                    document.insert(field.clone(), (now + by).into());
                }
                "$push" => match document
                    .entry(field.clone())
                    .or_insert_with(|| Value::Array(Vec::new()))
                {
                    Value::Array(values) => values.push(value.clone()),
                    _ => return unsupported("$push to no array"),
                },
                other => return unsupported(other),
            }
        }
    }
    Ok(())
}
