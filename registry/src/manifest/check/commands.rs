//! Checks of aggregates, commands, events and upcasts.

use std::collections::HashMap;

use super::form::{check_camel_case, check_pascal_case, check_permission};
use super::{Named, check_granted, check_unique, named};
use crate::error::Problems;
use crate::manifest::{
    Aggregate, Command, Manifest, Number, Permission, Reference, Schema, Upcasts, compile,
};

/// Most fresh ids that a command may ask for.
const IDS_MAX: u32 = 1_000;

pub(super) fn check(manifest: &Manifest, problems: &mut Problems) {
    check_told_apart(manifest, problems);
    for (name, aggregate) in &manifest.aggregates {
        check_aggregate(manifest, name, aggregate, problems);
    }
}

/// Routes, roles and projections name commands and events without their aggregate.
fn check_told_apart(manifest: &Manifest, problems: &mut Problems) {
    let mut commands = HashMap::new();
    for (aggregate, name, _) in manifest.commands() {
        if let Some(other) = commands.insert(name, aggregate) {
            problems.add(
                format_args!("aggregates.{aggregate}.commands.{name}"),
                format_args!("is a command of {other} too"),
            );
        }
    }
    let mut events = HashMap::new();
    for (aggregate, name, _) in manifest.events() {
        if let Some(other) = events.insert(name, aggregate) {
            problems.add(
                format_args!("aggregates.{aggregate}.events.{name}"),
                format_args!("is an event of {other} too"),
            );
        }
    }
}

fn check_aggregate(manifest: &Manifest, name: &str, aggregate: &Aggregate, problems: &mut Problems) {
    let place = format!("aggregates.{name}");
    check_pascal_case(&place, name, problems);
    if aggregate.state_version == 0 {
        problems.add(format_args!("{place}.stateVersion"), "must be at least 1");
    }
    if aggregate.events.is_empty() {
        problems.add(
            format_args!("{place}.events"),
            "an aggregate without events has no state",
        );
    }
    for event in aggregate.events.keys() {
        check_pascal_case(&format!("{place}.events.{event}"), event, problems);
    }
    for (event, upcasts) in &aggregate.upcasts {
        check_upcasts(
            manifest,
            aggregate,
            event,
            &format!("{place}.upcasts.{event}"),
            upcasts,
            problems,
        );
    }
    for (name, command) in &aggregate.commands {
        let place = format!("{place}.commands.{name}");
        check_pascal_case(&place, name, problems);
        check_command(manifest, &place, command, problems);
    }
}

/// No member is taken from one that is added itself, so the order of upcasts does not matter; a default fits the schema.
fn check_upcasts(
    manifest: &Manifest,
    aggregate: &Aggregate,
    event: &str,
    place: &str,
    upcasts: &Upcasts,
    problems: &mut Problems,
) {
    let Some(schema) = aggregate.events.get(event) else {
        return problems.add(place, format_args!("there is no event {event:?}"));
    };
    for (member, upcast) in upcasts {
        let place = format!("{place}.{member}");
        if upcast.from.is_none() && upcast.default.is_none() {
            problems.add(&place, "must have from, default or both");
        }
        if let Some(from) = upcast.from.as_ref().filter(|from| upcasts.contains_key(*from)) {
            problems.add(
                &place,
                format_args!("{from:?} is added itself and cannot be taken"),
            );
        }
        if let Some(default) = &upcast.default
            && let Some(message) = schema
                .as_ref()
                .and_then(|schema| misfit(manifest, schema, member, default))
        {
            problems.add(format_args!("{place}.default"), message);
        }
    }
}

/// How a value does not fit what an event's schema says of a member.
fn misfit(manifest: &Manifest, schema: &Schema, member: &str, value: &serde_json::Value) -> Option<String> {
    let property = manifest.resolved(schema).get("properties")?.get(member)?;
    // A schema that does not compile is told of where it stands.
    let validator = compile(&manifest.schema_document(property)).ok()?;
    validator.validate(value).err().map(|error| error.to_string())
}

fn check_command(manifest: &Manifest, place: &str, command: &Command, problems: &mut Problems) {
    if command.ids > IDS_MAX {
        problems.add(
            format_args!("{place}.ids"),
            format_args!("must be at most {IDS_MAX}"),
        );
    }
    for (name, fact) in &command.facts {
        let place = format!("{place}.facts.{name}");
        check_camel_case(&place, name, problems);
        check_fact_view(manifest, &format!("{place}.view"), &fact.view, problems);
        check_id(&format!("{place}.id"), command, &fact.id, problems);
    }
    for (name, related) in &command.related {
        let place = format!("{place}.related.{name}");
        check_camel_case(&place, name, problems);
        if !manifest.aggregates.contains_key(&related.aggregate) {
            problems.add(
                format_args!("{place}.aggregate"),
                format_args!("there is no aggregate {:?}", related.aggregate),
            );
        }
        check_id(&format!("{place}.id"), command, &related.id, problems);
    }
    for (name, number) in &command.numbers {
        let place = format!("{place}.numbers.{name}");
        check_camel_case(&place, name, problems);
        check_number(&place, number, problems);
    }
    let claims = format!("{place}.claims");
    check_unique(&claims, command.claims.iter().map(String::as_str), problems);
    for claim in &command.claims {
        check_camel_case(&claims, claim, problems);
    }
    check_permission(
        &format!("{place}.permission"),
        &manifest.name,
        command.permission.as_ref(),
        problems,
    );
}

fn check_fact_view(manifest: &Manifest, place: &str, view: &str, problems: &mut Problems) {
    match named(view, manifest, place, problems) {
        Some(Named::Own(name)) if !manifest.views.contains_key(name) => {
            problems.add(place, format_args!("there is no view {name:?}"));
        }
        Some(Named::Foreign(name)) => check_granted(manifest, &Permission::View(name), place, problems),
        _ => {}
    }
}

/// A command that starts an aggregate finds no state to take an id from.
fn check_id(place: &str, command: &Command, id: &Reference, problems: &mut Problems) {
    if command.creates && matches!(id, Reference::State(_)) {
        problems.add(
            place,
            format_args!("{id} cannot be there: the command creates its aggregate"),
        );
    }
}

/// A number must not come twice: what starts its sequence anew must also be part of how it is written.
fn check_number(place: &str, number: &Number, problems: &mut Problems) {
    let (sequence, format) = (&number.sequence, &number.format);
    if sequence.numbers() > 0 {
        problems.add(format_args!("{place}.sequence"), "cannot hold {number}");
    }
    if format.numbers() != 1 {
        problems.add(
            format_args!("{place}.format"),
            "must hold {number} or {number:0N} once",
        );
    }
    if sequence.has_year() != format.has_year() {
        problems.add(
            place,
            "{year} must stand in both sequence and format, or in neither",
        );
    }
    if sequence.has_month() != format.has_month() {
        problems.add(
            place,
            "{month} must stand in both sequence and format, or in neither",
        );
    }
    if sequence.has_month() && !sequence.has_year() {
        problems.add(format_args!("{place}.sequence"), "{month} needs {year} beside it");
    }
}
