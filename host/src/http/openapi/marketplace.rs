//! The marketplace: its operations, and what they answer of components.

use serde_json::{Map, Value, json};

use super::operations::{json_content, object, problems, shared_header, shared_parameter};
use super::schemas::reference;
use crate::http::problem;

/// What all these operations stand under. No module's name has a capital.
const TAG: &str = "Marketplace";

/// What an operation does, and what it says when it is done.
struct Described {
    id: &'static str,
    summary: &'static str,
    description: &'static str,
}

/// The tag of the marketplace.
pub(super) fn tag() -> Value {
    json!({ "name": TAG, "description": "Which modules there are, which the tenant runs, and how it gets others" })
}

/// All paths of the marketplace.
pub(super) fn paths() -> Map<String, Value> {
    object(json!({
        "/marketplace": { "get": list() },
        "/marketplace/{name}": { "get": show() },
        "/marketplace/{name}/enable": { "post": change(&Described {
            id: "enableComponent",
            summary: "Enables a component, or moves it",
            description: "By this whoever asks agrees to the permissions that a component which is new to the tenant asks for.",
        }, Some("ChangeRequest")) },
        "/marketplace/{name}/upgrade": { "post": change(&Described {
            id: "upgradeComponent",
            summary: "Moves an enabled component to another version",
            description: "What the new version asks for in addition waits for consent; the old one serves meanwhile.",
        }, Some("ChangeRequest")) },
        "/marketplace/{name}/disable": { "post": change(&Described {
            id: "disableComponent",
            summary: "Disables a component",
            description: "Its data stays. Refused while others need it.",
        }, None) },
        "/marketplace/{name}/rollback": { "post": change(&Described {
            id: "rollBackComponent",
            summary: "Takes a component back to a version that the tenant has run",
            description: "Without a version, to the one before.",
        }, Some("RollBackRequest")) },
        "/marketplace/swaps": { "get": swaps() },
        "/marketplace/swaps/{number}": { "get": swap() },
        "/marketplace/swaps/{number}/events": { "get": events() },
        "/marketplace/swaps/{number}/consent": { "post": wish(&Described {
            id: "consentToSwap",
            summary: "Agrees to what a swap's releases ask for",
            description: "The swap goes on.",
        }) },
        "/marketplace/swaps/{number}/cancel": { "post": wish(&Described {
            id: "cancelSwap",
            summary: "Takes a swap back",
            description: "What served before goes on serving.",
        }) },
        "/marketplace/swaps/{number}/promote": { "post": wish(&Described {
            id: "promoteSwap",
            summary: "Ends a canary well before its time",
            description: "The candidate then serves everybody.",
        }) },
    }))
}

fn operation(described: &Described, parameters: Value, responses: Map<String, Value>) -> Map<String, Value> {
    object(json!({
        "operationId": described.id,
        "summary": described.summary,
        "description": described.description,
        "tags": [TAG],
        "parameters": parameters,
        "responses": responses,
    }))
}

/// Reading answers with JSON of this schema, or a refusal.
fn reading(described: &Described, parameters: Value, schema: Value) -> Map<String, Value> {
    let mut responses = problems(problem::of_reads());
    responses.insert(
        problem::OK.as_str().to_owned(),
        answer("Found", json_content(schema)),
    );
    operation(described, parameters, responses)
}

fn answer(description: &str, content: Value) -> Value {
    let headers = json!({ "X-Correlation-Id": shared_header("X-Correlation-Id") });
    json!({ "description": description, "headers": headers, "content": content })
}

