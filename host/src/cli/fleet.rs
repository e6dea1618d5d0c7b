//! `millwork module rollback --all-tenants`: every tenant that runs a bad version goes back, wave by wave.
//!
//! A wave's tenants go back at the same time. The next wave begins only when all of this one serve another version and are
//! well, so that a rollback which does harm itself does it to a few.

use std::thread;

use anyhow::{Context as _, Result, ensure};
use http::Method;
use millwork_registry::swap::Stage;
use serde::Serialize;
use serde_json::{Value, json};

use super::client::Client;
use super::follow::{self, Until, number, stage};
use super::modules::Place;
use super::output::{Output, items, progress, table, text};
use super::status::{health, is_open};
use super::swaps::{failure, say};

/// What is to be done.
pub(super) struct Order {
    pub(super) module: String,
    /// The bad version.
    pub(super) from: String,
    /// What each tenant is asked for.
    pub(super) body: Value,
    /// Tenants that go at the same time.
    pub(super) wave: usize,
}

/// What became of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Row {
    tenant: String,
    /// The version that serves now.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    outcome: Outcome,
    /// Why, where that needs to be said.
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// It serves another version.
    RolledBack,
    /// The tenant has to agree first.
    AwaitsConsent,
    /// It did not happen.
    Failed,
    /// It serves another version, but is not well.
    Unwell,
    /// A wave before went wrong.
    NotBegun,
    /// It could not be told which version the tenant runs.
    Unknown,
}

impl Outcome {
    /// Whether nobody else should be asked to go the same way.
    fn stops(self) -> bool {
        matches!(self, Self::Failed | Self::Unwell)
    }

    fn words(self) -> &'static str {
        match self {
            Self::RolledBack => "rolled back",
            Self::AwaitsConsent => "waits for consent",
            Self::Failed => "failed",
            Self::Unwell => "rolled back, but not well",
            Self::NotBegun => "not begun",
            Self::Unknown => "unknown",
        }
    }
}

impl Row {
    fn of(tenant: &str, outcome: Outcome, why: impl Into<String>) -> Self {
        Self {
            tenant: tenant.to_owned(),
            to: None,
            outcome,
            why: why.into(),
        }
    }
}

/// Rolls all of them back.
pub(super) fn roll_back(client: &Client, order: &Order, output: Output) -> Result<()> {
    let (affected, mut rows) = affected(client, order)?;
    let waves = affected.chunks(order.wave);
    let count = waves.len();
    let mut stopped = false;
    for (index, wave) in waves.enumerate() {
        if stopped {
            rows.extend(
                wave.iter()
                    .map(|place| Row::of(&place.tenant, Outcome::NotBegun, "")),
            );
            continue;
        }
        let names: Vec<_> = wave.iter().map(|place| place.tenant.as_str()).collect();
        progress(&format!("wave {} of {count}: {}", index + 1, names.join(", ")));
        let done = run_wave(wave, order);
        stopped = done.iter().any(|row| row.outcome.stops());
        rows.extend(done);
    }
    let answer = json!({ "module": order.module, "from": order.from, "tenants": rows });
    output.answer(&answer, |_| shown(order, &rows))?;
    conclude(&rows)
}

/// The tenants that run the bad version or are about to, and those of which that cannot be told.
fn affected(client: &Client, order: &Order) -> Result<(Vec<Place>, Vec<Row>)> {
    let tenants = client.get("/admin/v1/tenants")?;
    let (mut affected, mut unknown) = (Vec::new(), Vec::new());
    for tenant in items(&tenants, "tenants") {
        let place = Place::new(client.clone(), &text(tenant, "id"))?;
        match place.client.get(&place.modules()) {
            Ok(status) if runs(&status, order) || open_swap(&status, order).is_some() => affected.push(place),
            Ok(_) => {}
            Err(error) => unknown.push(Row::of(&place.tenant, Outcome::Unknown, error.to_string())),
        }
    }
    Ok((affected, unknown))
}

