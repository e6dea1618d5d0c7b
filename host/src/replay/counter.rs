//! How far a replay has come, readable while it runs, and the way to stop it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use millwork_registry::replay::Progress;

/// Counts what is done with. Shared by whoever runs a replay and whoever watches it.
#[derive(Debug, Default)]
pub struct Counter {
    aggregates_done: AtomicU64,
    aggregates_total: AtomicU64,
    commands_done: AtomicU64,
    commands_total: AtomicU64,
    cancelled: AtomicBool,
}

impl Counter {
    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Progress {
            aggregates_done: read(&self.aggregates_done),
            aggregates_total: read(&self.aggregates_total),
            commands_done: read(&self.commands_done),
            commands_total: read(&self.commands_total),
        }
    }

    /// Stops the replay at its next aggregate or command.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether it was stopped.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn start(&self, aggregates: u64, commands: u64) {
        self.aggregates_total.store(aggregates, Ordering::Relaxed);
        self.commands_total.store(commands, Ordering::Relaxed);
    }

    pub(super) fn aggregate_done(&self) {
        self.aggregates_done.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn command_done(&self) {
        self.commands_done.fetch_add(1, Ordering::Relaxed);
    }
}
