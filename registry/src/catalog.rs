//! The releases that were published: an artifact by its digest, and the record `registry/releases/<name>/<version>.json`.
//!
//! Artifacts are written before the record that names them, so a crash in between leaves an artifact that nobody knows
//! and the next publish finds again. A name is its publisher's from the first publish on, as `owner.json` beside the
//! records says. A release never changes: neither by a publish nor, unnoticed, where it is kept. Whoever takes one out to
//! run it gets it only if its signature holds and its publisher's key is still trusted.

mod compatible;
mod offers;
mod yank;

use std::collections::BTreeMap;
use std::sync::Arc;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::id::{Digest, check_name};
use crate::manifest::MANIFEST_BYTES_MAX;
use crate::release::{self, Interfaces, Release, Summary};
use crate::store::{Artifacts, Store, artifact_name, check_size, damaged, json, parse, read_json};
use crate::trust::Trust;

pub use self::yank::Yank;

/// The folder of all records of releases.
const RELEASES: &str = "registry/releases";
/// Largest record of a release, in bytes. It repeats parts of the manifest, as JSON.
const RECORD_BYTES_MAX: usize = 2 * MANIFEST_BYTES_MAX;
/// Largest record of an owner, in bytes.
const OWNER_BYTES_MAX: usize = 4 << 10;

/// All releases. Its functions block; several at once do not disturb each other, also on several hosts.
#[derive(Debug)]
pub struct Catalog {
    store: Arc<dyn Store>,
    artifacts: Arc<dyn Artifacts>,
    trust: Trust,
    offered: offers::Known,
}

