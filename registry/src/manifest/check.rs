//! Holds a manifest against itself. Every check notes what is wrong and goes on, so that an author sees all of it.

mod buckets;
mod caching;
mod commands;
pub(super) mod form;
mod header;
mod indexes;
mod read_models;
mod routes;
mod schemas;
mod subscriptions;

use super::{Manifest, Permission, QualifiedName};
use crate::error::Problems;

/// Everything that is wrong, in the order of the manifest's keys.
pub(super) fn problems(manifest: &Manifest) -> Problems {
    let mut problems = Problems::default();
    header::check(manifest, &mut problems);
    schemas::check(manifest, &mut problems);
    commands::check(manifest, &mut problems);
    indexes::check(manifest, &mut problems);
    buckets::check(manifest, &mut problems);
    read_models::check(manifest, &mut problems);
    caching::check(manifest, &mut problems);
    subscriptions::check(manifest, &mut problems);
    routes::check(manifest, &mut problems);
    problems
}

/// What a name in a manifest means: its own thing, or another module's.
enum Named<'a> {
    Own(&'a str),
    Foreign(QualifiedName),
}

/// `None`, and a problem noted, when the text is no name.
fn named<'a>(text: &'a str, manifest: &Manifest, place: &str, problems: &mut Problems) -> Option<Named<'a>> {
    if form::is_pascal_case(text) {
        return Some(Named::Own(text));
    }
    match QualifiedName::parse(text) {
        Some(name) if name.module == manifest.name => {
            problems.add(place, format_args!("write {:?} for its own {text:?}", name.name));
            None
        }
        Some(name) => Some(Named::Foreign(name)),
        None => {
            problems.add(
                place,
                format_args!("{text:?} must be an own Name or another module's <module>.<Name>"),
            );
            None
        }
    }
}

/// Another module's thing may only be used with a permission for it.
fn check_granted(manifest: &Manifest, needed: &Permission, place: &str, problems: &mut Problems) {
    if !manifest.permissions.contains(needed) {
        problems.add(place, format_args!("needs the permission {needed}"));
    }
}

/// Notes every value that stands in a list twice.
fn check_unique<'a>(place: &str, values: impl IntoIterator<Item = &'a str>, problems: &mut Problems) {
    let mut seen = std::collections::HashSet::new();
    for value in values {
        if !seen.insert(value) {
            problems.add(place, format_args!("{value:?} stands here twice"));
        }
    }
}

#[cfg(test)]
mod tests;
