//! The life of a release in one tenant.

pub use crate::bindings::lifecycle::millwork::module::types::{Failure, Reason};

/// What a component does when it starts and stops to serve a tenant; nothing, unless it says otherwise.
pub trait Lifecycle {
    /// Runs once per tenant before the first call to this release; `previous` is the version it replaces.
    ///
    /// # Errors
    /// A [`Failure`] keeps the previous release in place.
    fn activate(previous: Option<&str>) -> Result<(), Failure> {
        let _ = previous;
        Ok(())
    }

    /// Runs once per tenant after the last call to this release.
    ///
    /// # Errors
    /// A [`Failure`] is logged, and tried again where it says so.
    fn deactivate() -> Result<(), Failure> {
        Ok(())
    }

    /// Whether this release can do its work.
    ///
    /// # Errors
    /// One sentence that says why not.
    fn health() -> Result<(), String> {
        Ok(())
    }
}

/// The defaults of [`Lifecycle`].
#[derive(Debug, Clone, Copy)]
pub struct NoLifecycle;

impl Lifecycle for NoLifecycle {}
