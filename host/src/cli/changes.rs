//! `millwork module enable | upgrade | rollback | disable`: asking for a change and following it.

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use http::Method;
use millwork_registry::replay::Policy;
use semver::{Version, VersionReq};
use serde_json::{Map, Value, json};

use super::fleet::{self, Order};
use super::follow::{self, Teller, Until, number};
use super::modules::{Of, Place};
use super::output::{Output, progress, text};
use super::swaps;
use super::tokens::whole_seconds;

/// Tenants of a wave when nothing else is said.
const WAVE: usize = 10;
/// Most tenants of a wave: each takes a thread here.
const WAVE_MAX: usize = 64;

/// A module and how it shall be.
#[derive(Args)]
pub(super) struct Change {
    /// The module.
    pub(super) name: String,
    /// This version; the newest that is wanted when absent.
    version: Option<Version>,
    /// A range of versions, such as ^1.2, kept for later.
    #[arg(long, value_name = "RANGE")]
    wanted: Option<VersionReq>,
    /// Its configuration, a JSON object; as it was when absent.
    #[arg(long, value_parser = json_object)]
    config: Option<Value>,
    #[command(flatten)]
    care: Care,
    #[command(flatten)]
    canary: Canary,
    #[command(flatten)]
    pub(super) of: Of,
}

/// How carefully.
#[derive(Args)]
struct Care {
    /// Consequences of differences in the replay that are to differ from the default: rejection=warn,slower=allow.
    #[arg(long)]
    policy: Option<Policy>,
    /// Do not try the tenant's history.
    #[arg(long)]
    skip_replay: bool,
    /// Accept that there may be no way back.
    #[arg(long)]
    one_way: bool,
}

/// A share of the aggregates that goes first.
#[derive(Args)]
struct Canary {
    /// Let the candidate decide for so many percent of the aggregates first.
    #[arg(id = "canary", long = "canary", value_name = "PERCENT", value_parser = percent)]
    percent: Option<u8>,
    /// How long, such as 10m.
    #[arg(id = "canary-for", long, value_name = "TIME", value_parser = whole_seconds, requires = "canary", default_value = "10m")]
    seconds: u64,
    /// Or until it has decided so many commands.
    #[arg(id = "canary-commands", long, value_name = "NUMBER", requires = "canary")]
    commands: Option<u64>,
}

/// A module and the version that it shall go back to.
#[derive(Args)]
pub(super) struct RollBack {
    /// The module.
    name: String,
    /// The version; the one before when absent.
    #[arg(long, value_name = "VERSION")]
    to: Option<Version>,
    /// Every tenant that runs the bad version, in waves; none of the next begins unless all of the last are well.
    #[arg(long, requires = "from", conflicts_with = "tenant")]
    all_tenants: bool,
    /// The bad version.
    #[arg(long, value_name = "VERSION", requires = "all_tenants")]
    from: Option<Version>,
    /// Tenants of one wave.
    #[arg(long, value_name = "NUMBER", requires = "all_tenants", default_value_t = WAVE, value_parser = wave)]
    wave: usize,
    #[command(flatten)]
    care: Care,
    #[command(flatten)]
    of: Of,
}

/// A module that is to go.
#[derive(Args)]
pub(super) struct Disable {
    /// The module.
    name: String,
    #[command(flatten)]
    of: Of,
}

impl Change {
    pub(super) fn run(&self, place: &Place) -> Result<()> {
        let mut body = self.care.body();
        if let Some(version) = &self.version {
            body.insert("version".to_owned(), json!(version));
        }
        if let Some(wanted) = &self.wanted {
            body.insert("wanted".to_owned(), json!(wanted));
        }
        if let Some(config) = &self.config {
            body.insert("config".to_owned(), config.clone());
        }
        if let Some(percent) = self.canary.percent {
            let canary = json!({
                "percent": percent,
                "seconds": self.canary.seconds,
                "commands": self.canary.commands,
            });
            body.insert("canary".to_owned(), canary);
        }
        progress(&format!("preparing {}", self.name));
        let path = place.module(&self.name)?;
        let begun = place.client.begin(Method::PUT, &path, &Value::Object(body))?;
        finish(place, begun, self.of.remote.output())
    }
}

