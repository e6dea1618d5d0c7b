//! Paths: one operation for each route of each module.

use std::collections::HashSet;

use millwork_registry::manifest::{Action, Command, Manifest, Query, Route, Schema, View};
use serde_json::{Map, Value, json};

use super::schemas::{Part, name, reference, rewritten};
use crate::http::commands::{DRY_RUN, ID};
use crate::http::filter::OPERATORS;
use crate::http::problem;
use crate::http::typing::{Types, property, resolved};
use crate::http::views::AFTER;

/// All paths, in the order of the manifests.
pub(super) fn paths(manifests: &[&Manifest]) -> Map<String, Value> {
    let mut paths = Map::new();
    let mut taken = HashSet::new();
    for (manifest, route) in manifests
        .iter()
        .flat_map(|manifest| manifest.routes.iter().map(move |route| (manifest, route)))
    {
        let Some(mut operation) = operation(manifest, route) else {
            continue;
        };
        operation.insert(
            "operationId".to_owned(),
            Value::String(operation_id(manifest, &route.action, &mut taken)),
        );
        let path = paths
            .entry(route.path.clone())
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(methods) = path {
            methods.insert(route.method.as_str().to_lowercase(), Value::Object(operation));
        }
    }
    paths
}

/// `client.CreateClient`; a further route to the same action counts on.
fn operation_id(manifest: &Manifest, action: &Action, taken: &mut HashSet<String>) -> String {
    let (Action::Command(name) | Action::View(name) | Action::Query(name)) = action;
    let first = format!("{}.{name}", manifest.name);
    let further = (2..).map(|number| format!("{first}.{number}"));
    let free = std::iter::once(first.clone())
        .chain(further)
        .find(|id| !taken.contains(id))
        .unwrap_or_default();
    taken.insert(free.clone());
    free
}

fn operation(manifest: &Manifest, route: &Route) -> Option<Map<String, Value>> {
    let mut operation = match &route.action {
        Action::Command(name) => of_command(manifest, route, name, manifest.command(name)?.1),
        Action::View(name) => of_view(manifest, route, name, manifest.views.get(name)?),
        Action::Query(name) => of_query(manifest, route, name, manifest.queries.get(name)?),
    };
    operation.insert("tags".to_owned(), json!([manifest.name]));
    Some(operation)
}

fn of_command(
    manifest: &Manifest,
    route: &Route,
    command_name: &str,
    command: &Command,
) -> Map<String, Value> {
    let mut parameters = path_parameters(route);
    parameters.extend(["IdempotencyKey", "IfMatch", "DryRun"].map(shared_parameter));
    let mut responses = problems(problem::of_commands());
    let reply = |description: &str, location: bool| {
        let mut headers = Map::new();
        for header in [
            "ETag",
            "Millwork-Position",
            "Idempotency-Replayed",
            "X-Correlation-Id",
        ] {
            headers.insert(header.to_owned(), shared_header(header));
        }
        if location {
            headers.insert("Location".to_owned(), shared_header("Location"));
        }
        json!({ "description": description, "headers": headers, "content": json_content(reference("Reply")) })
    };
    if command.creates {
        responses.insert(
            problem::CREATED.as_str().to_owned(),
            reply("Recorded; the aggregate is new", true),
        );
        responses.insert(
            problem::OK.as_str().to_owned(),
            reply("What would be recorded: a dry run", false),
        );
    } else {
        responses.insert(problem::OK.as_str().to_owned(), reply("Recorded", false));
    }
    let mut operation =
        object(json!({ "summary": command.summary, "parameters": parameters, "responses": responses }));
    if let Some(body) = command
        .body
        .as_ref()
        .and_then(|body| request_body(manifest, route, command_name, body))
    {
        operation.insert("requestBody".to_owned(), body);
    }
    operation
}

