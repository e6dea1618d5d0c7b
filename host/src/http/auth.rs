//! Who asks, and whether they may: one door (credential to [`Principal`]) and one decision point ([`authorize`]).
//!
//! The tenant comes from the credential alone, never from a path or a body. The [`Scope`] of a request, without which no
//! document can be read, is made here and nowhere else.
//!
//! Roles: `admin` may do everything in its tenant, `editor` what needs `<module>.read` or `<module>.write`, `viewer` what
//! needs `<module>.read`; `<module>.<role>` has the permissions that the module's manifest gives that role;
//! `operator`, without a tenant, administers the host.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use millwork_registry::id::TenantId;
use millwork_registry::manifest::Manifest;
use moka::sync::Cache;
use sha2::{Digest as _, Sha256};

use super::entry::ID_PREFIX;
use super::problem::NO_CREDENTIAL;
use super::token::{Claims, Keys};
use crate::capability::documents::query::Scope;
use crate::capability::sessions::Handle;
use crate::error::Error;

/// Role of those who administer the host.
pub const OPERATOR: &str = "operator";
/// Role of those who may do everything in their tenant.
pub const ADMIN: &str = "admin";
/// How far the clocks of hosts may be apart, in seconds.
const CLOCKS_APART_MAX: u64 = 60;
const EDITOR: &str = "editor";
const VIEWER: &str = "viewer";

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Subject of the credential.
    pub user: String,
    /// Absent for operators.
    pub tenant: Option<TenantId>,
    /// See the module.
    pub roles: Vec<String>,
    /// When the credential was issued, in seconds since 1970.
    pub issued_at: u64,
    /// When it ends, in seconds since 1970.
    pub expires_at: u64,
    /// The session that they came by; absent for a token.
    pub session: Option<Handle>,
}

impl Principal {
    /// Whether the credential is of the tenant that was made at this time, in seconds since 1970, and not of one that had
    /// its id before.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when it is older.
    pub fn check_made(&self, made_at: u64) -> Result<(), Error> {
        if self.issued_at.saturating_add(CLOCKS_APART_MAX) < made_at {
            return Err(Error::Unauthenticated(
                "the token is of a tenant that was removed",
            ));
        }
        Ok(())
    }

    fn has(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }
}

impl From<Claims> for Principal {
    fn from(claims: Claims) -> Self {
        Self {
            user: claims.sub,
            tenant: claims.tenant,
            roles: claims.roles,
            issued_at: claims.iat,
            expires_at: claims.exp,
            session: None,
        }
    }
}

/// Where credentials become principals.
pub struct Door {
    keys: Keys,
    /// By SHA-256 of the token, so that a memory dump holds no credential.
    seen: Cache<[u8; 32], Arc<Principal>>,
}

impl Door {
    /// A door that remembers `tokens_cached` verified tokens.
    #[must_use]
    pub fn new(keys: Keys, tokens_cached: u64) -> Self {
        Self {
            keys,
            seen: Cache::new(tokens_cached),
        }
    }

    /// The key behind it, to issue tokens.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Who sends these headers. `now` in seconds since 1970.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] without a token, with one that this host did not sign, or that has expired.
    pub fn principal(&self, headers: &HeaderMap, now: u64) -> Result<Arc<Principal>, Error> {
        let token = bearer(headers)?;
        if token.starts_with(ID_PREFIX) {
            return Err(Error::Unauthenticated("a token is needed here, and no session"));
        }
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let principal = match self.seen.get(&key) {
            Some(principal) => principal,
            None => self.remember(key, self.keys.verify(token)?),
        };
        if principal.expires_at <= now {
            self.seen.invalidate(&key);
            return Err(Error::Unauthenticated("the token has expired"));
        }
        Ok(principal)
    }

    fn remember(&self, key: [u8; 32], claims: Claims) -> Arc<Principal> {
        let principal = Arc::new(Principal::from(claims));
        self.seen.insert(key, Arc::clone(&principal));
        principal
    }
}

/// The token of RFC 6750, section 2.1; the scheme's case does not matter.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let header = headers
        .get(AUTHORIZATION)
        .ok_or(Error::Unauthenticated(NO_CREDENTIAL))?;
    let text = header
        .to_str()
        .map_err(|_| Error::Unauthenticated("the credential is no text"))?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Error::Unauthenticated(NO_CREDENTIAL)),
    }
}

