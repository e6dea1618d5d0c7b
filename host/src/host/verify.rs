//! What a release must show before it is published: that it loads here, and that its code does what its manifest says.

use std::collections::BTreeMap;
use std::sync::Arc;

use millwork_registry::manifest::Manifest;
use millwork_registry::release::Release;
use serde::Deserialize;

use crate::blocking;
use crate::engine::Engine;
use crate::error::Error;

/// What `describe` gives.
#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    aggregates: BTreeMap<String, DescribedAggregate>,
    #[serde(default)]
    projections: Vec<String>,
    #[serde(default)]
    queries: Vec<String>,
}

#[derive(Deserialize)]
struct DescribedAggregate {
    #[serde(default)]
    commands: Vec<String>,
    #[serde(default)]
    events: Vec<String>,
}

/// Loads the component and holds what its code says it implements against its manifest. A component without `lifecycle`
/// says nothing and is taken at its manifest's word.
pub(super) async fn describes_itself(engine: &Engine, release: &Release, wasm: &[u8]) -> Result<(), Error> {
    let label: Arc<str> = Arc::from(format!("{}@{}", release.name, release.version));
    let fail = |detail: String| Error::Load {
        release: label.to_string(),
        detail,
    };
    let loaded = blocking::run(|| engine.load(Arc::clone(&label), release.digest.hex(), wasm));
    let component = loaded.map_err(|error| fail(error.to_string()))?;
    let described = blocking::on_own_thread(move || async move { component.describe().await });
    let described = described
        .await
        .ok_or_else(|| Error::Unavailable("the host is shutting down".to_owned()))?;
    let Some(text) = described.map_err(|error| fail(format!("describe: {error}")))? else {
        return Ok(());
    };
    let described: Described = serde_json::from_str(&text)
        .map_err(|error| fail(format!("describe gives no description: {error}")))?;
    let missing = missing(&release.manifest, &described);
    if missing.is_empty() {
        return Ok(());
    }
    Err(fail(format!(
        "the manifest declares what the code does not implement: {}",
        missing.join(", ")
    )))
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
    missing
}