/// Whether the bad version serves, or should and did not load.
fn runs(status: &Value, order: &Order) -> bool {
    let mut known = ["modules", "broken"]
        .into_iter()
        .flat_map(|key| items(status, key));
    known.any(|module| text(module, "name") == order.module && text(module, "version") == order.from)
}

/// The swap under way that leads to the bad version.
fn open_swap(status: &Value, order: &Order) -> Option<u64> {
    let swap = status.get("swap").filter(|swap| is_open(swap))?;
    let leads_there = |change: &Value| {
        let to = change.pointer("/to/version").and_then(Value::as_str);
        text(change, "module") == order.module && to == Some(order.from.as_str())
    };
    items(swap, "changes")
        .iter()
        .any(leads_there)
        .then(|| number(swap))
}

fn run_wave(wave: &[Place], order: &Order) -> Vec<Row> {
    thread::scope(|scope| {
        let running: Vec<_> = wave
            .iter()
            .map(|place| (place, scope.spawn(|| one(place, order))))
            .collect();
        let ended = running.into_iter().map(|(place, running)| {
            let failed = |why: String| Row::of(&place.tenant, Outcome::Failed, why);
            match running.join() {
                Ok(Ok(row)) => row,
                Ok(Err(error)) => failed(format!("{error:#}")),
                Err(_) => failed("this program failed".to_owned()),
            }
        });
        ended.collect()
    })
}

/// Takes one tenant back, and looks how it is afterwards.
fn one(place: &Place, order: &Order) -> Result<Row> {
    let mut status = place.client.get(&place.modules())?;
    if let Some(number) = open_swap(&status, order) {
        // It may have happened meanwhile; then there is something to roll back.
        let told = say(place, number, "cancel");
        follow::watch(place, number, Until::Settled, |_| ())?;
        status = place.client.get(&place.modules())?;
        if !runs(&status, order) {
            told?;
            return after(place, order, &status);
        }
    }
    if !runs(&status, order) {
        return after(place, order, &status);
    }
    let path = format!("{}/rollback", place.module(&order.module)?);
    let begun = place.client.begin(Method::POST, &path, &order.body)?;
    if begun.get("stage").is_some() {
        let view = follow::watch(place, number(&begun), Until::Waiting, |_| ())?;
        match stage(&view) {
            Some(Stage::Failed | Stage::Cancelled) => return Err(failure(&view)),
            Some(Stage::AwaitingConsent) => {
                let why = place.command("consent", number(&view));
                return Ok(Row::of(&place.tenant, Outcome::AwaitsConsent, why));
            }
            _ => {}
        }
    }
    after(place, order, &place.client.get(&place.modules())?)
}

/// How the module is now that it has gone back.
fn after(place: &Place, order: &Order, status: &Value) -> Result<Row> {
    let named = |module: &&Value| text(module, "name") == order.module;
    ensure!(!runs(status, order), "{} still runs {}", order.module, order.from);
    if let Some(broken) = items(status, "broken").iter().find(named) {
        return Ok(Row {
            to: Some(text(broken, "version")),
            ..Row::of(&place.tenant, Outcome::Unwell, text(broken, "why"))
        });
    }
    let Some(module) = items(status, "modules").iter().find(named) else {
        // A swap that enabled the bad version was taken back.
        return Ok(Row::of(&place.tenant, Outcome::RolledBack, ""));
    };
    let (outcome, why) = match health(module).as_str() {
        "well" => (Outcome::RolledBack, String::new()),
        ill => (Outcome::Unwell, ill.to_owned()),
    };
    Ok(Row {
        to: Some(text(module, "version")),
        ..Row::of(&place.tenant, outcome, why)
    })
}

