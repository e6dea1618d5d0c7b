//! Checks of cache rules: what is kept must be told when it is no longer true.

use std::fmt::Display;

use crate::error::Problems;
use crate::manifest::{CacheRule, Manifest, Ttl};

pub(super) fn check(manifest: &Manifest, problems: &mut Problems) {
    for (name, view) in &manifest.views {
        let place = format!("views.{name}.cache");
        check_rule(&place, view.cache, problems);
    }
    for (name, query) in &manifest.queries {
        let place = format!("queries.{name}.cache");
        check_rule(&place, query.cache, problems);
        if query.cache.is_some() && query.collections.is_empty() {
            problems.add(
                &place,
                "needs the query's collections: an answer is kept until one of them is written",
            );
        }
    }
}

fn check_rule(place: &impl Display, rule: Option<CacheRule>, problems: &mut Problems) {
    if let Some(CacheRule { ttl }) = rule
        && !(Ttl::MIN..=Ttl::MAX).contains(&ttl)
    {
        problems.add(
            format_args!("{place}.ttl"),
            format_args!("must be {} to {}", Ttl::MIN, Ttl::MAX),
        );
    }
}
