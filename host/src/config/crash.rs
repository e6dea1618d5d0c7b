//! Where a process ends itself, for tests of power loss.

/// A moment of a swap or of a removal: `before:flipping`, `after:flipping`, `before:remove-blobs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashPoint {
    /// Before or after the step is on the disk.
    pub moment: Moment,
    /// The step's name.
    pub step: String,
}

/// When, of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It is not on the disk yet.
    Before,
    /// It is on the disk.
    After,
}

impl CrashPoint {
    /// `None` when the text has another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (moment, step) = text.split_once(':')?;
        let moment = match moment {
            "before" => Moment::Before,
            "after" => Moment::After,
            _ => return None,
        };
        Some(Self {
            moment,
            step: step.to_owned(),
        })
    }
}

/// Ends the process as a power loss would, where a test wants it.
pub fn reach(wanted: Option<&CrashPoint>, moment: Moment, step: &str) {
    if wanted.is_some_and(|wanted| wanted.step == step && wanted.moment == moment) {
        tracing::error!(step, ?moment, "ends itself as told");
        std::process::abort();
    }
}
