//! A file that is being written and that nobody can name yet.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::capability::blobs::BlobError;

/// See the module. Dropped before it is kept, it is removed.
pub(super) struct Incoming {
    pub(super) name: String,
    path: PathBuf,
    file: File,
    kept: bool,
}

impl Incoming {
    /// A new file in a folder.
    pub(super) fn create(folder: &Path) -> Result<Self, BlobError> {
        let name = Uuid::now_v7().simple().to_string();
        let path = folder.join(&name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(failed)?;
        Ok(Self {
            name,
            path,
            file,
            kept: false,
        })
    }

    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), BlobError> {
        self.file.write_all(piece).map_err(failed)
    }

    /// Makes it durable, with its name.
    pub(super) fn seal(&mut self) -> Result<(), BlobError> {
        self.file.sync_all().map_err(failed)?;
        sync_folder_of(&self.path).map_err(failed)
    }

    /// It stays from now on, whatever becomes of this.
    pub(super) fn stay(&mut self) {
        self.kept = true;
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.kept {
            // What is left is removed at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the names in a path's folder durable.
#[cfg(unix)]
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Folders cannot be opened as files here; the file system journals names by itself.
#[cfg(not(unix))]
pub(super) fn sync_folder_of(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The path, which clients have no use for, stays out of it.
pub(super) fn failed(error: io::Error) -> BlobError {
    BlobError::Failed(format!("files: {error}"))
}
