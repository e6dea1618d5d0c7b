//! Reading an archive: it is gone through once, and every checksum held against the manifest, before anything of it is
//! given out; then each file is read when it is wanted, one at a time.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};
use std::marker::PhantomData;
use std::os::unix::fs::FileExt as _;

use millwork_registry::id::Digest;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::ArchiveError;
use super::manifest::{FILE, FORMAT, INSTALLATIONS, Kind, Manifest, Part, RELEASES, SEAL, Sum};
use super::pack::digest;
use super::tar::{self, BLOCK};

/// Largest file of an archive, in bytes; a release may be as large.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Bytes that are summed up at once.
const CHUNK_BYTES: usize = 64 << 10;

/// An archive whose checksums hold.
pub struct Archive {
    file: File,
    manifest: Manifest,
    digest: Digest,
    /// Where each file begins, and its size.
    places: HashMap<String, (u64, u64)>,
}

impl Archive {
    /// Goes through a file. Blocks.
    ///
    /// # Errors
    /// [`ArchiveError`] with the first thing that is wrong with it.
    pub fn open(mut file: File) -> Result<Self, ArchiveError> {
        file.rewind()?;
        let mut scan = Scan::new(BufReader::new(&file));
        scan.run()?;
        let (places, found) = (scan.places, scan.found);
        let read = |name: &str| -> Result<Vec<u8>, ArchiveError> {
            let place = places.get(name).copied();
            read_at(
                &file,
                place.ok_or_else(|| damaged("it has no manifest, so its end is missing"))?,
            )
        };
        let (text, seal) = (read(FILE)?, read(SEAL)?);
        let digest = Digest::of(&text);
        if seal != format!("{digest}\n").into_bytes() {
            return Err(damaged("the manifest has another checksum"));
        }
        let manifest = parse(&text)?;
        check(&manifest, found, scan.sums)?;
        Ok(Self {
            file,
            manifest,
            digest,
            places,
        })
    }

    /// What it says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The checksum of the manifest, and with it of everything.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// One of its files.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`] when there is none of this name.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, ArchiveError> {
        let place = self.places.get(name).copied();
        read_at(
            &self.file,
            place.ok_or_else(|| damaged(format!("{name} is missing")))?,
        )
    }

    /// What the tenant runs, as it stands there.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`] when it is not understood.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, ArchiveError> {
        let text = self.read(name)?;
        serde_json::from_slice(&text).map_err(|error| damaged(format!("{name}: {error}")))
    }

    /// All lines of a kind, in order. Reading blocks.
    #[must_use]
    pub fn lines<T>(&self, kind: Kind) -> Lines<'_, T> {
        Lines {
            archive: self,
            kind,
            number: 0,
            text: Vec::new(),
            at: 0,
            line: PhantomData,
        }
    }

    /// The bytes of all blobs.
    ///
    /// # Errors
    /// [`ArchiveError::Io`] when the system has no more files.
    pub fn contents(&self) -> Result<Contents, ArchiveError> {
        let (mut places, mut bytes) = (Vec::new(), 0);
        while let Some((start, length)) = self.places.get(&Kind::Contents.file(places.len() + 1)) {
            places.push((bytes, *start, *length));
            bytes += length;
        }
        let file = self.file.try_clone()?;
        Ok(Contents { file, places, bytes })
    }
}

/// See [`Archive::contents`].
pub struct Contents {
    file: File,
    /// Of each file how many bytes are in those before it, where it begins in the archive, and its size.
    places: Vec<(u64, u64, u64)>,
    bytes: u64,
}

impl Contents {
    /// How many there are.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// At most `length_max` of them from `at` on; none at the end and beyond it. Blocks.
    ///
    /// # Errors
    /// [`ArchiveError::Io`] when the disk fails.
    pub fn read(&self, at: u64, length_max: u64) -> Result<Vec<u8>, ArchiveError> {
        let past = self.places.partition_point(|(before, ..)| *before <= at);
        let Some((before, start, bytes)) = past.checked_sub(1).and_then(|index| self.places.get(index))
        else {
            return Ok(Vec::new());
        };
        let within = at - before;
        let length = bytes.saturating_sub(within).min(length_max);
        read_at(&self.file, (start + within, length))
    }
}

/// See [`Archive::lines`].
pub struct Lines<'a, T> {
    archive: &'a Archive,
    kind: Kind,
    number: usize,
    text: Vec<u8>,
    at: usize,
    line: PhantomData<T>,
}

impl<T: DeserializeOwned> Iterator for Lines<'_, T> {
    type Item = Result<T, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at >= self.text.len() {
            let name = self.kind.file(self.number + 1);
            let place = *self.archive.places.get(&name)?;
            self.text = match read_at(&self.archive.file, place) {
                Ok(text) => text,
                Err(error) => return Some(Err(error)),
            };
            (self.number, self.at) = (self.number + 1, 0);
        }
        let rest = self.text.get(self.at..)?;
        let line = rest.split(|byte| *byte == b'\n').next()?;
        self.at += line.len() + 1;
        let wrong = |error| damaged(format!("{}: {error}", self.kind.file(self.number)));
        Some(serde_json::from_slice(line).map_err(wrong))
    }
}