/// The body without what the path says already; nothing when nothing is left.
fn request_body(manifest: &Manifest, route: &Route, command: &str, body: &Schema) -> Option<Value> {
    let declared = resolved(manifest, body);
    let in_path: Vec<&str> = path_names(route).filter(|param| *param != ID).collect();
    let has = |param: &&&str| declared.pointer(&format!("/properties/{param}")).is_some();
    let needs = |schema: &Value| {
        schema
            .get("required")
            .and_then(Value::as_array)
            .is_some_and(|names| !names.is_empty())
    };
    if !in_path.iter().any(|param| has(&param)) {
        let schema = reference(&name(manifest, Part::Body, command));
        return Some(json!({ "required": needs(declared), "content": json_content(schema) }));
    }
    let mut rest = rewritten(manifest, &name(manifest, Part::Body, command), declared);
    let properties = rest.get_mut("properties")?.as_object_mut()?;
    properties.retain(|property, _| !in_path.contains(&property.as_str()));
    if properties.is_empty() {
        return None;
    }
    if let Some(required) = rest.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|property| {
            property
                .as_str()
                .is_none_or(|property| !in_path.contains(&property))
        });
    }
    Some(json!({ "required": needs(&rest), "content": json_content(rest) }))
}

fn of_view(manifest: &Manifest, route: &Route, view_name: &str, view: &View) -> Map<String, Value> {
    let item = match view.schema {
        Some(_) => reference(&name(manifest, Part::Item, view_name)),
        None => json!({ "type": "object" }),
    };
    let mut parameters = path_parameters(route);
    parameters.push(shared_parameter("After"));
    let one = path_names(route).any(|param| param == ID);
    let schema = if one { item } else { page_of(item) };
    if !one {
        parameters.extend(["Limit", "Cursor", "Fields"].map(shared_parameter));
        parameters.extend((!view.sort.is_empty()).then(|| sort_parameter(view)));
        parameters.extend(
            view.filter
                .iter()
                .map(|field| filter_parameter(manifest, view, field)),
        );
    }
    let mut headers = object(json!({
        "Millwork-Position": shared_header("Millwork-Position"),
        "X-Correlation-Id": shared_header("X-Correlation-Id"),
    }));
    let mut responses = problems(problem::of_reads());
    if one {
        headers.insert("ETag".to_owned(), shared_header("ETag"));
        let unchanged = json!({ "description": "`If-None-Match` names the version that it still has" });
        responses.insert(problem::NOT_MODIFIED.as_str().to_owned(), unchanged);
    }
    let found = json!({ "description": "Found", "headers": headers, "content": json_content(schema) });
    responses.insert(problem::OK.as_str().to_owned(), found);
    object(json!({ "summary": view.summary, "parameters": parameters, "responses": responses }))
}

fn page_of(item: Value) -> Value {
    json!({
        "type": "object",
        "required": ["items", "position"],
        "properties": {
            "items": { "type": "array", "items": item },
            "next": { "type": "string", "description": "Give it as `cursor`; absent on the last page" },
            "position": { "type": "string" },
        },
    })
}

fn sort_parameter(view: &View) -> Value {
    let fields = view.sort.join(", ");
    let description = format!("Fields, most significant first, each with `-` for descending, of: {fields}");
    json!({ "name": "sort", "in": "query", "description": description, "schema": { "type": "string" } })
}

fn filter_parameter(manifest: &Manifest, view: &View, field: &str) -> Value {
    let declared = view
        .schema
        .as_ref()
        .and_then(|schema| property(manifest, schema, field));
    let operators = OPERATORS
        .map(|operator| format!("`{field}[{operator}]`"))
        .join(", ");
    json!({
        "name": field,
        "in": "query",
        "description": format!("Equal to this. Other comparisons: {operators}; lists have commas"),
        "schema": declared.map_or_else(|| json!({}), |schema| rewritten(manifest, "", schema)),
    })
}

