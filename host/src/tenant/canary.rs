//! A canary: candidates that decide for a share of a tenant's aggregates, while the rest stays on what serves.
//!
//! Which aggregates follows from their ids alone, so that one never alternates between releases while a canary lasts.

use std::sync::Arc;

use indexmap::IndexMap;
use millwork_registry::replay::Policy;
use sha2::{Digest as _, Sha256};

use super::Module;
use super::pulse::Pulse;
use crate::event_store::Subject;

/// The candidates of one swap and what was seen of them.
pub struct Canary {
    /// By the module's name.
    pub candidates: IndexMap<String, Arc<Module>>,
    /// Which differences between candidate and serving release count against it.
    pub policy: Policy,
    /// What was seen.
    pub pulse: Pulse,
    percent: u8,
    /// Other swaps take other aggregates, so that the same customers are not always the first.
    salt: u64,
}

impl Canary {
    /// For `percent` of 100 aggregates.
    #[must_use]
    pub fn new(
        candidates: IndexMap<String, Arc<Module>>,
        policy: Policy,
        percent: u8,
        salt: u64,
        divergences_kept: usize,
    ) -> Self {
        Self {
            candidates,
            policy,
            pulse: Pulse::new(divergences_kept),
            percent,
            salt,
        }
    }

    /// The candidate that decides for this aggregate, if one does.
    #[must_use]
    pub fn candidate(&self, of: &Subject) -> Option<&Arc<Module>> {
        let candidate = self.candidates.get(&of.module)?;
        self.takes(of).then_some(candidate)
    }

    fn takes(&self, of: &Subject) -> bool {
        let mut hash = Sha256::new();
        hash.update(self.salt.to_be_bytes());
        for part in [&of.module, &of.aggregate, &of.id] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let [a, b, ..] = digest;
        // 65,536 parts share 100 places unevenly by less than a thousandth.
        u16::from_be_bytes([a, b]) % 100 < u16::from(self.percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(percent: u8, salt: u64) -> Vec<bool> {
        let canary = Canary::new(IndexMap::new(), Policy::default(), percent, salt, 1);
        let subject = |id: u32| Subject {
            module: "invoicing".to_owned(),
            aggregate: "Invoice".to_owned(),
            id: id.to_string(),
        };
        (0..10_000).map(|id| canary.takes(&subject(id))).collect()
    }

    #[test]
    fn the_share_is_about_what_was_asked_for_and_always_the_same() {
        for percent in [1, 10, 50, 99] {
            let first = taken(percent, 7);
            let share = first.iter().filter(|taken| **taken).count();
            let wanted = usize::from(percent) * 100;
            assert!(
                share.abs_diff(wanted) < 200,
                "{percent} percent gave {share} of 10000"
            );
            assert_eq!(first, taken(percent, 7));
            assert_ne!(first, taken(percent, 8), "another swap takes others");
        }
    }
}