fn list() -> Map<String, Value> {
    let text = |name: &str, description: &str| json!({ "name": name, "in": "query", "description": description, "schema": { "type": "string" } });
    let installed = json!({
        "name": "installed", "in": "query", "schema": { "type": "boolean" },
        "description": "Only those that the tenant has, or only those that it has not",
    });
    let parameters = json!([
        text(
            "search",
            "Words that name, title or description have, all of them"
        ),
        text("category", "A category"),
        text("publisher", "Who publishes it"),
        installed,
        shared_parameter("Limit"),
        shared_parameter("Cursor"),
    ]);
    let described = Described {
        id: "listComponents",
        summary: "Lists what can be enabled, and what is",
        description: "By name, each as its newest release describes it.",
    };
    let schema = json!({
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": { "type": "array", "items": reference("Component") },
            "next": { "type": "string", "description": "Give it as `cursor`; absent on the last page" },
        },
    });
    reading(&described, parameters, schema)
}

fn show() -> Map<String, Value> {
    let described = Described {
        id: "showComponent",
        summary: "Shows a component with its versions",
        description: "Also one that cannot be enabled any more.",
    };
    reading(
        &described,
        json!([name_parameter()]),
        reference("ComponentDetails"),
    )
}

fn swaps() -> Map<String, Value> {
    let described = Described {
        id: "listSwaps",
        summary: "Lists the last swaps, newest first",
        description: "Who may not change what the tenant runs sees them in outline.",
    };
    let schema = json!({
        "type": "object",
        "required": ["tenant", "swaps"],
        "properties": {
            "tenant": { "type": "string" },
            "swaps": { "type": "array", "items": reference("Swap") },
        },
    });
    reading(&described, json!([]), schema)
}

fn swap() -> Map<String, Value> {
    let described = Described {
        id: "showSwap",
        summary: "Shows a swap",
        description: "Who may not change what the tenant runs sees it in outline.",
    };
    reading(&described, json!([number_parameter()]), reference("Swap"))
}

fn events() -> Map<String, Value> {
    let described = Described {
        id: "followSwap",
        summary: "Follows a swap to its end",
        description: "Server-sent events named `swap`, each with the whole swap as its data: one at once, then one for every change.",
    };
    let mut responses = problems(problem::of_reads());
    let stream = json!({ "text/event-stream": { "schema": { "type": "string" } } });
    responses.insert(problem::OK.as_str().to_owned(), answer("The events", stream));
    operation(&described, json!([number_parameter()]), responses)
}

fn change(described: &Described, body: Option<&str>) -> Map<String, Value> {
    let mut responses = problems(problem::of_commands());
    let done = answer(
        "Done, or there was nothing to do",
        json_content(reference("Swapped")),
    );
    responses.insert(problem::OK.as_str().to_owned(), done);
    let mut under_way = answer(
        "Under way, or waiting for somebody",
        json_content(reference("Swap")),
    );
    if let Some(headers) = under_way.get_mut("headers").and_then(Value::as_object_mut) {
        headers.insert("Location".to_owned(), shared_header("Location"));
    }
    responses.insert(problem::ACCEPTED.as_str().to_owned(), under_way);
    let prefer = json!({
        "name": "Prefer", "in": "header", "schema": { "type": "string" }, "example": "respond-async",
        "description": "`respond-async`: answer as soon as the change is under way",
    });
    let mut operation = operation(described, json!([name_parameter(), prefer]), responses);
    if let Some(body) = body {
        let body = json!({ "required": false, "content": json_content(reference(body)) });
        operation.insert("requestBody".to_owned(), body);
    }
    operation
}

fn wish(described: &Described) -> Map<String, Value> {
    let mut responses = problems(problem::of_commands());
    let told = answer("The swap has been told", json_content(reference("Swap")));
    responses.insert(problem::ACCEPTED.as_str().to_owned(), told);
    operation(described, json!([number_parameter()]), responses)
}

fn name_parameter() -> Value {
    json!({
        "name": "name", "in": "path", "required": true, "schema": { "type": "string" },
        "description": "The component's name",
    })
}

fn number_parameter() -> Value {
    json!({
        "name": "number", "in": "path", "required": true, "schema": { "type": "integer", "minimum": 1 },
        "description": "The swap's number; a tenant's swaps are counted from 1",
    })
}

