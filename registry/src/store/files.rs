//! Records as files of one host's data folder, there whole or not at all, whatever happens while they are written.
//!
//! A file is written under a temporary name beside its place, flushed to the disk and then given its name; the folder
//! is flushed too, since that is where names are kept. One process at a time: what it compares and then changes is held
//! together by a lock in its memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Artifacts, Store, artifact_name, damaged};
use crate::Error;
use crate::id::Digest;
use crate::release::RELEASE_BYTES_MAX;

/// Ending of names under which files are written.
const TEMPORARY: &str = ".tmp";
/// Folders that records are in, and how deep folders stand in them.
const FOLDERS: [(&str, usize); 2] = [("registry", 2), ("tenants", 2)];
/// Tells apart files that one process writes at the same moment.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// Records in a folder: a record's name is its path there.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    /// Held while a record is changed, so that what it was compared with is still there. Nothing waits for it across an
    /// await, so a plain mutex does.
    changing: Mutex<()>,
}

impl Files {
    /// Opens a data folder, made when it is not there, and removes what an earlier process was writing when it ended. One
    /// process at a time.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(root: &Path) -> Result<Self, Error> {
        for (name, depth) in FOLDERS {
            let folder = root.join(name);
            make_folder(&folder)?;
            sweep(&folder, depth)?;
        }
        Ok(Self {
            root: root.to_owned(),
            changing: Mutex::new(()),
        })
    }

    /// What is there is whole at every moment, so a panic of another holder changes nothing.
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names are made of what was checked; one that leads out of the folder is a bug.
    fn path(&self, name: &str) -> PathBuf {
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\\');
        assert!(name.split('/').all(is_plain), "{name:?} is the name of a record");
        self.root.join(name)
    }
}

impl Store for Files {
    fn names(&self, folder: &str) -> Result<Vec<String>, Error> {
        names(&self.path(folder))
    }

    fn read(&self, name: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, Error> {
        read(&self.path(name), name, bytes_max)
    }

    fn read_all(&self, folder: &str, bytes_max: usize) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut records = Vec::new();
        for name in self.names(folder)? {
            let full = format!("{folder}/{name}");
            if self.path(&full).is_file() {
                // One that was removed meanwhile is not there.
                records.extend(self.read(&full, bytes_max)?.map(|bytes| (name, bytes)));
            }
        }
        Ok(records)
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool, Error> {
        let _changing = self.lock();
        create(&self.path(name), bytes)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let _changing = self.lock();
        replace(&self.path(name), bytes)
    }

    fn replace_if(&self, name: &str, read: Option<&[u8]>, bytes: &[u8]) -> Result<bool, Error> {
        let _changing = self.lock();
        let path = self.path(name);
        let there = content(&path, read.map_or(0, <[u8]>::len))?;
        if there.as_deref() != read {
            return Ok(false);
        }
        replace(&path, bytes).map(|()| true)
    }

    fn append(&self, name: &str, lines: usize, line: &[u8]) -> Result<bool, Error> {
        assert!(!line.contains(&b'\n'), "a line is given without its end");
        let _changing = self.lock();
        let path = self.path(name);
        append(&path, lines, line).map_err(|source| failed(&path, source))
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        let _changing = self.lock();
        remove(&self.path(name))
    }

    fn remove_if(&self, name: &str, read: &[u8]) -> Result<bool, Error> {
        let _changing = self.lock();
        let path = self.path(name);
        if content(&path, read.len())?.as_deref() != Some(read) {
            return Ok(false);
        }
        remove(&path).map(|()| true)
    }
}

/// Artifacts in a folder, each a file of the name that [`artifact_name`] gives.
#[derive(Debug)]
pub struct FileArtifacts {
    folder: PathBuf,
}

impl FileArtifacts {
    /// Opens the folder, made when it is not there, and removes what an earlier process was writing. One process at a time.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(folder: &Path) -> Result<Self, Error> {
        make_folder(folder)?;
        sweep(folder, 0)?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }
}

impl Artifacts for FileArtifacts {
    fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
        replace(&self.folder.join(artifact_name(digest)), bytes)
    }

    fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let name = artifact_name(digest);
        read(&self.folder.join(&name), &name, RELEASE_BYTES_MAX)
    }
}

/// Makes a folder, with those above it.
fn make_folder(path: &Path) -> Result<(), Error> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_folder(above)?;
    }
    match fs::create_dir(path) {
        // Another thread has made it.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made.map_err(|source| failed(path, source))?,
    }
    flush_folder(path.parent())
}

/// Removes files that were never given their name, also in folders this many levels below.
fn sweep(folder: &Path, depth: usize) -> Result<(), Error> {
    for entry in entries(folder)? {
        let path = entry.path();
        let kind = entry.file_type().map_err(|source| failed(&path, source))?;
        if kind.is_dir() && depth > 0 {
            sweep(&path, depth - 1)?;
        } else if kind.is_file() && entry.file_name().to_str().is_some_and(is_temporary) {
            fs::remove_file(&path).map_err(|source| failed(&path, source))?;
        }
    }
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let named = entries(folder)?.into_iter();
    let mut names: Vec<String> = named
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !is_temporary(name))
        .collect();
    names.sort();
    Ok(names)
}

fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .collect::<io::Result<_>>()
            .map_err(|source| failed(folder, source)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(failed(folder, source)),
    }
}

