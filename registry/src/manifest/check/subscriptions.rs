//! Checks of subscriptions, and of the events that a component publishes.

use super::form::check_pascal_case;
use super::{check_granted, check_unique, read_models};
use crate::error::Problems;
use crate::manifest::{Manifest, Permission, Subscription, published_event};

/// Most subscriptions of one component.
const SUBSCRIPTIONS_MAX: usize = 64;
/// Most events that a component publishes.
const PUBLISHED_MAX: usize = 256;
/// Most attempts to hand over an event.
const ATTEMPTS_MAX: u32 = 100;
/// Bounds of the first wait, in milliseconds.
const BACKOFF_MS: std::ops::RangeInclusive<u32> = 10..=3_600_000;

pub(super) fn check(manifest: &Manifest, problems: &mut Problems) {
    if manifest.publishes.len() > PUBLISHED_MAX {
        problems.add("publishes", format_args!("at most {PUBLISHED_MAX} events"));
    }
    for name in manifest.publishes.keys() {
        let place = format!("publishes.{name}");
        check_pascal_case(&place, name, problems);
        check_granted(manifest, &Permission::Publish, &place, problems);
    }
    if manifest.subscriptions.len() > SUBSCRIPTIONS_MAX {
        problems.add(
            "subscriptions",
            format_args!("at most {SUBSCRIPTIONS_MAX} subscriptions"),
        );
    }
    for (name, subscription) in &manifest.subscriptions {
        check_subscription(manifest, name, subscription, problems);
    }
}

fn check_subscription(manifest: &Manifest, name: &str, subscription: &Subscription, problems: &mut Problems) {
    let place = format!("subscriptions.{name}");
    check_pascal_case(&place, name, problems);
    let events = format!("{place}.events");
    if subscription.events.is_empty() {
        problems.add(&events, "a subscription without events does nothing");
    }
    check_unique(&events, subscription.events.iter().map(String::as_str), problems);
    for event in &subscription.events {
        match published_event(event) {
            Some(published) if published.module == manifest.name => {
                problems.add(&events, format_args!("{event:?} is this component's own"));
            }
            Some(published) => check_granted(manifest, &Permission::Published(published), &events, problems),
            None => read_models::check_event(manifest, &events, event, problems),
        }
    }
    if !(1..=ATTEMPTS_MAX).contains(&subscription.attempts) {
        problems.add(
            format_args!("{place}.attempts"),
            format_args!("must be 1 to {ATTEMPTS_MAX}"),
        );
    }
    if !BACKOFF_MS.contains(&subscription.backoff_ms) {
        let (least, most) = (BACKOFF_MS.start(), BACKOFF_MS.end());
        problems.add(
            format_args!("{place}.backoffMs"),
            format_args!("must be {least} to {most}"),
        );
    }
}
