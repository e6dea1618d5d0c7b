//! What a release must show before it is published: that it was built against this host's contract, that it loads here,
//! that its code does what its manifest says, and that it answers when it is asked how it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use millwork_registry::compat::Contract;
use millwork_registry::manifest::Manifest;
use millwork_registry::release::Release;
use serde::Deserialize;

use crate::blocking;
use crate::engine::call::Effects;
use crate::engine::{CallError, Engine};
use crate::error::Error;

/// `wit/` as a WIT package in binary form.
const CONTRACT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/contract.wasm"));
/// Stands for the tenant in the log lines of a component that has none.
const NOBODY: &str = "-";
/// Most characters of what a component says of its health.
const AILMENT_CHARS_MAX: usize = 300;

/// What `describe` gives.
#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    aggregates: BTreeMap<String, DescribedAggregate>,
    #[serde(default)]
    projections: Vec<String>,
    #[serde(default)]
    queries: Vec<String>,
    #[serde(default)]
    subscriptions: Vec<String>,
}

#[derive(Deserialize)]
struct DescribedAggregate {
    #[serde(default)]
    commands: Vec<String>,
    #[serde(default)]
    events: Vec<String>,
}

/// Holds a component against the contract, loads it, and asks it for its description and its health, without any
/// capability. Gives what its publisher should know.
///
/// # Errors
/// [`Error::Registry`] when it was built against another contract; [`Error::Load`] when it does not load, does not say
/// what its manifest says, or does not answer.
pub(super) async fn verify(engine: &Engine, release: &Release, wasm: &[u8]) -> Result<Vec<String>, Error> {
    let label: Arc<str> = Arc::from(format!("{}@{}", release.name, release.version));
    let fail = |detail: String| Error::Load {
        release: label.to_string(),
        detail,
    };
    blocking::run(|| Contract::read(CONTRACT)?.check(wasm))?;
    let loaded = blocking::run(|| engine.load(Arc::clone(&label), release.digest.hex(), wasm));
    let component = loaded.map_err(|error| fail(error.to_string()))?;
    let asked = blocking::on_own_thread(move || async move {
        let described = component.describe().await;
        let health = component.health(Arc::from(NOBODY), Effects::none()).await;
        (described, health)
    });
    let (described, health) = asked
        .await
        .ok_or_else(|| Error::Unavailable("the host is shutting down".to_owned()))?;
    let described = described.map_err(|error| fail(format!("describe: {error}")))?;
    describes_itself(&release.manifest, described).map_err(fail)?;
    ailment(health).map_err(fail)
}

/// What the code says it implements against what the manifest says. A component without `lifecycle` says nothing and is
/// taken at its manifest's word.
fn describes_itself(manifest: &Manifest, described: Option<String>) -> Result<(), String> {
    let Some(text) = described else {
        return Ok(());
    };
    let described: Described =
        serde_json::from_str(&text).map_err(|error| format!("describe gives no description: {error}"))?;
    let missing = missing(manifest, &described);
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the manifest declares what the code does not implement: {}",
        missing.join(", ")
    ))
}

/// Code that cannot even answer is refused. One that answers that it is not well may be so because it is nobody's yet: it
/// has no configuration, no documents and no cache, which is for its publisher to judge.
fn ailment(health: Result<Result<(), String>, CallError>) -> Result<Vec<String>, String> {
    match health {
        Ok(Ok(())) => Ok(Vec::new()),
        Ok(Err(why)) => {
            let why: String = why.chars().take(AILMENT_CHARS_MAX).collect();
            Ok(vec![format!("health: without a tenant it is not well: {why}")])
        }
        Err(CallError::HostCalls(_)) => Ok(vec![
            "health: it could not be judged, since it uses capabilities, which it has for a tenant only"
                .to_owned(),
        ]),
        Err(error) => Err(format!("health: {error}")),
    }
}

fn missing(manifest: &Manifest, described: &Described) -> Vec<String> {
    let mut missing = Vec::new();
    for (name, declared) in &manifest.aggregates {
        let Some(code) = described.aggregates.get(name) else {
            missing.push(format!("aggregate {name}"));
            continue;
        };
        let commands = declared
            .commands
            .keys()
            .filter(|command| !code.commands.contains(command));
        missing.extend(commands.map(|command| format!("command {command}")));
        let events = declared
            .events
            .keys()
            .filter(|event| !code.events.contains(event));
        missing.extend(events.map(|event| format!("event {event}")));
    }
    let projections = manifest
        .projections
        .keys()
        .filter(|name| !described.projections.contains(name));
    missing.extend(projections.map(|name| format!("projection {name}")));
    let queries = manifest
        .queries
        .keys()
        .filter(|name| !described.queries.contains(name));
    missing.extend(queries.map(|name| format!("query {name}")));
    let subscriptions = manifest.subscriptions.keys();
    let subscriptions = subscriptions.filter(|name| !described.subscriptions.contains(name));
    missing.extend(subscriptions.map(|name| format!("subscription {name}")));
    missing
}
