//! A tenant as an archive: written from the stores of one profile, read into those of another, of this host or of any.
//!
//! The archive is a tar of plain files ([`tar`]) with a manifest at its end ([`manifest`]). What it has of a tenant is lines
//! of JSON ([`lines`]), a folder for each [`manifest::Kind`], and the releases that the tenant runs. Read models, search
//! indexes, caches and snapshots are not in it: they are made from the events. What else a tenant comes to have is a file
//! here beside [`records`], [`messages`] and [`blobs`], with a function that packs it and one that unpacks it, and a folder
//! of its own in the archive; [`crate::host`] calls both.

pub mod tar;
pub mod manifest;
pub mod lines;
pub mod pack;
pub mod unpack;
pub mod records;
pub mod messages;
pub mod blobs;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use uuid::Uuid;

/// Media type of archives.
pub const MEDIA_TYPE: &str = "application/x-tar";

/// Why an archive is not taken, or is not written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is cut off, was changed, or is no such archive; says where.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// A newer host wrote it; says what is not known here.
    #[error("the archive was written by a newer host: {0}")]
    Newer(String),
    /// It has more bytes than may be imported here.
    #[error("an archive may have {0} bytes here")]
    TooLarge(u64),
    /// What the stores gave back is not what was put into them; says what differs. Nothing of it is left.
    #[error("what arrived is not what the archive has: {0}")]
    Unverified(String),
    /// The disk failed, or whoever reads the archive has gone: try again later.
    #[error("archive: {0}")]
    Io(#[from] io::Error),
}

impl ArchiveError {
    /// Stable, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Damaged(_) => "archive-damaged",
            Self::Newer(_) => "archive-newer",
            Self::TooLarge(_) => "archive-too-large",
            Self::Unverified(_) => "import-unverified",
            Self::Io(_) => "unavailable",
        }
    }
}

/// A file without a name, which is gone when it is closed, however that comes about.
///
/// # Errors
/// When it cannot be made.
pub fn scratch(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{}.tmp", Uuid::now_v7()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// The next lines of a file, line feeds included; none at its end.
fn next_lines(file: &mut BufReader<File>, limit: usize) -> io::Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    while lines.len() < limit {
        let mut line = Vec::new();
        if file.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        lines.push(line);
    }
    Ok(lines)
}
