//! What a tenant runs at one moment, as an immutable value: enabling, upgrading or disabling makes the next one.
//!
//! A generation knows which releases it consists of; their manifests come in as arguments. [`Generations`] keeps it on
//! the disk; putting it to work is the host's business.

mod check;
mod store;

use indexmap::IndexMap;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::store::{GENERATIONS_KEPT, Generations, TenantRecord};
use crate::Error;
use crate::id::{Digest, TenantId};
use crate::manifest::{Manifest, Permission};
use crate::release::Release;
use crate::swap::Change;

/// The installations of a tenant at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Generation {
    /// Whose.
    pub tenant: TenantId,
    /// Counts the generations of the tenant; 0 has nothing installed.
    pub number: u64,
    /// By the component's name, in the order in which they were first enabled.
    pub installations: IndexMap<String, Installation>,
}

/// A tenant's use of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Installation {
    /// The component.
    pub name: String,
    /// The version that runs.
    pub version: Version,
    /// Its bytes.
    pub digest: Digest,
    /// The range that the tenant asked for; within it the module may move along with others. None: it came along itself,
    /// or was asked for in one version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<VersionReq>,
    /// What the tenant lets it touch.
    pub granted: Vec<Permission>,
    /// The configuration as the tenant gave it, without defaults: an upgrade starts from it, so that the next release's
    /// defaults take effect and settings that it no longer has do not stand in its way.
    pub given: Option<Value>,
    /// The configuration with this release's defaults: a JSON object.
    pub config: Value,
    /// When this release was enabled, in milliseconds since 1970.
    pub enabled_at_ms: u64,
}

impl Installation {
    /// A release with a configuration, granted what its manifest asks for.
    ///
    /// # Errors
    /// [`Error::SchemaMismatch`] when the configuration does not fit.
    pub fn of(release: &Release, given: Option<Value>, now_ms: u64) -> Result<Self, Error> {
        Ok(Self {
            name: release.name.clone(),
            version: release.version.clone(),
            digest: release.digest.clone(),
            wanted: None,
            granted: release.manifest.permissions.clone(),
            config: release.manifest.configuration(given.clone())?,
            given,
            enabled_at_ms: now_ms,
        })
    }
}

impl Generation {
    /// The generation that a new tenant has.
    #[must_use]
    pub fn first(tenant: TenantId) -> Self {
        Self {
            tenant,
            number: 0,
            installations: IndexMap::new(),
        }
    }

    /// What a release asks for beyond what the tenant has granted to the component: what consent is about.
    #[must_use]
    pub fn new_permissions(&self, manifest: &Manifest) -> Vec<Permission> {
        let granted = self
            .installations
            .get(&manifest.name)
            .map(|installed| installed.granted.as_slice());
        let is_granted = |asked: &Permission| granted.unwrap_or_default().iter().any(|had| had.covers(asked));
        let is_new = |asked: &&Permission| !is_granted(asked);
        manifest.permissions.iter().filter(is_new).cloned().collect()
    }

    /// The next generation, with this installation in the place of an earlier one of the component, or beside the
    /// others. `manifests` are at least those of the next generation's components.
    ///
    /// # Errors
    /// Those of [`Generation::check`].
    pub fn with(&self, installation: Installation, manifests: &[Manifest]) -> Result<Self, Error> {
        let mut next = self.next();
        next.installations.insert(installation.name.clone(), installation);
        next.check(manifests)?;
        Ok(next)
    }

    /// The next generation, without this component. `manifests` are at least those of the others.
    ///
    /// # Errors
    /// [`Error::NotEnabled`]; those of [`Generation::check`], [`Error::DependenciesUnmet`] when others need it.
    pub fn without(&self, name: &str, manifests: &[Manifest]) -> Result<Self, Error> {
        let mut next = self.next();
        if next.installations.shift_remove(name).is_none() {
            return Err(Error::NotEnabled {
                name: name.to_owned(),
                tenant: self.tenant.clone(),
            });
        }
        next.check(manifests)?;
        Ok(next)
    }

    /// The next generation, after all changes of a swap. `manifests` are at least those of its components.
    ///
    /// # Errors
    /// [`Error::NotEnabled`]; those of [`Generation::check`].
    pub fn after(&self, changes: &[Change], manifests: &[Manifest]) -> Result<Self, Error> {
        let mut next = self.next();
        for Change { module, to, .. } in changes {
            match to {
                Some(installation) => drop(next.installations.insert(module.clone(), installation.clone())),
                None if next.installations.shift_remove(module).is_some() => {}
                None => {
                    return Err(Error::NotEnabled {
                        name: module.clone(),
                        tenant: self.tenant.clone(),
                    });
                }
            }
        }
        next.check(manifests)?;
        Ok(next)
    }

    /// The next generation, which consists of what an earlier one consisted of.
    #[must_use]
    pub fn back_to(&self, past: &Self) -> Self {
        Self {
            installations: past.installations.clone(),
            ..self.next()
        }
    }

    /// Whether the components of this generation can run together. Of `manifests` those are looked at that belong to it.
    ///
    /// # Errors
    /// [`Error::NotGranted`], [`Error::DependenciesUnmet`], [`Error::RoutesCollide`]; [`Error::NoRelease`] when a
    /// manifest is missing.
    pub fn check(&self, manifests: &[Manifest]) -> Result<(), Error> {
        let own = self.installations.values().map(|installed| {
            let is_own = |manifest: &&Manifest| {
                manifest.name == installed.name && manifest.version == installed.version
            };
            manifests.iter().find(is_own).ok_or_else(|| Error::NoRelease {
                name: installed.name.clone(),
                version: installed.version.to_string(),
            })
        });
        let own = own.collect::<Result<Vec<_>, _>>()?;
        check::granted(self, &own)?;
        check::dependencies(&own)?;
        check::routes(&own)
    }

    fn next(&self) -> Self {
        Self {
            number: self.number + 1,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests;
