//! How a component lies in a registry: media types, the configuration object, annotations.

use std::collections::BTreeMap;

use millwork_registry::catalog::Shown;
use millwork_registry::release::Release;
use oci_client::client::Config;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Media type of the manifest.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of the configuration object.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// Media type of the component.
pub(super) const LAYER: &str = "application/wasm";

/// What there is to know of a component without fetching it. The same release always gives the same object, so that
/// pushing again changes nothing.
pub(super) fn config(release: &Shown) -> Config {
    let interfaces = &release.interfaces;
    let config = json!({
        "created": created(&release.release),
        "author": release.release.publisher,
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [release.release.digest],
        "component": {
            "exports": interfaces.exports,
            "imports": interfaces.imports,
            "target": null,
        },
    });
    Config::new(config.to_string(), CONFIG.to_owned(), None)
}

/// For people who browse a registry: keys of the OCI image specification.
pub(super) fn annotations(release: &Release) -> BTreeMap<String, String> {
    let manifest = &release.manifest;
    let annotations = [
        ("created", created(release)),
        ("description", manifest.description.clone()),
        ("licenses", manifest.licence.clone()),
        ("title", manifest.name.clone()),
        ("vendor", manifest.publisher.clone()),
        ("version", manifest.version.to_string()),
    ];
    annotations
        .into_iter()
        .map(|(key, value)| (format!("org.opencontainers.image.{key}"), value))
        .collect()
}

/// When it was published here.
fn created(release: &Release) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(release.published_at_ms) * 1_000_000);
    at.ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}