/// What is told of components.
pub(super) fn schemas() -> Map<String, Value> {
    object(json!({
        "Component": component(),
        "ComponentDetails": details(),
        "Installed": installed(),
        "ComponentVersion": version(),
        "Permission": {
            "type": "object",
            "required": ["permission", "words"],
            "properties": {
                "permission": { "type": "string", "description": "For programs" },
                "words": { "type": "string", "description": "What it means: a part of a sentence that begins with: the component may" },
            },
        },
        "Reason": {
            "type": "object",
            "required": ["code", "message"],
            "properties": { "code": { "type": "string" }, "message": { "type": "string" } },
        },
    }))
}

fn component() -> Value {
    json!({
        "type": "object",
        "required": [
            "name", "title", "description", "publisher", "trusted", "categories", "licence", "version", "sizeBytes",
            "publishedAt", "permissions",
        ],
        "properties": {
            "name": { "type": "string" },
            "title": { "type": "string" },
            "description": { "type": "string" },
            "publisher": { "type": "string" },
            "trusted": { "type": "boolean", "description": "Whether the publisher's key is trusted here" },
            "categories": { "type": "array", "items": { "type": "string" } },
            "licence": { "type": "string", "description": "SPDX expression" },
            "version": { "type": "string", "description": "The version that is described: the newest that can be enabled, else the one that the tenant has" },
            "sizeBytes": { "type": "integer", "minimum": 0 },
            "publishedAt": { "type": "string", "format": "date-time" },
            "permissions": { "type": "array", "items": reference("Permission") },
            "installed": reference("Installed"),
            "swap": { "type": "integer", "description": "Number of the swap under way that is about it" },
        },
    })
}

fn installed() -> Value {
    json!({
        "type": "object",
        "required": ["version", "enabledAt"],
        "properties": {
            "version": { "type": "string" },
            "wanted": { "type": "string", "description": "The range of versions that the tenant asked for" },
            "enabledAt": { "type": "string", "format": "date-time" },
            "upgrade": { "type": "string", "description": "The version that an upgrade without a version leads to" },
            "newer": { "type": "string", "description": "The newest version, whatever range is wanted" },
            "broken": reference("Reason"),
        },
    })
}

fn details() -> Value {
    let own = json!({
        "type": "object",
        "required": ["keyId", "changelog", "dependencies", "exports", "versions", "versionCount"],
        "properties": {
            "keyId": { "type": ["string", "null"] },
            "changelog": { "type": ["string", "null"], "description": "What is new in the version described" },
            "dependencies": { "type": "array", "items": {
                "type": "object",
                "required": ["name", "range"],
                "properties": {
                    "name": { "type": "string" },
                    "range": { "type": "string" },
                    "installed": { "type": "string", "description": "The version that the tenant has" },
                },
            } },
            "exports": { "type": "array", "items": { "type": "string" } },
            "versions": { "type": "array", "items": reference("ComponentVersion"), "description": "Newest first" },
            "versionCount": { "type": "integer", "minimum": 1, "description": "Versions in all, shown or not" },
            "underWay": reference("Swap"),
            "configuration": {
                "type": "object",
                "description": "For the tenant's admins, where it is enabled",
                "required": ["given"],
                "properties": {
                    "given": { "type": "object", "description": "As the tenant gave it" },
                    "schema": { "type": "object", "description": "JSON Schema of it" },
                },
            },
        },
    });
    json!({ "allOf": [reference("Component"), own] })
}

fn version() -> Value {
    json!({
        "type": "object",
        "required": ["version", "publishedAt", "sizeBytes", "digest", "changelog", "asks"],
        "properties": {
            "version": { "type": "string" },
            "publishedAt": { "type": "string", "format": "date-time" },
            "sizeBytes": { "type": "integer", "minimum": 0 },
            "digest": { "type": "string" },
            "changelog": { "type": ["string", "null"] },
            "yanked": { "type": "string", "description": "Why it was withdrawn" },
            "refused": reference("Reason"),
            "asks": { "type": "array", "items": reference("Permission"), "description": "What the tenant has not granted" },
        },
    })
}
