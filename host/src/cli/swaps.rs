//! `millwork swap`, and how swaps are told to people.

mod words;

use anyhow::{Result, anyhow, bail};
use clap::{Args, Subcommand};
use http::Method;
use millwork_registry::swap::Stage;
use serde_json::{Value, json};

use self::words::{difference, reports, row, shown};
pub(super) use self::words::{next_steps, progress_of};
use super::changes::sentence;
use super::follow::{self, Teller, Until, number, stage};
use super::modules::{Of, Place};
use super::output::{Output, items, table, text};

/// Look at changes of what a tenant runs, and have a say in them.
#[derive(Subcommand)]
pub(super) enum Swap {
    /// List the last swaps of a tenant, newest first.
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Show a swap with all its steps.
    Show(Numbered),
    /// Follow a swap to its end.
    Follow(Numbered),
    /// Agree, as an admin of the tenant, to what the releases of a swap ask for.
    Consent(Numbered),
    /// Take a swap back; what served before goes on serving.
    Cancel(Numbered),
    /// End a canary well before its time.
    Promote(Numbered),
}

/// One swap.
#[derive(Args)]
pub(super) struct Numbered {
    /// Its number.
    number: u64,
    #[command(flatten)]
    of: Of,
}

impl Swap {
    pub(super) fn run(&self) -> Result<()> {
        match self {
            Self::List { of } => {
                let place = of.open()?;
                of.remote
                    .output()
                    .answer(&place.client.get(&place.swaps())?, list)
            }
            Self::Show(swap) => {
                let place = swap.of.open()?;
                let view = place.client.get(&format!("{}/{}", place.swaps(), swap.number))?;
                swap.of.remote.output().answer(&view, |view| shown(view, &place))
            }
            Self::Follow(swap) => {
                let place = swap.of.open()?;
                let view = swap.watch(&place, Until::Over)?;
                conclude(&place, &view, swap.of.remote.output())
            }
            Self::Consent(swap) => swap.tell("consent", Until::Canary),
            Self::Promote(swap) => swap.tell("promote", Until::Settled),
            Self::Cancel(swap) => swap.cancel(),
        }
    }
}

impl Numbered {
    fn watch(&self, place: &Place, until: Until) -> Result<Value> {
        let mut teller = Teller::default();
        follow::watch(place, self.number, until, |view| teller.tell(view))
    }

    fn tell(&self, wish: &str, until: Until) -> Result<()> {
        let place = self.of.open()?;
        say(&place, self.number, wish)?;
        let view = self.watch(&place, until)?;
        conclude(&place, &view, self.of.remote.output())
    }

    fn cancel(&self) -> Result<()> {
        let place = self.of.open()?;
        say(&place, self.number, "cancel")?;
        let view = self.watch(&place, Until::Settled)?;
        if stage(&view) != Some(Stage::Cancelled) {
            return conclude(&place, &view, self.of.remote.output());
        }
        let told = |_: &Value| format!("swap {} is cancelled; what served before goes on", self.number);
        self.of.remote.output().answer(&view, told)
    }
}

/// Tells a swap a wish.
pub(super) fn say(place: &Place, number: u64, wish: &str) -> Result<()> {
    let path = format!("{}/{number}/{wish}", place.swaps());
    place.client.send(Method::POST, &path, &json!({})).map(drop)
}

/// Says what a swap came to, or what it waits for. That it did not happen is an error, with what the replay found.
pub(super) fn conclude(place: &Place, view: &Value, output: Output) -> Result<()> {
    match stage(view) {
        Some(Stage::Failed | Stage::Cancelled) => {
            if output == Output::Json {
                output.answer(view, |_| String::new())?;
            }
            Err(failure(view))
        }
        Some(stage) if stage.is_settled() => output.answer(&swapped(view), sentence),
        Some(_) => output.answer(view, |view| waiting(view, place)),
        None => bail!("the host tells of a swap in another form than this program knows"),
    }
}

/// Why it did not happen, as the host's problems are told.
pub(super) fn failure(view: &Value) -> anyhow::Error {
    let last = items(view, "history").last().cloned().unwrap_or_default();
    if stage(view) == Some(Stage::Cancelled) {
        let by = text(&last, "by");
        return anyhow!("swap {} was cancelled by {by} (swap-cancelled)", number(view));
    }
    let code = text(&last, "code");
    let mut lines = vec![format!("{} ({code})", text(&last, "message"))];
    if code == "replay-diverges" {
        lines.extend(reports(view));
    }
    anyhow!(lines.join("\n"))
}

/// The short form of a swap that has happened, as the host answers with it.
fn swapped(view: &Value) -> Value {
    let module = view.pointer("/request/module").cloned().unwrap_or_default();
    let change = items(view, "changes")
        .iter()
        .find(|change| change.get("module") == Some(&module));
    let of_change = |pointer: &str| change.and_then(|change| change.pointer(pointer)).cloned();
    json!({
        "tenant": view.get("tenant"),
        "module": module,
        "from": of_change("/from"),
        "to": of_change("/to/version"),
        "generation": view.get("generation"),
        "swap": view.get("number"),
    })
}

/// What a swap waits for, and what to type.
fn waiting(view: &Value, place: &Place) -> String {
    let mut lines = vec![format!("swap {}: {}", number(view), progress_of(view))];
    if stage(view) == Some(Stage::AwaitingConsent) {
        lines.extend(items(view, "wider").iter().flat_map(difference));
    }
    lines.extend(next_steps(view, |what| place.command(what, number(view))));
    lines.join("\n")
}

fn list(answer: &Value) -> String {
    let rows: Vec<_> = items(answer, "swaps").iter().map(row).collect();
    table(&["SWAP", "BEGUN", "CHANGE", "STAGE", "BY"], &rows)
}

#[cfg(test)]
mod tests;
