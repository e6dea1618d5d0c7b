//! The SQL functions that compute keys of documents.
//!
//! An index stores what they return, so they must not change: another meaning needs another name, and thereby another
//! index.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, Error};

use super::super::Document;
use super::super::key::Reading;
use super::super::query::{Direction, Path};

/// The key of a field with one value; an array is an error.
const KEY: &str = "document_key";
/// The key of a field's least value.
const LEAST: &str = "document_least";
/// The key of a field's greatest value.
const GREATEST: &str = "document_greatest";

/// The document that was parsed last, with its text: a statement asks for several fields of one in a row.
#[derive(Debug, Default)]
pub(super) struct LastParsed {
    /// A std mutex, as SQLite wants functions that could move to another thread; it is never contended.
    last: Mutex<(String, Document)>,
}

impl LastParsed {
    /// To be told before a document is written whose keys will be asked for.
    pub(super) fn remember(&self, text: String, document: Document) {
        *self.lock() = (text, document);
    }

    fn lock(&self) -> MutexGuard<'_, (String, Document)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the functions known to a connection. What they have parsed last can be told to them.
pub(super) fn register(db: &Connection) -> rusqlite::Result<Arc<LastParsed>> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let last = Arc::<LastParsed>::default();
    for (name, direction) in [
        (KEY, Direction::Ascending),
        (LEAST, Direction::Ascending),
        (GREATEST, Direction::Descending),
    ] {
        let last = Arc::clone(&last);
        db.create_scalar_function(name, 3, flags, move |ctx| key(ctx, &last, name, direction))?;
    }
    Ok(last)
}

/// The SQL expression of an indexed field's key.
pub(super) fn indexed(path: &str, reading: Reading) -> String {
    call(KEY, path, reading)
}

/// The SQL expression by which any field is sorted.
pub(super) fn sorted(path: &str, reading: Reading, direction: Direction) -> String {
    match direction {
        Direction::Ascending => call(LEAST, path, reading),
        Direction::Descending => call(GREATEST, path, reading),
    }
}

fn call(name: &str, path: &str, reading: Reading) -> String {
    let decimal = u8::from(reading == Reading::Decimal);
    format!("{name}(body, '{}', {decimal})", path.replace('\'', "''"))
}

fn key(ctx: &Context<'_>, last: &LastParsed, name: &str, direction: Direction) -> rusqlite::Result<Vec<u8>> {
    let body = ctx.get_raw(0).as_str()?;
    let path: Arc<Path> = ctx.get_or_create_aux(1, |path| Path::parse(path.as_str()?).map_err(refused))?;
    let reading = if ctx.get::<bool>(2)? {
        Reading::Decimal
    } else {
        Reading::Text
    };
    let mut last = last.lock();
    if last.0 != body {
        *last = (body.to_owned(), serde_json::from_str(body).map_err(refused)?);
    }
    if name == KEY && path.meets_array(&last.1) {
        return Err(refused(format!(
            "{} is indexed and holds an array",
            path.as_str()
        )));
    }
    Ok(direction.key(&path, &last.1, reading))
}

fn refused(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::UserFunctionError(error.into())
}
