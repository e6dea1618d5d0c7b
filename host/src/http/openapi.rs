//! `/api/v1/openapi.json`: OpenAPI 3.1 of what a tenant's modules answer, made from their manifests, of the marketplace and
//! of sessions.
//!
//! Every module's schemas become components named `<module>.<Name>`, with references rewritten to them
//! ([`schemas`]); every route becomes an operation ([`operations`]). Names of the host's own have no dot, so that no
//! module's can be the same.

mod operations;
mod schemas;
mod marketplace;
mod changes;
mod sessions;

use std::sync::Arc;

use axum::http::Method;
use axum::response::Response;
use millwork_registry::manifest::Manifest;
use serde_json::{Map, Value, json};

use super::exchange::Exchange;
use super::problem::{self, Problem};
use super::{PREFIX, reply};
use crate::tenant::Generation;

/// The version of the specification that the document follows.
const OPENAPI: &str = "3.1.0";

/// Answers with the document of the tenant's modules.
pub(super) fn serve(
    exchange: &Exchange,
    generation: &Generation,
    method: &Method,
) -> Result<Response, Problem> {
    exchange.routed(Arc::from("/openapi.json"));
    if *method != Method::GET && *method != Method::HEAD {
        return Err(Problem::method_not_allowed("GET"));
    }
    let manifests: Vec<&Manifest> = generation
        .modules
        .values()
        .map(|module| &module.manifest)
        .collect();
    reply::json(problem::OK, &document(&manifests))
}

/// The document of these modules.
fn document(manifests: &[&Manifest]) -> Value {
    json!({
        "openapi": OPENAPI,
        "info": {
            "title": "Millwork",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the modules of this tenant answer, and how it comes by others.",
        },
        "servers": [{ "url": PREFIX }],
        "security": [{ "bearer": [] }, { "session": [] }],
        "tags": tags(manifests),
        "paths": paths(manifests),
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
                "session": sessions::cookie_scheme(),
            },
            "schemas": components(manifests),
            "parameters": operations::shared_parameters(),
            "headers": operations::shared_headers(),
            "responses": { "Problem": problem_response() },
        },
    })
}

fn tags(manifests: &[&Manifest]) -> Vec<Value> {
    let modules = manifests.iter().map(|manifest| tag(manifest));
    modules.chain([marketplace::tag(), sessions::tag()]).collect()
}

fn tag(manifest: &Manifest) -> Value {
    json!({ "name": manifest.name, "description": format!("{} ({})", manifest.description, manifest.version) })
}

/// Routes of modules never begin as the host's own do.
fn paths(manifests: &[&Manifest]) -> Map<String, Value> {
    let mut all = operations::paths(manifests);
    all.extend(marketplace::paths());
    all.extend(sessions::paths());
    all
}

fn components(manifests: &[&Manifest]) -> Map<String, Value> {
    let mut all = schemas::of_host();
    all.extend(marketplace::schemas());
    all.extend(changes::schemas());
    all.extend(sessions::schemas());
    for manifest in manifests {
        all.extend(schemas::of_module(manifest));
    }
    all
}

fn problem_response() -> Value {
    json!({
        "description": "Why not, as RFC 9457 problem details",
        "headers": { "X-Correlation-Id": { "$ref": "#/components/headers/CorrelationId" } },
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

#[cfg(test)]
mod tests;
