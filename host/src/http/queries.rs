//! Computed queries over HTTP: the query string becomes the parameters that the component gets.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use millwork_registry::manifest::{Action, Manifest, Schema};
use serde_json::{Map, Value};

use super::commands::POSITION;
use super::gateway::Asked;
use super::params::unknown;
use super::problem::Problem;
use super::typing::{Types, property, resolved};
use super::{position, reply, views};
use crate::error::{Error, Violation};
use crate::query;
use crate::query::kept::{self, Answer, Question};
use crate::tenant::action_name;

/// Answers a query.
pub(super) async fn serve(mut asked: Asked, action: &Action) -> Result<Response, Problem> {
    let name = action_name(action);
    let position = views::position(&mut asked, action).await?;
    let manifest = &asked.module.manifest;
    let declared = manifest.queries.get(name).and_then(|query| query.params.as_ref());
    let given = asked
        .query
        .take_rest()
        .into_iter()
        .chain(std::mem::take(&mut asked.path_params));
    let params = typed(manifest, declared, given)?;
    let question = Question {
        tenant: &asked.tenant,
        module: &asked.module,
        action,
        scope: &asked.scope,
        what: kept::params(&params),
    };
    // Whoever asks next may get the answer too: it must not depend on who asked first.
    let user = match kept::rule(&asked.module, action) {
        Some(_) => "",
        None => asked.principal.user.as_str(),
    };
    let origin = asked.exchange.origin(user);
    let limits = &asked.app.host.config().engine;
    let made = async { query::answer(&asked.tenant, &asked.module, name, params, origin, limits).await };
    let answer = kept::answer(&question, async { Ok(Answer::from(made.await?)) }).await?;
    let mut response = Response::new(Body::from(answer.body));
    response.headers_mut().insert(CONTENT_TYPE, reply::JSON);
    response
        .headers_mut()
        .insert(POSITION, reply::header(&position::encode(position))?);
    Ok(response)
}

/// The parameters as one object, each of the type that its schema names.
fn typed(
    manifest: &Manifest,
    declared: Option<&Schema>,
    given: impl Iterator<Item = (String, String)>,
) -> Result<Value, Error> {
    let mut params = Map::new();
    let mut violations = Vec::new();
    for (name, text) in given {
        let schema = declared.and_then(|schema| property(manifest, schema, &name));
        if schema.is_none() && !is_open(manifest, declared) {
            return Err(unknown(&name));
        }
        match value(manifest, schema, &text) {
            Ok(value) => {
                if params.insert(name.clone(), value).is_some() {
                    return Err(Error::Malformed(format!(
                        "parameter {name:?} stands there more than once"
                    )));
                }
            }
            Err(message) => violations.push(Violation {
                pointer: pointer(&name),
                code: "type".to_owned(),
                message,
            }),
        }
    }
    if violations.is_empty() {
        Ok(Value::Object(params))
    } else {
        Err(Error::Schema(violations))
    }
}

/// Whether the schema says what parameters it does not name are like.
fn is_open(manifest: &Manifest, declared: Option<&Schema>) -> bool {
    let rest = declared.and_then(|schema| resolved(manifest, schema).get("additionalProperties"));
    rest.is_some_and(|rest| *rest != Value::Bool(false))
}

/// One value; where a list is declared, its items stand between commas.
fn value(manifest: &Manifest, schema: Option<&Schema>, text: &str) -> Result<Value, String> {
    let Some(schema) = schema else {
        return Types::default().value(text);
    };
    let types = Types::of(manifest, schema);
    if !types.has("array") {
        return types.value(text);
    }
    let items = schema
        .get("items")
        .map(|items| Types::of(manifest, items))
        .unwrap_or_default();
    text.split(',')
        .map(|item| items.value(item))
        .collect::<Result<_, _>>()
        .map(Value::Array)
}

/// JSON Pointer to a member (RFC 6901, section 3).
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::params::Params;
    use super::*;

    const MANIFEST: &str = "
manifest: 1
name: invoicing
version: 1.0.0
publisher: millwork
description: Invoices.
licence: Apache-2.0
";

    fn read(query: &str) -> Result<Value, Error> {
        let manifest = Manifest::parse(MANIFEST).unwrap();
        let schema = json!({"type": "object", "properties": {
            "asOf": {"type": "string", "format": "date"},
            "days": {"type": "integer"},
            "ids": {"type": "array", "items": {"type": "integer"}},
        }});
        typed(
            &manifest,
            Some(&schema),
            Params::parse(Some(query))?.take_rest().into_iter(),
        )
    }

    #[test]
    fn texts_become_parameters() {
        assert_eq!(
            read("asOf=2026-01-01&days=30").unwrap(),
            json!({"asOf": "2026-01-01", "days": 30})
        );
        assert_eq!(read("ids=1,2").unwrap(), json!({"ids": [1, 2]}));
        assert_eq!(read("").unwrap(), json!({}));
    }

    #[test]
    fn wrong_ones_are_told_apart() {
        assert!(matches!(read("days=many"), Err(Error::Schema(all)) if all[0].pointer == "/days"));
        assert!(matches!(read("colour=red"), Err(Error::Malformed(text)) if text.contains("colour")));
        assert!(matches!(read("days=1&days=2"), Err(Error::Malformed(_))));
    }
}
