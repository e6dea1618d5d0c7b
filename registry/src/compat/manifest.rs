//! What a manifest no longer promises that an earlier one of the same major promised.
//!
//! Others can only hold on to what their permissions name: views and events. Losing one of those that somebody names
//! breaks them; everything else is worth a note to the publisher, whose API's callers the registry cannot see.

use std::collections::BTreeMap;

use super::schema::narrowed;
use crate::manifest::{Manifest, Permission, Route, Schema, View};

/// Most dependants that a sentence names.
const TOLD_MAX: usize = 3;

/// Who reads which views and projects which events of a module: `invoicing 1.2.0`, by the view's or event's name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Dependants {
    pub(crate) views: BTreeMap<String, Vec<String>>,
    pub(crate) events: BTreeMap<String, Vec<String>>,
}

/// Sentences without a full stop.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Changes {
    /// What others hold on to.
    pub(crate) breaking: Vec<String>,
    /// The rest.
    pub(crate) notes: Vec<String>,
}

impl Changes {
    fn add(&mut self, what: String, dependants: Option<&Vec<String>>) {
        match dependants {
            Some(who) if !who.is_empty() => {
                let more = who.len().saturating_sub(TOLD_MAX);
                let mut told = who.iter().take(TOLD_MAX).cloned().collect::<Vec<_>>().join(", ");
                if more > 0 {
                    told.push_str(&format!(" and {more} others"));
                }
                self.breaking.push(format!("{what}, which is used by {told}"));
            }
            _ => self.notes.push(what),
        }
    }
}

pub(crate) fn changes(old: &Manifest, new: &Manifest, dependants: &Dependants) -> Changes {
    let mut changes = Changes::default();
    views(old, new, dependants, &mut changes);
    events(old, new, dependants, &mut changes);
    let commands = old.commands().filter(|(_, name, _)| new.command(name).is_none());
    changes
        .notes
        .extend(commands.map(|(_, name, _)| format!("command {name} is gone")));
    let queries = old.queries.keys().filter(|name| !new.queries.contains_key(*name));
    changes
        .notes
        .extend(queries.map(|name| format!("query {name} is gone")));
    let searched = old.indexes.iter().filter_map(|(name, before)| {
        let told = match new.indexes.get(name) {
            None => "is gone",
            Some(after) if after != before => "has other fields: it begins empty",
            Some(_) => return None,
        };
        Some(format!("index {name} {told}"))
    });
    changes.notes.extend(searched);
    let kept = old.buckets.iter().filter_map(|(name, before)| {
        let told = match new.buckets.get(name) {
            None => "is gone: what it holds is no longer reached",
            Some(after) if after != before => "keeps its blobs for another time",
            Some(_) => return None,
        };
        Some(format!("bucket {name} {told}"))
    });
    changes.notes.extend(kept);
    let is_gone = |route: &&Route| {
        let same = |other: &Route| other.method == route.method && other.shape() == route.shape();
        !new.routes.iter().any(same)
    };
    let routes = old.routes.iter().filter(is_gone);
    changes
        .notes
        .extend(routes.map(|route| format!("route {} {} is gone", route.method, route.path)));
    let asked = new.permissions.iter().filter(|asked| {
        let covers = |had: &Permission| had.covers(asked);
        !old.permissions.iter().any(covers)
    });
    changes.notes.extend(
        asked.map(|permission| format!("permission {permission} is new: tenants will be asked for it")),
    );
    changes
}

fn views(old: &Manifest, new: &Manifest, dependants: &Dependants, changes: &mut Changes) {
    for (name, before) in &old.views {
        let who = dependants.views.get(name);
        let Some(after) = new.views.get(name) else {
            changes.add(format!("view {name} is gone"), who);
            continue;
        };
        for what in lost_fields(before, after) {
            changes.add(format!("view {name} no longer gives {what}"), who);
        }
        let pair = before.schema.as_ref().zip(after.schema.as_ref());
        for what in pair.map_or_else(Vec::new, |(before, after)| narrowed((old, before), (new, after))) {
            changes.add(format!("view {name}: {what}"), who);
        }
        // Facts are found by id: how a view filters and sorts is seen over HTTP only.
        for (kind, before, after) in [
            ("filter", &before.filter, &after.filter),
            ("sort", &before.sort, &after.sort),
        ] {
            let lost = before.iter().filter(|field| !after.contains(field));
            changes
                .notes
                .extend(lost.map(|field| format!("view {name} no longer has the {kind} {field}")));
        }
    }
}

/// Fields that a view gave; one that gave all gives fewer once it lists some.
fn lost_fields(before: &View, after: &View) -> Vec<String> {
    if after.fields.is_empty() {
        return Vec::new();
    }
    if before.fields.is_empty() {
        return vec![format!("other fields than {}", after.fields.join(", "))];
    }
    let lost = before.fields.iter().filter(|field| !after.fields.contains(field));
    lost.cloned().collect()
}

fn events(old: &Manifest, new: &Manifest, dependants: &Dependants, changes: &mut Changes) {
    let find = |name: &str| new.events().find(|(_, other, _)| *other == name);
    for (_, name, before) in old.events() {
        let who = dependants.events.get(name);
        let Some((_, _, after)) = find(name) else {
            changes.add(format!("event {name} is gone"), who);
            continue;
        };
        let pair: Option<(&Schema, &Schema)> = before.zip(after);
        for what in pair.map_or_else(Vec::new, |(before, after)| narrowed((old, before), (new, after))) {
            changes.add(format!("event {name}: {what}"), who);
        }
    }
}
