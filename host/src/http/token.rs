//! Bearer tokens: JWTs (RFC 7519) signed with the host's Ed25519 key (RFC 8037), and no other algorithm.

use std::fs;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use millwork_registry::id::TenantId;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::Error;
use crate::secret_file;

/// Name of the key's file in the data folder.
pub const KEY_FILE: &str = "host-key";
/// Longest life of a token, in seconds: 366 days.
pub const TTL_SECONDS_MAX: u64 = 366 * 24 * 3600;

const ISSUER: &str = "millwork";
/// PKCS#8 around the 32 bytes of an Ed25519 seed (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Always `millwork`.
    pub iss: String,
    /// The user or program.
    pub sub: String,
    /// Absent for operators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Names as in [`super::auth`].
    #[serde(default)]
    pub roles: Vec<String>,
    /// When it was issued, in seconds since 1970.
    pub iat: u64,
    /// When it ends, in seconds since 1970.
    pub exp: u64,
    /// Unique, for the log.
    pub jti: String,
}

impl Claims {
    /// Claims of a token that lives `ttl_seconds` from `now` (seconds since 1970).
    #[must_use]
    pub fn new(
        subject: &str,
        tenant: Option<TenantId>,
        roles: Vec<String>,
        now: u64,
        ttl_seconds: u64,
    ) -> Self {
        Self {
            iss: ISSUER.to_owned(),
            sub: subject.to_owned(),
            tenant,
            roles,
            iat: now,
            exp: now.saturating_add(ttl_seconds.min(TTL_SECONDS_MAX)),
            jti: uuid::Uuid::now_v7().to_string(),
        }
    }
}

/// The host's key, to sign and to verify.
pub struct Keys {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
}

impl Keys {
    /// The key of a cluster, written to the data folder for the command line; without one that of the data folder.
    ///
    /// # Errors
    /// When it cannot be read or written, or is no Ed25519 key in PKCS#8 PEM.
    pub fn of(config: &Config) -> io::Result<Self> {
        const SETTING: &str = "cluster.host_key";
        let Some(cluster) = &config.cluster else {
            return Self::open(&config.data);
        };
        let pem = cluster.host_key.read(SETTING).map_err(io::Error::other)?;
        let keys = Self::of_pem(pem.as_bytes());
        let keys = keys.map_err(|error| io::Error::other(format!("{SETTING}: {error}")))?;
        let path = config.data.join(KEY_FILE);
        if !fs::read(&path).is_ok_and(|written| written == pem.as_bytes()) {
            secret_file::write(&path, pem.as_bytes())?;
        }
        Ok(keys)
    }

    /// The key in the data folder; made there on the first start.
    ///
    /// # Errors
    /// When the file cannot be read or written, or holds no Ed25519 key in PKCS#8 PEM.
    pub fn open(data: &Path) -> io::Result<Self> {
        let path = data.join(KEY_FILE);
        if !path.try_exists()? {
            secret_file::write(&path, new_pem()?.as_bytes())?;
        }
        Self::read(data)
    }

    /// The key in the data folder, which must be there.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no Ed25519 key in PKCS#8 PEM.
    pub fn read(data: &Path) -> io::Result<Self> {
        let path = data.join(KEY_FILE);
        let pem = fs::read(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Self::of_pem(&pem).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
    }

    fn of_pem(pem: &[u8]) -> Result<Self, jsonwebtoken::errors::Error> {
        let signing = EncodingKey::from_ed_pem(pem)?;
        let verifying = DecodingKey::from_jwk(&Jwk::from_encoding_key(&signing, Algorithm::EdDSA)?)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        // Compared with a time that comes in as an argument.
        validation.validate_exp = false;
        Ok(Self {
            signing,
            verifying,
            validation,
        })
    }

    /// A token that says this.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when signing fails, which a key that was read does not.
    pub fn sign(&self, claims: &Claims) -> Result<String, Error> {
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), claims, &self.signing)
            .map_err(|error| Error::Unavailable(format!("signing a token: {error}")))
    }

    /// What a token says, when this host's key signed it. Whether it has expired is not looked at.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`].
    pub fn verify(&self, token: &str) -> Result<Claims, Error> {
        jsonwebtoken::decode(token, &self.verifying, &self.validation)
            .map(|verified| verified.claims)
            .map_err(|_| Error::Unauthenticated("the token is not valid here"))
    }
}

fn new_pem() -> io::Result<String> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    let der = [PKCS8_PREFIX.as_slice(), seed.as_slice()].concat();
    Ok(format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cluster::Cluster;
    use crate::config::file::Secret;

    fn claims() -> Claims {
        Claims::new(
            "ada",
            Some(TenantId::new("acme").unwrap()),
            vec!["admin".to_owned()],
            1_000,
            60,
        )
    }

    #[test]
    fn a_key_is_made_once_and_verifies_what_it_signed() {
        let folder = tempfile::tempdir().unwrap();
        let token = Keys::open(folder.path()).unwrap().sign(&claims()).unwrap();
        let read = Keys::open(folder.path()).unwrap().verify(&token).unwrap();
        assert_eq!((read.sub.as_str(), read.exp), ("ada", 1_060));
    }

    #[test]
    fn hosts_of_a_cluster_have_one_key() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let config = |folder: &Path, key: String| {
            let cluster = Cluster {
                host_key: Secret::Value(key),
                ..Cluster::default()
            };
            Config {
                cluster: Some(cluster),
                ..Config::new(folder)
            }
        };
        let pem = new_pem().unwrap();
        Keys::open(two.path()).unwrap();
        let token = Keys::of(&config(one.path(), pem.clone()));
        let token = token.unwrap().sign(&claims()).unwrap();
        Keys::of(&config(two.path(), pem))
            .unwrap()
            .verify(&token)
            .unwrap();
        Keys::read(two.path()).unwrap().verify(&token).unwrap();
        let refused = Keys::of(&config(one.path(), "no key".to_owned())).err().unwrap();
        assert!(refused.to_string().starts_with("cluster.host_key: "), "{refused}");
    }

    #[test]
    fn other_keys_and_other_algorithms_are_refused() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let keys = Keys::open(ours.path()).unwrap();
        let foreign = Keys::open(theirs.path()).unwrap().sign(&claims()).unwrap();
        let hmac = jsonwebtoken::encode(
            &Header::new(Algorithm::HS256),
            &claims(),
            &EncodingKey::from_secret(b"x"),
        );
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", foreign.split('.').nth(1).unwrap());
        for token in [
            foreign,
            hmac.unwrap(),
            unsigned,
            "a.b.c".to_owned(),
            String::new(),
        ] {
            assert!(
                matches!(keys.verify(&token), Err(Error::Unauthenticated(_))),
                "{token}"
            );
        }
    }

    #[test]
    fn a_changed_claim_breaks_the_signature() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(folder.path()).unwrap();
        let token = keys.sign(&claims()).unwrap();
        let other = keys
            .sign(&Claims {
                tenant: None,
                ..claims()
            })
            .unwrap();
        let (head, rest) = token.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        let forged = format!("{head}.{}.{signature}", other.split('.').nth(1).unwrap());
        assert!(keys.verify(&forged).is_err());
    }
}
