//! What a swap is asked to do, and how carefully.

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::replay::Policy;

/// A wish of a tenant's administrator or an operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Request {
    /// The module that it is about; others may have to come along.
    pub module: String,
    /// What shall happen to it.
    pub action: Action,
    /// How carefully.
    #[serde(default)]
    pub options: Options,
    /// Who asks.
    pub by: String,
}

/// What shall happen to a module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Action {
    /// Enable it, or move it to another release or configuration.
    Enable {
        /// This version and no other.
        version: Option<Version>,
        /// Any of these versions, also for later resolutions.
        wanted: Option<VersionReq>,
        /// Its configuration, a JSON object; as it was when absent.
        config: Option<Value>,
    },
    /// Disable it; its data stays.
    Disable,
    /// Go back to a version that the tenant has run.
    RollBack {
        /// Which.
        version: Version,
    },
}

/// How carefully.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Options {
    /// Which differences in the replay of the tenant's history bar the way.
    pub policy: Policy,
    /// Whether the history is not tried at all.
    pub skip_replay: bool,
    /// Whether the swap may happen although there is no way back.
    pub one_way: bool,
    /// A share of the aggregates goes first.
    pub canary: Option<CanaryPlan>,
}

/// A canary: a share of the aggregates is decided by the candidate for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CanaryPlan {
    /// Of 100 aggregates, by a hash of their ids.
    pub percent: u8,
    /// How long, at most.
    pub seconds: u64,
    /// It ends before its time once the candidate has decided so many commands.
    #[serde(default)]
    pub commands: Option<u64>,
    /// How many times as slow as before the candidate's median decision may be.
    #[serde(default = "default_slower_max")]
    pub slower_max: f64,
    /// By how many of 100 commands the candidate may reject more than the release that serves.
    #[serde(default = "default_rejections_more_max")]
    pub rejections_more_max: f64,
}

fn default_slower_max() -> f64 {
    2.0
}

fn default_rejections_more_max() -> f64 {
    5.0
}

/// Longest canary: a week, in seconds.
const CANARY_SECONDS_MAX: u64 = 7 * 24 * 3_600;

impl CanaryPlan {
    /// Why it makes no sense, if it does not.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        if !(1..=99).contains(&self.percent) {
            return Some("a canary takes 1 to 99 percent of the aggregates");
        }
        if !(1..=CANARY_SECONDS_MAX).contains(&self.seconds) {
            return Some("a canary lasts 1 second to 7 days");
        }
        if self.commands == Some(0) {
            return Some("a canary decides at least one command");
        }
        if !self.slower_max.is_finite() || self.slower_max < 1.0 {
            return Some("a canary's slowerMax is a factor of at least 1");
        }
        if !(0.0..=100.0).contains(&self.rejections_more_max) {
            return Some("a canary's rejectionsMoreMax is 0 to 100 percent");
        }
        None
    }
}
