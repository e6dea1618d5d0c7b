//! `millwork registry`

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use http::Method;
use semver::Version;
use serde_json::{Value, json};

use super::Remote;
use super::modules::segment;
use super::output::{items, progress, table, text};

const PATH: &str = "/admin/v1/registry/releases";
const PULL: &str = "/admin/v1/registry/pull";

/// Publish, look at and withdraw releases.
#[derive(Subcommand)]
pub(super) enum Registry {
    /// Publish a component that its publisher has signed.
    Publish {
        /// A `.wasm` file with its manifest and signature in it; see `millwork plugin sign`.
        file: PathBuf,
        #[command(flatten)]
        remote: Remote,
    },
    /// Put a release into an OCI registry, where other hosts and tools find it.
    Push {
        /// The release: `name@version`.
        release: Spec,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        remote: Remote,
    },
    /// Publish what lies in an OCI registry.
    Pull {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        remote: Remote,
    },
    /// List all releases.
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Show a release, or all releases of a component.
    Show {
        /// The component.
        name: String,
        /// The version; all when absent.
        version: Option<Version>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Withdraw a release: it is not enabled anew, and goes on where it runs.
    Yank {
        #[command(flatten)]
        release: Named,
        /// Why, for those whom it stops.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Take a withdrawal back.
    Unyank {
        #[command(flatten)]
        release: Named,
        #[command(flatten)]
        remote: Remote,
    },
}

/// One release.
#[derive(Args)]
pub(super) struct Named {
    /// The component.
    name: String,
    /// The version.
    version: Version,
}

/// One release, in one word.
#[derive(Clone)]
pub(super) struct Spec {
    name: String,
    version: Version,
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = text.split_once('@').ok_or("a release is name@version")?;
        let version = Version::parse(version).map_err(|error| error.to_string())?;
        Ok(Self {
            name: name.to_owned(),
            version,
        })
    }
}

/// An image in an OCI registry.
#[derive(Args)]
pub(super) struct Place {
    /// The image: `registry.example.com/repository:tag`, also with `oci://` before it. When pushing, the tag is the
    /// version unless one is given.
    reference: String,
    /// Go there without TLS, as to a registry on this machine.
    #[arg(long)]
    plain_http: bool,
    /// Who asks there.
    #[arg(long, env = "MILLWORK_OCI_USERNAME")]
    username: Option<String>,
    /// The user's password: better in the environment than on the command line.
    #[arg(long, env = "MILLWORK_OCI_PASSWORD", hide_env_values = true)]
    password: Option<String>,
}

impl Place {
    fn body(&self) -> Value {
        let mut body = json!({ "reference": self.reference, "plainHttp": self.plain_http });
        for (key, value) in [("username", &self.username), ("password", &self.password)] {
            if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
                body.insert(key.to_owned(), json!(value));
            }
        }
        body
    }
}

impl Named {
    fn path(&self) -> Result<String> {
        Ok(format!("{PATH}/{}/{}", segment(&self.name)?, self.version))
    }
}

impl Registry {
    pub(super) fn run(&self) -> Result<()> {
        match self {
            Self::Publish { file, remote } => publish(file, remote),
            Self::Push {
                release,
                place,
                remote,
            } => push(release, place, remote),
            Self::Pull { place, remote } => {
                let release = remote.client()?.send(Method::POST, PULL, &place.body())?;
                remote.output().answer(&release, published)
            }
            Self::List { remote } => {
                let releases = remote.client()?.get(PATH)?;
                remote.output().answer(&releases, listed)
            }
            Self::Show {
                name,
                version: None,
                remote,
            } => {
                let releases = remote.client()?.get(&format!("{PATH}/{}", segment(name)?))?;
                remote.output().answer(&releases, listed)
            }
            Self::Show {
                name,
                version: Some(version),
                remote,
            } => {
                let path = format!("{PATH}/{}/{version}", segment(name)?);
                let release = remote.client()?.get(&path)?;
                remote.output().answer(&release, shown)
            }
            Self::Yank {
                release,
                reason,
                remote,
            } => {
                let path = format!("{}/yank", release.path()?);
                let body = json!({ "reason": reason });
                let yanked = remote.client()?.send(Method::POST, &path, &body)?;
                remote.output().answer(&yanked, |_| {
                    format!("{} {} is yanked", release.name, release.version)
                })
            }
            Self::Unyank { release, remote } => {
                let path = format!("{}/unyank", release.path()?);
                let answer = remote.client()?.send(Method::POST, &path, &json!({}))?;
                remote.output().answer(&answer, |_| {
                    format!("{} {} is no longer yanked", release.name, release.version)
                })
            }
        }
    }
}

