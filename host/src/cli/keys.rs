//! `millwork key` and `millwork plugin`: publishers' keys, and signing with them.
//!
//! Making a key and signing need no host; trusting and revoking are an operator's requests to a running one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};
use http::Method;
use millwork_registry::key::{KeyId, KeyPair, PublicKey};
use millwork_registry::release::{Release, sign};
use serde_json::{Value, json};

use super::Remote;
use super::output::{Output, items, table, text};
use crate::secret_file;

const PATH: &str = "/admin/v1/registry/publishers";

/// Make publishers' keys, and say which of them a host trusts.
#[derive(Subcommand)]
pub(super) enum Key {
    /// Make a key and write it to a file that only you can read.
    New {
        /// Who signs with it, as in the manifests of the components.
        #[arg(long)]
        publisher: String,
        /// The file; it must not be there yet.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        answer: Answer,
    },
    /// List the keys that the host has trusted, with those it has revoked.
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Take releases that are signed with a key.
    Trust {
        /// The public key, as `key new` prints it.
        key: String,
        /// Whose it is.
        #[arg(long)]
        publisher: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Take no more releases that are signed with a key, for ever; those taken before do not load again.
    Revoke {
        /// The public key or its id.
        key: String,
        /// Why, for those whom it stops.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// How to answer where no host is asked.
#[derive(Args)]
pub(super) struct Answer {
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl Answer {
    fn output(&self) -> Output {
        if self.json { Output::Json } else { Output::Text }
    }
}

/// Prepare components for publishing.
#[derive(Subcommand)]
pub(super) enum Plugin {
    /// Sign a component, in place of an earlier signature.
    Sign {
        /// A `.wasm` file with its manifest in it.
        file: PathBuf,
        /// The publisher's key file.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Where to put the signed component; the same file when absent.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        answer: Answer,
    },
}

impl Key {
    pub(super) fn run(&self) -> Result<()> {
        match self {
            Self::New {
                publisher,
                out,
                answer,
            } => {
                ensure!(!out.try_exists()?, "{} is there already", out.display());
                let key = make(out, publisher)?;
                answer
                    .output()
                    .answer(&described(&key), |answer| made(answer, out))
            }
            Self::List { remote } => {
                let keys = remote.client()?.get(PATH)?;
                remote.output().answer(&keys, listed)
            }
            Self::Trust {
                key,
                publisher,
                remote,
            } => {
                let body = json!({ "publisher": publisher, "key": key });
                let trusted = remote.client()?.send(Method::POST, PATH, &body)?;
                remote.output().answer(&trusted, |answer| {
                    let (id, publisher) = (text(answer, "keyId"), text(answer, "publisher"));
                    format!("key {id} is trusted for publisher {publisher}")
                })
            }
            Self::Revoke { key, reason, remote } => {
                let path = format!("{PATH}/{}/revoke", id(key)?);
                let body = json!({ "reason": reason });
                let revoked = remote.client()?.send(Method::POST, &path, &body)?;
                remote.output().answer(&revoked, self::revoked)
            }
        }
    }
}

impl Plugin {
    pub(super) fn run(&self) -> Result<()> {
        let Self::Sign {
            file,
            key,
            out,
            answer: how,
        } = self;
        let key = read(key)?;
        let component = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        let signed = sign(&component, &key).with_context(|| format!("sign {}", file.display()))?;
        // What no host would take is said now and not when it is published.
        let release = Release::read(&signed, 0).with_context(|| format!("sign {}", file.display()))?;
        let out = out.as_ref().unwrap_or(file);
        replace(out, &signed).with_context(|| format!("write {}", out.display()))?;
        let mut answer = described(&key);
        if let Value::Object(answer) = &mut answer {
            answer.insert("name".to_owned(), json!(release.name));
            answer.insert("version".to_owned(), json!(release.version));
            answer.insert("digest".to_owned(), json!(release.digest));
        }
        how.output().answer(&answer, |answer| {
            let of = |member| text(answer, member);
            format!(
                "{} {} is signed by {} with key {}: {}",
                of("name"),
                of("version"),
                of("publisher"),
                of("keyId"),
                out.display()
            )
        })
    }
}

/// The publisher's key in this folder; made there when it is not there yet.
pub(super) fn open(folder: &Path, publisher: &str) -> Result<KeyPair> {
    let path = folder.join(format!("{publisher}.json"));
    if path.try_exists()? {
        return read(&path);
    }
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    make(&path, publisher)
}

fn make(path: &Path, publisher: &str) -> Result<KeyPair> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).context("draw a secret")?;
    let key = KeyPair::new(publisher, &secret)?;
    secret_file::write(path, key.to_file().as_bytes())
        .with_context(|| format!("write {}", path.display()))?;
    Ok(key)
}

fn read(path: &Path) -> Result<KeyPair> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    KeyPair::parse(&text).with_context(|| format!("read {}", path.display()))
}

/// Puts a file in the place of the one that is there, whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let staged = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&staged, bytes)?;
    Ok(fs::rename(&staged, path)?)
}

/// The id of a key that was named by itself or by its id.
fn id(key: &str) -> Result<KeyId> {
    if let Ok(public) = PublicKey::try_from(key.to_owned()) {
        return Ok(public.id());
    }
    Ok(KeyId::try_from(key.to_owned())?)
}

fn described(key: &KeyPair) -> Value {
    let public = key.public();
    json!({ "publisher": key.publisher(), "key": public, "keyId": public.id() })
}

fn made(answer: &Value, file: &Path) -> String {
    let of = |member| text(answer, member);
    format!(
        "{}\nkey {} of publisher {} is in {}; whoever has that file can publish in this name\n\
         on a host that shall take what it signs: millwork key trust {} --publisher {}",
        of("key"),
        of("keyId"),
        of("publisher"),
        file.display(),
        of("key"),
        of("publisher")
    )
}

fn listed(answer: &Value) -> String {
    let row = |known: &Value| {
        let state = match known.get("revoked").filter(|revoked| !revoked.is_null()) {
            Some(revoked) => format!("revoked: {}", text(revoked, "reason")),
            None => "trusted".to_owned(),
        };
        vec![
            text(known, "publisher"),
            text(known, "keyId"),
            text(known, "key"),
            state,
        ]
    };
    let rows: Vec<_> = items(answer, "publishers").iter().map(row).collect();
    table(&["PUBLISHER", "ID", "KEY", "STATE"], &rows)
}

fn revoked(answer: &Value) -> String {
    let known = answer.get("publisher").unwrap_or(answer);
    let first = format!(
        "key {} of publisher {} is revoked",
        text(known, "keyId"),
        text(known, "publisher")
    );
    let releases = items(answer, "releases").iter();
    let releases: Vec<_> = releases
        .map(|release| format!("{} {}", text(release, "name"), text(release, "version")))
        .collect();
    if releases.is_empty() {
        return first;
    }
    format!(
        "{first}; it signed {}, which go on where they run and do not load again",
        releases.join(", ")
    )
}
