//! `millwork letters`

use anyhow::Result;
use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::modules::Of;
use super::output::{items, text};

/// List, retry and discard dead letters: events and commands that could not be delivered.
#[derive(Subcommand)]
pub(super) enum Letters {
    /// List dead letters, oldest first.
    List {
        /// Those with higher numbers only.
        #[arg(long, default_value_t = 0)]
        after: u64,
        #[command(flatten)]
        of: Of,
    },
    /// Deliver one once more; it is gone when that succeeds.
    Retry {
        /// Its number.
        number: u64,
        #[command(flatten)]
        of: Of,
    },
    /// Forget one.
    Discard {
        /// Its number.
        number: u64,
        #[command(flatten)]
        of: Of,
    },
}

impl Letters {
    pub(super) fn run(&self) -> Result<()> {
        match self {
            Self::List { after, of } => {
                let place = of.open()?;
                let answer = place.client.get(&format!("{}?after={after}", place.letters()))?;
                of.remote.output().answer(&answer, |answer| {
                    let lines = items(answer, "letters").iter().map(|letter| {
                        format!(
                            "{} {} {} after {} attempts: {} ({})",
                            text(letter, "number"),
                            text(letter, "addressee"),
                            text(letter, "name"),
                            text(letter, "attempts"),
                            text(letter, "reason"),
                            text(letter, "code")
                        )
                    });
                    let lines: Vec<String> = lines.collect();
                    if lines.is_empty() {
                        "no dead letters".to_owned()
                    } else {
                        lines.join("\n")
                    }
                })
            }
            Self::Retry { number, of } => {
                let place = of.open()?;
                let path = format!("{}/{number}/retry", place.letters());
                let answer = place.client.send(Method::POST, &path, &json!({}))?;
                let told = format!("{number} is delivered again");
                of.remote.output().answer(&answer, |_| told)
            }
            Self::Discard { number, of } => {
                let place = of.open()?;
                let path = format!("{}/{number}", place.letters());
                let answer = place.client.send(Method::DELETE, &path, &json!({}))?;
                let told = format!("{number} is discarded");
                of.remote.output().answer(&answer, |_| told)
            }
        }
    }
}
