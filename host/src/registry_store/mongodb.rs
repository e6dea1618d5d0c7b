//! Records in a collection of MongoDB, which several hosts change at the same moment.
//!
//! A record is one document, so each change is one operation on it, with what it must find there in its filter. Writes are
//! in the journals of a majority and reads are of what a majority has; a write that found something else waits for the
//! majority as well, so what is read after it is at least that. A folder is a document of its own, named with a slash at
//! its end, and made before the first record below it.

use std::future::Future;

use futures_util::TryStreamExt as _;
use millwork_registry::Error;
use millwork_registry::id::Digest;
use millwork_registry::store::Store;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, doc};
use mongodb::{Collection, IndexModel};
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use super::unreached;
use crate::blocking;
use crate::mongodb::{Failure, MongoDatabase, MongoSettings};

/// Name of the collection.
const RECORDS: &str = "registry";
/// Largest record, in bytes: MongoDB takes documents of 16 MiB.
const RECORD_BYTES_MAX: usize = 15 << 20;

/// See the module.
#[derive(Debug)]
pub struct MongoStore {
    settings: MongoSettings,
    /// What it is, for those who are told that it is not reached.
    what: String,
    runtime: Handle,
    opened: OnceCell<MongoDatabase>,
}

/// A record as it is read. A folder has no bytes.
#[derive(Deserialize)]
struct Row {
    #[serde(rename = "_id")]
    id: String,
    bytes: Option<Binary>,
    /// Lines that came to the bytes, each with its end.
    #[serde(default)]
    appended: Vec<Binary>,
}

/// How large a record is.
#[derive(Deserialize)]
struct Size {
    lines: i64,
}

impl MongoStore {
    /// Reaches the database when something is asked of it. The driver works on this runtime, which must be one of several
    /// threads: callers block, on any thread.
    #[must_use]
    pub fn new(settings: MongoSettings, what: String, runtime: Handle) -> Self {
        Self {
            settings,
            what,
            runtime,
            opened: OnceCell::new(),
        }
    }

    /// Waits for an operation on the database, and says it when there was no answer.
    pub(super) fn wait<'s, T, F>(&'s self, work: impl FnOnce(&'s MongoDatabase) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let done = blocking::wait(&self.runtime, async {
            let database = self.opened.get_or_try_init(|| self.open()).await?;
            work(database).await
        });
        done.map_err(|failure| unreached(&self.what, &failure))
    }

    async fn open(&self) -> Result<MongoDatabase, Failure> {
        let database = MongoDatabase::open(&self.settings).await?;
        let by_folder = IndexModel::builder().keys(doc! { "folder": 1 }).build();
        database.create(RECORDS).await?;
        let records = records(&database);
        database.run(records.create_index(by_folder)).await?;
        Ok(database)
    }

    /// What a folder holds, of every document only these fields if any are named.
    fn below(&self, folder: &str, fields: Option<Document>) -> Result<Vec<Row>, Error> {
        self.wait(|database| {
            let records = database.collection(RECORDS).clone_with_type::<Row>();
            let filter = doc! { "folder": folder };
            database.run(async move {
                let found = records.find(filter);
                let found = match fields {
                    Some(fields) => found.projection(fields),
                    None => found,
                };
                found.await?.try_collect().await
            })
        })
    }
}

impl Store for MongoStore {
    fn names(&self, folder: &str) -> Result<Vec<String>, Error> {
        let rows = self.below(folder, Some(doc! { "_id": 1 }))?;
        let mut names: Vec<String> = rows.iter().map(|row| last_part(&row.id).to_owned()).collect();
        names.sort();
        Ok(names)
    }