/// One way through an archive.
struct Scan<R> {
    from: R,
    at: u64,
    places: HashMap<String, (u64, u64)>,
    found: Vec<Part>,
    sums: HashMap<Kind, (u64, Sha256)>,
}

impl<R: Read> Scan<R> {
    fn new(from: R) -> Self {
        Self {
            from,
            at: 0,
            places: HashMap::new(),
            found: Vec::new(),
            sums: HashMap::new(),
        }
    }

    fn run(&mut self) -> Result<(), ArchiveError> {
        loop {
            let block = self.block()?;
            if block == [0; BLOCK] {
                break;
            }
            let header = tar::parse(&block);
            let (name, bytes) =
                header.ok_or_else(|| damaged(format!("there is no header of a file at byte {}", self.at)))?;
            self.file(name, bytes)?;
        }
        if self.block()? != [0; BLOCK] || self.from.read(&mut [0])? != 0 {
            return Err(damaged("something stands after its end"));
        }
        Ok(())
    }

    fn file(&mut self, name: String, bytes: u64) -> Result<(), ArchiveError> {
        if bytes > FILE_BYTES_MAX {
            return Err(damaged(format!("{name} has {bytes} bytes")));
        }
        let kind = Kind::ALL.into_iter().find(|kind| {
            name.split_once('/')
                .is_some_and(|(folder, _)| folder == kind.folder())
        });
        let start = self.at;
        let (mut hash, mut left, mut chunk) = (Sha256::new(), bytes, vec![0; CHUNK_BYTES]);
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let (piece, _) = chunk.split_at_mut(length);
            self.fill(piece)?;
            hash.update(&*piece);
            if let Some(kind) = kind {
                let (count, sum) = self.sums.entry(kind).or_default();
                *count += kind.count(piece);
                sum.update(&*piece);
            }
            left -= length as u64;
        }
        let mut padding = vec![0; tar::padding(bytes)];
        self.fill(&mut padding)?;
        let known = self.places.insert(name.clone(), (start, bytes));
        if known.is_some() || padding.iter().any(|byte| *byte != 0) {
            return Err(damaged(format!(
                "{name} is there twice, or not alone in its place"
            )));
        }
        let digest = digest(hash);
        self.found.push(Part { name, bytes, digest });
        Ok(())
    }

    fn block(&mut self) -> Result<[u8; BLOCK], ArchiveError> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        Ok(block)
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), ArchiveError> {
        match self.from.read_exact(into) {
            Ok(()) => {
                self.at += into.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(damaged(format!("it ends after byte {}", self.at)))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The manifest, of this format or an older one.
fn parse(text: &[u8]) -> Result<Manifest, ArchiveError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let wrong = |error: serde_json::Error| damaged(format!("{FILE}: {error}"));
    let Format { format } = serde_json::from_slice(text).map_err(wrong)?;
    if format > FORMAT {
        let detail = format!("it has format {format}, this host knows up to {FORMAT}");
        return Err(ArchiveError::Newer(detail));
    }
    serde_json::from_slice(text).map_err(wrong)
}

/// Holds what was found against what the manifest says.
fn check(
    manifest: &Manifest,
    mut found: Vec<Part>,
    mut sums: HashMap<Kind, (u64, Sha256)>,
) -> Result<(), ArchiveError> {
    let last: Vec<_> = found.iter().rev().take(2).map(|part| &*part.name).collect();
    if last != [SEAL, FILE] {
        return Err(damaged("something stands after the manifest"));
    }
    found.truncate(found.len().saturating_sub(2));
    if let Some((part, said)) = found
        .iter()
        .zip(&manifest.parts)
        .find(|(part, said)| part != said)
    {
        return Err(damaged(if part.name == said.name {
            format!("{} is not what the manifest says of it", part.name)
        } else {
            format!("{} stands where the manifest has {}", part.name, said.name)
        }));
    }
    if found.len() != manifest.parts.len() {
        return Err(damaged("it has more or fewer files than the manifest says"));
    }
    let summed: BTreeMap<Kind, Sum> = Kind::ALL
        .into_iter()
        .map(|kind| {
            let (count, hash) = sums.remove(&kind).unwrap_or_default();
            let digest = digest(hash);
            (kind, Sum { count, digest })
        })
        .collect();
    if summed != manifest.contents {
        return Err(damaged("its lines are not those that the manifest counts"));
    }
    let mut numbers: HashMap<Kind, usize> = HashMap::new();
    for part in &found {
        let folder = part.name.split('/').next().unwrap_or_default();
        let kind = Kind::ALL.into_iter().find(|kind| kind.folder() == folder);
        if let Some(kind) = kind {
            let number = numbers.entry(kind).or_default();
            *number += 1;
            if part.name != kind.file(*number) {
                return Err(damaged(format!("{} is out of order", part.name)));
            }
        } else if folder != RELEASES && part.name != INSTALLATIONS {
            return Err(ArchiveError::Newer(format!("{} is not known here", part.name)));
        }
    }
    Ok(())
}

fn read_at(file: &File, (start, bytes): (u64, u64)) -> Result<Vec<u8>, ArchiveError> {
    let mut content = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
    file.read_exact_at(&mut content, start)?;
    Ok(content)
}

fn damaged(detail: impl Into<String>) -> ArchiveError {
    ArchiveError::Damaged(detail.into())
}
