//! The blobs of one tenant: files, and the SQLite file that says what they are.
//!
//! A version is a file in the folder `incoming`, durable before a transaction names it; then it moves to its place. What a
//! crash leaves in `incoming` is moved or removed when the shelf is opened, by whether it is named.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::incoming::{Incoming, failed, sync_folder_of};
use super::schema;
use crate::capability::blobs::{Address, BlobError, Bucket, Content, Entry, Info, Page, Part};
use crate::sqlite::{self, open_writer};

/// Versions that have expired and are removed with one write.
const CLEARED_MAX: u32 = 100;
/// The folder of the versions.
const PLACES: &str = "blobs";
/// The file that says what the others are.
const FILE: &str = "blobs.db";
/// Above every byte of UTF-8.
const ABOVE: u8 = 0xff;

/// See the module.
pub(super) struct Shelf {
    places: PathBuf,
    incoming: PathBuf,
    /// std's lock: held for one transaction, on a thread that may block.
    db: Mutex<Connection>,
}

impl Shelf {
    /// Opens or makes it in a tenant's folder.
    pub(super) fn open(tenant: &Path) -> Result<Self, BlobError> {
        let places = tenant.join(PLACES);
        let incoming = places.join("incoming");
        fs::create_dir_all(&incoming).map_err(failed)?;
        let db = open_writer(&tenant.join(FILE), schema::MIGRATIONS, "full")
            .map_err(|error| BlobError::Failed(error.to_string()))?;
        let shelf = Self {
            places,
            incoming,
            db: Mutex::new(db),
        };
        shelf.tidy_up()?;
        Ok(shelf)
    }

    /// Whether there is one in a tenant's folder.
    pub(super) fn is_in(tenant: &Path) -> bool {
        tenant.join(FILE).exists()
    }

    /// Removes the one in a tenant's folder, which nobody has open: what says what the files are goes first.
    pub(super) fn take_down(tenant: &Path) -> Result<(), BlobError> {
        sqlite::remove(&tenant.join(FILE)).map_err(failed)?;
        fs::remove_dir_all(tenant.join(PLACES)).map_err(failed)
    }

    /// Whether no bucket has anything.
    pub(super) fn holds_nothing(&self) -> Result<bool, BlobError> {
        let versions: u64 = self.with(|db| {
            let counted = db.query_row(schema::COUNT, [], |row| row.get::<_, i64>(0));
            counted.map(i64::unsigned_abs)
        })?;
        Ok(versions == 0)
    }

    /// A file to write to.
    pub(super) fn begin(&self) -> Result<Incoming, BlobError> {
        Incoming::create(&self.incoming)
    }

    /// Makes a file the last version of a blob.
    pub(super) fn keep(
        &self,
        mut file: Incoming,
        at: Address<'_>,
        content: &Content,
        now_ms: u64,
    ) -> Result<Info, BlobError> {
        file.seal()?;
        let (Bucket { module, name, .. }, key) = (at.bucket, at.key.as_bytes());
        self.with(|db| {
            let transaction = db.transaction()?;
            let Content {
                media_type,
                size,
                sha256,
            } = content;
            let row = params![
                module,
                name,
                key,
                file.name,
                sql(*size),
                media_type,
                sha256,
                sql(now_ms)
            ];
            let number: i64 = transaction
                .prepare_cached(schema::ADD)?
                .query_row(row, |row| row.get(0))?;
            transaction
                .prepare_cached(schema::SET_LAST)?
                .execute(params![module, name, key, number])?;
            transaction.commit()
        })?;
        file.stay();
        self.put_in_place(&file.name).map_err(failed)?;
        Ok(Info {
            version: file.name.clone(),
            content: content.clone(),
            written_at: now_ms,
        })
    }

