//! Small files that are there whole or not at all, whatever happens while they are written.
//!
//! A file is written under a temporary name beside its place, flushed to the disk and then given its name; the folder
//! is flushed too, since that is where names are kept. All of it blocks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// Ending of names under which files are written.
const TEMPORARY: &str = ".tmp";
/// Tells apart files that one process writes at the same moment.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// Makes a folder, with those above it.
pub(crate) fn make_folder(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(|source| failed(path, source))?;
    flush_folder(path.parent())
}

/// Makes a folder and removes what an earlier process was writing there when it ended. Not while others write there.
pub(crate) fn open_folder(path: &Path) -> Result<(), Error> {
    make_folder(path)?;
    for name in names(path)? {
        if name.ends_with(TEMPORARY) {
            remove(&path.join(name))?;
        }
    }
    Ok(())
}

/// Names in a folder, sorted; none when there is no such folder.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(folder, source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|source| failed(folder, source))?.file_name();
        names.extend(name.into_string());
    }
    names.sort();
    Ok(names)
}

/// The bytes of a file, `None` when there is none. A file over the limit is damaged.
pub(crate) fn read(path: &Path, bytes_max: usize) -> Result<Option<Vec<u8>>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(path, source)),
    };
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| failed(path, source))?;
    if bytes.len() > bytes_max {
        return Err(damaged(path, format!("more than {bytes_max} bytes")));
    }
    Ok(Some(bytes))
}

/// A value from a JSON file, `None` when there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, bytes_max: usize) -> Result<Option<T>, Error> {
    let Some(bytes) = read(path, bytes_max)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| damaged(path, error.to_string()))
}

/// A value as the text of a JSON file.
pub(crate) fn json(value: &impl Serialize, path: &Path) -> Result<Vec<u8>, Error> {
    serde_json::to_vec_pretty(value).map_err(|error| failed(path, error.into()))
}

/// Puts a file in place of the one that is there, if any.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let temporary = write_beside(path, bytes)?;
    fs::rename(&temporary, path).map_err(|source| failed(path, source))?;
    flush_folder(path.parent())
}

/// Puts a file where none is. False when there is one, which then stays as it is, also among several processes.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<bool, Error> {
    let temporary = write_beside(path, bytes)?;
    // A rename would replace what is there; a link does not.
    let linked = fs::hard_link(&temporary, path);
    remove(&temporary)?;
    match linked {
        Ok(()) => flush_folder(path.parent()).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(failed(path, source)),
    }
}

/// Removes a file; one that is not there is removed already.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    }
}

pub(crate) fn damaged(path: &Path, detail: String) -> Error {
    Error::Damaged {
        path: path.to_owned(),
        detail,
    }
}

fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf, Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(
        ".{}-{}{TEMPORARY}",
        std::process::id(),
        WRITES.fetch_add(1, Ordering::Relaxed)
    ));
    let temporary = path.with_file_name(name);
    let written = write_flushed(&temporary, bytes);
    if written.is_err() {
        // The first error is the one that counts; what is left is removed when the folder is opened again.
        let _ = fs::remove_file(&temporary);
    }
    written.map(|()| temporary).map_err(|source| failed(path, source))
}

fn write_flushed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn flush_folder(folder: Option<&Path>) -> Result<(), Error> {
    let folder = match folder {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| failed(folder, source))
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{create, names, open_folder, read, replace};

    #[test]
    fn a_file_is_created_once_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert!(create(&path, b"1").unwrap());
        assert!(!create(&path, b"2").unwrap());
        assert_eq!(read(&path, 1).unwrap().as_deref(), Some(b"1".as_slice()));
        replace(&path, b"33").unwrap();
        assert_eq!(read(&path, 2).unwrap().as_deref(), Some(b"33".as_slice()));
        assert_eq!(read(&path, 1).unwrap_err().code(), "storage-damaged");
        assert_eq!(read(&folder.path().join("b"), 1).unwrap(), None);
        assert_eq!(names(folder.path()).unwrap(), ["a"]);
    }

    #[test]
    fn what_a_dead_process_was_writing_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.1-0.tmp"), "half").unwrap();
        fs::write(folder.path().join("a"), "whole").unwrap();
        open_folder(folder.path()).unwrap();
        assert_eq!(names(folder.path()).unwrap(), ["a"]);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_of_the_world() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        assert_eq!(
            replace(&path.join("below"), b"1").unwrap_err().code(),
            "storage-failed"
        );
        assert_eq!(open_folder(&path).unwrap_err().code(), "storage-failed");
    }
}
