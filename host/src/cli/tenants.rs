//! `millwork tenant`

use anyhow::Result;
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::Remote;
use super::migrate::{Export, Import, One, Remove};
use super::output::{items, table, text};

const PATH: &str = "/admin/v1/tenants";

/// Make, list, move and remove tenants.
#[derive(Subcommand)]
pub(super) enum Tenant {
    /// Make a tenant without modules.
    Create {
        /// Lowercase letters, digits and hyphens, at most 40, starting with a letter.
        id: String,
        /// What people call it; its id when absent.
        #[arg(long, default_value = "")]
        name: String,
        /// The host's profile that says where its data is; the host's own choice when absent.
        #[arg(long)]
        profile: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// List all tenants.
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Write all that a tenant has into one file, as of one moment.
    Export(Export),
    /// Make a tenant of such a file.
    Import(Import),
    /// Close a tenant, since it moves: it can be read, and takes no commands.
    Freeze(One),
    /// Open a tenant that was closed.
    Thaw(One),
    /// Remove a closed tenant with all it has, for good; its id is free afterwards.
    Remove(Remove),
}

impl Tenant {
    pub(super) fn run(&self) -> Result<()> {
        match self {
            Self::Create {
                id,
                name,
                profile,
                remote,
            } => {
                let made = remote.client()?.send(
                    Method::POST,
                    PATH,
                    &json!({ "id": id, "name": name, "profile": profile }),
                )?;
                remote
                    .output()
                    .answer(&made, |made| format!("tenant {} is there", text(made, "id")))
            }
            Self::Export(export) => export.run(),
            Self::Import(import) => import.run(),
            Self::Freeze(one) => one.freeze(),
            Self::Thaw(one) => one.thaw(),
            Self::Remove(remove) => remove.run(),
            Self::List { remote } => {
                let tenants = remote.client()?.get(PATH)?;
                remote.output().answer(&tenants, |answer| {
                    let row = |tenant: &Value| {
                        let closed = tenant.get("moving").is_some_and(|moving| *moving == true);
                        let state = if closed { "closed" } else { "open" };
                        let told = ["id", "name", "profile", "home"].map(|key| text(tenant, key));
                        [&told[..], &[state.to_owned()]].concat()
                    };
                    table(
                        &["TENANT", "NAME", "PROFILE", "HOME", "STATE"],
                        &items(answer, "tenants").iter().map(row).collect::<Vec<_>>(),
                    )
                })
            }
        }
    }
}
