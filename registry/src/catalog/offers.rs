//! What the catalogue has to offer to a plan.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Catalog, Listed};
use crate::Error;
use crate::id::Digest;
use crate::release::{Release, Summary};
use crate::resolve::{Offer, Offers};

/// How many releases are kept in memory as offers.
const KNOWN_MAX: usize = 10_000;

/// Offers of releases that were read before. They never change, so that the bytes are read once in the life of a
/// process. std's lock: held for a look-up only.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<Digest, Offer>>);

impl Catalog {
    /// Every version of these modules, of what any of them depends on, and so on: what [`crate::resolve::resolve`]
    /// chooses from. Names that are not published are absent; what is no longer trusted counts as withdrawn.
    ///
    /// # Errors
    /// [`Error::Damaged`] when a record is; those of the store.
    pub fn offers<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<Offers, Error> {
        let mut open: BTreeSet<String> = names.into_iter().map(ToOwned::to_owned).collect();
        let (keys, mut offers) = (self.trust.keys()?, Offers::new());
        while let Some(name) = open.pop_first() {
            if offers.contains_key(&name) {
                continue;
            }
            let mut versions = BTreeMap::new();
            for Listed { summary, yanked } in self.published(&name)? {
                let mut offer = match self.offer(&summary) {
                    // A damaged file must not bar changes of other modules, nor the way to another version of this one.
                    Err(Error::Damaged { .. }) => Offer::unreadable(&summary),
                    offer => offer?,
                };
                let refused = keys.check_summary(&summary).is_err();
                offer.yanked = refused || offer.unreadable || yanked.is_some();
                open.extend(offer.dependencies.keys().cloned());
                versions.insert(summary.version, offer);
            }
            offers.insert(name, versions);
        }
        offers.retain(|_, versions| !versions.is_empty());
        Ok(offers)
    }

    fn offer(&self, summary: &Summary) -> Result<Offer, Error> {
        if let Some(offer) = self.offered.lock().get(&summary.digest) {
            return Ok(offer.clone());
        }
        let bytes = self.open_artifact(&summary.digest)?;
        let release = Release::read_again(&bytes, summary.published_at_ms)?;
        let offer = Offer::of(&release.manifest, summary.digest.clone());
        let mut known = self.offered.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(summary.digest.clone(), offer.clone());
        Ok(offer)
    }
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Offer>> {
        // What is kept is whole at every moment, so a panic of another holder changes nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
