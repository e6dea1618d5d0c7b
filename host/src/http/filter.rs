//! The list parameters of views: `status=draft`, `dueDate[gte]=2026-01-01`, `status[in]=a,b`, `sort=-dueDate`.
//!
//! Only fields that the view declares can be named. Everything becomes a [`Find`] with a filter in MongoDB's words.

use millwork_registry::manifest::{Manifest, View};
use serde_json::{Value, json};

use super::params::{Params, unknown};
use super::typing::{Types, property};
use crate::capability::documents::query::{Filter, Find, Scope, Sort};
use crate::config::HttpLimits;
use crate::error::Error;

/// Operators of filters, as they stand in brackets.
pub(super) const OPERATORS: [&str; 9] = ["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "exists"];

/// Takes what makes a page out of a request's parameters; what it does not know is an error that names it.
pub(super) fn page(
    manifest: &Manifest,
    view: &View,
    params: &mut Params,
    limits: &HttpLimits,
    scope: Scope,
) -> Result<Find, Error> {
    let limit = limit(params.take("limit")?.as_deref(), limits)?;
    let cursor = params.take("cursor")?;
    let sort = sort(view, params.take("sort")?.as_deref())?;
    let fields = fields(view, params.take("fields")?.as_deref())?;
    let filter = conditions(manifest, view, params.take_rest())?;
    Ok(Find {
        filter: Filter::parse(&filter)?,
        scope,
        sort,
        limit,
        skip: 0,
        cursor,
        fields,
    })
}

/// How many items a page shall have.
pub(super) fn limit(given: Option<&str>, limits: &HttpLimits) -> Result<u32, Error> {
    let Some(text) = given else {
        return Ok(limits.page_default);
    };
    text.parse()
        .ok()
        .filter(|limit| (1..=limits.page_max).contains(limit))
        .ok_or_else(|| {
            Error::Malformed(format!(
                "parameter \"limit\" is a number from 1 to {}",
                limits.page_max
            ))
        })
}

fn sort(view: &View, given: Option<&str>) -> Result<Sort, Error> {
    let Some(text) = given else {
        return Ok(Sort::parse_text(&view.default_sort)?);
    };
    let mut names = text
        .split(',')
        .map(str::trim)
        .map(|key| key.strip_prefix('-').unwrap_or(key));
    match names.find(|name| !view.sort.iter().any(|known| known == name)) {
        Some(name) => Err(Error::Malformed(format!(
            "parameter \"sort\": {name:?} is none of {}",
            view.sort.join(", ")
        ))),
        None => Ok(Sort::parse_text(text)?),
    }
}

fn fields(view: &View, given: Option<&str>) -> Result<Vec<String>, Error> {
    let Some(text) = given else {
        return Ok(view.fields.clone());
    };
    let fields: Vec<String> = text.split(',').map(str::to_owned).collect();
    let declared =
        |field: &String| !field.is_empty() && (view.fields.is_empty() || view.fields.contains(field));
    match fields.iter().find(|field| !declared(field)) {
        Some(field) => Err(Error::Malformed(format!(
            "parameter \"fields\": the view has no field {field:?}"
        ))),
        None => Ok(fields),
    }
}

fn conditions(manifest: &Manifest, view: &View, params: Vec<(String, String)>) -> Result<Value, Error> {
    let all: Vec<Value> = params
        .iter()
        .map(|(name, text)| {
            let (field, operator) = field_and_operator(view, name).ok_or_else(|| unknown(name))?;
            let wrong = |detail: String| Error::Malformed(format!("parameter {name:?}: {detail}"));
            condition(&types(manifest, view, field), operator, text)
                .map(|test| json!({ field: test }))
                .map_err(wrong)
        })
        .collect::<Result<_, _>>()?;
    Ok(if all.is_empty() {
        json!({})
    } else {
        json!({ "$and": all })
    })
}

fn field_and_operator<'a>(view: &View, name: &'a str) -> Option<(&'a str, &'a str)> {
    let (field, operator) = match name.strip_suffix(']') {
        Some(rest) => rest.split_once('[')?,
        None => (name, "eq"),
    };
    let known = view.filter.iter().any(|declared| declared == field) && OPERATORS.contains(&operator);
    known.then_some((field, operator))
}

/// Types of a field: decimals are text, others as the view's schema says.
fn types<'a>(manifest: &'a Manifest, view: &'a View, field: &str) -> Types<'a> {
    let collection = manifest.collections.get(&view.collection);
    if collection.is_some_and(|collection| collection.decimals.iter().any(|decimal| decimal == field)) {
        return Types::text();
    }
    let schema = view
        .schema
        .as_ref()
        .and_then(|schema| property(manifest, schema, field));
    schema
        .map(|schema| Types::of(manifest, schema))
        .unwrap_or_default()
}

