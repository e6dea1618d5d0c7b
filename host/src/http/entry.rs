//! What lets a request in below `/api/v1`: a bearer token, the id of a session in its place, or a session's cookie.
//!
//! A browser sends a cookie whoever has made the page. So what is sent with one and could change something is taken from
//! pages of the same origin alone, as the browser tells it: by `Sec-Fetch-Site` (W3C Fetch Metadata), which pages cannot set, else
//! by `Origin` (RFC 6454). Who sends neither is no browser that is known to tell, and can say `Authorization` instead.
//! Below `/admin/v1` sessions are nothing: [`super::auth::Door`] takes tokens.

use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method};
use millwork_registry::id::TenantId;

use super::App;
use super::auth::{Principal, bearer};
use super::problem::Problem;
use crate::capability::platform::now_ms;
use crate::capability::sessions::{Handle, Realm, Session};
use crate::error::Error;
use crate::tenant::Tenant;

/// The cookie that carries the id of a session. By its prefix browsers take it over TLS and from this very host alone, so no
/// other subdomain can set one (RFC 6265bis, section 4.1.3.2).
pub(super) const SESSION_COOKIE: &str = "__Host-millwork_session";
/// The same for who speaks plain HTTP with its own machine.
const LOOPBACK_COOKIE: &str = "millwork_session";
/// What ids of sessions begin with, and no token.
pub(super) const ID_PREFIX: &str = "ms_";
/// Characters of an id's secret: 32 bytes in base64url without padding (RFC 4648, section 5).
const SECRET_CHARS: usize = 43;

/// What a request shows to be let in.
enum Shown<'a> {
    /// A token, or nothing.
    Token,
    Session(&'a str),
    Cookie(&'a str),
}

impl App {
    /// Who sends this.
    ///
    /// # Errors
    /// A problem when nobody does who may come in: without a credential or with none that counts, or because what keeps the
    /// sessions does not answer.
    pub(super) async fn enter(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Arc<Principal>, Problem> {
        let id = match shown(headers)? {
            Shown::Token => return Ok(self.principal(headers)?),
            Shown::Session(id) => id,
            Shown::Cookie(id) if method.is_safe() || is_same_origin(headers) => id,
            Shown::Cookie(_) => return Err(Problem::cross_site()),
        };
        let tenant = self.signed_in_at(id).await?;
        let (handle, idle) = (Handle::of(id), self.host.config().sessions.idle);
        let realm = Realm::of(&tenant.record);
        let found = tenant.sessions.touch(&realm, &handle, now_ms(), idle).await?;
        let session = found.ok_or_else(Problem::session_over)?;
        Ok(Arc::new(principal(&tenant, session)))
    }

    /// The tenant of somebody, also when another host has only just made it.
    ///
    /// # Errors
    /// A problem when they have none, it is not there, or they were let into one that had its id before.
    pub(super) async fn own_tenant(&self, principal: &Principal) -> Result<Arc<Tenant>, Problem> {
        let own = principal.tenant.as_ref().ok_or_else(Problem::no_tenant)?;
        self.host.learn(own).await;
        let tenant = self.host.tenant(own)?;
        principal.check_made(tenant.record.created_at_ms / 1_000)?;
        Ok(tenant)
    }

    /// The tenant that an id names. Where the name is not that of the session, there is no such session.
    async fn signed_in_at(&self, id: &str) -> Result<Arc<Tenant>, Problem> {
        let tenant = tenant_of(id).ok_or_else(Problem::session_over)?;
        self.host.learn(&tenant).await;
        match self.host.tenant(&tenant) {
            Err(Error::NoTenant(_)) => Err(Problem::session_over()),
            found => Ok(found?),
        }
    }
}

fn principal(tenant: &Tenant, session: Session) -> Principal {
    Principal {
        user: session.user,
        tenant: Some(tenant.id.clone()),
        roles: session.roles,
        issued_at: session.created_at / 1_000,
        expires_at: session.ends_at / 1_000,
        session: Some(session.handle),
    }
}

/// The id of a session of this tenant; `secret` is random. The tenant is in it, since its profile says where to look.
pub(super) fn id_of(tenant: &TenantId, secret: &str) -> String {
    format!("{ID_PREFIX}{tenant}.{secret}")
}

fn tenant_of(id: &str) -> Option<TenantId> {
    let (tenant, secret) = id.strip_prefix(ID_PREFIX)?.split_once('.')?;
    (secret.len() == SECRET_CHARS).then(|| TenantId::new(tenant).ok())?
}

/// The header goes before the cookie, which browsers add unasked.
fn shown(headers: &HeaderMap) -> Result<Shown<'_>, Error> {
    if headers.contains_key(AUTHORIZATION) {
        let credential = bearer(headers)?;
        let is_session = credential.starts_with(ID_PREFIX);
        return Ok(if is_session {
            Shown::Session(credential)
        } else {
            Shown::Token
        });
    }
    Ok(cookie(headers).map_or(Shown::Token, Shown::Cookie))
}

/// The value of the session's cookie (RFC 6265, section 4.2). Two of them are none, since which is whose cannot be told.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let called_here = text(headers, HOST).is_some_and(is_loopback);
    let plain = || cookie_named(headers, LOOPBACK_COOKIE).filter(|_| called_here);
    cookie_named(headers, SESSION_COOKIE).or_else(plain)
}