    fn read(&self, name: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, Error> {
        let row = self.wait(|database| {
            let records = database.collection(RECORDS).clone_with_type::<Row>();
            let filter = doc! { "_id": name };
            database.run(async move { records.find_one(filter).await })
        })?;
        match row.and_then(content) {
            Some(bytes) if bytes.len() > bytes_max => Err(over(name, bytes_max)),
            bytes => Ok(bytes),
        }
    }

    fn read_all(&self, folder: &str, bytes_max: usize) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut records = Vec::new();
        for row in self.below(folder, None)? {
            let id = row.id.clone();
            match content(row) {
                Some(bytes) if bytes.len() > bytes_max => return Err(over(&id, bytes_max)),
                Some(bytes) => records.push((last_part(&id).to_owned(), bytes)),
                None => {}
            }
        }
        records.sort();
        Ok(records)
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool, Error> {
        check_size(bytes.len())?;
        self.wait(|database| async move {
            make_folders(database, name).await?;
            let mut row = record(name, bytes);
            row.insert("_id", name);
            match database.run(records(database).insert_one(row)).await {
                Ok(_) => Ok(true),
                Err(failure) if failure.is_duplicate() => Ok(false),
                Err(failure) => Err(failure),
            }
        })
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        check_size(bytes.len())?;
        self.wait(|database| async move {
            let records = records(database);
            let put = || records.replace_one(doc! { "_id": name }, record(name, bytes));
            if database.run(put()).await?.matched_count == 1 {
                return Ok(());
            }
            make_folders(database, name).await?;
            match database.run(put().upsert(true)).await {
                // Another host has put the first at the same moment.
                Err(failure) if failure.is_duplicate() => database.run(put()).await.map(drop),
                done => done.map(drop),
            }
        })
    }

    fn replace_if(&self, name: &str, read: Option<&[u8]>, bytes: &[u8]) -> Result<bool, Error> {
        let Some(read) = read else {
            return self.create(name, bytes);
        };
        check_size(bytes.len())?;
        self.wait(|database| async move {
            let as_read = doc! { "_id": name, "sha256": Digest::of(read).hex() };
            let records = records(database);
            let put = records.replace_one(as_read, record(name, bytes));
            Ok(database.run(put).await?.matched_count == 1)
        })
    }

    fn append(&self, name: &str, lines: usize, line: &[u8]) -> Result<bool, Error> {
        assert!(!line.contains(&b'\n'), "a line is given without its end");
        let text = &[line, b"\n"].concat();
        check_size(text.len())?;
        let lines = count(lines);
        let found = self.wait(|database| async move {
            let room = count(RECORD_BYTES_MAX - text.len());
            let filter = doc! { "_id": name, "lines": lines, "size": { "$lte": room } };
            let change = doc! {
                "$push": { "appended": binary(text) },
                "$inc": { "lines": 1_i64, "size": count(text.len()) },
                "$unset": { "sha256": "" },
            };
            let records = records(database);
            if database
                .run(records.update_one(filter, change))
                .await?
                .matched_count
                == 1
            {
                return Ok(None);
            }
            let sizes = records.clone_with_type::<Size>();
            let fields = doc! { "_id": 0, "lines": 1 };
            let size = database.run(sizes.find_one(doc! { "_id": name }).projection(fields));
            Ok(Some(size.await?))
        })?;
        match found {
            None => Ok(true),
            Some(Some(size)) if size.lines == lines => Err(too_large(RECORD_BYTES_MAX + text.len())),
            Some(_) => Ok(false),
        }
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        self.wait(|database| async move {
            let records = records(database);
            database.run(records.delete_one(doc! { "_id": name })).await?;
            Ok(())
        })
    }

    fn remove_if(&self, name: &str, read: &[u8]) -> Result<bool, Error> {
        let as_read = doc! { "_id": name, "sha256": Digest::of(read).hex() };
        self.wait(|database| async move {
            let records = records(database);
            let removed = database.run(records.delete_one(as_read)).await?;
            Ok(removed.deleted_count == 1)
        })
    }
}

fn records(database: &MongoDatabase) -> Collection<Document> {
    database.collection(RECORDS)
}

/// All of a record but its name.
fn record(name: &str, bytes: &[u8]) -> Document {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    doc! {
        "folder": folder_of(name),
        "bytes": binary(bytes),
        "sha256": Digest::of(bytes).hex(),
        "lines": count(lines),
        "size": count(bytes.len()),
    }
}

/// Makes the folders in a name that are not there.
async fn make_folders(database: &MongoDatabase, name: &str) -> Result<(), Failure> {
    let folder = |(end, _)| {
        let (path, _) = name.split_at(end);
        doc! { "_id": format!("{path}/"), "folder": folder_of(path) }
    };
    let folders: Vec<Document> = name.match_indices('/').map(folder).collect();
    let records = records(database);
    for folder in folders {
        match database.run(records.insert_one(folder)).await {
            Err(failure) if !failure.is_duplicate() => return Err(failure),
            _ => {}
        }
    }
    Ok(())
}

/// The bytes of a record; none of a folder.
fn content(row: Row) -> Option<Vec<u8>> {
    let mut bytes = row.bytes?.bytes;
    for line in row.appended {
        bytes.extend_from_slice(&line.bytes);
    }
    Some(bytes)
}

/// What the name of a record or a folder is in its folder.
fn last_part(id: &str) -> &str {
    let path = id.strip_suffix('/').unwrap_or(id);
    path.rsplit_once('/').map_or(path, |(_, last)| last)
}

/// The folder that a record or a folder is in.
fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn binary(bytes: &[u8]) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes: bytes.to_vec(),
    }
}

/// Counts here are below the size of a record.
fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn check_size(bytes: usize) -> Result<(), Error> {
    if bytes <= RECORD_BYTES_MAX {
        return Ok(());
    }
    Err(too_large(bytes))
}

fn too_large(bytes: usize) -> Error {
    Error::TooLarge {
        what: "record of the registry",
        bytes,
        bytes_max: RECORD_BYTES_MAX,
    }
}

fn over(name: &str, bytes_max: usize) -> Error {
    Error::Damaged {
        name: name.to_owned(),
        detail: format!("more than {bytes_max} bytes"),
    }
}
