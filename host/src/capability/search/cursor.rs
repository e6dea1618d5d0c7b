//! Where a page ends: the score and id of its last hit, after which the next begins.

use super::entry::ID_BYTES_MAX;
use super::{Found, SearchError};

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    /// Finite.
    pub score: f32,
    /// Among equal scores ids grow.
    pub id: String,
}

impl Cursor {
    /// Behind a hit.
    #[must_use]
    pub fn of(found: &Found) -> Self {
        Self {
            score: found.score,
            id: found.id.clone(),
        }
    }

    /// As callers have it: all bits of the score, and the id.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{:08x}{}", self.score.to_bits(), self.id)
    }

    /// Reads what [`Cursor::to_text`] wrote.
    ///
    /// # Errors
    /// [`SearchError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, SearchError> {
        let malformed = || SearchError::Malformed("cursor: it is not of a page before".to_owned());
        let (bits, id) = text.split_at_checked(8).ok_or_else(malformed)?;
        let score = u32::from_str_radix(bits, 16)
            .map(f32::from_bits)
            .map_err(|_| malformed())?;
        if !score.is_finite() || id.is_empty() || id.len() > ID_BYTES_MAX {
            return Err(malformed());
        }
        Ok(Self {
            score,
            id: id.to_owned(),
        })
    }
}
