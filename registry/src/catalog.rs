//! The releases that were published: `artifacts/sha256-<hex>.wasm` and `releases/<name>/<version>.json`.
//!
//! Artifacts are written before the record that names them, so a crash in between leaves an artifact that nobody knows
//! and the next publish finds again. A release never changes: neither by a publish nor, unnoticed, on the disk. Whoever
//! takes one out to run it gets it only if its signature holds and its publisher's key is still trusted.

mod compatible;
mod offers;
mod yank;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use semver::Version;

use crate::Error;
use crate::files;
use crate::id::{Digest, check_name};
use crate::manifest::MANIFEST_BYTES_MAX;
use crate::release::{self, Interfaces, RELEASE_BYTES_MAX, Release, Summary};
use crate::trust::Trust;

pub use self::yank::Yank;

/// Largest record of a release, in bytes. It repeats parts of the manifest, as JSON.
const RECORD_BYTES_MAX: usize = 2 * MANIFEST_BYTES_MAX;

/// Releases on files. Its functions block; several at once do not disturb each other.
#[derive(Debug)]
pub struct Catalog {
    artifacts: PathBuf,
    releases: PathBuf,
    trust: Trust,
    offered: offers::Known,
    /// Held while a record is made, so that of two publishers who take a new name at once one is first.
    publishing: Mutex<()>,
}

/// A release as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What it is.
    pub summary: Summary,
    /// Set when it was withdrawn.
    pub yanked: Option<Yank>,
}

/// All there is to know of a release.
#[derive(Debug)]
pub struct Shown {
    /// With its manifest.
    pub release: Release,
    /// What its code imports and exports.
    pub interfaces: Interfaces,
    /// Set when it was withdrawn.
    pub yanked: Option<Yank>,
    /// Why it would not load here, if so.
    pub refused: Option<Error>,
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
            trust: Trust::open(folder)?,
            offered: offers::Known::default(),
            publishing: Mutex::default(),
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

    /// Whose releases are taken.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Whether a release may be published: signed by a publisher who is trusted and whose name it is, and no other than
    /// one that was published before. To be asked before any of its code runs.
    ///
    /// # Errors
    /// Those of [`Trust::check`], [`Error::NameTaken`], [`Error::ReleaseExists`], [`Error::Io`].
    pub fn admit(&self, release: &Release) -> Result<(), Error> {
        self.trust.check(release)?;
        if let Some(first) = self.versions(&release.name)?.first()
            && first.publisher != release.publisher
        {
            return Err(Error::NameTaken {
                name: release.name.clone(),
                owner: first.publisher.clone(),
            });
        }
        if self.record_path(&release.name, &release.version).exists() {
            self.published_before(release)?;
        }
        Ok(())
    }

