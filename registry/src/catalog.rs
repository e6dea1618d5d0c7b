//! The releases that were published: `artifacts/sha256-<hex>.wasm` and `releases/<name>/<version>.json`.
//!
//! Artifacts are written before the record that names them, so a crash in between leaves an artifact that nobody knows
//! and the next publish finds again. A release never changes: neither by a publish nor, unnoticed, on the disk.

use std::path::{Path, PathBuf};

use semver::Version;

use crate::Error;
use crate::files;
use crate::id::{Digest, check_name};
use crate::release::{RELEASE_BYTES_MAX, Release, Summary};

/// Largest record of a release, in bytes.
const RECORD_BYTES_MAX: usize = 64 << 10;

/// Releases on files. Its functions block; several at once do not disturb each other.
#[derive(Debug)]
pub struct Catalog {
    artifacts: PathBuf,
    releases: PathBuf,
}

impl Catalog {
    /// Opens the folder, made when it is not there. One process at a time.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let catalog = Self {
            artifacts: folder.join("artifacts"),
            releases: folder.join("releases"),
        };
        files::open_folder(&catalog.artifacts)?;
        files::open_folder(&catalog.releases)?;
        for name in files::names(&catalog.releases)? {
            if check_name("component", &name).is_ok() {
                files::open_folder(&catalog.releases.join(name))?;
            }
        }
        Ok(catalog)
    }

    /// Keeps a release, given as [`Release::read`] read it from these bytes. Publishing the same bytes again gives the
    /// release as it was published first.
    ///
    /// # Errors
    /// [`Error::ReleaseExists`] when this version has other bytes; [`Error::Io`].
    ///
    /// # Panics
    /// When the release was read from other bytes.
    pub fn publish(&self, release: &Release, component: &[u8]) -> Result<Release, Error> {
        assert!(
            release.digest == Digest::of(component),
            "the release was read from these bytes"
        );
        let path = self.record_path(&release.name, &release.version);
        // Before anything is written, so that refused components do not fill the disk.
        if path.exists() {
            self.published_before(release)?;
        }
        files::replace(&self.artifact_path(&release.digest), component)?;
        files::make_folder(&self.releases.join(&release.name))?;
        if files::create(&path, &files::json(&release.summary(), &path)?)? {
            return Ok(release.clone());
        }
        let published_at_ms = self.published_before(release)?;
        Ok(Release {
            published_at_ms,
            ..release.clone()
        })
    }

    /// Every release, by name and then by version.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn list(&self) -> Result<Vec<Summary>, Error> {
        let mut all = Vec::new();
        for name in files::names(&self.releases)? {
            all.extend(self.versions(&name)?);
        }
        Ok(all)
    }

    /// One release. Reads its artifact.
    ///
    /// # Errors
    /// [`Error::NoRelease`], [`Error::Damaged`], [`Error::Io`].
    pub fn get(&self, name: &str, version: &Version) -> Result<Release, Error> {
        let known = self.summary(name, version)?;
        let bytes = self.open_artifact(&known.digest)?;
        let release = Release::read_again(&bytes, known.published_at_ms)?;
        if release.summary() == known {
            return Ok(release.clone());
        }
        let detail = format!("it says {known:?}, but the artifact {:?}", release.summary());
        Err(files::damaged(&self.record_path(name, version), detail))
    }

    /// The newest release of a component: a pre-release only if there is nothing else.
    ///
    /// # Errors
    /// [`Error::NoRelease`], [`Error::Damaged`], [`Error::Io`].
    pub fn latest(&self, name: &str) -> Result<Release, Error> {
        let versions = if check_name("component", name).is_ok() {
            self.versions(name)?
        } else {
            Vec::new()
        };
        let newest = versions
            .iter()
            .max_by_key(|summary| (summary.version.pre.is_empty(), &summary.version));
        match newest {
            Some(summary) => self.get(name, &summary.version),
            None => Err(no_release(name, "in any version")),
        }
    }

    /// The bytes of a release, held against their digest.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the file has changed or is gone; [`Error::Io`].
    pub fn open_artifact(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let path = self.artifact_path(digest);
        let bytes =
            files::read(&path, RELEASE_BYTES_MAX)?.ok_or_else(|| files::damaged(&path, "gone".to_owned()))?;
        let found = Digest::of(&bytes);
        if found == *digest {
            Ok(bytes)
        } else {
            Err(files::damaged(
                &path,
                format!("its bytes have the digest {found}"),
            ))
        }
    }

    /// When these bytes were published, given that the version was.
    fn published_before(&self, release: &Release) -> Result<u64, Error> {
        let known = self.summary(&release.name, &release.version)?;
        if known.digest == release.digest {
            return Ok(known.published_at_ms);
        }
        Err(Error::ReleaseExists {
            name: release.name.clone(),
            version: release.version.clone(),
        })
    }

    fn versions(&self, name: &str) -> Result<Vec<Summary>, Error> {
        let mut versions = Vec::new();
        for file in files::names(&self.releases.join(name))? {
            let Some(version) = file
                .strip_suffix(".json")
                .and_then(|text| Version::parse(text).ok())
            else {
                continue;
            };
            versions.push(self.summary(name, &version)?);
        }
        versions.sort_by(|a, b| a.version.cmp(&b.version));
        Ok(versions)
    }

    fn summary(&self, name: &str, version: &Version) -> Result<Summary, Error> {
        // What is not a name could lead out of the folder.
        check_name("component", name).map_err(|_| no_release(name, version))?;
        let path = self.record_path(name, version);
        let summary: Summary =
            files::read_json(&path, RECORD_BYTES_MAX)?.ok_or_else(|| no_release(name, version))?;
        if summary.name == name && summary.version == *version {
            return Ok(summary);
        }
        Err(files::damaged(
            &path,
            format!("it is the record of {} {}", summary.name, summary.version),
        ))
    }

    fn artifact_path(&self, digest: &Digest) -> PathBuf {
        self.artifacts.join(format!("sha256-{}.wasm", digest.hex()))
    }

    fn record_path(&self, name: &str, version: &Version) -> PathBuf {
        self.releases.join(name).join(format!("{version}.json"))
    }
}

fn no_release(name: &str, version: impl ToString) -> Error {
    Error::NoRelease {
        name: name.to_owned(),
        version: version.to_string(),
    }
}

#[cfg(test)]
mod tests;
