//! A swap in words.

use millwork_registry::replay::{Policy, Report};
use millwork_registry::swap::Stage;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::follow::{number, stage};
use crate::cli::modules::Place;
use crate::cli::output::{items, text};
use crate::cli::replay;

/// What is happening, in one line.
pub(in crate::cli) fn progress_of(view: &Value) -> String {
    let changes = changes(view);
    match stage(view) {
        None => "in a stage that this program does not know".to_owned(),
        Some(Stage::Resolving) => "finding out what has to change".to_owned(),
        Some(Stage::Verifying) => format!("trying {changes} on the tenant's history{}", replayed(view)),
        Some(Stage::AwaitingConsent) => format!("{changes} waits for the tenant's consent"),
        Some(Stage::Activating) => format!("getting {changes} ready"),
        Some(Stage::Rebuilding) => format!("building read models for {changes}"),
        Some(Stage::Ready) => format!("{changes} is ready"),
        Some(Stage::Canary) => format!("a canary is on: {changes}{}", pulse(view)),
        Some(Stage::Flipping) => format!("putting {changes} in place"),
        Some(Stage::Draining) => format!("{changes} is in place; the last calls before it are ending"),
        Some(Stage::Completed) => format!("{changes} is done"),
        Some(Stage::Failed) => format!("{changes} did not happen"),
        Some(Stage::Cancelled) => format!("{changes} was taken back"),
    }
}

/// `client 1.0.0 -> 1.1.0, tax -> 2.0.0`.
fn changes(view: &Value) -> String {
    let changes: Vec<String> = items(view, "changes").iter().map(change).collect();
    if changes.is_empty() {
        return view.pointer("/request/module").map_or_else(String::new, plain);
    }
    changes.join(", ")
}

