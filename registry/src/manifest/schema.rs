//! JSON Schemas of a manifest: how they are made self-contained and compiled.
//!
//! A manifest may come from anybody, so its schemas can neither reach the network nor use patterns that backtrack.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value};

use super::Manifest;
use crate::Error;

/// A JSON Schema (draft 2020-12), as written in the manifest; `#/schemas/X` refers to [`Manifest::schemas`].
pub type Schema = Value;

impl Manifest {
    /// A schema of this manifest with all that it refers to: [`Manifest::schemas`] stands in it under `schemas`, so that
    /// `#/schemas/X` resolves. Ready for [`compile`].
    #[must_use]
    pub fn schema_document(&self, schema: &Schema) -> Value {
        let Value::Object(keywords) = schema else {
            return schema.clone();
        };
        let mut document = keywords.clone();
        if !self.schemas.is_empty() {
            let shared: Map<_, _> = self
                .schemas
                .iter()
                .map(|(name, schema)| (name.clone(), schema.clone()))
                .collect();
            document.insert("schemas".to_owned(), Value::Object(shared));
        }
        Value::Object(document)
    }

    /// A tenant's configuration with the schema's defaults filled in; `{}` where the manifest has no schema for it.
    ///
    /// # Errors
    /// [`Error::SchemaMismatch`] when it is no object, does not fit the schema, or is there without a schema.
    pub fn configuration(&self, given: Option<Value>) -> Result<Value, Error> {
        let mismatch = |message: String| Error::SchemaMismatch {
            what: "configuration",
            message,
        };
        let mut config = match given {
            Some(Value::Object(config)) => config,
            None | Some(Value::Null) => Map::new(),
            Some(_) => return Err(mismatch("must be an object".to_owned())),
        };
        let Some(schema) = &self.config else {
            let unknown = config
                .keys()
                .next()
                .map(|key| mismatch(format!("{} has no setting {key:?}", self.name)));
            return unknown.map_or(Ok(Value::Object(config)), Err);
        };
        for (name, value) in defaults(self.resolved(schema)) {
            config.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let config = Value::Object(config);
        let validator = compile(&self.schema_document(schema)).map_err(mismatch)?;
        validator
            .validate(&config)
            .map_err(|error| mismatch(at(&error)))?;
        Ok(config)
    }

    /// A configuration that an earlier release worked with, as this one would have had it: settings that it does not know
    /// are left out, its defaults filled in.
    ///
    /// # Errors
    /// [`Error::SchemaMismatch`] when what is left does not fit.
    pub fn configuration_of_before(&self, config: Value) -> Result<Value, Error> {
        let known = self.config.as_ref().map(|schema| self.resolved(schema));
        let known = known.and_then(|schema| schema.get("properties"));
        match (self.configuration(Some(config.clone())), config) {
            (Err(_), Value::Object(mut settings)) => {
                settings.retain(|name, _| known.is_some_and(|known| known.get(name).is_some()));
                self.configuration(Some(Value::Object(settings)))
            }
            (fits, _) => fits,
        }
    }

    /// The schema itself, or the shared one that it does nothing but refer to.
    pub(crate) fn resolved<'a>(&'a self, schema: &'a Schema) -> &'a Schema {
        let shared = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|target| target.strip_prefix("#/schemas/"));
        shared.and_then(|name| self.schemas.get(name)).unwrap_or(schema)
    }
}

/// Compiles a self-contained schema: draft 2020-12, formats checked, references only within the document, patterns in
/// the linear-time dialect of the `regex` crate.
///
/// # Errors
/// In words, what the schema has that cannot be compiled.
pub fn compile(document: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .with_pattern_options(PatternOptions::regex())
        .offline()
        .build(document)
        .map_err(|error| at(&error))
}

/// An error of the validator with its place.
pub(super) fn at(error: &jsonschema::ValidationError<'_>) -> String {
    let place = error.instance_path().as_str();
    if place.is_empty() {
        error.to_string()
    } else {
        format!("{place}: {error}")
    }
}

/// Defaults of an object schema's properties.
pub(super) fn defaults(schema: &Schema) -> impl Iterator<Item = (&String, &Value)> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .filter_map(|(name, property)| Some((name, property.get("default")?)))
}
