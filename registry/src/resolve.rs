//! Which versions of which modules a tenant would run after a change: a plan, or a sentence that says why there is none.
//!
//! Nothing here reads or writes: what the tenant runs, the change and what the catalogue offers come in as values. What a
//! tenant runs is its lock, so three rules keep it steady: a module that is named moves to the newest version that does;
//! any other stays where it is if it can, moves up if it must, and then no further than the range that the tenant asked
//! for, or the versions compatible with its own; none but a named one ever moves down. What a module depends on comes
//! along. PubGrub searches: it finds a plan whenever there is one.

mod asked;
mod explain;
mod order;
mod solve;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use semver::{Version, VersionReq};

use self::asked::Asked;
use crate::Error;
use crate::generation::Generation;
use crate::id::Digest;
use crate::manifest::{Manifest, Permission};
use crate::release::Summary;

/// What a tenant wants to be different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Have a module, in the newest version of a range: enables it, or moves it there. Without a range: of the one that
    /// was asked for before, else in the newest version, a pre-release only if there is nothing else.
    Enable {
        /// The module.
        name: String,
        /// The range, remembered from then on.
        wanted: Option<VersionReq>,
    },
    /// Have a module in exactly this version, up or down: enables it, upgrades it or rolls it back.
    Move {
        /// The module.
        name: String,
        /// The version.
        version: Version,
    },
    /// The same, and keep it there until another range is asked for.
    Pin {
        /// The module.
        name: String,
        /// The version.
        version: Version,
    },
    /// Have a module no longer. What came along with it stays.
    Disable {
        /// The module.
        name: String,
    },
}

impl Change {
    /// The module that it is about.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Enable { name, .. }
            | Self::Move { name, .. }
            | Self::Pin { name, .. }
            | Self::Disable { name } => name,
        }
    }
}

/// The releases to choose from, by name, each by version. They are at least those of every module that the tenant runs
/// or that the change names, and of what these depend on.
pub type Offers = BTreeMap<String, BTreeMap<Version, Offer>>;

/// What a plan has to know of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Of its bytes.
    pub digest: Digest,
    /// What it depends on, with the versions that will do.
    pub dependencies: IndexMap<String, VersionReq>,
    /// Its views.
    pub views: BTreeSet<String>,
    /// The views of its dependencies that it reads: module and view.
    pub reads: Vec<(String, String)>,
    /// Whether it was withdrawn: nobody gets it anew, and who has it keeps it.
    pub yanked: bool,
    /// Whether its file is damaged, so that nobody knows its views: those who run with it are left alone.
    pub unreadable: bool,
}

impl Offer {
    /// A release as its manifest describes it, not withdrawn.
    #[must_use]
    pub fn of(manifest: &Manifest, digest: Digest) -> Self {
        Self {
            digest,
            dependencies: manifest.dependencies.clone(),
            views: manifest.views.keys().cloned().collect(),
            reads: reads(&manifest.permissions),
            yanked: false,
            unreadable: false,
        }
    }

    /// A release of which only the record can be read.
    #[must_use]
    pub fn unreadable(summary: &Summary) -> Self {
        Self {
            digest: summary.digest.clone(),
            dependencies: summary.dependencies.clone(),
            views: BTreeSet::new(),
            reads: reads(&summary.permissions),
            yanked: false,
            unreadable: true,
        }
    }

    /// Whether another release is what this one needs of `name`.
    fn is_met_by(&self, name: &str, version: &Version, other: &Self) -> bool {
        let fits = self
            .dependencies
            .get(name)
            .is_none_or(|wanted| wanted.matches(version));
        fits && (other.unreadable || self.views_of(name).all(|view| other.views.contains(view)))
    }

    fn views_of(&self, name: &str) -> impl Iterator<Item = &str> {
        self.reads
            .iter()
            .filter(move |(module, _)| module == name)
            .map(|(_, view)| view.as_str())
    }
}

/// The views of other modules that permissions name: module and view.
fn reads(permissions: &[Permission]) -> Vec<(String, String)> {
    let views = permissions.iter().filter_map(|permission| match permission {
        Permission::View(view) => Some((view.module.clone(), view.name.clone())),
        _ => None,
    });
    views.collect()
}

/// What a tenant would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// All modules, those that others depend on first: the order in which they are to be started.
    pub modules: Vec<Planned>,
    /// Modules that would no longer be enabled, with the versions that run.
    pub removed: Vec<(String, Version)>,
}

impl Plan {
    /// The modules that change, in the order in which they are to be started.
    pub fn changed(&self) -> impl Iterator<Item = &Planned> {
        self.modules.iter().filter(|planned| planned.is_changed())
    }
}

/// A module as a plan has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The module.
    pub name: String,
    /// The version that would run.
    pub version: Version,
    /// Its bytes.
    pub digest: Digest,
    /// The range to remember, [`crate::generation::Installation::wanted`].
    pub wanted: Option<VersionReq>,
    /// The version that runs now, if any.
    pub from: Option<Version>,
    /// Whether the change names it; if not, it comes along or moves because others need it.
    pub named: bool,
}

impl Planned {
    /// Whether another version would run than now.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.from.as_ref() != Some(&self.version)
    }
}

/// Works out what a tenant would run after these changes, all at once: modules that only fit together in new majors are
/// named together.
///
/// # Errors
/// [`Error::NoRelease`] for an unknown module or version, [`Error::NoVersionFits`], [`Error::NotEnabled`];
/// [`Error::DependenciesUnmet`] when others need what is to be disabled; [`Error::Conflict`] when no versions fit together.
pub fn resolve(running: &Generation, changes: &[Change], offers: &Offers) -> Result<Plan, Error> {
    let asked = Asked::new(running, changes, offers)?;
    let chosen = solve::versions(&asked)?;
    let removed = asked.removed.iter().map(|name| {
        let version = running.installations.get(*name).map(|old| old.version.clone());
        version.map(|version| ((*name).to_owned(), version))
    });
    Ok(Plan {
        removed: removed.flatten().collect(),
        modules: order::dependencies_first(&asked, &chosen),
    })
}

#[cfg(test)]
mod tests;