    /// What is known of a version, the last one unless one is named.
    pub(super) fn stat(&self, at: Address<'_>, version: Option<&str>) -> Result<Info, BlobError> {
        let (Bucket { module, name, .. }, key) = (at.bucket, at.key.as_bytes());
        let found = self.with(|db| {
            match version {
                Some(version) => db
                    .prepare_cached(schema::NAMED)?
                    .query_row(params![module, name, key, version], info),
                None => db
                    .prepare_cached(schema::LAST)?
                    .query_row(params![module, name, key], info),
            }
            .optional()
        })?;
        found.ok_or(BlobError::NotFound)
    }

    /// Bytes of a version.
    pub(super) fn read(&self, info: &Info, offset: u64, length: u32) -> Result<Vec<u8>, BlobError> {
        let wanted = info.content.size.saturating_sub(offset).min(u64::from(length));
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let read = || -> io::Result<Vec<u8>> {
            let mut file = self.open_version(&info.version)?;
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::with_capacity(usize::try_from(wanted).unwrap_or_default());
            file.take(wanted).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(failed)?;
        if bytes.len() as u64 == wanted {
            Ok(bytes)
        } else {
            Err(BlobError::Failed(format!(
                "the file of version {} is cut off",
                info.version
            )))
        }
    }

    /// Takes a key away.
    pub(super) fn remove(&self, at: Address<'_>) -> Result<(), BlobError> {
        let (Bucket { module, name, .. }, key) = (at.bucket, at.key.as_bytes());
        self.with(|db| {
            db.prepare_cached(schema::REMOVE)?
                .execute(params![module, name, key])
        })
        .map(drop)
    }

    /// Blobs whose keys begin with a text.
    pub(super) fn page(&self, bucket: &Bucket, prefix: &str, part: Part<'_>) -> Result<Page, BlobError> {
        let end = [prefix.as_bytes(), &[ABOVE]].concat();
        let after = part.cursor.unwrap_or_default().as_bytes();
        let (module, name) = (&bucket.module, &bucket.name);
        let asked = params![
            module,
            name,
            prefix.as_bytes(),
            end,
            after,
            part.limit.saturating_add(1)
        ];
        let entries = self.with(|db| {
            let mut statement = db.prepare_cached(schema::PAGE)?;
            let rows = statement.query_map(asked, |row| {
                let key: Vec<u8> = row.get(0)?;
                entry(String::from_utf8_lossy(&key).into_owned(), row)
            })?;
            rows.collect::<Result<Vec<_>, _>>()
        })?;
        Ok(cut(entries, part.limit))
    }

    /// Versions of a blob.
    pub(super) fn versions(&self, at: Address<'_>, part: Part<'_>) -> Result<Page, BlobError> {
        let (Bucket { module, name, .. }, key) = (at.bucket, at.key.as_bytes());
        let before = match part.cursor {
            None => Some(i64::MAX),
            Some(cursor) => self.with(|db| {
                db.prepare_cached(schema::NUMBER)?
                    .query_row(params![module, name, key, cursor], |row| row.get(0))
                    .optional()
            })?,
        };
        // A version that has expired since was among the oldest: what follows has expired too.
        let Some(before) = before else {
            return Ok(Page::default());
        };
        let asked = params![module, name, key, before, part.limit.saturating_add(1)];
        let entries = self.with(|db| {
            let mut statement = db.prepare_cached(schema::VERSIONS)?;
            let rows = statement.query_map(asked, |row| entry(row.get(0)?, row))?;
            rows.collect::<Result<Vec<_>, _>>()
        })?;
        Ok(cut(entries, part.limit))
    }

    /// Removes what has expired in a bucket, up to a bound.
    pub(super) fn clear(&self, bucket: &Bucket, now_ms: u64) -> Result<(), BlobError> {
        let Some(after) = bucket.expire_after else {
            return Ok(());
        };
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        self.clear_until(bucket, sql(now_ms.saturating_sub(after)))
            .map(drop)
    }

    /// Removes all that a bucket holds; gives how many versions that were.
    pub(super) fn empty(&self, bucket: &Bucket) -> Result<u64, BlobError> {
        let mut versions = 0;
        loop {
            match self.clear_until(bucket, i64::MAX)? {
                0 => return Ok(versions),
                some => versions += some as u64,
            }
        }
    }

    /// Removes what was written by `until`, up to a bound, and gives how many versions that were.
    fn clear_until(&self, bucket: &Bucket, until: i64) -> Result<usize, BlobError> {
        let expired = self.with(|db| {
            let transaction = db.transaction()?;
            let expired = {
                let mut statement = transaction.prepare_cached(schema::EXPIRED)?;
                let rows = statement
                    .query_map(params![bucket.module, bucket.name, until, CLEARED_MAX], |row| {
                        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
                    })?;
                rows.collect::<Result<Vec<_>, _>>()?
            };
            for (number, name) in &expired {
                transaction.execute(schema::DOOM, params![name])?;
                transaction.execute(schema::FORGET_BLOB, params![number])?;
                transaction.execute(schema::FORGET_VERSION, params![number])?;
            }
            transaction.commit()?;
            Ok(expired)
        })?;
        let names: Vec<_> = expired.into_iter().map(|(_, name)| name).collect();
        let count = names.len();
        self.remove_files(names)?;
        Ok(count)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, BlobError> {
        let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut db).map_err(|error| BlobError::Failed(error.to_string()))
    }

    /// What a crash has left behind.
    fn tidy_up(&self) -> Result<(), BlobError> {
        for found in fs::read_dir(&self.incoming).map_err(failed)? {
            let found = found.map_err(failed)?;
            let name = found.file_name().to_string_lossy().into_owned();
            let kept: u32 = self.with(|db| db.query_row(schema::IS_KEPT, params![name], |row| row.get(0)))?;
            if kept > 0 {
                self.put_in_place(&name).map_err(failed)?;
            } else {
                fs::remove_file(found.path()).map_err(failed)?;
            }
        }
        let doomed = self.with(|db| {
            let mut statement = db.prepare(schema::DOOMED)?;
            let names = statement.query_map([], |row| row.get::<_, String>(0))?;
            names.collect::<Result<Vec<_>, _>>()
        })?;
        self.remove_files(doomed)
    }

    fn remove_files(&self, names: Vec<String>) -> Result<(), BlobError> {
        for name in names {
            for path in [self.place(&name), self.incoming.join(&name)] {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                    _ => {}
                }
            }
            self.with(|db| db.execute(schema::GONE, params![name]))?;
        }
        Ok(())
    }