fn shown(order: &Order, rows: &[Row]) -> String {
    if rows.is_empty() {
        return format!("no tenant runs {} {}", order.module, order.from);
    }
    let cells = |row: &Row| {
        let to = row.to.clone().unwrap_or_else(|| "-".to_owned());
        // Of a failure the first line says enough here.
        let why = row.why.lines().next().unwrap_or_default().to_owned();
        vec![
            row.tenant.clone(),
            order.from.clone(),
            to,
            row.outcome.words().to_owned(),
            why,
        ]
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    table(&["TENANT", "FROM", "TO", "OUTCOME", ""], &rows)
}

/// An error unless all of them are where they should be.
fn conclude(rows: &[Row]) -> Result<()> {
    let with = |outcome: Outcome| rows.iter().filter(|row| row.outcome == outcome).count();
    if let Some(row) = rows.iter().find(|row| row.outcome.stops()) {
        let why = row.why.lines().next().unwrap_or_default();
        return Err(anyhow::anyhow!("{}: {why}", row.outcome.words())).with_context(|| {
            format!(
                "stopped at tenant {} with {} tenants not begun",
                row.tenant,
                with(Outcome::NotBegun)
            )
        });
    }
    ensure!(
        with(Outcome::AwaitsConsent) == 0,
        "{} tenants have to agree first",
        with(Outcome::AwaitsConsent)
    );
    ensure!(
        with(Outcome::Unknown) == 0,
        "{} tenants could not be looked at",
        with(Outcome::Unknown)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order {
            module: "client".to_owned(),
            from: "1.1.0".to_owned(),
            body: json!({}),
            wave: 2,
        }
    }

    #[test]
    fn only_the_bad_version_is_taken_back() {
        let check = |key: &str, version: &str| {
            let status = json!({ key: [{ "name": "client", "version": version }, { "name": "tax", "version": "1.1.0" }] });
            runs(&status, &order())
        };
        assert!(check("modules", "1.1.0") && check("broken", "1.1.0"));
        assert!(!check("modules", "1.0.0") && !check("others", "1.1.0"));
    }

    #[test]
    fn a_swap_that_leads_to_the_bad_version_counts() {
        let check = |stage: &str, to: &str| {
            let changes = json!([{ "module": "client", "to": { "version": to } }]);
            open_swap(
                &json!({ "swap": { "number": 7, "stage": stage, "changes": changes } }),
                &order(),
            )
        };
        assert_eq!(check("canary", "1.1.0"), Some(7));
        assert_eq!(check("awaiting-consent", "1.1.0"), Some(7));
        assert_eq!(check("canary", "1.2.0"), None);
        assert_eq!(check("failed", "1.1.0"), None);
        assert_eq!(open_swap(&json!({ "swap": null }), &order()), None);
    }

    #[test]
    fn what_went_wrong_is_said_with_how_many_were_spared() {
        let rows = [
            Row::of("acme", Outcome::RolledBack, ""),
            Row::of("beta", Outcome::Failed, "it differs (replay-diverges)\nmore"),
            Row::of("ceta", Outcome::NotBegun, ""),
        ];
        let error = format!("{:#}", conclude(&rows).unwrap_err());
        assert_eq!(
            error,
            "stopped at tenant beta with 1 tenants not begun: failed: it differs (replay-diverges)"
        );
        assert!(conclude(&rows[..1]).is_ok() && conclude(&[]).is_ok());
        for outcome in [Outcome::AwaitsConsent, Outcome::Unknown] {
            assert!(conclude(&[Row::of("acme", outcome, "")]).is_err());
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_tenant() {
        let rows = [Row {
            to: Some("1.0.0".to_owned()),
            ..Row::of("acme", Outcome::RolledBack, "")
        }];
        assert_eq!(
            shown(&order(), &rows),
            "TENANT  FROM   TO     OUTCOME\nacme    1.1.0  1.0.0  rolled back"
        );
        assert_eq!(shown(&order(), &[]), "no tenant runs client 1.1.0");
    }
}
