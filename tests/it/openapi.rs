//! The description of a tenant's API: whole, and valid as far as it can be checked without the specification's own schema.

use std::collections::BTreeSet;

use millwork_registry::manifest::{Manifest, Method};
use millwork_registry::release::Release;
use millwork_tests::artifacts;
use millwork_tests::server::Server;
use serde_json::{Map, Value};

/// Members that a path item may have beside methods.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// What the host answers itself.
const OF_THE_HOST: [(&str, &str); 17] = [
    ("get", "/marketplace"),
    ("get", "/marketplace/{name}"),
    ("post", "/marketplace/{name}/enable"),
    ("post", "/marketplace/{name}/upgrade"),
    ("post", "/marketplace/{name}/disable"),
    ("post", "/marketplace/{name}/rollback"),
    ("get", "/marketplace/swaps"),
    ("get", "/marketplace/swaps/{number}"),
    ("get", "/marketplace/swaps/{number}/events"),
    ("post", "/marketplace/swaps/{number}/consent"),
    ("post", "/marketplace/swaps/{number}/cancel"),
    ("post", "/marketplace/swaps/{number}/promote"),
    ("post", "/sessions"),
    ("get", "/sessions"),
    ("delete", "/sessions"),
    ("delete", "/sessions/current"),
    ("delete", "/sessions/{handle}"),
];

/// The document of the demo tenant, and the manifests that it is made from.
fn document() -> (Value, Vec<Manifest>) {
    let server = Server::demo();
    let document = server.admin().get("/api/v1/openapi.json").done();
    let manifests =
        ["client", "invoicing"].map(|name| Release::read(&artifacts::component(name), 0).unwrap().manifest);
    (document, manifests.into())
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}"))
}

/// Calls `visit` with every object of a tree.
fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            visit(members);
            members.values().for_each(|member| walk(member, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        _ => {}
    }
}

/// Where a reference leads, or the object itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(target) => document
            .pointer(target.strip_prefix('#').unwrap())
            .unwrap_or_else(|| panic!("{target} leads nowhere")),
        None => value,
    }
}

/// Path, method and operation of every operation.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = object(&document["paths"]).iter();
    paths
        .flat_map(|(path, item)| {
            object(item)
                .iter()
                .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
        .collect()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let (document, manifests) = document();
    let word = |method: Method| method.as_str().to_lowercase();
    let routes = manifests.iter().flat_map(|manifest| &manifest.routes);
    let routes: BTreeSet<(String, String)> = routes
        .map(|route| (route.path.clone(), word(route.method)))
        .collect();
    let of_the_host = OF_THE_HOST.map(|(method, path)| (path.to_owned(), method.to_owned()));
    let routes: BTreeSet<_> = routes.into_iter().chain(of_the_host).collect();
    let described = operations(&document)
        .into_iter()
        .map(|(path, method, _)| (path.to_owned(), method.to_owned()));
    assert_eq!(described.collect::<BTreeSet<_>>(), routes);
    assert_eq!(document["servers"][0]["url"], "/api/v1");
}

#[test]
fn the_document_has_the_form_of_openapi_3_1() {
    let (document, _) = document();
    let known: BTreeSet<&str> = [
        "openapi",
        "info",
        "servers",
        "security",
        "tags",
        "paths",
        "components",
    ]
    .into();
    let members = object(&document)
        .keys()
        .map(String::as_str)
        .collect::<BTreeSet<_>>();
    assert!(members.is_subset(&known), "{members:?}");
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    for (path, item) in object(&document["paths"]) {
        assert!(path.starts_with('/'), "{path}");
        assert!(
            object(item)
                .keys()
                .all(|method| METHODS.contains(&method.as_str())),
            "{path}: {item}"
        );
    }
    let tags: BTreeSet<&str> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    for (path, method, operation) in operations(&document) {
        check_operation(&document, operation, &format!("{method} {path}"));
        assert!(
            operation["tags"]
                .as_array()
                .unwrap()
                .iter()
                .all(|tag| tags.contains(tag.as_str().unwrap())),
            "{path}"
        );
    }
}

fn check_operation(document: &Value, operation: &Value, at: &str) {
    let known = [
        "operationId",
        "summary",
        "description",
        "tags",
        "parameters",
        "requestBody",
        "responses",
        "security",
    ];
    assert!(
        object(operation).keys().all(|key| known.contains(&key.as_str())),
        "{at}: {operation}"
    );
    assert!(
        !operation["summary"].as_str().unwrap_or_default().is_empty(),
        "{at} has no summary"
    );
    if let Some(body) = operation.get("requestBody") {
        assert!(
            resolved(document, body)["content"]["application/json"]["schema"].is_object(),
            "{at}"
        );
    }
    let responses = object(&operation["responses"]);
    assert!(
        responses.keys().any(|status| status.starts_with('2')),
        "{at} never succeeds"
    );
    for (status, response) in responses {
        assert!(
            status == "default" || (status.len() == 3 && status.parse::<u16>().is_ok()),
            "{at}: {status}"
        );
        let response = resolved(document, response);
        assert!(
            response["description"].is_string(),
            "{at} {status} has no description"
        );
        for content in response
            .get("content")
            .map(object)
            .into_iter()
            .flat_map(Map::values)
        {
            assert!(content["schema"].is_object(), "{at} {status}: {content}");
        }
    }
}

#[test]
fn references_lead_somewhere_and_names_are_unique() {
    let (document, _) = document();
    walk(&document, &mut |members| {
        if let Some(Value::String(target)) = members.get("$ref") {
            assert!(
                document.pointer(target.strip_prefix('#').unwrap()).is_some(),
                "{target} leads nowhere"
            );
        }
    });
    let mut ids = BTreeSet::new();
    for (_, _, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} stands there twice");
    }
    // OpenAPI 3.1, 4.8.7.1.
    let fits = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    for (kind, all) in object(&document["components"]) {
        assert!(object(all).keys().all(|name| fits(name)), "{kind}");
    }
}