fn read(path: &Path, name: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, Error> {
    match content(path, bytes_max)? {
        Some(bytes) if bytes.len() > bytes_max => Err(damaged(name, format!("more than {bytes_max} bytes"))),
        read => Ok(read),
    }
}

/// The bytes of a file, one more than the limit at most; `None` when there is none.
fn content(path: &Path, bytes_max: usize) -> Result<Option<Vec<u8>>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(path, source)),
    };
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| failed(path, source))?;
    Ok(Some(bytes))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Ok(()) => flush_folder(path.parent()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(failed(path, source)),
    }
}

/// Puts a file in place of the one that is there, if any.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let temporary = write_beside(path, bytes)?;
    fs::rename(&temporary, path).map_err(|source| failed(path, source))?;
    flush_folder(path.parent())
}

/// Puts a file where none is.
fn create(path: &Path, bytes: &[u8]) -> Result<bool, Error> {
    let temporary = write_beside(path, bytes)?;
    // A rename would replace what is there; a link does not.
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary).map_err(|source| failed(&temporary, source))?;
    match linked {
        Ok(()) => flush_folder(path.parent()).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(failed(path, source)),
    }
}

/// A line counts once it is whole and flushed. What a crash has left half written is cut off first, so nothing ever stands
/// behind it.
fn append(path: &Path, lines: usize, line: &[u8]) -> io::Result<bool> {
    let mut file = match OpenOptions::new().read(true).append(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let (there, end) = whole_lines(&file)?;
    if there != lines {
        return Ok(false);
    }
    file.set_len(end)?;
    let text = [line, b"\n"].concat();
    let written = file.write_all(&text).and_then(|()| file.sync_data());
    if let Err(error) = written {
        file.set_len(end)?;
        return Err(error);
    }
    Ok(true)
}

/// How many whole lines a file has, and where the last ends.
fn whole_lines(file: &File) -> io::Result<(usize, u64)> {
    let (mut reader, mut line) = (BufReader::new(file), Vec::new());
    let (mut lines, mut end) = (0, 0);
    loop {
        line.clear();
        let bytes = reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok((lines, end));
        }
        lines += 1;
        end += bytes as u64;
    }
}

fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf, Error> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
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

/// Whether it is such a name: `<name>.<process>-<number>.tmp`. Others keep files of their own beside records.
fn is_temporary(name: &str) -> bool {
    let numbers = name
        .strip_suffix(TEMPORARY)
        .and_then(|rest| rest.rsplit_once('.'))
        .and_then(|(_, numbers)| numbers.split_once('-'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
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
    use std::path::Path;

    use super::{FileArtifacts, Files};
    use crate::id::Digest;
    use crate::store::{Artifacts as _, Store as _};

    const RECORD: &str = "tenants/acme/tenant.json";

    fn open(folder: &Path) -> Files {
        Files::open(folder).unwrap()
    }

    #[test]
    fn a_record_is_a_file_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let files = open(folder.path());
        assert!(files.create(RECORD, b"1").unwrap());
        assert_eq!(fs::read(folder.path().join(RECORD)).unwrap(), b"1");
        assert_eq!(open(folder.path()).read(RECORD, 1).unwrap().unwrap(), b"1");
        assert_eq!(files.read(RECORD, 0).unwrap_err().code(), "storage-damaged");
    }

    #[test]
    fn what_a_dead_process_was_writing_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let left = [
            "registry/trust.json.1-0.tmp",
            "tenants/acme/swaps/1.jsonl.23-45.tmp",
        ];
        let kept = ["registry/trust.json", "tenants/acme/.tmpA1", "tenants/acme/x.tmp"];
        for name in left.iter().chain(&kept) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        let files = open(folder.path());
        let is_there = |name: &&str| folder.path().join(name).exists();
        assert!(!left.iter().any(is_there));
        assert!(kept.iter().all(is_there));
        fs::write(folder.path().join("registry/trust.json.9-9.tmp"), "").unwrap();
        assert_eq!(
            files.names("registry").unwrap(),
            ["trust.json"],
            "not while it is written"
        );
    }

    #[test]
    fn half_a_line_is_as_if_it_had_not_begun() {
        let folder = tempfile::tempdir().unwrap();
        let files = open(folder.path());
        files.create("tenants/a", b"one\n").unwrap();
        let path = folder.path().join("tenants/a");
        fs::write(&path, "one\ntw").unwrap();
        assert!(!files.append("tenants/a", 2, b"three").unwrap());
        assert!(files.append("tenants/a", 1, b"2").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"one\n2\n");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_of_the_world() {
        let folder = tempfile::tempdir().unwrap();
        let files = open(folder.path());
        files.create("tenants/file", b"").unwrap();
        let error = files.replace("tenants/file/below", b"1").unwrap_err();
        assert_eq!(error.code(), "storage-failed");
        let error = Files::open(&folder.path().join("tenants/file")).unwrap_err();
        assert_eq!(error.code(), "storage-failed");
    }

    #[test]
    #[should_panic(expected = "is the name of a record")]
    fn no_name_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let _ = open(folder.path()).read("registry/../../x", 1);
    }

    #[test]
    fn artifacts_are_files_by_digest() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = FileArtifacts::open(folder.path()).unwrap();
        let digest = Digest::of(b"1");
        artifacts.put(&digest, b"1").unwrap();
        let path = folder.path().join(format!("sha256-{}.wasm", digest.hex()));
        assert_eq!(fs::read(path).unwrap(), b"1");
    }
}
