//! `millwork module`

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};
use http::Method;
use semver::Version;
use serde_json::{Map, Value, json};

use super::Remote;
use super::client::Client;
use super::output::{items, progress, table, text};

/// Enable, upgrade and disable modules of a tenant.
#[derive(Subcommand)]
pub(super) enum Module {
    /// Enable a module.
    Enable(Change),
    /// Move an enabled module to another version, while requests run.
    Upgrade(Change),
    /// Disable a module; its data stays.
    Disable {
        /// The module.
        name: String,
        #[command(flatten)]
        of: Of,
    },
    /// List the modules that are enabled.
    Status {
        #[command(flatten)]
        of: Of,
    },
}

/// A module and the version it shall have.
#[derive(Args)]
pub(super) struct Change {
    /// The module.
    name: String,
    /// The version; the newest when absent.
    version: Option<Version>,
    /// Its configuration, a JSON object; as it was when absent.
    #[arg(long, value_parser = json_object)]
    config: Option<Value>,
    #[command(flatten)]
    of: Of,
}

/// Whose modules.
#[derive(Args)]
pub(super) struct Of {
    /// The tenant; the token's when absent.
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

impl Module {
    pub(super) fn run(&self) -> Result<()> {
        match self {
            Self::Enable(change) => change.run(),
            Self::Upgrade(change) => {
                change.of.ensure_enabled(&change.name)?;
                change.run()
            }
            Self::Disable { name, of } => {
                let client = of.remote.client()?;
                let swapped = client.delete(&format!("{}/{}", of.path(&client)?, segment(name)?))?;
                of.remote.output().answer(&swapped, sentence)
            }
            Self::Status { of } => of.remote.output().answer(&of.status()?, status),
        }
    }
}

impl Change {
    fn run(&self) -> Result<()> {
        let client = self.of.remote.client()?;
        let path = format!("{}/{}", self.of.path(&client)?, segment(&self.name)?);
        let mut body = Map::new();
        if let Some(version) = &self.version {
            body.insert("version".to_owned(), json!(version));
        }
        if let Some(config) = &self.config {
            body.insert("config".to_owned(), config.clone());
        }
        progress(&format!("preparing {}", self.name));
        let swapped = client.send(Method::PUT, &path, &Value::Object(body))?;
        self.of.remote.output().answer(&swapped, sentence)
    }
}

impl Of {
    fn path(&self, client: &Client) -> Result<String> {
        Ok(format!(
            "/admin/v1/tenants/{}/modules",
            segment(&client.tenant(self.tenant.as_deref())?)?
        ))
    }

    fn status(&self) -> Result<Value> {
        let client = self.remote.client()?;
        client.get(&self.path(&client)?)
    }

    fn ensure_enabled(&self, module: &str) -> Result<()> {
        let status = self.status()?;
        let enabled = items(&status, "modules")
            .iter()
            .any(|known| text(known, "name") == module);
        ensure!(
            enabled,
            "{module} is not enabled; `millwork module enable {module}` does that (module-not-enabled)"
        );
        Ok(())
    }
}

/// Names stand in paths as they are, so other characters than theirs are refused.
fn segment(name: &str) -> Result<&str> {
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    ensure!(plain, "{name:?} is no name");
    Ok(name)
}

fn json_object(text: &str) -> Result<Value> {
    let value: Value = serde_json::from_str(text).context("the configuration is no JSON")?;
    ensure!(value.is_object(), "the configuration must be a JSON object");
    Ok(value)
}

fn sentence(swapped: &Value) -> String {
    let (module, tenant) = (text(swapped, "module"), text(swapped, "tenant"));
    match (
        swapped.get("from").and_then(Value::as_str),
        swapped.get("to").and_then(Value::as_str),
    ) {
        (None, Some(to)) => format!("{module} {to} is enabled for {tenant}"),
        (Some(from), Some(to)) if from == to => format!("{module} {to} serves {tenant}"),
        (Some(from), Some(to)) => format!("{module} went from {from} to {to} for {tenant}"),
        (_, None) => format!("{module} is disabled for {tenant}"),
    }
}

fn status(answer: &Value) -> String {
    let row = |module| {
        ["name", "version", "description"]
            .map(|key| text(module, key))
            .to_vec()
    };
    let rows: Vec<_> = items(answer, "modules").iter().map(row).collect();
    let heading = format!(
        "tenant {}, generation {}",
        text(answer, "tenant"),
        text(answer, "generation")
    );
    format!(
        "{heading}\n{}",
        table(&["MODULE", "VERSION", "DESCRIPTION"], &rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swaps_are_sentences() {
        let swap = |from: Option<&str>, to: Option<&str>| {
            sentence(&json!({"tenant": "acme", "module": "client", "from": from, "to": to}))
        };
        assert_eq!(swap(None, Some("1.0.0")), "client 1.0.0 is enabled for acme");
        assert_eq!(
            swap(Some("1.0.0"), Some("1.1.0")),
            "client went from 1.0.0 to 1.1.0 for acme"
        );
        assert_eq!(swap(Some("1.1.0"), None), "client is disabled for acme");
    }

    #[test]
    fn names_cannot_leave_their_segment() {
        assert!(segment("client").is_ok());
        for name in ["", "a/b", "..", "a?b", "a b"] {
            assert!(segment(name).is_err(), "{name}");
        }
    }
}
