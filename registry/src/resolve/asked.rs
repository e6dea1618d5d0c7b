//! What is asked of the search: which versions each module may have, and where that comes from.

use std::collections::{BTreeMap, BTreeSet};

use pubgrub::Ranges;
use semver::{Comparator, Op, Version, VersionReq};

use super::{Change, Offer, Offers};
use crate::Error;
use crate::generation::{Generation, Installation};

/// Most versions that a sentence lists.
const LISTED_MAX: usize = 5;

/// The question.
pub(super) struct Asked<'a> {
    pub(super) running: &'a Generation,
    pub(super) offers: &'a Offers,
    /// Every module that must be there.
    pub(super) roots: BTreeMap<&'a str, Root>,
    /// Every module that must not be there.
    pub(super) removed: BTreeSet<&'a str>,
}

/// A module that must be there.
pub(super) struct Root {
    /// The versions that it may have.
    pub(super) allowed: Ranges<Version>,
    /// The range to remember.
    pub(super) wanted: Option<VersionReq>,
    /// Whether a change names it.
    pub(super) named: bool,
    /// Why it may have no others, as a part of a sentence; none when it may have any.
    pub(super) bound: Option<String>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(
        running: &'a Generation,
        changes: &'a [Change],
        offers: &'a Offers,
    ) -> Result<Self, Error> {
        let mut asked = Self {
            running,
            offers,
            roots: BTreeMap::new(),
            removed: BTreeSet::new(),
        };
        for change in changes {
            asked.take(change)?;
        }
        for (name, installed) in &running.installations {
            let name = name.as_str();
            if !asked.roots.contains_key(name) && !asked.removed.contains(name) {
                asked.roots.insert(name, asked.held(installed)?);
            }
        }
        asked.check_removed()?;
        Ok(asked)
    }

    fn take(&mut self, change: &'a Change) -> Result<(), Error> {
        let name = change.name();
        if self.roots.contains_key(name) || self.removed.contains(name) {
            return Err(Error::Conflict(format!("{name} is named twice in one change")));
        }
        let root = match change {
            Change::Enable { wanted, .. } => self.enabled(name, wanted.as_ref())?,
            Change::Move { version, .. } => {
                let recorded = self.installed(name).and_then(|old| old.wanted.clone());
                let wanted = recorded.filter(|wanted| wanted.matches(version));
                self.moved(name, version, wanted)?
            }
            Change::Pin { version, .. } => self.moved(name, version, Some(exactly(version)))?,
            Change::Disable { .. } if self.installed(name).is_none() => {
                return Err(Error::NotEnabled {
                    name: name.to_owned(),
                    tenant: self.running.tenant.clone(),
                });
            }
            Change::Disable { .. } => {
                self.removed.insert(name);
                return Ok(());
            }
        };
        self.roots.insert(name, root);
        Ok(())
    }

    fn enabled(&self, name: &str, range: Option<&VersionReq>) -> Result<Root, Error> {
        let known = self.known(name)?;
        let installed = self.installed(name);
        let recorded = installed.and_then(|old| old.wanted.as_ref());
        let wanted = range.or(recorded);
        // A range that is given may lead down; none never does.
        let from = installed.map(|old| &old.version).filter(|_| range.is_none());
        let no_releases = known.keys().all(|version| !version.pre.is_empty());
        let fits = |version: &Version| match wanted {
            Some(wanted) => wanted.matches(version),
            None => version.pre.is_empty() || no_releases || Some(version) == from,
        };
        let fitting: Vec<_> = known.iter().filter(|(version, _)| fits(version)).collect();
        if fitting.is_empty() {
            return Err(no_version_fits(name, wanted, known));
        }
        let offered = fitting
            .iter()
            .filter(|(version, offer)| !offer.yanked || installed.is_some_and(|old| old.version == **version))
            .map(|(version, _)| *version)
            .filter(|version| from.is_none_or(|from| *version >= from));
        let allowed: Ranges<Version> = union(offered);
        if allowed.is_empty() {
            let versions = list(fitting.iter().map(|(version, _)| *version));
            let range = wanted.map_or_else(String::new, |wanted| format!(" that fits {wanted}"));
            return Err(Error::NoVersionFits(format!(
                "every version of {name}{range} was withdrawn: {versions}"
            )));
        }
        Ok(Root {
            allowed,
            wanted: wanted.cloned(),
            named: true,
            bound: wanted.map(|wanted| format!("{name} {wanted} is asked for")),
        })
    }

    fn moved(&self, name: &str, version: &Version, wanted: Option<VersionReq>) -> Result<Root, Error> {
        let offer = self
            .known(name)?
            .get(version)
            .ok_or_else(|| no_release(name, version))?;
        let runs = self.installed(name).is_some_and(|old| old.version == *version);
        if offer.yanked && !runs {
            return Err(Error::NoVersionFits(format!("{name} {version} was withdrawn")));
        }
        Ok(Root {
            allowed: Ranges::singleton(version.clone()),
            wanted,
            named: true,
            bound: Some(format!("{name} {version} is asked for")),
        })
    }