#[test]
fn every_parameter_of_a_path_is_declared_once() {
    let (document, _) = document();
    for (path, method, operation) in operations(&document) {
        let in_path: BTreeSet<&str> = path
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split_once('}'))
            .map(|(name, _)| name)
            .collect();
        let mut seen = BTreeSet::new();
        let mut declared = BTreeSet::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let parameter = resolved(&document, parameter);
            let (name, place) = (
                parameter["name"].as_str().unwrap(),
                parameter["in"].as_str().unwrap(),
            );
            assert!(
                ["path", "query", "header"].contains(&place),
                "{method} {path}: {place}"
            );
            assert!(
                parameter["schema"].is_object(),
                "{method} {path}: {name} has no schema"
            );
            assert!(
                seen.insert((name, place)),
                "{method} {path}: {name} stands there twice"
            );
            if place == "path" {
                assert_eq!(parameter["required"], true, "{method} {path}: {name}");
                declared.insert(name);
            }
        }
        assert_eq!(declared, in_path, "{method} {path}");
    }
}

#[test]
fn every_schema_is_one_of_json_schema_2020_12() {
    let (document, _) = document();
    for (name, schema) in object(&document["components"]["schemas"]) {
        assert!(
            jsonschema::draft202012::meta::is_valid(schema),
            "{name}: {schema}"
        );
    }
}

/// Holds an answer against what the document says of `<method> <path>`.
#[track_caller]
pub(crate) fn check_answer(document: &Value, operation: &str, status: &str, answer: &Value) {
    let (method, path) = operation.split_once(' ').unwrap();
    let response = resolved(document, &document["paths"][path][method]["responses"][status]);
    let content = object(&response["content"]).values().next().unwrap();
    let mut schema = content["schema"].clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(answer)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors, Vec::<String>::new(), "{operation}: {answer}");
}

#[test]
fn answers_are_as_described() {
    let server = Server::demo();
    let api = server.admin();
    let document = api.get("/api/v1/openapi.json").done();
    let client = crate::books::client(&api, "ACME");
    let invoice = crate::books::draft(&api, &client, "10.00");
    let reply = crate::books::finalize(&api, &invoice).done();
    crate::books::seen(&api, "/api/v1/invoices", &reply);
    let check = |path: &str, method: &str, status: &str, answer: &Value| {
        check_answer(&document, &format!("{method} {path}"), status, answer);
    };
    check("/clients", "get", "200", &api.get("/api/v1/clients").done());
    check(
        "/clients/{id}",
        "get",
        "200",
        &api.get(&format!("/api/v1/clients/{client}")).done(),
    );
    check("/invoices", "get", "200", &api.get("/api/v1/invoices").done());
    check(
        "/invoices/{id}",
        "get",
        "200",
        &api.get(&format!("/api/v1/invoices/{invoice}")).done(),
    );
    check(
        "/reports/aging",
        "get",
        "200",
        &api.get("/api/v1/reports/aging").done(),
    );
    check("/invoices/{id}/finalize", "post", "200", &reply);
    check(
        "/invoices/{id}/finalize",
        "post",
        "409",
        &crate::books::finalize(&api, &invoice).json(),
    );
    check(
        "/clients",
        "post",
        "422",
        &api.post("/api/v1/clients", &serde_json::json!({})).json(),
    );
}
