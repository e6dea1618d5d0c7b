//! `wasi:config`: the tenant's configuration of a component, for those that do not take it from their context.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::Budget;
use crate::bindings::standard::wasi::config::store::{Error, Host};

/// The configuration as one call sees it.
pub struct ConfigCall {
    text: Arc<str>,
    budget: Arc<Budget>,
    /// Made when it is first asked for: most components never do.
    values: Option<BTreeMap<String, String>>,
}

impl ConfigCall {
    /// For one call; `text` is the configuration as JSON.
    #[must_use]
    pub fn new(text: Arc<str>, budget: Arc<Budget>) -> Self {
        Self {
            text,
            budget,
            values: None,
        }
    }

    fn values(&mut self) -> &BTreeMap<String, String> {
        self.values.get_or_insert_with(|| flat(&self.text))
    }
}

impl Host for ConfigCall {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        self.budget.spend_call()?;
        let value = self.values().get(&key).cloned();
        self.budget.spend_bytes(value.as_ref().map_or(0, String::len))?;
        Ok(Ok(value))
    }

    async fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, Error>> {
        self.budget.spend_call()?;
        let all: Vec<_> = self
            .values()
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        self.budget
            .spend_bytes(all.iter().map(|(key, value)| key.len() + value.len()).sum())?;
        Ok(Ok(all))
    }
}

/// Members by their path: texts as they are, all else as JSON. A member whose name has a dot gives way to a path.
fn flat(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut left = vec![(String::new(), serde_json::from_str(text).unwrap_or_default())];
    while let Some((path, value)) = left.pop() {
        match value {
            Value::Object(members) => left.extend(members.into_iter().map(|(name, value)| {
                let path = if path.is_empty() {
                    name
                } else {
                    format!("{path}.{name}")
                };
                (path, value)
            })),
            _ if path.is_empty() => {}
            Value::String(text) => drop(values.insert(path, text)),
            other => drop(values.insert(path, other.to_string())),
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let values = flat(text);
        let values: Vec<_> = values
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(values, expected, "{text}");
    }

    #[test]
    fn members_are_named_by_their_path() {
        check("{}", &[]);
        check("7", &[]);
        check("", &[]);
        check(
            r#"{"b":"text","a":{"on":true,"deep":{"n":1.50}},"list":["x",2],"none":null}"#,
            &[
                ("a.deep.n", "1.5"),
                ("a.on", "true"),
                ("b", "text"),
                ("list", r#"["x",2]"#),
                ("none", "null"),
            ],
        );
    }
}
