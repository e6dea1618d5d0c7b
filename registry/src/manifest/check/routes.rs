//! Checks of routes.

use std::collections::HashMap;

use serde_json::Value;

use super::check_unique;
use super::form::is_camel_case;
use crate::error::Problems;
use crate::manifest::{Action, Manifest, Method, Route, Schema};

/// Longest path, in bytes.
const PATH_BYTES_MAX: usize = 256;
/// First segments that are the host's: where tenants choose modules, where plugins that speak HTTP themselves are mounted,
/// and where users sign in.
const RESERVED: [&str; 3] = ["marketplace", "plugins", "sessions"];

pub(super) fn check(manifest: &Manifest, problems: &mut Problems) {
    for route in &manifest.routes {
        let place = format!("routes.{} {}", route.method, route.path);
        check_path(&place, route, problems);
        check_action(manifest, &place, route, problems);
    }
    check_told_apart(manifest, problems);
}

fn check_path(place: &str, route: &Route, problems: &mut Problems) {
    let segments: Vec<_> = route.path.split('/').skip(1).collect();
    if !route.path.starts_with('/')
        || route.path.len() > PATH_BYTES_MAX
        || !segments.iter().all(|s| is_segment(s))
    {
        problems.add(
            place,
            "a path must be /-separated segments of lowercase letters, digits and hyphens, or {parameters} in camelCase",
        );
        return;
    }
    if segments
        .first()
        .is_some_and(|first| first.starts_with('{') || RESERVED.contains(first))
    {
        problems.add(
            place,
            format_args!(
                "a path cannot start with a parameter, or with {}",
                RESERVED.join(" or ")
            ),
        );
    }
    check_unique(place, route.parameters(), problems);
}

fn is_segment(segment: &str) -> bool {
    if let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return is_camel_case(name);
    }
    let holds = segment
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    holds && !segment.is_empty() && !segment.starts_with('-')
}

fn check_action(manifest: &Manifest, place: &str, route: &Route, problems: &mut Problems) {
    let reads = route.method == Method::Get;
    match &route.action {
        Action::Command(_) if reads => problems.add(place, "GET is for views and queries"),
        Action::View(_) | Action::Query(_) if !reads => {
            problems.add(place, "views and queries are reached by GET")
        }
        _ => {}
    }
    match &route.action {
        Action::Command(name) => check_command(manifest, place, route, name, problems),
        Action::View(name) => check_view(manifest, place, route, name, problems),
        Action::Query(name) => check_query(manifest, place, route, name, problems),
    }
}

fn check_command(manifest: &Manifest, place: &str, route: &Route, name: &str, problems: &mut Problems) {
    let Some((_, command)) = manifest.command(name) else {
        return problems.add(place, format_args!("there is no command {name:?}"));
    };
    let has_id = route.parameters().any(|parameter| parameter == "id");
    if command.creates && has_id {
        problems.add(
            place,
            format_args!("{name} gets a fresh id, its path cannot hold {{id}}"),
        );
    }
    if !command.creates && !has_id {
        problems.add(
            place,
            format_args!("the path must hold {{id}}: {name} needs a target"),
        );
    }
    // The path's parameters go into the body; a command without a schema takes none.
    let takes = |parameter: &&str| {
        command
            .body
            .as_ref()
            .is_some_and(|body| accepts(manifest, body, parameter))
    };
    for parameter in route
        .parameters()
        .filter(|parameter| *parameter != "id" && !takes(parameter))
    {
        problems.add(
            place,
            format_args!("the body of {name} has no property for {{{parameter}}}"),
        );
    }
}

fn check_view(manifest: &Manifest, place: &str, route: &Route, name: &str, problems: &mut Problems) {
    if !manifest.views.contains_key(name) {
        problems.add(place, format_args!("there is no view {name:?}"));
    }
    for parameter in route.parameters().filter(|parameter| *parameter != "id") {
        problems.add(
            place,
            format_args!("a view's path can hold {{id}} only, not {{{parameter}}}"),
        );
    }
}

fn check_query(manifest: &Manifest, place: &str, route: &Route, name: &str, problems: &mut Problems) {
    let Some(query) = manifest.queries.get(name) else {
        return problems.add(place, format_args!("there is no query {name:?}"));
    };
    let takes = |parameter: &&str| {
        query
            .params
            .as_ref()
            .is_none_or(|params| accepts(manifest, params, parameter))
    };
    for parameter in route.parameters().filter(|parameter| !takes(parameter)) {
        problems.add(
            place,
            format_args!("the parameters of {name} have no property for {{{parameter}}}"),
        );
    }
}

/// Whether an object with such a property can fit; a schema that leaves further properties open takes any.
fn accepts(manifest: &Manifest, schema: &Schema, property: &str) -> bool {
    let schema = manifest.resolved(schema);
    let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    !closed
        || schema
            .get("properties")
            .is_some_and(|properties| properties.get(property).is_some())
}

/// One path shape has one set of parameter names, and one action for each method.
fn check_told_apart(manifest: &Manifest, problems: &mut Problems) {
    let mut paths: HashMap<String, &Route> = HashMap::new();
    let mut taken = HashMap::new();
    for route in &manifest.routes {
        let place = format!("routes.{} {}", route.method, route.path);
        if let Some(other) = taken.insert((route.method, route.shape()), route) {
            problems.add(
                &place,
                format_args!("collides with {} {}", other.method, other.path),
            );
        } else if let Some(other) = paths
            .insert(route.shape(), route)
            .filter(|other| other.path != route.path)
        {
            problems.add(
                &place,
                format_args!("must name its parameters as {} {} does", other.method, other.path),
            );
        }
    }
}
