//! Whether a release keeps what the one before it promised.

use std::cmp::Ordering;

use semver::{Version, VersionReq};

use super::{Catalog, Listed};
use crate::Error;
use crate::compat::{self, Dependants};
use crate::manifest::{Permission, QualifiedName};
use crate::release::{Release, Summary};

impl Catalog {
    /// Holds a release, not yet published, against the newest older one that it could take the place of without asking:
    /// same major (before 1.0 same minor), not withdrawn, no pre-release. Gives what changes for callers, in sentences.
    ///
    /// # Errors
    /// [`Error::InterfaceIncompatible`] when it breaks what others hold on to; [`Error::Damaged`]; those of the
    /// store.
    pub fn compare(&self, release: &Release, component: &[u8]) -> Result<Vec<String>, Error> {
        let Some(before) = self.predecessor(release)? else {
            return Ok(Vec::new());
        };
        let bytes = self.open_artifact(&before.digest)?;
        let old = Release::read_again(&bytes, before.published_at_ms)?;
        let mut breaking = compat::broken_exports(&bytes, component)?;
        let dependants = self.dependants(release)?;
        let changes = compat::changes(&old.manifest, &release.manifest, &dependants);
        breaking.extend(changes.breaking);
        if breaking.is_empty() {
            return Ok(changes.notes);
        }
        Err(Error::InterfaceIncompatible(format!(
            "{} {} breaks what {} promised, so it needs a new major version: {}",
            release.name,
            release.version,
            before.version,
            breaking.join("; ")
        )))
    }

    fn predecessor(&self, release: &Release) -> Result<Option<Summary>, Error> {
        for Listed { summary, yanked } in self.published(&release.name)?.into_iter().rev() {
            let version = &summary.version;
            let is_before = version.cmp(&release.version) == Ordering::Less && version.pre.is_empty();
            if is_before && is_compatible(version, &release.version) && yanked.is_none() {
                return Ok(Some(summary));
            }
        }
        Ok(None)
    }

    /// Releases of others that could run beside this one and name its views or events.
    fn dependants(&self, release: &Release) -> Result<Dependants, Error> {
        let mut dependants = Dependants::default();
        for listed in self.list()? {
            let other = &listed.summary;
            let own = other.name == release.name || listed.yanked.is_some();
            let beside = |wanted: &VersionReq| wanted.matches(&release.version);
            if own || !other.dependencies.get(&release.name).is_none_or(beside) {
                continue;
            }
            for permission in &other.permissions {
                let (named, among) = match permission {
                    Permission::View(named) => (named, &mut dependants.views),
                    Permission::Events(named) => (named, &mut dependants.events),
                    _ => continue,
                };
                let QualifiedName { module, name } = named;
                if *module == release.name {
                    let who = among.entry(name.clone()).or_default();
                    who.push(format!("{} {}", other.name, other.version));
                }
            }
        }
        Ok(dependants)
    }
}

/// Whether who has the older one gets the newer without asking for another range.
fn is_compatible(older: &Version, newer: &Version) -> bool {
    match (older.major, newer.major) {
        (0, 0) => older.minor == newer.minor,
        (older, newer) => older == newer,
    }
}
