//! A candidate tried on a tenant's history without a swap: what an administrator asks before deciding.

use std::sync::Arc;
use std::time::Duration;

use millwork_registry::generation::Installation;
use millwork_registry::id::TenantId;
use millwork_registry::replay::{Policy, Report, Verdict};
use semver::Version;
use serde::Serialize;

use super::Host;
use crate::blocking;
use crate::capability::platform::now_ms;
use crate::error::Error;
use crate::replay::Counter;

/// What a request leaves of its time for loading the candidate and writing the answer.
const RESERVE: Duration = Duration::from_secs(5);

/// What a trial found, and what the policy makes of it.
#[derive(Debug, Serialize)]
pub struct Tried {
    /// What was found.
    pub report: Report,
    /// What was asked to be made of it.
    pub policy: Policy,
    /// What that comes to.
    pub verdict: Verdict,
}

impl Host {
    /// Replays a tenant's history of a module on another version. The configuration is the tenant's, with that version's
    /// defaults. It takes no longer than a request may.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the module is not enabled, [`Error::Registry`] when the release is unknown or cannot have
    /// the configuration, [`Error::Load`] when it does not load, [`Error::Unavailable`] when the store fails.
    pub async fn try_release(
        &self,
        tenant: &TenantId,
        module: &str,
        version: &Version,
        policy: Policy,
    ) -> Result<Tried, Error> {
        let tenant = self.tenant(tenant)?;
        let serving = Arc::clone(tenant.generation().module(module)?);
        let candidate = blocking::run(|| {
            let release = self.catalog.get(module, version)?;
            let before = self.generations.load(&tenant.id)?;
            let given = before.installations.get(module).and_then(|old| old.given.clone());
            self.load(&Installation::of(&release, given, now_ms())?)
        })?;
        let time = self.config.http.request_timeout.saturating_sub(RESERVE);
        let counter = Arc::new(Counter::default());
        let replayed = self
            .replayer
            .replay(&tenant, &serving, &candidate, &counter, time);
        let report = replayed.await?;
        Ok(Tried {
            verdict: report.judge(&policy),
            policy,
            report,
        })
    }
}
