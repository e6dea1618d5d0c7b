//! A swap that is under way: where it stands for those who look on, and what they wish of it.

use std::sync::{Arc, Mutex, PoisonError};

use millwork_registry::replay::Progress;
use millwork_registry::swap::{Stage, Step, Swap};
use serde::Serialize;
use tokio::sync::watch;

use crate::config::crash::{self, Moment};
use crate::error::Error;
use crate::host::Host;
use crate::replay::Counter;
use crate::tenant::canary::Canary;
use crate::tenant::pulse::Reading;
use crate::{blocking, capability::platform::now_ms};

/// A swap that is under way.
pub struct Live {
    swap: watch::Sender<Swap>,
    wish: watch::Sender<Option<Wish>>,
    /// How far the replay has come.
    pub(super) counter: Arc<Counter>,
    /// While one is on. std's lock: held for a look.
    canary: Mutex<Option<Arc<Canary>>>,
}

/// What somebody wants of a swap that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// The tenant agrees to what the releases ask for.
    Consent {
        /// Who says so.
        by: String,
    },
    /// Take it back.
    Cancel {
        /// Who says so.
        by: String,
    },
    /// End the canary well before its time.
    Promote {
        /// Who says so.
        by: String,
    },
}

/// A swap as those who look on see it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Its steps and what they came to.
    #[serde(flatten)]
    pub swap: Swap,
    /// How far its replay has come, while there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<Progress>,
    /// What its canary shows, while there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pulse: Option<Reading>,
}

impl View {
    /// A swap that nothing is happening to.
    #[must_use]
    pub fn of(swap: Swap) -> Self {
        Self {
            swap,
            replay: None,
            pulse: None,
        }
    }
}

impl Live {
    pub(super) fn new(swap: Swap) -> Arc<Self> {
        Arc::new(Self {
            swap: watch::Sender::new(swap),
            wish: watch::Sender::new(None),
            counter: Arc::default(),
            canary: Mutex::default(),
        })
    }

    /// Where it stands now.
    #[must_use]
    pub fn swap(&self) -> Swap {
        self.swap.borrow().clone()
    }

    /// The stage now.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.swap.borrow().stage
    }

    /// Every change of it.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Swap> {
        self.swap.subscribe()
    }

    /// Where it stands now, with what is measured meanwhile.
    #[must_use]
    pub fn view(&self) -> View {
        let swap = self.swap();
        let canary = self.canary.lock().unwrap_or_else(PoisonError::into_inner);
        View {
            replay: (swap.stage == Stage::Verifying).then(|| self.counter.progress()),
            pulse: canary.as_ref().map(|canary| canary.pulse.read()),
            swap,
        }
    }

    pub(super) fn show_canary(&self, canary: Option<Arc<Canary>>) {
        *self.canary.lock().unwrap_or_else(PoisonError::into_inner) = canary;
    }

    /// Tells it a wish.
    ///
    /// # Errors
    /// [`Error::SwapStage`] when it is not where that makes sense.
    pub fn tell(&self, wish: Wish) -> Result<(), Error> {
        let swap = self.swap.borrow();
        let fits = match wish {
            Wish::Consent { .. } => swap.stage == Stage::AwaitingConsent,
            Wish::Promote { .. } => swap.stage == Stage::Canary,
            Wish::Cancel { .. } => !swap.stage.is_settled() && swap.stage != Stage::Flipping,
        };
        if fits {
            drop(swap);
            // Taking it back is never overruled by a wish that comes before it has happened.
            self.wish.send_if_modified(|told| {
                let open = told.as_ref().is_none_or(|told| cancelling(told).is_none());
                if open {
                    *told = Some(wish);
                }
                open
            });
            return Ok(());
        }
        Err(Error::SwapStage {
            number: swap.number,
            stage: swap.stage.to_string(),
            wanted: match wish {
                Wish::Consent { .. } => "consented to",
                Wish::Promote { .. } => "promoted",
                Wish::Cancel { .. } => "cancelled",
            },
        })
    }

    /// Waits for the next wish that `wanted` picks.
    pub(super) async fn wish<T>(&self, wanted: impl Fn(&Wish) -> Option<T>) -> T {
        let mut wishes = self.wish.subscribe();
        loop {
            if let Some(picked) = wishes.borrow_and_update().as_ref().and_then(&wanted) {
                return picked;
            }
            if wishes.changed().await.is_err() {
                // The sender lives as long as this.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until somebody takes it back.
    pub(super) async fn cancelled(&self) -> Error {
        let by = self.wish(cancelling).await;
        self.cancelled_by(by)
    }

    /// Whether somebody has taken it back.
    pub(super) fn is_cancelled(&self) -> Option<Error> {
        let by = self.wish.borrow().as_ref().and_then(cancelling)?;
        Some(self.cancelled_by(by))
    }

    fn cancelled_by(&self, by: String) -> Error {
        Error::SwapCancelled {
            number: self.swap.borrow().number,
            by,
        }
    }

    /// Writes a step down, and then lets everybody see it.
    pub(super) fn record(&self, host: &Host, step: Step) -> Result<(), Error> {
        let name = step.name();
        let wanted = host.config.swap.crash.as_ref();
        crash::reach(wanted, Moment::Before, name);
        let mut swap = self.swap();
        blocking::run(|| host.swaps.record(&mut swap, step, now_ms()))?;
        crash::reach(wanted, Moment::After, name);
        tracing::info!(tenant = %swap.tenant, swap = swap.number, step = name, stage = %swap.stage, "swap");
        self.swap.send_replace(swap);
        Ok(())
    }
}

/// Who takes a swap back, if that is what the wish is.
fn cancelling(wish: &Wish) -> Option<String> {
    match wish {
        Wish::Cancel { by } => Some(by.clone()),
        _ => None,
    }
}