    /// Keeps a release, given as [`Release::read`] read it from these bytes. Publishing the same bytes again gives the
    /// release as it was published first.
    ///
    /// # Errors
    /// Those of [`Catalog::admit`]; [`Error::TooLarge`] when what lists would show of it is too long.
    ///
    /// # Panics
    /// When the release was read from other bytes.
    pub fn publish(&self, release: &Release, component: &[u8]) -> Result<Release, Error> {
        assert!(
            release.digest == Digest::of(component),
            "the release was read from these bytes"
        );
        let _one_at_a_time = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        // Before anything is written, so that refused components do not fill the disk.
        self.admit(release)?;
        let path = self.record_path(&release.name, &release.version);
        let record = files::json(&release.summary(), &path)?;
        if record.len() > RECORD_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "record of the release",
                bytes: record.len(),
                bytes_max: RECORD_BYTES_MAX,
            });
        }
        files::replace(&self.artifact_path(&release.digest), component)?;
        files::make_folder(&self.releases.join(&release.name))?;
        if files::create(&path, &record)? {
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
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let mut all = Vec::new();
        for name in files::names(&self.releases)? {
            for summary in self.versions(&name)? {
                all.push(self.listed(summary)?);
            }
        }
        Ok(all)
    }

    /// Every release of a component, by version.
    ///
    /// # Errors
    /// [`Error::NoRelease`] when there is none; [`Error::Damaged`], [`Error::Io`].
    pub fn of_name(&self, name: &str) -> Result<Vec<Listed>, Error> {
        // What is not a name could lead out of the folder.
        check_name("component", name).map_err(|_| no_release(name, "in any version"))?;
        let versions = self.versions(name)?;
        if versions.is_empty() {
            return Err(no_release(name, "in any version"));
        }
        versions.into_iter().map(|summary| self.listed(summary)).collect()
    }

    /// A release to look at: also one that would not load. Reads its artifact.
    ///
    /// # Errors
    /// [`Error::NoRelease`], [`Error::Damaged`], [`Error::SignatureInvalid`], [`Error::Io`].
    pub fn show(&self, name: &str, version: &Version) -> Result<Shown, Error> {
        let (release, bytes) = self.read(name, version)?;
        Ok(Shown {
            interfaces: release::interfaces(&bytes)?,
            yanked: self.yanked(name, version)?,
            refused: self.trust.check(&release).err(),
            release,
        })
    }

    /// One release that may run here. Reads its artifact.
    ///
    /// # Errors
    /// [`Error::NoRelease`], [`Error::Damaged`], [`Error::SignatureInvalid`], [`Error::Io`]; those of [`Trust::check`].
    pub fn get(&self, name: &str, version: &Version) -> Result<Release, Error> {
        let (release, _) = self.read(name, version)?;
        self.trust.check(&release)?;
        Ok(release)
    }

    /// A release to be enabled where `installed` runs now. A yanked one is no such, unless it runs there already.
    ///
    /// # Errors
    /// [`Error::Yanked`]; those of [`Catalog::get`].
    pub fn installable(
        &self,
        name: &str,
        version: &Version,
        installed: Option<&Digest>,
    ) -> Result<Release, Error> {
        let release = self.get(name, version)?;
        match self.yanked(name, version)? {
            Some(yank) if installed != Some(&release.digest) => Err(yank.error(name, version)),
            _ => Ok(release),
        }
    }

    /// A release that a tenant installed with this digest, and its bytes, to be run: yanked or not.
    ///
    /// # Errors
    /// Those of [`Catalog::get`]; [`Error::Damaged`] when it is not what was installed.
    pub fn load(&self, name: &str, version: &Version, digest: &Digest) -> Result<(Release, Vec<u8>), Error> {
        let (release, bytes) = self.read(name, version)?;
        if release.digest != *digest {
            let detail = format!("it says {}, but {digest} was installed", release.digest);
            return Err(files::damaged(&self.record_path(name, version), detail));
        }
        self.trust.check(&release)?;
        Ok((release, bytes))
    }

    /// The newest release of a component that may be enabled: never a yanked one, a pre-release only if there is nothing
    /// else.
    ///
    /// # Errors
    /// [`Error::NoRelease`]; [`Error::Yanked`] when all are; those of [`Catalog::get`].
    pub fn latest(&self, name: &str) -> Result<Release, Error> {
        let all = self.of_name(name)?;
        let newest = all
            .iter()
            .max_by_key(|listed| {
                let version = &listed.summary.version;
                let trusted = self.trust.check_summary(&listed.summary).is_ok();
                (trusted, listed.yanked.is_none(), version.pre.is_empty(), version)
            })
            .ok_or_else(|| no_release(name, "in any version"))?;
        let version = &newest.summary.version;
        match &newest.yanked {
            Some(yank) => Err(yank.error(name, version)),
            None => self.get(name, version),
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

    /// A release and its bytes, held against its record and its signature.
    fn read(&self, name: &str, version: &Version) -> Result<(Release, Vec<u8>), Error> {
        let known = self.summary(name, version)?;
        let bytes = self.open_artifact(&known.digest)?;
        let release = Release::read_again(&bytes, known.published_at_ms)?;
        if release.summary() == known {
            return Ok((release, bytes));
        }
        let detail = format!("it says {known:?}, but the artifact {:?}", release.summary());
        Err(files::damaged(&self.record_path(name, version), detail))
    }

    fn listed(&self, summary: Summary) -> Result<Listed, Error> {
        let yanked = self.yanked(&summary.name, &summary.version)?;
        Ok(Listed { summary, yanked })
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

    /// Every release of a component, by version; none when the text is no name, which could lead out of the folder.
    fn published(&self, name: &str) -> Result<Vec<Summary>, Error> {
        if check_name("component", name).is_ok() {
            self.versions(name)
        } else {
            Ok(Vec::new())
        }
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