fn publish(file: &Path, remote: &Remote) -> Result<()> {
    let wasm = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    progress(&format!(
        "publishing {} ({} KiB)",
        file.display(),
        wasm.len().div_ceil(1_024)
    ));
    let release = remote.client()?.upload(PATH, wasm)?;
    remote.output().answer(&release, published)
}

fn push(release: &Spec, place: &Place, remote: &Remote) -> Result<()> {
    let path = format!("{PATH}/{}/{}/push", segment(&release.name)?, release.version);
    let pushed = remote.client()?.send(Method::POST, &path, &place.body())?;
    remote.output().answer(&pushed, |pushed| {
        let (reference, digest) = (text(pushed, "reference"), text(pushed, "digest"));
        format!("{} {} is at {reference}: {digest}", release.name, release.version)
    })
}

fn listed(answer: &Value) -> String {
    let row = |release: &Value| {
        let mut row = ["name", "version", "publisher", "digest"]
            .map(|key| text(release, key))
            .to_vec();
        row.push(withdrawn(release).unwrap_or_default());
        row
    };
    let rows: Vec<_> = items(answer, "releases").iter().map(row).collect();
    table(&["NAME", "VERSION", "PUBLISHER", "DIGEST", ""], &rows)
}

/// Why a release is not enabled anew, if so.
fn withdrawn(release: &Value) -> Option<String> {
    let yanked = release.get("yanked").filter(|yanked| !yanked.is_null())?;
    Some(format!("yanked: {}", text(yanked, "reason")))
}

fn shown(release: &Value) -> String {
    let of = |key: &str| text(release, key);
    let list = |key: &str| {
        let texts: Vec<_> = items(release, key).iter().filter_map(Value::as_str).collect();
        if texts.is_empty() {
            "-".to_owned()
        } else {
            texts.join("\n             ")
        }
    };
    let meanings = release.get("meanings").and_then(Value::as_object);
    let permissions: Vec<_> = meanings
        .into_iter()
        .flatten()
        .map(|(permission, meaning)| format!("{permission}: {}", meaning.as_str().unwrap_or_default()))
        .collect();
    let mut lines = vec![
        format!("{} {}: {}", of("name"), of("version"), of("description")),
        format!("publisher    {} (key {})", of("publisher"), of("keyId")),
        format!("digest       {} ({} bytes)", of("digest"), of("sizeBytes")),
        format!("licence      {}", of("licence")),
        format!("permissions  {}", permissions.join("\n             ")),
        format!("imports      {}", list("imports")),
        format!("exports      {}", list("exports")),
    ];
    if let Some(changelog) = release.get("changelog").and_then(Value::as_str) {
        lines.push(format!(
            "changelog    {}",
            changelog.trim_end().replace('\n', "\n             ")
        ));
    }
    if let Some(refused) = release.get("refused").filter(|refused| !refused.is_null()) {
        lines.push(format!("does not load here: {}", text(refused, "message")));
    }
    lines.extend(withdrawn(release));
    lines.join("\n")
}

fn published(release: &Value) -> String {
    let mut lines = vec![format!(
        "{} {} is published: {}",
        text(release, "name"),
        text(release, "version"),
        text(release, "digest")
    )];
    let notes = items(release, "notes").iter().filter_map(Value::as_str);
    lines.extend(notes.map(|note| format!("note: {note}")));
    lines.join("\n")
}
