//! Lanes: commands that touch the same aggregate or sequence pass one after another.
//!
//! Only an optimisation, and only within this host: what keeps two decisions apart is the store's version check. Without
//! lanes all but one of many concurrent commands on one aggregate would be decided in vain.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::facts::Seen;
use super::job::Job;
use crate::tenant::Tenant;

/// Aggregates and sequences share this many lanes; sharing one costs waiting, nothing else.
const LANES: usize = 1 << 12;

/// All lanes. tokio's mutex, since a slow component is awaited while its lane is held, and since it is fair.
pub(super) struct Lanes {
    lanes: Vec<Arc<Mutex<()>>>,
}

/// The right to pass, until dropped.
pub(super) struct Passage {
    _lanes: Vec<OwnedMutexGuard<()>>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            lanes: (0..LANES).map(|_| Arc::default()).collect(),
        }
    }
}

impl Lanes {
    /// Waits for all lanes of a command; always in the same order, so that no two commands wait for each other.
    pub(super) async fn enter(&self, tenant: &Tenant, job: &Job, seen: &Seen) -> Passage {
        let mut wanted: Vec<usize> = seen
            .subjects()
            .map(|subject| lane(&(&tenant.id, subject)))
            .collect();
        wanted.extend(
            job.sequences()
                .map(|sequence| lane(&(&tenant.id, &job.module.manifest.name, sequence))),
        );
        wanted.sort_unstable();
        wanted.dedup();
        let mut held = Vec::with_capacity(wanted.len());
        for lane in wanted.into_iter().filter_map(|index| self.lanes.get(index)) {
            held.push(Arc::clone(lane).lock_owned().await);
        }
        Passage { _lanes: held }
    }
}

fn lane(key: &impl Hash) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    usize::try_from(hasher.finish() % (LANES as u64)).unwrap_or_default()
}
