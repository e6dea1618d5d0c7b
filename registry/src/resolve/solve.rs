//! The search, by PubGrub: <https://nex3.medium.com/pubgrub-2fb6470504f>.
//!
//! The tenant is a package of its own that depends on every module that must be there.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use pubgrub::{Dependencies, DependencyConstraints, DependencyProvider, PackageResolutionStatistics};
use pubgrub::{PubGrubError, Ranges};
use semver::Version;

use super::asked::Asked;
use super::explain;
use crate::Error;

/// How many steps a search may take: far beyond what real modules need, and over in a second.
const STEPS_MAX: u32 = 20_000;
/// The package that stands for the tenant. No module has such a name.
pub(super) const TENANT: &str = "";

/// The version of each module.
pub(super) type Chosen = BTreeMap<String, Version>;

pub(super) fn versions(asked: &Asked<'_>) -> Result<Chosen, Error> {
    let search = Search {
        asked,
        steps: Cell::new(0),
    };
    let root = Version::new(0, 0, 0);
    match pubgrub::resolve(&search, TENANT.to_owned(), root) {
        Ok(chosen) => Ok(chosen.into_iter().filter(|(name, _)| name != TENANT).collect()),
        Err(PubGrubError::NoSolution(tree)) => Err(Error::Conflict(explain::conflict(asked, &tree))),
        Err(_) => Err(Error::Conflict(format!(
            "no versions that fit together were found in {STEPS_MAX} steps; name fewer modules or narrower ranges"
        ))),
    }
}

pub(super) struct Search<'a> {
    asked: &'a Asked<'a>,
    steps: Cell<u32>,
}

/// The search has taken too many steps.
#[derive(Debug, thiserror::Error)]
#[error("too many steps")]
pub(super) struct GaveUp;

impl DependencyProvider for Search<'_> {
    type P = String;
    type V = Version;
    type VS = Ranges<Version>;
    /// Modules that the change names are decided first, so that they get the newest version and others move for them
    /// where they may; then those enabled, so that they stay where they are; then what comes along.
    type Priority = Reverse<u8>;
    type M = String;
    type Err = GaveUp;

    fn prioritize(&self, name: &String, _: &Ranges<Version>, _: &PackageResolutionStatistics) -> Reverse<u8> {
        Reverse(match self.asked.roots.get(name.as_str()) {
            Some(root) if root.named => 0,
            Some(_) => 1,
            None => 2,
        })
    }

    fn choose_version(&self, name: &String, within: &Ranges<Version>) -> Result<Option<Version>, GaveUp> {
        if name == TENANT {
            return Ok(Some(Version::new(0, 0, 0)));
        }
        let named = self.asked.roots.get(name.as_str()).is_some_and(|root| root.named);
        let running = self.asked.installed(name).map(|old| &old.version);
        if let Some(running) = running.filter(|version| !named && within.contains(version)) {
            return Ok(Some(running.clone()));
        }
        let known = self.asked.offers.get(name);
        let mut newest = known.into_iter().flat_map(|versions| versions.keys().rev());
        Ok(newest.find(|version| within.contains(version)).cloned())
    }

    fn get_dependencies(
        &self,
        name: &String,
        version: &Version,
    ) -> Result<Dependencies<String, Ranges<Version>, String>, GaveUp> {
        if name == TENANT {
            let roots = self.asked.roots.iter();
            let roots = roots.map(|(name, root)| ((*name).to_owned(), root.allowed.clone()));
            return Ok(Dependencies::Available(roots.collect()));
        }
        let offer = self.asked.offer(name, version);
        let needs = offer.into_iter().flat_map(|offer| {
            let names = offer.dependencies.keys();
            names.map(|name| (name.clone(), self.asked.meeting(offer, name)))
        });
        Ok(Dependencies::Available(
            needs.collect::<DependencyConstraints<_, _>>(),
        ))
    }

    fn should_cancel(&self) -> Result<(), GaveUp> {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        if steps > STEPS_MAX { Err(GaveUp) } else { Ok(()) }
    }
}
