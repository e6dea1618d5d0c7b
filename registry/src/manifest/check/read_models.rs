//! Checks of collections, projections, views and queries.

use super::form::{check_camel_case, check_field_paths, check_pascal_case, check_permission, is_field_path};
use super::{Named, check_granted, check_unique, named};
use crate::error::Problems;
use crate::manifest::{Collection, Manifest, Permission, Projection, View};

/// Most indexes of one collection.
const INDEXES_MAX: usize = 16;
/// Most fields of one index.
const INDEX_FIELDS_MAX: usize = 8;

pub(super) fn check(manifest: &Manifest, problems: &mut Problems) {
    for (name, collection) in &manifest.collections {
        check_collection(manifest, name, collection, problems);
    }
    for (name, projection) in &manifest.projections {
        check_projection(manifest, name, projection, problems);
    }
    for (name, view) in &manifest.views {
        check_view(manifest, name, view, problems);
    }
    for (name, query) in &manifest.queries {
        let place = format!("queries.{name}");
        check_pascal_case(&place, name, problems);
        check_collections(
            manifest,
            &format!("{place}.collections"),
            &query.collections,
            problems,
        );
        check_permission(
            &format!("{place}.permission"),
            &manifest.name,
            query.permission.as_ref(),
            problems,
        );
    }
}

fn check_collection(manifest: &Manifest, name: &str, collection: &Collection, problems: &mut Problems) {
    let place = format!("collections.{name}");
    check_camel_case(&place, name, problems);
    let decimals = format!("{place}.decimals");
    check_field_paths(&decimals, &collection.decimals, problems);
    check_unique(
        &decimals,
        collection.decimals.iter().map(String::as_str),
        problems,
    );
    check_indexes(&format!("{place}.indexes"), &collection.indexes, problems);
    let writers: Vec<_> = manifest
        .projections
        .iter()
        .filter(|(_, p)| p.collections.iter().any(|c| c == name))
        .collect();
    match writers.as_slice() {
        [] if !manifest.permissions.contains(&Permission::Documents) => {
            problems.add(
                place,
                "no projection writes it, and the component has not the permission documents",
            );
        }
        [] | [_] => {}
        several => {
            let names = several
                .iter()
                .map(|(name, _)| name.as_str())
                .collect::<Vec<_>>()
                .join(" and ");
            problems.add(
                place,
                format_args!("only one projection may write it, not {names}"),
            );
        }
    }
}

fn check_indexes(place: &str, indexes: &[Vec<String>], problems: &mut Problems) {
    if indexes.len() > INDEXES_MAX {
        problems.add(place, format_args!("at most {INDEXES_MAX} indexes"));
    }
    let joined: Vec<_> = indexes.iter().map(|fields| fields.join(", ")).collect();
    check_unique(place, joined.iter().map(String::as_str), problems);
    for fields in indexes {
        if fields.is_empty() || fields.len() > INDEX_FIELDS_MAX {
            problems.add(place, format_args!("an index has 1 to {INDEX_FIELDS_MAX} fields"));
        }
        check_field_paths(place, fields, problems);
        check_unique(place, fields.iter().map(String::as_str), problems);
    }
}

fn check_projection(manifest: &Manifest, name: &str, projection: &Projection, problems: &mut Problems) {
    let place = format!("projections.{name}");
    check_pascal_case(&place, name, problems);
    if projection.version == 0 {
        problems.add(format_args!("{place}.version"), "must be at least 1");
    }
    let events = format!("{place}.events");
    if projection.events.is_empty() {
        problems.add(&events, "a projection without events does nothing");
    }
    check_unique(&events, projection.events.iter().map(String::as_str), problems);
    for event in &projection.events {
        check_event(manifest, &events, event, problems);
    }
    let collections = format!("{place}.collections");
    if projection.collections.is_empty() {
        problems.add(
            &collections,
            "a projection without collections has nowhere to write",
        );
    }
    check_collections(manifest, &collections, &projection.collections, problems);
}

pub(super) fn check_event(manifest: &Manifest, place: &str, event: &str, problems: &mut Problems) {
    match named(event, manifest, place, problems) {
        Some(Named::Own(name)) if !manifest.events().any(|(_, own, _)| own == name) => {
            problems.add(place, format_args!("there is no event {name:?}"));
        }
        Some(Named::Foreign(name)) => check_granted(manifest, &Permission::Events(name), place, problems),
        _ => {}
    }
}

fn check_view(manifest: &Manifest, name: &str, view: &View, problems: &mut Problems) {
    let place = format!("views.{name}");
    check_pascal_case(&place, name, problems);
    if !manifest.collections.contains_key(&view.collection) {
        problems.add(
            format_args!("{place}.collection"),
            format_args!("there is no collection {:?}", view.collection),
        );
    }
    for (key, paths) in [
        ("fields", &view.fields),
        ("filter", &view.filter),
        ("sort", &view.sort),
    ] {
        let place = format!("{place}.{key}");
        check_field_paths(&place, paths, problems);
        check_unique(&place, paths.iter().map(String::as_str), problems);
    }
    let order = view.default_sort.as_str();
    let well_formed = order
        .split(',')
        .all(|part| is_field_path(part.strip_prefix('-').unwrap_or(part)));
    if !order.is_empty() && !well_formed {
        problems.add(
            format_args!("{place}.defaultSort"),
            format_args!("{order:?} must be like -issuedAt,_id"),
        );
    }
    check_permission(
        &format!("{place}.permission"),
        &manifest.name,
        view.permission.as_ref(),
        problems,
    );
}

fn check_collections(manifest: &Manifest, place: &str, names: &[String], problems: &mut Problems) {
    check_unique(place, names.iter().map(String::as_str), problems);
    for name in names
        .iter()
        .filter(|name| !manifest.collections.contains_key(*name))
    {
        problems.add(place, format_args!("there is no collection {name:?}"));
    }
}