impl Care {
    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        if let Some(policy) = &self.policy {
            body.insert("policy".to_owned(), json!(policy));
        }
        if self.skip_replay {
            body.insert("skipReplay".to_owned(), Value::Bool(true));
        }
        if self.one_way {
            body.insert("oneWay".to_owned(), Value::Bool(true));
        }
        body
    }
}

impl RollBack {
    pub(super) fn run(&self) -> Result<()> {
        let mut body = self.care.body();
        if let Some(to) = &self.to {
            body.insert("version".to_owned(), json!(to));
        }
        if let (true, Some(from)) = (self.all_tenants, &self.from) {
            let order = Order {
                module: self.name.clone(),
                from: from.to_string(),
                body: Value::Object(body),
                wave: self.wave,
            };
            return fleet::roll_back(&self.of.remote.client()?, &order, self.of.remote.output());
        }
        let place = self.of.open()?;
        progress(&format!("rolling back {}", self.name));
        let path = format!("{}/rollback", place.module(&self.name)?);
        let begun = place.client.begin(Method::POST, &path, &Value::Object(body))?;
        finish(&place, begun, self.of.remote.output())
    }
}

impl Disable {
    pub(super) fn run(&self) -> Result<()> {
        let place = self.of.open()?;
        let path = place.module(&self.name)?;
        let begun = place.client.begin(Method::DELETE, &path, &Value::Null)?;
        finish(&place, begun, self.of.remote.output())
    }
}

/// Follows a change that was begun until it is settled or waits, and says what it came to.
fn finish(place: &Place, begun: Value, output: Output) -> Result<()> {
    if begun.get("stage").is_none() {
        return output.answer(&begun, sentence);
    }
    let mut teller = Teller::default();
    let view = follow::watch(place, number(&begun), Until::Waiting, |view| teller.tell(view))?;
    swaps::conclude(place, &view, output)
}

/// What a change came to.
pub(super) fn sentence(swapped: &Value) -> String {
    let (module, tenant) = (text(swapped, "module"), text(swapped, "tenant"));
    match (
        swapped.get("from").and_then(Value::as_str),
        swapped.get("to").and_then(Value::as_str),
    ) {
        (None, Some(to)) => format!("{module} {to} is enabled for {tenant}"),
        (Some(from), Some(to)) if from == to => format!("{module} {to} serves {tenant}"),
        (Some(from), Some(to)) => format!("{module} went from {from} to {to} for {tenant}"),
        (_, None) => format!("{module} is disabled for {tenant}"),
    }
}

fn json_object(text: &str) -> Result<Value> {
    let value: Value = serde_json::from_str(text).context("the configuration is no JSON")?;
    ensure!(value.is_object(), "the configuration must be a JSON object");
    Ok(value)
}

/// `10` or `10%`.
fn percent(text: &str) -> Result<u8> {
    let number = text.strip_suffix('%').unwrap_or(text).parse();
    match number {
        Ok(number @ 1..=99) => Ok(number),
        _ => bail!("a canary takes 1 to 99 percent"),
    }
}

fn wave(text: &str) -> Result<usize> {
    match text.parse() {
        Ok(number @ 1..=WAVE_MAX) => Ok(number),
        _ => bail!("a wave has 1 to {WAVE_MAX} tenants"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swaps_are_sentences() {
        let swap = |from: Option<&str>, to: Option<&str>| {
            sentence(&json!({"tenant": "acme", "module": "client", "from": from, "to": to}))
        };
        assert_eq!(swap(None, Some("1.0.0")), "client 1.0.0 is enabled for acme");
        assert_eq!(
            swap(Some("1.0.0"), Some("1.1.0")),
            "client went from 1.0.0 to 1.1.0 for acme"
        );
        assert_eq!(swap(Some("1.1.0"), Some("1.1.0")), "client 1.1.0 serves acme");
        assert_eq!(swap(Some("1.1.0"), None), "client is disabled for acme");
    }

    #[test]
    fn shares_and_waves_have_bounds() {
        assert_eq!((percent("10").unwrap(), percent("99%").unwrap()), (10, 99));
        for refused in ["0", "100", "10%%", "ten", ""] {
            assert!(percent(refused).is_err(), "{refused}");
        }
        assert_eq!((wave("1").unwrap(), wave("64").unwrap()), (1, 64));
        assert!(wave("0").is_err() && wave("65").is_err());
    }
}
