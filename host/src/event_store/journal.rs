//! The command journal and the list of aggregates as a replay reads them: newest first up to a bound, then page by page.

use std::sync::Arc;

use super::{Journalled, Origin, Recorded};

/// A part of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// Accepted commands that recorded events.
    Recorded,
    /// Accepted commands that recorded nothing.
    Empty,
    /// Rejected commands.
    Rejected,
}

/// A command as the journal keeps it, with what it led to.
#[derive(Debug, Clone)]
pub struct JournalEntry {
    /// The command and its input.
    pub command: Journalled,
    /// Who caused it.
    pub origin: Arc<Origin>,
    /// What it led to.
    pub outcome: JournalOutcome,
}

/// What a journalled command led to.
#[derive(Debug, Clone)]
pub enum JournalOutcome {
    /// These events, perhaps none.
    Accepted(Vec<Recorded>),
    /// A rejection, as JSON text.
    Rejected(String),
}

/// The newest of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest<T> {
    /// Oldest first.
    pub items: Vec<T>,
    /// How many older ones there are; counted up to a bound, so it may be more.
    pub left_out: u64,
}

impl<T> Newest<T> {
    /// Nothing, and nothing left out.
    #[must_use]
    pub fn none() -> Self {
        Self {
            items: Vec::new(),
            left_out: 0,
        }
    }
}