    /// Where a version stands: by the end of its name, which is random, so that folders fill evenly.
    fn place(&self, name: &str) -> PathBuf {
        let shelf = name.get(name.len().saturating_sub(2)..).unwrap_or_default();
        self.places.join(shelf).join(name)
    }

    fn put_in_place(&self, name: &str) -> io::Result<()> {
        let place = self.place(name);
        if let Some(folder) = place.parent()
            && !folder.exists()
        {
            fs::create_dir_all(folder)?;
            sync_folder_of(folder)?;
        }
        fs::rename(self.incoming.join(name), &place)?;
        sync_folder_of(&place)
    }

    /// It may be moving to its place.
    fn open_version(&self, name: &str) -> io::Result<File> {
        File::open(self.place(name))
            .or_else(|_| File::open(self.incoming.join(name)))
            .or_else(|_| File::open(self.place(name)))
    }
}

fn info(row: &Row<'_>) -> rusqlite::Result<Info> {
    Ok(Info {
        version: row.get(0)?,
        content: Content {
            size: row.get::<_, i64>(1)?.unsigned_abs(),
            media_type: row.get(2)?,
            sha256: row.get(3)?,
        },
        written_at: row.get::<_, i64>(4)?.unsigned_abs(),
    })
}

fn entry(name: String, row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        name,
        size: row.get::<_, i64>(1)?.unsigned_abs(),
        written_at: row.get::<_, i64>(2)?.unsigned_abs(),
    })
}

/// One more than asked for says that there is a next page.
fn cut(mut entries: Vec<Entry>, limit: u32) -> Page {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| more).map(|last| last.name.clone());
    Page { entries, next }
}

fn sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
