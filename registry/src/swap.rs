//! One change of what a tenant runs, as a state machine of which each step is written down before the next begins.
//!
//! [`Swap::apply`] is the whole machine: which step may follow which. It works nothing: the host does what a stage asks
//! for and records that it is done. [`Swaps`] keeps the steps on the disk, so that after a crash at any point the host
//! knows how far a swap had come.

mod journal;
mod request;

use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};

pub use self::journal::{SWAPS_KEPT, Swaps};
pub use self::request::{Action, CanaryPlan, Options, Request};
use crate::Error;
use crate::consent::Difference;
use crate::generation::Installation;
use crate::id::TenantId;
use crate::replay::Report;

/// One module's part of a swap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Change {
    /// The module.
    pub module: String,
    /// The version that serves before; absent when it is not enabled.
    pub from: Option<Version>,
    /// What the tenant shall run; absent when the module is disabled.
    pub to: Option<Installation>,
}

impl Change {
    /// The version that serves after.
    #[must_use]
    pub fn to_version(&self) -> Option<&Version> {
        self.to.as_ref().map(|installed| &installed.version)
    }
}

/// What has happened. Every step is a line of the swap's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    tag = "step",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Step {
    /// Somebody asked for it.
    Requested {
        /// For what.
        request: Box<Request>,
    },
    /// It is known what has to change.
    Resolved {
        /// All modules concerned, dependencies first.
        changes: Vec<Change>,
        /// What the tenant has to agree to first.
        wider: Vec<Difference>,
    },
    /// It waits until somebody of the tenant agrees.
    ConsentAsked,
    /// The tenant has agreed.
    Consented {
        /// Who.
        by: String,
    },
    /// The candidates did what their policies ask for on the tenant's own history.
    Verified {
        /// One for each module that had a history.
        reports: Vec<Report>,
        /// Differences that the policies let pass, in sentences.
        warnings: Vec<String>,
        /// Whether the releases that served before cannot read what the candidates write.
        one_way: bool,
        /// Whether that, and what the policies bar, lets the swap go on. One that may not is verified again should it be
        /// taken up after a crash, and never goes on from here.
        passed: bool,
    },
    /// The candidates said that they are ready to serve.
    Activated,
    /// Read models of other versions stand ready in shadow.
    Rebuilt {
        /// `<module>.<Projection>` of each.
        projections: Vec<String>,
    },
    /// A share of the aggregates is decided by the candidate from now on.
    CanaryStarted {
        /// How large, how long.
        plan: CanaryPlan,
    },
    /// The canary found nothing against the candidate, or somebody ended it so.
    CanaryPassed {
        /// Commands that the candidate decided.
        commands: u64,
        /// Who promoted it before its time, if somebody did.
        by: Option<String>,
    },
    /// The generation is about to be written; that file decides whether the swap has happened.
    Flipping {
        /// The number that the tenant's generation will have.
        generation: u64,
    },
    /// The tenant runs the new generation.
    Flipped {
        /// Its number.
        generation: u64,
    },
    /// The releases replaced have ended their last calls.
    Drained {
        /// Those whose calls did not end in time; they serve nobody but stay loaded.
        resident: Vec<String>,
    },
    /// It did not happen; the tenant runs what it ran before.
    Failed {
        /// Stable, for programs.
        code: String,
        /// One sentence for people.
        message: String,
    },
    /// Somebody took it back before it happened.
    Cancelled {
        /// Who.
        by: String,
    },
}

/// A step and when it was recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
    /// What has happened.
    #[serde(flatten)]
    pub step: Step,
}

/// How far a swap has come: what the host is doing now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Finding out what has to change.
    Resolving,
    /// Trying the candidates on the tenant's history.
    Verifying,
    /// Waiting for the tenant's consent.
    AwaitingConsent,
    /// Telling the candidates that they will serve.
    Activating,
    /// Building read models in shadow.
    Rebuilding,
    /// Read models stand ready: a canary or the flip comes next.
    Ready,
    /// A share of the aggregates is on the candidate.
    Canary,
    /// Putting the new generation in place.
    Flipping,
    /// The new generation serves; calls on the old one are ending.
    Draining,
    /// All done.
    Completed,
    /// It did not happen.
    Failed,
    /// It was taken back before it happened.
    Cancelled,
}