/// Whose a name is: there from the first publish on, so that of two publishers who take a name at once one is first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    publisher: String,
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
    /// The releases of a store. Nothing is read yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, artifacts: Arc<dyn Artifacts>) -> Self {
        Self {
            trust: Trust::new(Arc::clone(&store)),
            store,
            artifacts,
            offered: offers::Known::default(),
        }
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
    /// Those of [`Trust::check`], [`Error::NameTaken`], [`Error::ReleaseExists`]; those of [`Store`].
    pub fn admit(&self, release: &Release) -> Result<(), Error> {
        self.trust.check(release)?;
        self.check_owner(release)?;
        self.published_before(release).map(|_| ())
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
        // Before anything is written, so that refused components do not fill the store.
        self.admit(release)?;
        let name = record_name(&release.name, &release.version);
        let record = json(&release.summary(), &name)?;
        check_size("record of the release", &record, RECORD_BYTES_MAX)?;
        self.take_name(release)?;
        self.artifacts.put(&release.digest, component)?;
        if self.store.create(&name, &record)? {
            return Ok(release.clone());
        }
        let before = self.published_before(release)?;
        Ok(Release {
            published_at_ms: before.unwrap_or(release.published_at_ms),
            ..release.clone()
        })
    }

    /// Every release, by name and then by version.
    ///
    /// # Errors
    /// [`Error::Damaged`]; those of [`Store`].
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let mut all = Vec::new();
        for name in self.store.names(RELEASES)? {
            all.extend(self.published(&name)?);
        }
        Ok(all)
    }

    /// Every release of a component, by version.
    ///
    /// # Errors
    /// [`Error::NoRelease`] when there is none; [`Error::Damaged`]; those of [`Store`].
    pub fn of_name(&self, name: &str) -> Result<Vec<Listed>, Error> {
        let versions = self.published(name)?;
        if versions.is_empty() {
            return Err(no_release(name, "in any version"));
        }
        Ok(versions)
    }

    /// A release to look at: also one that would not load. Reads its artifact.
    ///
    /// # Errors
    /// [`Error::NoRelease`], [`Error::Damaged`], [`Error::SignatureInvalid`]; those of [`Store`].
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
    /// [`Error::NoRelease`], [`Error::Damaged`], [`Error::SignatureInvalid`]; those of [`Trust::check`] and [`Store`].
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
            return Err(damaged(record_name(name, version), detail));
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
        let (all, keys) = (self.of_name(name)?, self.trust.keys()?);
        let newest = all
            .iter()
            .max_by_key(|listed| {
                let version = &listed.summary.version;
                let trusted = keys.check_summary(&listed.summary).is_ok();
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
    /// [`Error::Damaged`] when they have changed or are gone; those of [`Artifacts`].
    pub fn open_artifact(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let unusable = |detail: String| damaged(artifact_name(digest), detail);
        let bytes = self.artifacts.get(digest)?;
        let bytes = bytes.ok_or_else(|| unusable("gone".to_owned()))?;
        let found = Digest::of(&bytes);
        if found == *digest {
            Ok(bytes)
        } else {
            Err(unusable(format!("its bytes have the digest {found}")))
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
        Err(damaged(record_name(name, version), detail))
    }

    fn check_owner(&self, release: &Release) -> Result<(), Error> {
        match self.owner(&release.name)? {
            Some(owner) if owner != release.publisher => Err(Error::NameTaken {
                name: release.name.clone(),
                owner,
            }),
            _ => Ok(()),
        }
    }

    /// Whose a name is, if anybody's.
    fn owner(&self, name: &str) -> Result<Option<String>, Error> {
        let owner: Option<Owner> = read_json(&*self.store, &owner_name(name), OWNER_BYTES_MAX)?;
        if let Some(Owner { publisher }) = owner {
            return Ok(Some(publisher));
        }
        // Before there were owners' records, the releases themselves said it.
        let versions = self.published(name)?;
        Ok(versions.first().map(|first| first.summary.publisher.clone()))
    }

    /// Makes the name its publisher's, if it is nobody's yet.
    fn take_name(&self, release: &Release) -> Result<(), Error> {
        let (name, publisher) = (owner_name(&release.name), release.publisher.clone());
        let record = json(&Owner { publisher }, &name)?;
        if self.store.create(&name, &record)? {
            return Ok(());
        }
        self.check_owner(release)
    }

    /// When these bytes were published, if the version was.
    fn published_before(&self, release: &Release) -> Result<Option<u64>, Error> {
        match self.find(&release.name, &release.version)? {
            Some(known) if known.digest != release.digest => Err(Error::ReleaseExists {
                name: release.name.clone(),
                version: release.version.clone(),
            }),
            known => Ok(known.map(|known| known.published_at_ms)),
        }
    }

    /// Every release of a component, by version; none when the text is no name, which could lead out of the folder.
    fn published(&self, name: &str) -> Result<Vec<Listed>, Error> {
        if check_name("component", name).is_err() {
            return Ok(Vec::new());
        }
        let records = self.store.read_all(&folder(name), RECORD_BYTES_MAX)?;
        let records: BTreeMap<String, Vec<u8>> = records.into_iter().collect();
        let mut versions = Vec::new();
        for (file, record) in &records {
            let version = file.strip_suffix(".json");
            let Some(version) = version.and_then(|text| Version::parse(text).ok()) else {
                continue;
            };
            let mark = records.get(&yank::mark_of(&version));
            versions.push(Listed {
                summary: summary_of(name, &version, record)?,
                yanked: mark
                    .map(|mark| parse(&yank::mark_name(name, &version), mark))
                    .transpose()?,
            });
        }
        versions.sort_by(|a, b| a.summary.version.cmp(&b.summary.version));
        Ok(versions)
    }

    fn summary(&self, name: &str, version: &Version) -> Result<Summary, Error> {
        self.find(name, version)?.ok_or_else(|| no_release(name, version))
    }

    fn find(&self, name: &str, version: &Version) -> Result<Option<Summary>, Error> {
        // What is not a name could lead out of the folder.
        check_name("component", name).map_err(|_| no_release(name, version))?;
        let record = self.store.read(&record_name(name, version), RECORD_BYTES_MAX)?;
        record
            .map(|record| summary_of(name, version, &record))
            .transpose()
    }
}

/// What a record says, which must be that of this release.
fn summary_of(name: &str, version: &Version, record: &[u8]) -> Result<Summary, Error> {
    let place = record_name(name, version);
    let summary: Summary = parse(&place, record)?;
    if summary.name == name && summary.version == *version {
        return Ok(summary);
    }
    let detail = format!("it is the record of {} {}", summary.name, summary.version);
    Err(damaged(place, detail))
}

fn folder(name: &str) -> String {
    format!("{RELEASES}/{name}")
}

fn record_name(name: &str, version: &Version) -> String {
    format!("{RELEASES}/{name}/{version}.json")
}

fn owner_name(name: &str) -> String {
    format!("{RELEASES}/{name}/owner.json")
}

fn no_release(name: &str, version: impl ToString) -> Error {
    Error::NoRelease {
        name: name.to_owned(),
        version: version.to_string(),
    }
}

#[cfg(test)]
mod tests;
