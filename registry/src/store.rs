//! Where the registry keeps its records and artifacts, as narrow as it needs them.
//!
//! A host that is alone has [`Files`] and [`FileArtifacts`] in its data folder. Hosts that share a registry share a
//! [`Store`] and [`Artifacts`] on servers; what one has written the others read at once. All functions here block, and
//! what they say is done is durable.

mod files;

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::files::{FileArtifacts, Files};
use crate::Error;
use crate::id::Digest;

/// Small named records. A name is a relative path with `/`, as `tenants/acme/generation.json`; the folders in it come
/// along with the first record below them, and stay.
///
/// Several hosts may use one at the same moment: each function is done whole or not at all, one after another.
///
/// # Errors
/// [`Error::Unavailable`] and [`Error::Io`] when the store is not reached: a change may have happened nevertheless.
/// [`Error::TooLarge`] for a record that it cannot hold.
#[expect(clippy::missing_errors_doc, reason = "they are the same for all functions")]
pub trait Store: fmt::Debug + Send + Sync {
    /// Names of the records and folders directly below a folder, without the folder's, sorted; none when there is no such
    /// folder.
    fn names(&self, folder: &str) -> Result<Vec<String>, Error>;

    /// The bytes of a record, `None` when there is none. One of more bytes than this is [`Error::Damaged`].
    fn read(&self, name: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, Error>;

    /// Every record directly below a folder, by name as [`Store::names`] gives it, of at most this many bytes each.
    fn read_all(&self, folder: &str, bytes_max: usize) -> Result<Vec<(String, Vec<u8>)>, Error>;

    /// Puts a record where none is. False when there is one, which then stays as it is.
    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool, Error>;

    /// Puts a record in place of the one that is there, if any.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Error>;

    /// Puts a record in place of the one that was read, `None` where there was none. False when there is another now,
    /// which then stays as it is. Not for records with lines appended.
    fn replace_if(&self, name: &str, read: Option<&[u8]>, bytes: &[u8]) -> Result<bool, Error>;

    /// Adds a line, given without its end, to a record that has this many: whole lines, each with a line feed. False when
    /// it has more or fewer, or is gone; it stays as it is then.
    fn append(&self, name: &str, lines: usize, line: &[u8]) -> Result<bool, Error>;

    /// Removes a record; one that is not there is removed already.
    fn remove(&self, name: &str) -> Result<(), Error>;

    /// Removes the record that was read. False when there is another now, which then stays, or none. Not for records with
    /// lines appended.
    fn remove_if(&self, name: &str, read: &[u8]) -> Result<bool, Error>;
}

/// Components by the digest of their bytes: large, and never changed. Whoever takes one out holds it against its digest.
///
/// # Errors
/// As for [`Store`].
#[expect(clippy::missing_errors_doc, reason = "they are the same for all functions")]
pub trait Artifacts: fmt::Debug + Send + Sync {
    /// Keeps the bytes of this digest; also in place of others, which somebody has damaged.
    fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Error>;

    /// The bytes that were kept under this digest, `None` when there are none.
    fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error>;
}

/// The name that an artifact has wherever it has one: `sha256-<hex>.wasm`.
#[must_use]
pub fn artifact_name(digest: &Digest) -> String {
    format!("sha256-{}.wasm", digest.hex())
}

/// A value from a record of JSON, `None` when there is none.
pub(crate) fn read_json<T: DeserializeOwned>(
    store: &dyn Store,
    name: &str,
    bytes_max: usize,
) -> Result<Option<T>, Error> {
    let bytes = store.read(name, bytes_max)?;
    bytes.map(|bytes| parse(name, &bytes)).transpose()
}

/// The value of a record of JSON.
pub(crate) fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| damaged(name, error.to_string()))
}

/// A value as the text of a record.
pub(crate) fn json(value: &impl Serialize, name: &str) -> Result<Vec<u8>, Error> {
    serde_json::to_vec_pretty(value).map_err(|error| Error::Io {
        path: name.into(),
        source: error.into(),
    })
}

/// Whether a record is within the limit for its kind.
pub(crate) fn check_size(what: &'static str, bytes: &[u8], bytes_max: usize) -> Result<(), Error> {
    if bytes.len() <= bytes_max {
        return Ok(());
    }
    Err(Error::TooLarge {
        what,
        bytes: bytes.len(),
        bytes_max,
    })
}

pub(crate) fn damaged(name: impl Into<String>, detail: impl Into<String>) -> Error {
    Error::Damaged {
        name: name.into(),
        detail: detail.into(),
    }
}
