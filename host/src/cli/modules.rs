//! `millwork module`

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;

use super::Remote;
use super::changes::{Change, Disable, RollBack};
use super::client::Client;
use super::output::{items, text};
use super::replay::Replay;
use super::status::status;

/// Enable, upgrade, try, roll back and disable modules of a tenant.
#[derive(Subcommand)]
pub(super) enum Module {
    /// Enable a module.
    Enable(Box<Change>),
    /// Move an enabled module to another version, while requests run.
    Upgrade(Box<Change>),
    /// Take a module back to a version before, for one tenant or for all that run a bad version.
    #[command(name = "rollback")]
    RollBack(Box<RollBack>),
    /// Disable a module; its data stays.
    Disable(Disable),
    /// Let calls through to a module that was quarantined, since what it failed at is mended.
    Revive {
        /// The module.
        name: String,
        #[command(flatten)]
        of: Of,
    },
    /// Try a version on the tenant's history, before it serves.
    Replay(Replay),
    /// Show the modules that are enabled, how they are, and the swap under way.
    Status {
        #[command(flatten)]
        of: Of,
    },
}

/// Whose modules.
#[derive(Args)]
pub(super) struct Of {
    /// The tenant; the token's when absent.
    #[arg(long)]
    pub(super) tenant: Option<String>,
    #[command(flatten)]
    pub(super) remote: Remote,
}

/// One tenant of a running host.
pub(super) struct Place {
    pub(super) client: Client,
    pub(super) tenant: String,
}

impl Module {
    pub(super) fn run(&self) -> Result<()> {
        match self {
            Self::Enable(change) => change.run(&change.of.open()?),
            Self::Upgrade(change) => {
                let place = change.of.open()?;
                place.ensure_enabled(&change.name)?;
                change.run(&place)
            }
            Self::RollBack(roll_back) => roll_back.run(),
            Self::Disable(disable) => disable.run(),
            Self::Revive { name, of } => {
                let place = of.open()?;
                let path = format!("{}/revive", place.module(name)?);
                let answer = place.client.send(Method::POST, &path, &json!({}))?;
                of.remote.output().answer(&answer, |answer| {
                    format!("{name} is called again for {}", text(answer, "tenant"))
                })
            }
            Self::Replay(replay) => replay.run(),
            Self::Status { of } => {
                let place = of.open()?;
                of.remote
                    .output()
                    .answer(&place.client.get(&place.modules())?, status)
            }
        }
    }
}

impl Of {
    /// The tenant that is meant.
    pub(super) fn open(&self) -> Result<Place> {
        let client = self.remote.client()?;
        let tenant = client.tenant(self.tenant.as_deref())?;
        Place::new(client, &tenant)
    }
}

impl Place {
    /// A tenant by its name.
    pub(super) fn new(client: Client, tenant: &str) -> Result<Self> {
        let tenant = segment(tenant)?.to_owned();
        Ok(Self { client, tenant })
    }

    /// Path of its modules.
    pub(super) fn modules(&self) -> String {
        format!("/admin/v1/tenants/{}/modules", self.tenant)
    }

    /// Path of one of its modules.
    pub(super) fn module(&self, name: &str) -> Result<String> {
        Ok(format!("{}/{}", self.modules(), segment(name)?))
    }

    /// Path of its dead letters.
    pub(super) fn letters(&self) -> String {
        format!("/admin/v1/tenants/{}/letters", self.tenant)
    }

    /// Path of its swaps.
    pub(super) fn swaps(&self) -> String {
        format!("/admin/v1/tenants/{}/swaps", self.tenant)
    }

    /// What is to be typed for a swap to hear something.
    pub(super) fn command(&self, what: &str, number: u64) -> String {
        format!("millwork swap {what} {number} --tenant {}", self.tenant)
    }

    fn ensure_enabled(&self, module: &str) -> Result<()> {
        let status = self.client.get(&self.modules())?;
        // One that did not load is enabled too, and may be upgraded for that very reason.
        let mut enabled = ["modules", "broken"]
            .into_iter()
            .flat_map(|key| items(&status, key));
        ensure!(
            enabled.any(|known| text(known, "name") == module),
            "{module} is not enabled; `millwork module enable {module}` does that (module-not-enabled)"
        );
        Ok(())
    }
}

/// Names stand in paths as they are, so other characters than theirs are refused.
pub(super) fn segment(name: &str) -> Result<&str> {
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    ensure!(plain, "{name:?} is no name");
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_segment() {
        assert!(segment("client").is_ok());
        for name in ["", "a/b", "..", "a?b", "a b"] {
            assert!(segment(name).is_err(), "{name}");
        }
    }
}