fn condition(types: &Types<'_>, operator: &str, text: &str) -> Result<Value, String> {
    let listed = || -> Result<Vec<Value>, String> {
        let lists = text
            .split(',')
            .map(|item| types.values(item))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(lists.into_iter().flatten().collect())
    };
    match operator {
        "exists" => {
            Ok(json!({ "$exists": text.parse::<bool>().map_err(|_| "is true or false".to_owned())? }))
        }
        "in" => Ok(json!({ "$in": listed()? })),
        "nin" => Ok(json!({ "$nin": listed()? })),
        "eq" => Ok(one_of("$eq", "$in", types.values(text)?)),
        "ne" => Ok(one_of("$ne", "$nin", types.values(text)?)),
        _ => Ok(json!({ format!("${operator}"): types.value(text)? })),
    }
}

fn one_of(single: &str, several: &str, mut values: Vec<Value>) -> Value {
    match values.pop() {
        Some(only) if values.is_empty() => json!({ single: only }),
        last => {
            values.extend(last);
            json!({ several: values })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "
manifest: 1
name: invoicing
version: 1.0.0
publisher: millwork
description: Invoices.
licence: Apache-2.0
schemas:
  Money: { type: object, properties: { currency: { type: string } } }
permissions: [documents]
aggregates: { Invoice: { events: { Created: } } }
collections: { invoices: { decimals: [grandTotal] } }
projections: { Invoices: { version: 1, events: [Created], collections: [invoices] } }
views:
  List:
    collection: invoices
    filter: [status, dueDate, grandTotal, lines, total.currency, paid, free]
    sort: [dueDate, grandTotal]
    defaultSort: '-dueDate'
    fields: [status, dueDate]
    schema:
      type: object
      properties:
        status: { type: string }
        dueDate: { type: [string, 'null'], format: date }
        lines: { type: integer }
        paid: { type: boolean }
        total: { $ref: '#/schemas/Money' }
";

    fn filter_of(query: &str) -> Result<Value, Error> {
        let manifest = Manifest::parse(MANIFEST).unwrap();
        let params = Params::parse(Some(query))?.take_rest();
        conditions(&manifest, &manifest.views["List"], params)
    }

    fn check(query: &str, expected: Value) {
        assert_eq!(
            filter_of(query).unwrap(),
            json!({ "$and": [expected] }),
            "{query}"
        );
    }

    #[test]
    fn operators_and_types() {
        check("status=finalized", json!({"status": {"$eq": "finalized"}}));
        check(
            "dueDate[gte]=2026-01-01",
            json!({"dueDate": {"$gte": "2026-01-01"}}),
        );
        check("dueDate=null", json!({"dueDate": {"$eq": null}}));
        check("status[in]=a,b", json!({"status": {"$in": ["a", "b"]}}));
        check("lines[lt]=3", json!({"lines": {"$lt": 3}}));
        check("grandTotal[gt]=10.50", json!({"grandTotal": {"$gt": "10.50"}}));
        check("grandTotal=10", json!({"grandTotal": {"$eq": "10"}}));
        check(
            "total.currency[ne]=EUR",
            json!({"total.currency": {"$ne": "EUR"}}),
        );
        check("paid=true", json!({"paid": {"$eq": true}}));
        check("paid[exists]=false", json!({"paid": {"$exists": false}}));
        check("free=7", json!({"free": {"$in": ["7", 7]}}));
        check("free[ne]=x", json!({"free": {"$ne": "x"}}));
        assert_eq!(filter_of("").unwrap(), json!({}));
    }

    #[test]
    fn what_the_view_does_not_declare_is_refused() {
        for query in [
            "colour=red",
            "status[like]=x",
            "status[eq=x",
            "[eq]=x",
            "status[$gt]=x",
            "$where=1",
            "lines=many",
        ] {
            let name = query.split('=').next().unwrap();
            assert!(
                filter_of(query).unwrap_err().to_string().contains(name),
                "{query}"
            );
        }
    }

    #[test]
    fn pages_are_bounded_and_sorted_by_declared_fields() {
        let manifest = Manifest::parse(MANIFEST).unwrap();
        let limits = HttpLimits::default();
        let page = |query: &str| {
            let mut params = Params::parse(Some(query)).unwrap();
            page(
                &manifest,
                &manifest.views["List"],
                &mut params,
                &limits,
                Scope::whole_tenant(),
            )
        };
        let first = page("").unwrap();
        assert_eq!(
            (first.limit, first.fields),
            (
                limits.page_default,
                vec!["status".to_owned(), "dueDate".to_owned()]
            )
        );
        assert_eq!(
            page("limit=5&sort=dueDate,-grandTotal&fields=status")
                .unwrap()
                .fields,
            ["status"]
        );
        for refused in [
            "limit=0",
            "limit=1001",
            "limit=x",
            "sort=status",
            "sort=-",
            "sort=--dueDate",
            "sort=dueDate,dueDate",
            "fields=secret",
            "fields=",
        ] {
            assert!(page(refused).is_err(), "{refused}");
        }
    }
}
