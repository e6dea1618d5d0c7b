//! Where settings come from: a TOML file, and over it variables of the environment.
//!
//! Key `http.page_max` of the file is the variable `MILLWORK_HTTP__PAGE_MAX`: two underscores for each dot. Durations are
//! text with a unit (`30s`, `5m`); sizes are numbers of bytes. What is not known, or has the wrong form, is refused with
//! its key before anything is opened.

use std::fs;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use serde::Deserialize;

use super::Config;

/// What variables of the environment begin with.
pub const PREFIX: &str = "MILLWORK_";
/// Longest file with a secret, in bytes.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key is not known, or its value has the wrong form.
    #[error(transparent)]
    Value(#[from] Box<figment::Error>),
    /// A value cannot be used; names the key.
    #[error("{key}: {why}")]
    Wrong {
        /// Dotted: `profiles.production.mongodb.url`.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

impl ConfigError {
    /// A value of this key cannot be used.
    pub(super) fn wrong(key: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Wrong {
            key: key.into(),
            why: why.into(),
        }
    }
}

/// Reads a file, or only the environment, and checks that what is named is there.
///
/// # Errors
/// [`ConfigError`], which names the key.
pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
    let mut figment = Figment::new();
    if let Some(path) = path {
        if !path.is_file() {
            return Err(ConfigError::wrong(
                path.display().to_string(),
                "there is no such file",
            ));
        }
        figment = figment.merge(Toml::file_exact(path));
    }
    let variables = Env::prefixed(PREFIX).filter(|name| name.as_str().contains("__"));
    let config: Config = figment.merge(variables.split("__")).extract().map_err(Box::new)?;
    config.check()?;
    Ok(config)
}

/// A value that is not to stand in a file that many may read: in the setting itself or in a file of its own.
#[derive(Clone, Default, Deserialize)]
#[serde(untagged)]
pub enum Secret {
    /// Not set.
    #[default]
    Absent,
    /// The value.
    Value(String),
    /// The file that holds it; white space around it does not count.
    File {
        /// Its path.
        file: PathBuf,
    },
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Absent => "Absent",
            Self::Value(_) => "Value(..)",
            Self::File { .. } => "File(..)",
        })
    }
}

