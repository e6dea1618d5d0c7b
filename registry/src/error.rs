//! What can go wrong in the registry.

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name has not the form that keeps it safe in paths and keys; the caller corrects it.
    #[error(
        "{what} name {text:?} must start with a lowercase letter and hold only lowercase letters, digits and \
         hyphens, 40 at most"
    )]
    Name {
        /// Whose name.
        what: &'static str,
        /// The text refused.
        text: String,
    },
}