fn change(change: &Value) -> String {
    let module = text(change, "module");
    let version = |pointer: &str| {
        change
            .pointer(pointer)
            .filter(|version| !version.is_null())
            .map(plain)
    };
    match (version("/from"), version("/to/version")) {
        (Some(from), Some(to)) if from == to => format!("{module} {to} anew"),
        (Some(from), Some(to)) => format!("{module} {from} -> {to}"),
        (None, Some(to)) => format!("{module} {to}"),
        (Some(from), None) => format!("{module} {from} -> off"),
        (None, None) => module,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn replayed(view: &Value) -> String {
    let of = |key: &str| {
        view.pointer(&format!("/replay/{key}"))
            .and_then(Value::as_u64)
            .unwrap_or_default()
    };
    if of("aggregatesTotal") + of("commandsTotal") == 0 {
        return String::new();
    }
    format!(
        ": {} of {} aggregates, {} of {} commands",
        of("aggregatesDone"),
        of("aggregatesTotal"),
        of("commandsDone"),
        of("commandsTotal")
    )
}

fn pulse(view: &Value) -> String {
    let Some(pulse) = view.get("pulse") else {
        return String::new();
    };
    let side = |commands: &str, rejected: &str, median: &str| {
        let rejected = pulse.get(rejected).and_then(Value::as_f64).unwrap_or_default();
        let median = pulse.get(median).and_then(Value::as_u64);
        let median = median.map_or_else(String::new, |median| format!(", {median} us in the median"));
        format!(
            "{} commands, {rejected:.1} % rejected{median}",
            text(pulse, commands)
        )
    };
    format!(
        "; candidate: {}; serving: {}",
        side(
            "candidateCommands",
            "candidateRejectedPercent",
            "candidateMedianUs"
        ),
        side("servingCommands", "servingRejectedPercent", "servingMedianUs")
    )
}

/// What a module would be allowed that it is not, and no longer what it is.
pub(super) fn difference(difference: &Value) -> Vec<String> {
    let module = format!("{} {}", text(difference, "module"), text(difference, "version"));
    let words = |key: &str, may: &str| -> Vec<String> {
        items(difference, key)
            .iter()
            .map(|told| format!("  {module} {may} {}", text(told, "words")))
            .collect()
    };
    [words("new", "may"), words("dropped", "may no longer")].concat()
}

/// What somebody can type now.
pub(in crate::cli) fn next_steps(view: &Value, command: impl Fn(&str) -> String) -> Vec<String> {
    let line = |what: &str, word: &str| format!("{what}: {}", command(word));
    match stage(view) {
        Some(Stage::AwaitingConsent) => vec![
            line("to agree, as an admin of the tenant", "consent"),
            line("to take it back", "cancel"),
        ],
        Some(Stage::Canary) => vec![
            line("to watch it", "follow"),
            line("to end it well", "promote"),
            line("to take it back", "cancel"),
        ],
        Some(stage) if !stage.is_settled() => vec![line("to watch it", "follow")],
        _ => Vec::new(),
    }
}

/// What the replays of a swap found, with both values of each place.
pub(super) fn reports(view: &Value) -> Vec<String> {
    let policy = view.pointer("/request/options/policy").cloned();
    let policy: Policy = policy
        .and_then(|policy| serde_json::from_value(policy).ok())
        .unwrap_or_default();
    let verified = items(view, "history")
        .iter()
        .flat_map(|entry| items(entry, "reports"));
    let reports = verified.filter_map(|report| serde_json::from_value::<Report>(report.clone()).ok());
    reports
        .flat_map(|report| replay::found(&report, &policy))
        .collect()
}

/// One swap of a list.
pub(super) fn row(view: &Value) -> Vec<String> {
    let begun = items(view, "history").first().map_or_else(String::new, moment);
    vec![
        number(view).to_string(),
        begun,
        changes(view),
        text(view, "stage"),
        view.pointer("/request/by").map_or_else(String::new, plain),
    ]
}

/// When a step was recorded, to the second.
fn moment(entry: &Value) -> String {
    let seconds = entry.get("atMs").and_then(Value::as_i64).unwrap_or_default() / 1_000;
    let at = OffsetDateTime::from_unix_timestamp(seconds).ok();
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

/// All of a swap.
pub(super) fn shown(view: &Value, place: &Place) -> String {
    let by = view.pointer("/request/by").map_or_else(String::new, plain);
    let mut lines = vec![format!(
        "swap {} of {}, asked for by {by}: {}",
        number(view),
        text(view, "tenant"),
        progress_of(view)
    )];
    if view.get("oneWay").and_then(Value::as_bool) == Some(true) {
        lines.push("one-way: what served before cannot read what is written now".to_owned());
    }
    lines.extend(items(view, "wider").iter().flat_map(difference));
    for entry in items(view, "history") {
        lines.push(format!("{}  {}", moment(entry), step(entry)));
    }
    lines.extend(reports(view));
    lines.extend(next_steps(view, |what| place.command(what, number(view))));
    lines.join("\n")
}

/// A step and the most telling of what it says.
fn step(entry: &Value) -> String {
    let name = text(entry, "step");
    let of = |key: &str| text(entry, key);
    let texts = |key: &str| {
        let texts: Vec<_> = items(entry, key).iter().filter_map(Value::as_str).collect();
        texts.join("; ")
    };
    let told = match name.as_str() {
        "consented" | "cancelled" => format!("by {}", of("by")),
        "verified" => texts("warnings"),
        "rebuilt" => texts("projections"),
        "canary-started" => {
            let plan = entry.get("plan").cloned().unwrap_or_default();
            format!("{} % for {} s", text(&plan, "percent"), text(&plan, "seconds"))
        }
        "canary-passed" => format!("after {} commands", of("commands")),
        "flipping" | "flipped" => format!("generation {}", of("generation")),
        "drained" => match texts("resident") {
            resident if resident.is_empty() => resident,
            resident => format!("calls go on in {resident}"),
        },
        "failed" => format!("{} ({})", of("message"), of("code")),
        _ => String::new(),
    };
    if told.is_empty() {
        name
    } else {
        format!("{name}: {told}")
    }
}