fn of_query(manifest: &Manifest, route: &Route, query_name: &str, query: &Query) -> Map<String, Value> {
    let schema = match query.result {
        Some(_) => reference(&name(manifest, Part::Result, query_name)),
        None => json!({}),
    };
    let mut parameters = path_parameters(route);
    parameters.push(shared_parameter("After"));
    if let Some(params) = &query.params {
        let in_path: Vec<_> = path_names(route).collect();
        let declared = query_parameters(manifest, params);
        parameters.extend(
            declared
                .filter(|(name, _)| !in_path.contains(name))
                .map(|(_, parameter)| parameter),
        );
    }
    let headers = json!({
        "Millwork-Position": shared_header("Millwork-Position"),
        "X-Correlation-Id": shared_header("X-Correlation-Id"),
    });
    let mut responses = problems(problem::of_reads());
    let answered = json!({ "description": "Answered", "headers": headers, "content": json_content(schema) });
    responses.insert(problem::OK.as_str().to_owned(), answered);
    object(json!({ "summary": query.summary, "parameters": parameters, "responses": responses }))
}

fn query_parameters<'a>(
    manifest: &'a Manifest,
    params: &'a Schema,
) -> impl Iterator<Item = (&'a str, Value)> {
    let params = resolved(manifest, params);
    let required: Vec<_> = params
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .collect();
    let properties = params
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    properties.map(move |(name, schema)| {
        let mut parameter = object(json!({
            "name": name,
            "in": "query",
            "required": required.iter().any(|needed| *needed == name),
            "schema": rewritten(manifest, "", schema),
        }));
        if Types::of(manifest, schema).has("array") {
            parameter.insert("explode".to_owned(), Value::Bool(false));
        }
        (name.as_str(), Value::Object(parameter))
    })
}

fn path_names(route: &Route) -> impl Iterator<Item = &str> {
    route.parameters()
}

fn path_parameters(route: &Route) -> Vec<Value> {
    let parameter =
        |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } });
    path_names(route).map(parameter).collect()
}

/// Refusals, by status.
pub(super) fn problems(statuses: impl Iterator<Item = String>) -> Map<String, Value> {
    let mut responses: Map<_, _> = statuses.map(|status| (status, shared_problem())).collect();
    responses.insert("default".to_owned(), shared_problem());
    responses
}

fn shared_problem() -> Value {
    json!({ "$ref": "#/components/responses/Problem" })
}

/// A reference to a parameter that many operations have.
pub(super) fn shared_parameter(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}

/// A reference to a header that many responses have.
pub(super) fn shared_header(name: &str) -> Value {
    let component = match name {
        "Millwork-Position" => "Position",
        "Idempotency-Replayed" => "Replayed",
        "X-Correlation-Id" => "CorrelationId",
        same => same,
    };
    json!({ "$ref": format!("#/components/headers/{component}") })
}

/// JSON of this schema.
pub(super) fn json_content(schema: Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

/// The members of an object.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Parameters that many operations have.
pub(super) fn shared_parameters() -> Value {
    json!({
        "IdempotencyKey": {
            "name": "Idempotency-Key", "in": "header",
            "description": "Repeating a request with the same key gives the first outcome again",
            "schema": { "type": "string", "minLength": 1, "maxLength": crate::config::COMMAND_ID_BYTES_MAX },
        },
        "IfMatch": {
            "name": "If-Match", "in": "header",
            "description": "The entity tag of the version that the command is meant for",
            "schema": { "type": "string" }, "example": "\"7\"",
        },
        "DryRun": {
            "name": DRY_RUN, "in": "query", "allowEmptyValue": true,
            "description": "Says what would be recorded, and records nothing",
            "schema": { "type": "boolean" },
        },
        "After": {
            "name": AFTER, "in": "query",
            "description": "A position: waits until what was recorded there can be read",
            "schema": { "type": "string" },
        },
        "Limit": { "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1 } },
        "Cursor": {
            "name": "cursor", "in": "query", "description": "`next` of the page before",
            "schema": { "type": "string" },
        },
        "Fields": {
            "name": "fields", "in": "query", "description": "Fields to give, between commas",
            "schema": { "type": "string" },
        },
    })
}

/// Headers that many responses have.
pub(super) fn shared_headers() -> Value {
    let header = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "ETag": header("The version, as a strong entity tag"),
        "Location": header("Where the new aggregate can be read"),
        "Position": header("A position, for `after`"),
        "Replayed": header("`true` when this is the outcome of an earlier request with the same key"),
        "CorrelationId": header("Names the request in logs"),
    })
}
