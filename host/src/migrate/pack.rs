//! Writing an archive: lines are gathered into files of some megabytes, and each file goes out when it is full, so that
//! no more than one is in memory.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millwork_registry::id::Digest;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::ArchiveError;
use super::manifest::{FILE, Kind, Manifest, Part, SEAL, Sum};
use super::tar;

/// A file of lines is closed once it has so many bytes.
const FILE_BYTES: usize = 4 << 20;
/// How long whoever reads an archive may take over a piece.
const READER_SILENCE_MAX: Duration = Duration::from_secs(120);

/// Where lines go.
#[async_trait]
pub trait Lines: Send {
    /// Takes a line: JSON and a line feed; of contents, some bytes.
    ///
    /// # Errors
    /// [`ArchiveError::Io`] when nobody takes it.
    async fn line(&mut self, kind: Kind, line: Vec<u8>) -> Result<(), ArchiveError>;
}

/// A line of what `value` is.
///
/// # Errors
/// [`ArchiveError::Io`] when it cannot be written as JSON.
pub fn line(value: &impl Serialize) -> Result<Vec<u8>, ArchiveError> {
    let mut line = serde_json::to_vec(value).map_err(io::Error::from)?;
    line.push(b'\n');
    Ok(line)
}

/// Lines that are counted and summed up, kind by kind.
#[derive(Default)]
pub struct Sums(BTreeMap<Kind, (u64, Sha256)>);

impl Sums {
    /// Counts one, as it goes to [`Lines::line`].
    pub fn add(&mut self, kind: Kind, line: &[u8]) {
        let (count, hash) = self.0.entry(kind).or_default();
        *count += kind.count(line);
        hash.update(line);
    }

    /// What they come to; kinds without lines are there too.
    #[must_use]
    pub fn of(self, kinds: &[Kind]) -> BTreeMap<Kind, Sum> {
        let mut all = self.0;
        let sums = kinds.iter().map(|kind| {
            let (count, hash) = all.remove(kind).unwrap_or_default();
            let digest = digest(hash);
            (*kind, Sum { count, digest })
        });
        sums.collect()
    }

    /// Holds them against what an archive says of these kinds.
    ///
    /// # Errors
    /// [`ArchiveError::Unverified`] with what differs.
    pub fn hold_against(self, manifest: &Manifest, kinds: &[Kind]) -> Result<(), ArchiveError> {
        for (kind, found) in self.of(kinds) {
            let said = manifest.contents.get(&kind);
            if said != Some(&found) {
                let detail = format!("{kind}: {found:?} instead of {said:?}");
                return Err(ArchiveError::Unverified(detail));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Lines for Sums {
    async fn line(&mut self, kind: Kind, line: Vec<u8>) -> Result<(), ArchiveError> {
        self.add(kind, &line);
        Ok(())
    }
}

/// A finished checksum.
#[must_use]
pub fn digest(hash: Sha256) -> Digest {
    Digest::from(<[u8; 32]>::from(hash.finalize()))
}

/// An archive in the making.
pub struct Packer {
    out: mpsc::Sender<io::Result<Bytes>>,
    parts: Vec<Part>,
    sums: Sums,
    /// The file that is being filled, and how many of its kind came before it.
    open: Option<(Kind, usize, Vec<u8>)>,
}

impl Packer {
    /// One that goes out piece by piece.
    #[must_use]
    pub fn new(out: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self {
            out,
            parts: Vec::new(),
            sums: Sums::default(),
            open: None,
        }
    }

    /// Puts a file in.
    ///
    /// # Errors
    /// [`ArchiveError::Io`] when nobody takes it.
    pub async fn file(&mut self, name: &str, content: Vec<u8>) -> Result<(), ArchiveError> {
        let (bytes, digest) = (content.len() as u64, Digest::of(&content));
        self.put(name, content).await?;
        let name = name.to_owned();
        self.parts.push(Part { name, bytes, digest });
        Ok(())
    }

    /// Ends it: `manifest` is completed with what is in it. Gives the manifest and its checksum.
    ///
    /// # Errors
    /// [`ArchiveError::Io`] when nobody takes it.
    pub async fn finish(mut self, mut manifest: Manifest) -> Result<(Manifest, Digest), ArchiveError> {
        self.close().await?;
        manifest.contents = std::mem::take(&mut self.sums).of(&Kind::ALL);
        manifest.parts = std::mem::take(&mut self.parts);
        let text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from)?;
        let digest = Digest::of(&text);
        self.put(FILE, text).await?;
        self.put(SEAL, format!("{digest}\n").into_bytes()).await?;
        self.send(Bytes::from_static(&tar::END)).await?;
        Ok((manifest, digest))
    }

    /// Ends the file that is being filled.
    async fn close(&mut self) -> Result<(), ArchiveError> {
        match self.open.take() {
            Some((kind, before, content)) if !content.is_empty() => {
                self.file(&kind.file(before + 1), content).await
            }
            _ => Ok(()),
        }
    }

    async fn put(&mut self, name: &str, mut content: Vec<u8>) -> Result<(), ArchiveError> {
        let bytes = content.len() as u64;
        let refused = || io::Error::other(format!("{name:?} of {bytes} bytes cannot be in an archive"));
        let header = tar::header(name, bytes).ok_or_else(refused)?;
        content.resize(content.len() + tar::padding(bytes), 0);
        self.send(Bytes::copy_from_slice(&header)).await?;
        self.send(Bytes::from(content)).await
    }

    async fn send(&self, piece: Bytes) -> Result<(), ArchiveError> {
        // A reader who neither reads nor goes away must not hold up other exports.
        let sent = tokio::time::timeout(READER_SILENCE_MAX, self.out.send(Ok(piece)));
        let sent = sent.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
        Ok(sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?)
    }
}

#[async_trait]
impl Lines for Packer {
    async fn line(&mut self, kind: Kind, line: Vec<u8>) -> Result<(), ArchiveError> {
        self.sums.add(kind, &line);
        match &mut self.open {
            Some((open, _, content)) if *open == kind && content.len() < FILE_BYTES => {
                content.extend_from_slice(&line);
                return Ok(());
            }
            _ => {}
        }
        let before = match &self.open {
            Some((open, before, _)) if *open == kind => before + 1,
            _ => 0,
        };
        self.close().await?;
        self.open = Some((kind, before, line));
        Ok(())
    }
}