/// What a route needs: what its manifest says, else a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need<'a> {
    /// `<module>.read`, or what the view or query names.
    Read(Option<&'a str>),
    /// `<module>.write`, or what the command names.
    Write(Option<&'a str>),
}

/// The decision: whether `principal` may do what `need` says in the module, and which documents that includes.
///
/// # Errors
/// [`Error::Forbidden`] with the permission that is missing.
pub fn authorize(principal: &Principal, manifest: &Manifest, need: Need<'_>) -> Result<Scope, Error> {
    if principal.tenant.is_some() && principal.roles.iter().any(|role| allows(role, manifest, need)) {
        return Ok(Scope::whole_tenant());
    }
    Err(Error::Forbidden(match need {
        Need::Read(Some(named)) | Need::Write(Some(named)) => named.to_owned(),
        Need::Read(None) => manifest.read_permission(),
        Need::Write(None) => manifest.write_permission(),
    }))
}

fn allows(role: &str, manifest: &Manifest, need: Need<'_>) -> bool {
    match role {
        ADMIN => true,
        EDITOR => fits(need, manifest, "read") || fits(need, manifest, "write"),
        VIEWER => fits(need, manifest, "read"),
        _ => role
            .split_once('.')
            .filter(|(module, _)| *module == manifest.name)
            .and_then(|(_, name)| manifest.roles.get(name))
            .is_some_and(|granted| granted.iter().any(|permission| is(need, manifest, permission))),
    }
}

/// Whether the need is the module's permission of this name.
fn fits(need: Need<'_>, manifest: &Manifest, verb: &str) -> bool {
    match need {
        Need::Read(None) => verb == "read",
        Need::Write(None) => verb == "write",
        Need::Read(Some(named)) | Need::Write(Some(named)) => {
            named.split_once('.') == Some((&manifest.name, verb))
        }
    }
}

/// Whether the need is this permission.
fn is(need: Need<'_>, manifest: &Manifest, permission: &str) -> bool {
    match need {
        Need::Read(Some(named)) | Need::Write(Some(named)) => named == permission,
        Need::Read(None) => permission.split_once('.') == Some((&manifest.name, "read")),
        Need::Write(None) => permission.split_once('.') == Some((&manifest.name, "write")),
    }
}

/// What an administrative request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain<'a> {
    /// The host and all tenants.
    Host,
    /// Modules of one tenant.
    Modules(&'a TenantId),
    /// What could be enabled.
    Catalog,
}

/// The decision for `/admin/v1`. The answer is the same for tenants that exist and that do not.
///
/// # Errors
/// [`Error::Forbidden`].
pub fn administer(principal: &Principal, domain: Domain<'_>) -> Result<(), Error> {
    if principal.tenant.is_none() && principal.has(OPERATOR) {
        return Ok(());
    }
    let allowed = match (domain, &principal.tenant) {
        (Domain::Modules(tenant), Some(own)) => tenant == own && principal.has(ADMIN),
        (Domain::Catalog, Some(_)) => principal.has(ADMIN),
        _ => false,
    };
    if allowed {
        Ok(())
    } else {
        Err(Error::Forbidden(OPERATOR.to_owned()))
    }
}

/// The decision for changes that a tenant makes of what it runs itself.
///
/// # Errors
/// [`Error::Forbidden`].
pub fn manage(principal: &Principal) -> Result<(), Error> {
    if principal.tenant.is_some() && principal.has(ADMIN) {
        return Ok(());
    }
    Err(Error::Forbidden(ADMIN.to_owned()))
}

/// Whether a role has a form that can mean something, for a tenant or for the host.
#[must_use]
pub fn is_role(role: &str, tenant: Option<&TenantId>) -> bool {
    match (role, tenant) {
        (OPERATOR, None) | (ADMIN | EDITOR | VIEWER, Some(_)) => true,
        (OPERATOR | ADMIN | EDITOR | VIEWER, _) | (_, None) => false,
        (role, Some(_)) => role
            .split_once('.')
            .is_some_and(|(module, name)| !module.is_empty() && !name.is_empty()),
    }
}

#[cfg(test)]
mod tests;