impl Stage {
    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// As programs name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolving => "resolving",
            Self::Verifying => "verifying",
            Self::AwaitingConsent => "awaiting-consent",
            Self::Activating => "activating",
            Self::Rebuilding => "rebuilding",
            Self::Ready => "ready",
            Self::Canary => "canary",
            Self::Flipping => "flipping",
            Self::Draining => "draining",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it is decided what the tenant runs: no other swap need wait any longer.
    #[must_use]
    pub fn is_settled(self) -> bool {
        self.is_over() || self == Self::Draining
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A swap as its steps have made it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swap {
    /// Whose.
    pub tenant: TenantId,
    /// Counts the swaps of the tenant from 1.
    pub number: u64,
    /// What was asked for.
    pub request: Request,
    /// How far it has come.
    pub stage: Stage,
    /// All modules concerned, dependencies first.
    pub changes: Vec<Change>,
    /// What the tenant has to agree to, or has agreed to.
    pub wider: Vec<Difference>,
    /// Whether the tenant has agreed, where it had to.
    pub consented: bool,
    /// Whether the candidates were verified and may go on.
    pub verified: bool,
    /// `<module>.<Projection>` of each read model that stands ready in shadow.
    pub rebuilt: Vec<String>,
    /// Whether the way back is barred: the releases replaced cannot read what the new ones write.
    pub one_way: bool,
    /// The tenant's generation after it; known once it is being put in place.
    pub generation: Option<u64>,
    /// Every step so far.
    pub history: Vec<Entry>,
}

impl Swap {
    /// A swap that was just asked for.
    #[must_use]
    pub fn begin(tenant: TenantId, number: u64, request: Request, at_ms: u64) -> Self {
        let step = Step::Requested {
            request: Box::new(request.clone()),
        };
        Self {
            tenant,
            number,
            request,
            stage: Stage::Resolving,
            changes: Vec::new(),
            wider: Vec::new(),
            consented: false,
            verified: false,
            rebuilt: Vec::new(),
            one_way: false,
            generation: None,
            history: vec![Entry { at_ms, step }],
        }
    }

    /// Takes one step.
    ///
    /// # Errors
    /// [`Error::SwapStage`] when it may not follow what has happened; the swap is as it was then.
    pub fn apply(&mut self, entry: Entry) -> Result<(), Error> {
        let next = self.after(&entry.step).ok_or_else(|| Error::SwapStage {
            number: self.number,
            stage: self.stage,
            wanted: entry.step.name(),
        })?;
        match &entry.step {
            Step::Resolved { changes, wider } => {
                self.changes.clone_from(changes);
                self.wider.clone_from(wider);
            }
            Step::Consented { .. } => self.consented = true,
            Step::Verified { one_way, passed, .. } => {
                self.verified = *passed;
                self.one_way = *one_way;
            }
            Step::Rebuilt { projections } => self.rebuilt.clone_from(projections),
            Step::Flipping { generation } | Step::Flipped { generation } => {
                self.generation = Some(*generation);
            }
            Step::Failed { .. } | Step::Cancelled { .. } => self.generation = None,
            _ => {}
        }
        self.stage = next;
        self.history.push(entry);
        Ok(())
    }

    /// The stage after a step; nothing when the step may not come now.
    fn after(&self, step: &Step) -> Option<Stage> {
        use Stage::{
            Activating, AwaitingConsent, Canary, Completed, Draining, Flipping, Ready, Rebuilding, Resolving,
            Verifying,
        };
        let agreed = self.consented || self.wider.is_empty();
        match (self.stage, step) {
            (Resolving, Step::Resolved { .. }) => Some(Verifying),
            (Verifying, Step::ConsentAsked) if !agreed => Some(AwaitingConsent),
            (AwaitingConsent, Step::Consented { .. }) => Some(Verifying),
            (Verifying, Step::Verified { passed: true, .. }) if agreed => Some(Activating),
            (Verifying, Step::Verified { passed: false, .. }) if agreed => Some(Verifying),
            (Activating, Step::Activated) => Some(Rebuilding),
            (Rebuilding, Step::Rebuilt { .. }) => Some(Ready),
            (Ready, Step::CanaryStarted { .. }) if !self.one_way => Some(Canary),
            (Canary, Step::CanaryPassed { .. }) => Some(Ready),
            (Ready, Step::Flipping { .. }) => Some(Flipping),
            (Flipping, Step::Flipped { generation }) if self.generation == Some(*generation) => {
                Some(Draining)
            }
            (Draining, Step::Drained { .. }) => Some(Completed),
            (stage, Step::Failed { .. }) if !stage.is_settled() => Some(Stage::Failed),
            (stage, Step::Cancelled { .. }) if !stage.is_settled() && stage != Flipping => {
                Some(Stage::Cancelled)
            }
            _ => None,
        }
    }

    /// Whether its canary has passed already.
    #[must_use]
    pub fn canary_passed(&self) -> bool {
        let passed = |entry: &Entry| matches!(entry.step, Step::CanaryPassed { .. });
        self.history.iter().any(passed)
    }

    /// Why it did not happen, as code and sentence.
    #[must_use]
    pub fn failure(&self) -> Option<(&str, &str)> {
        self.history.iter().rev().find_map(|entry| match &entry.step {
            Step::Failed { code, message } => Some((code.as_str(), message.as_str())),
            _ => None,
        })
    }

    /// The change of the module that the request names.
    #[must_use]
    pub fn main_change(&self) -> Option<&Change> {
        let named = |change: &&Change| change.module == self.request.module;
        self.changes.iter().find(named)
    }
}

impl Step {
    /// As programs name it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Requested { .. } => "requested",
            Self::Resolved { .. } => "resolved",
            Self::ConsentAsked => "consent-asked",
            Self::Consented { .. } => "consented",
            Self::Verified { .. } => "verified",
            Self::Activated => "activated",
            Self::Rebuilt { .. } => "rebuilt",
            Self::CanaryStarted { .. } => "canary-started",
            Self::CanaryPassed { .. } => "canary-passed",
            Self::Flipping { .. } => "flipping",
            Self::Flipped { .. } => "flipped",
            Self::Drained { .. } => "drained",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests;
