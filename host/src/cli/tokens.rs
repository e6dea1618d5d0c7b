//! `millwork token`

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Subcommand;
use http::Method;
use millwork_registry::id::TenantId;
use serde_json::{Value, json};

use super::Remote;
use super::output::text;
use crate::http::auth::is_role;
use crate::http::now_seconds;
use crate::http::token::{Claims, Keys, TTL_SECONDS_MAX};

/// Issue tokens.
#[derive(Subcommand)]
pub(super) enum Token {
    /// Issue a token and print it.
    Issue {
        /// The tenant it is for; absent for operators.
        #[arg(long)]
        tenant: Option<String>,
        /// The user or program that will hold it.
        #[arg(long)]
        subject: String,
        /// admin, editor, viewer or MODULE.ROLE; operator without a tenant. May be repeated.
        #[arg(long = "role", required = true)]
        roles: Vec<String>,
        /// How long it lives: 90s, 15m, 1h, 30d.
        #[arg(long, default_value = "1h", value_parser = seconds)]
        ttl: u64,
        /// Sign with the key in this data folder instead of asking a running host.
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        #[command(flatten)]
        remote: Remote,
    },
}

impl Token {
    pub(super) fn run(&self) -> Result<()> {
        let Self::Issue {
            tenant,
            subject,
            roles,
            ttl,
            data,
            remote,
        } = self;
        let issued = match data {
            Some(data) => {
                let keys = Keys::read(data).context("read the host's key")?;
                offline(&keys, tenant.as_deref(), subject, roles, *ttl)?
            }
            None => {
                let body = json!({ "tenant": tenant, "subject": subject, "roles": roles, "ttl": ttl });
                remote.client()?.send(Method::POST, "/admin/v1/tokens", &body)?
            }
        };
        remote.output().answer(&issued, |issued| text(issued, "token"))
    }
}

fn offline(keys: &Keys, tenant: Option<&str>, subject: &str, roles: &[String], ttl: u64) -> Result<Value> {
    let tenant = tenant.map(TenantId::new).transpose()?;
    if let Some(role) = roles.iter().find(|role| !is_role(role, tenant.as_ref())) {
        bail!(
            "role {role:?} means nothing {}",
            if tenant.is_some() {
                "in a tenant"
            } else {
                "without a tenant"
            }
        );
    }
    let claims = Claims::new(subject, tenant, roles.to_vec(), now_seconds(), ttl);
    Ok(json!({ "token": keys.sign(&claims)?, "expiresAt": claims.exp, "id": claims.jti }))
}

/// Seconds that a token lives.
fn seconds(text: &str) -> Result<u64> {
    let seconds = whole_seconds(text)?;
    ensure!(
        (1..=TTL_SECONDS_MAX).contains(&seconds),
        "a token lives 1 second to {} days",
        TTL_SECONDS_MAX / 86_400
    );
    Ok(seconds)
}

/// Seconds of `90s`, `15m`, `1h`, `30d` or a bare number of seconds.
pub(super) fn whole_seconds(text: &str) -> Result<u64> {
    const FORM: &str = "a time is a number with s, m, h or d";
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let factor = match text.get(digits.len()..) {
        Some("" | "s") => 1,
        Some("m") => 60,
        Some("h") => 3_600,
        Some("d") => 86_400,
        _ => bail!(FORM),
    };
    let number: u64 = digits.parse().context(FORM)?;
    number.checked_mul(factor).context("too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, expected) in [
            ("90s", 90),
            ("15m", 900),
            ("1h", 3_600),
            ("366d", TTL_SECONDS_MAX),
            ("7", 7),
        ] {
            assert_eq!(seconds(text).unwrap(), expected, "{text}");
        }
        for refused in [
            "",
            "h",
            "1w",
            "-1h",
            "0s",
            "367d",
            "1.5h",
            "99999999999999999999d",
        ] {
            assert!(seconds(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn tokens_can_be_signed_offline() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(folder.path()).unwrap();
        let issued = offline(&keys, Some("acme"), "ada", &["admin".to_owned()], 60).unwrap();
        assert_eq!(keys.verify(issued["token"].as_str().unwrap()).unwrap().sub, "ada");
        assert!(offline(&keys, None, "ada", &["admin".to_owned()], 60).is_err());
        assert!(offline(&keys, Some("../x"), "ada", &["admin".to_owned()], 60).is_err());
    }
}