/// What has a browser keep the session's cookie for some seconds; none forgets it (RFC 6265, section 4.1).
pub(super) fn set_cookie(headers: &HeaderMap, id: &str, seconds: u64) -> String {
    let (name, secure) = if is_plain_loopback(headers) {
        (LOOPBACK_COOKIE, "")
    } else {
        (SESSION_COOKIE, "; Secure")
    };
    format!("{name}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

fn cookie_named<'a>(headers: &'a HeaderMap, of: &str) -> Option<&'a str> {
    let lines = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter_map(|(name, value)| (name == of).then_some(value));
    values.next().filter(|_| values.next().is_none())
}

/// Whether the browser says that a page of this host's own origin sends this.
fn is_same_origin(headers: &HeaderMap) -> bool {
    match text(headers, HeaderName::from_static("sec-fetch-site")) {
        Some(site) => site == "same-origin",
        None => match (text(headers, ORIGIN), text(headers, HOST)) {
            (Some(origin), Some(host)) => {
                let authority = origin.split_once("://").map(|(_, authority)| authority);
                authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
            }
            _ => false,
        },
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether the client is known to speak plain HTTP with its own machine, where a cookie for TLS alone may be of no use. The
/// page's origin says it; without one, the name by which this host was called.
fn is_plain_loopback(headers: &HeaderMap) -> bool {
    match text(headers, ORIGIN) {
        Some(origin) => origin.strip_prefix("http://").is_some_and(is_loopback),
        None => text(headers, HOST).is_some_and(is_loopback),
    }
}

/// Whether an authority names the client's own machine.
fn is_loopback(authority: &str) -> bool {
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn an_id_names_its_tenant() {
        let secret = "x".repeat(SECRET_CHARS);
        let id = id_of(&TenantId::new("acme").unwrap(), &secret);
        assert_eq!(tenant_of(&id).unwrap().as_str(), "acme");
        for other in [
            String::new(),
            format!("acme.{secret}"),
            format!("ms_Acme.{secret}"),
            format!("ms_.{secret}"),
            format!("ms_acme.{secret}x"),
            "ms_acme.".to_owned(),
            format!("ms_{secret}"),
        ] {
            assert!(tenant_of(&other).is_none(), "{other}");
        }
    }

    #[test]
    fn one_cookie_is_found_among_others_and_two_are_none() {
        const TWO: &str = "__Host-millwork_session=a; __Host-millwork_session=b";
        for (line, expected) in [
            ("__Host-millwork_session=a", Some("a")),
            ("x=1; __Host-millwork_session=a; y=2", Some("a")),
            ("x=__Host-millwork_session; x__Host-millwork_session=b", None),
            (TWO, None),
            ("", None),
        ] {
            assert_eq!(cookie(&headers(&[("cookie", line)])), expected, "{line}");
        }
        let two = TWO.split_once("; ").unwrap();
        assert_eq!(cookie(&headers(&[("cookie", two.0), ("cookie", two.1)])), None);
    }

    #[test]
    fn what_another_subdomain_may_have_set_is_taken_on_loopback_alone() {
        const PLAIN: (&str, &str) = ("cookie", "millwork_session=a");
        assert_eq!(cookie(&headers(&[PLAIN, ("host", "erp.example.com")])), None);
        assert_eq!(cookie(&headers(&[PLAIN])), None);
        let here = ("host", "127.0.0.1:8080");
        assert_eq!(cookie(&headers(&[PLAIN, here])), Some("a"));
        let own = ("cookie", "__Host-millwork_session=b");
        assert_eq!(cookie(&headers(&[PLAIN, own, here])), Some("b"));
    }

    #[test]
    fn only_pages_of_the_same_origin_are_believed() {
        const HERE: (&str, &str) = ("host", "erp.example.com");
        for (lines, expected) in [
            (&[HERE, ("sec-fetch-site", "same-origin")][..], true),
            (&[HERE, ("sec-fetch-site", "same-site")], false),
            (&[HERE, ("sec-fetch-site", "cross-site")], false),
            (&[HERE, ("sec-fetch-site", "none")], false),
            (&[HERE, ("origin", "https://erp.example.com")], true),
            (&[HERE, ("origin", "https://erp.example.com.evil.test")], false),
            (&[HERE, ("origin", "https://evil.test")], false),
            (&[HERE, ("origin", "null")], false),
            (&[HERE], false),
            (&[("origin", "https://erp.example.com")], false),
            (
                &[
                    HERE,
                    ("origin", "https://erp.example.com"),
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
            ),
        ] {
            assert_eq!(is_same_origin(&headers(lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn loopback_is_told_by_the_page_before_the_host() {
        for (lines, expected) in [
            (&[("host", "127.0.0.1:8080")][..], true),
            (&[("host", "localhost")], true),
            (&[("host", "[::1]:8080")], true),
            (&[("host", "erp.example.com")], false),
            (&[("host", "localhost.evil.test")], false),
            (
                &[("host", "127.0.0.1:8080"), ("origin", "https://erp.example.com")],
                false,
            ),
            (
                &[("host", "127.0.0.1:8080"), ("origin", "https://localhost")],
                false,
            ),
            (
                &[("host", "127.0.0.1:8080"), ("origin", "http://localhost:5173")],
                true,
            ),
            (&[], false),
        ] {
            assert_eq!(is_plain_loopback(&headers(lines)), expected, "{lines:?}");
        }
    }
}