    /// A module that no change names: it may stay, and it may move up as far as was asked for or is compatible.
    fn held(&self, installed: &Installation) -> Result<Root, Error> {
        let (name, version) = (installed.name.as_str(), &installed.version);
        let known = self.known(name)?;
        if !known.contains_key(version) {
            return Err(no_release(name, version));
        }
        let range = installed.wanted.clone().unwrap_or_else(|| compatible(version));
        let allowed = known
            .iter()
            .filter(|(other, offer)| *other > version && !offer.yanked && range.matches(other))
            .map(|(other, _)| other);
        Ok(Root {
            allowed: union(allowed.chain([version])),
            bound: Some(format!(
                "{name} {version}, which is enabled, moves only within {range} and not down unless it is named"
            )),
            wanted: installed.wanted.clone(),
            named: false,
        })
    }

    /// What no change names must not lose what it needs.
    fn check_removed(&self) -> Result<(), Error> {
        for removed in &self.removed {
            let needs = |installed: &&Installation| {
                let offer = self.offer(&installed.name, &installed.version);
                let held = self.roots.get(installed.name.as_str()).filter(|root| !root.named);
                held.is_some() && offer.is_some_and(|offer| offer.dependencies.contains_key(*removed))
            };
            let who: Vec<_> = self
                .running
                .installations
                .values()
                .filter(needs)
                .map(|installed| format!("{} {}", installed.name, installed.version))
                .collect();
            if !who.is_empty() {
                let need = if who.len() == 1 { "needs" } else { "need" };
                return Err(Error::DependenciesUnmet(format!(
                    "{removed} cannot be disabled, because {} {need} it",
                    join(&who)
                )));
            }
        }
        Ok(())
    }

    pub(super) fn installed(&self, name: &str) -> Option<&'a Installation> {
        self.running.installations.get(name)
    }

    pub(super) fn offer(&self, name: &str, version: &Version) -> Option<&'a Offer> {
        self.offers.get(name)?.get(version)
    }

    /// The versions of a dependency that a release can use.
    pub(super) fn meeting(&self, needing: &Offer, name: &str) -> Ranges<Version> {
        if self.removed.contains(name) {
            return Ranges::empty();
        }
        let runs = self.installed(name).map(|old| &old.version);
        let known = self.offers.get(name).into_iter().flatten();
        union(
            known
                .filter(|(version, offer)| !offer.yanked || Some(*version) == runs)
                .filter(|(version, offer)| needing.is_met_by(name, version, offer))
                .map(|(version, _)| version),
        )
    }

    fn known(&self, name: &str) -> Result<&'a BTreeMap<Version, Offer>, Error> {
        let known = self.offers.get(name).filter(|versions| !versions.is_empty());
        known.ok_or_else(|| no_release(name, "in any version"))
    }
}

/// Sets of versions that are known, rather than ranges: what a range means is for semver alone to say.
fn union<'v>(versions: impl Iterator<Item = &'v Version>) -> Ranges<Version> {
    versions
        .map(|version| Ranges::singleton(version.clone()))
        .reduce(|all, one| all.union(&one))
        .unwrap_or_else(Ranges::empty)
}

/// The versions that take the place of this one without asking anybody.
fn compatible(version: &Version) -> VersionReq {
    requirement(Op::Caret, version)
}

fn exactly(version: &Version) -> VersionReq {
    requirement(Op::Exact, version)
}

fn requirement(op: Op, version: &Version) -> VersionReq {
    VersionReq {
        comparators: vec![Comparator {
            op,
            major: version.major,
            minor: Some(version.minor),
            patch: Some(version.patch),
            pre: version.pre.clone(),
        }],
    }
}

fn no_version_fits(name: &str, wanted: Option<&VersionReq>, known: &BTreeMap<Version, Offer>) -> Error {
    let wanted = wanted.map(ToString::to_string).unwrap_or_default();
    let versions = list(known.keys());
    Error::NoVersionFits(format!(
        "no version of {name} fits {wanted}; published are {versions}"
    ))
}

fn no_release(name: &str, version: impl ToString) -> Error {
    Error::NoRelease {
        name: name.to_owned(),
        version: version.to_string(),
    }
}

/// Versions in words, the newest if there are too many.
pub(super) fn list<'v>(versions: impl DoubleEndedIterator<Item = &'v Version>) -> String {
    let mut newest: Vec<_> = versions.rev().map(ToString::to_string).collect();
    let more = newest.len().saturating_sub(LISTED_MAX);
    newest.truncate(LISTED_MAX);
    newest.reverse();
    if more > 0 {
        newest.insert(0, format!("{more} older ones"));
    }
    join(&newest)
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn join(parts: &[String]) -> String {
    match parts.split_last() {
        None => String::new(),
        Some((one, [])) => one.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}