impl Secret {
    /// The value, read when it is asked for, so that a file that was changed is seen at the next start.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] for `key` when it is not set, or its file cannot be read or is empty.
    pub fn read(&self, key: &str) -> Result<String, ConfigError> {
        match self {
            Self::Absent => Err(ConfigError::wrong(key, "is missing")),
            Self::Value(value) => Ok(value.clone()),
            Self::File { file } => {
                let shown = file.display();
                let unreadable = |error| ConfigError::wrong(key, format!("{shown} cannot be read: {error}"));
                if fs::metadata(file).map_err(unreadable)?.len() > SECRET_BYTES_MAX {
                    return Err(ConfigError::wrong(
                        key,
                        format!("{shown} is larger than {SECRET_BYTES_MAX} bytes"),
                    ));
                }
                let text = fs::read_to_string(file).map_err(unreadable)?;
                match text.trim() {
                    "" => Err(ConfigError::wrong(key, format!("{shown} is empty"))),
                    value => Ok(value.to_owned()),
                }
            }
        }
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_set(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::profile::{Cache, Events};

    /// What a file with this text comes to.
    fn read(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("millwork.toml");
        fs::write(&path, text).unwrap();
        load(Some(&path)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_absent_has_its_default() {
        let config = read("[http]\npage_max = 7\nidle_max = \"2m\"\n").unwrap();
        assert_eq!(config.http.page_max, 7);
        assert_eq!(config.http.idle_max, Duration::from_secs(120));
        assert_eq!(config.http.body_bytes_max, Config::default().http.body_bytes_max);
        assert_eq!(config.profile, "embedded");
    }

    #[test]
    fn a_wrong_value_is_told_with_its_key() {
        for (text, told) in [
            ("[http]\npage_mx = 7", "page_mx"),
            ("[http]\npage_max = \"many\"", "http.page_max"),
            (
                "sessions.idle = \"0s\"",
                "sessions.idle: is one millisecond or more",
            ),
            (
                "sessions.longest = \"1m\"",
                "sessions.longest: is at least sessions.idle",
            ),
            (
                "sessions.longest = \"367days\"",
                "sessions.longest: is at least sessions.idle, and at most",
            ),
            ("sessions.per_user_max = 0", "sessions.per_user_max: is 1 to 1000"),
            ("[swap]\ndrain_max = 7", "swap.drain_max"),
            ("[swap]\ncrash = \"x\"", "crash"),
            ("listen = \"nowhere\"", "listen"),
            ("profile = \"lost\"", "profile: there is no profile \"lost\""),
            ("[profiles.embedded]", "profiles.embedded: is there already"),
            ("[profiles.Big]", "profiles.Big: a name has"),
            (
                "[profiles.big]\nevents = \"mongodb\"",
                "profiles.big.mongodb: is missing",
            ),
            (
                "[profiles.big]\ncache = \"redis\"",
                "profiles.big.redis: is missing",
            ),
            (
                "[profiles.big]\nmessages = \"nats\"",
                "profiles.big.nats: is missing",
            ),
            (
                "[profiles.big.nats]\nurl = \"nats://x\"\nprefix = \"a\"",
                "profiles.big.nats.prefix: is capital letters",
            ),
            ("[profiles.big.redis]", "profiles.big.redis.url: is missing"),
            (
                "[profiles.big.redis]\nurl = \"http://x:secret@y\"",
                "profiles.big.redis.url: begins with redis://",
            ),
            (
                "[profiles.big.redis]\nurl = { file = \"/nowhere\" }",
                "profiles.big.redis.url: /nowhere cannot be read",
            ),
            (
                "[profiles.big.mongodb]\nurl = \"mongodb://x\"\ndatabase = \"a.b\"",
                "profiles.big.mongodb.database",
            ),
            ("[profiles.big]\nevents = \"postgres\"", "profiles.big.events"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    /// Servers of a profile that a cluster can have, with nothing of tenants on them.
    const SERVERS: &str =
        "[profiles.big]\nmongodb.url = \"mongodb://x\"\nredis.url = \"redis://x\"\nnats.url = \"nats://x\"\n";
    /// What moves tenants of the profile there.
    const SHARED: &str = "events = \"mongodb\"\ndocuments = \"mongodb\"\ncache = \"redis\"\nsearch = \"elasticsearch\"\n\
        blobs = \"s3\"\nmessages = \"nats\"\nelasticsearch.url = \"http://x\"\ns3.access_key = \"k\"\ns3.secret_key = \"k\"\n";
    const CLUSTER: &str = "[cluster]\nprofile = \"big\"\naddress = \"http://a:1\"\nhost_key = \"secret\"\n";

    #[test]
    fn a_cluster_that_cannot_be_is_told_with_its_key() {
        let alone = |gone: &str| {
            SERVERS
                .lines()
                .filter(|line| !line.starts_with(gone))
                .fold(CLUSTER.to_owned(), |text, line| format!("{text}{line}\n"))
        };
        let without = |gone: &str| {
            let lines = CLUSTER.lines().filter(|line| !line.starts_with(gone));
            let cluster = lines.collect::<Vec<_>>().join("\n");
            format!("profile = \"big\"\n{cluster}\n{SERVERS}{SHARED}")
        };
        for (text, told) in [
            (CLUSTER.to_owned(), "cluster.profile: there is no profile \"big\""),
            (
                alone("mongodb"),
                "profiles.big.mongodb: is missing, and the cluster needs it",
            ),
            (
                alone("redis"),
                "profiles.big.redis: is missing, and the cluster needs it",
            ),
            (
                alone("nats"),
                "profiles.big.nats: is missing, and the cluster needs it",
            ),
            (
                without("x").replace("http://a:1", "https://a:1"),
                "cluster.address: begins with http://",
            ),
            (without("host_key"), "cluster.host_key: is missing"),
            (alone("x"), "profile: \"embedded\" is on files of one host"),
            (
                format!("profile = \"big\"\n{}", alone("x")),
                "profile: \"big\" is on files of one host",
            ),
            (
                without("x").replace("[cluster]", "[cluster]\nlease = \"999ms\""),
                "cluster.lease: is one second or more",
            ),
            (
                without("x").replace("[cluster]", "[cluster]\nlaese = \"1s\""),
                "laese",
            ),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let cluster = read(&without("x")).unwrap().cluster.unwrap();
        assert_eq!(
            (cluster.profile.as_str(), cluster.lease),
            ("big", Duration::from_secs(10))
        );
    }

    #[test]
    fn a_secret_is_read_from_its_file_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("url");
        fs::write(&path, "redis://:hidden@127.0.0.1\n").unwrap();
        let text = format!(
            "[profiles.big]\ncache = \"redis\"\nredis.url = {{ file = {:?} }}",
            path.display().to_string()
        );
        let config = read(&text).unwrap();
        let profile = config.find_profile("big").unwrap();
        let url = profile.redis.as_ref().unwrap().url.read("key").unwrap();
        assert_eq!(url, "redis://:hidden@127.0.0.1");
        assert_eq!((profile.cache, profile.events), (Cache::Redis, Events::Sqlite));
        assert!(!format!("{config:?}").contains("hidden"));
        fs::write(&path, " \n").unwrap();
        assert!(read(&text).unwrap_err().contains("is empty"));
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        let error = load(Some(Path::new("/nowhere/millwork.toml"))).unwrap_err();
        assert_eq!(error.to_string(), "/nowhere/millwork.toml: there is no such file");
    }
}
