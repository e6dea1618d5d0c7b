//! `millwork registry`

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde_json::Value;

use super::Remote;
use super::output::{items, progress, table, text};

const PATH: &str = "/admin/v1/registry/releases";

/// Publish and list releases.
#[derive(Subcommand)]
pub(super) enum Registry {
    /// Publish a component.
    Publish {
        /// A `.wasm` file with its manifest in it.
        file: PathBuf,
        #[command(flatten)]
        remote: Remote,
    },
    /// List all releases.
    List {
        #[command(flatten)]
        remote: Remote,
    },
}

impl Registry {
    pub(super) fn run(&self) -> Result<()> {
        match self {
            Self::Publish { file, remote } => {
                let wasm = fs::read(file).with_context(|| format!("read {}", file.display()))?;
                progress(&format!(
                    "publishing {} ({} KiB)",
                    file.display(),
                    wasm.len().div_ceil(1_024)
                ));
                let release = remote.client()?.upload(PATH, wasm)?;
                remote.output().answer(&release, published)
            }
            Self::List { remote } => {
                let releases = remote.client()?.get(PATH)?;
                remote.output().answer(&releases, |answer| {
                    let row = |release| {
                        ["name", "version", "publisher", "digest"]
                            .map(|key| text(release, key))
                            .to_vec()
                    };
                    let rows: Vec<_> = items(answer, "releases").iter().map(row).collect();
                    table(&["NAME", "VERSION", "PUBLISHER", "DIGEST"], &rows)
                })
            }
        }
    }
}

fn published(release: &Value) -> String {
    format!(
        "{} {} is published: {}",
        text(release, "name"),
        text(release, "version"),
        text(release, "digest")
    )
}
