//! The bytes of a blob on their way into a backend, held against what was announced.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use super::{BlobError, Content};

/// Pieces, in order; an error ends them.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, BlobError>> + Send>>;

/// See the module.
pub struct Body {
    pieces: Pieces,
    hash: Sha256,
    size: u64,
}

impl Body {
    /// Of pieces that come.
    #[must_use]
    pub fn new(pieces: Pieces) -> Self {
        Self {
            pieces,
            hash: Sha256::new(),
            size: 0,
        }
    }

    /// Of bytes that are there.
    #[must_use]
    pub fn of(bytes: Bytes) -> Self {
        Self::new(Box::pin(stream::iter([Ok(bytes)])))
    }

    /// The next piece. Nothing after the last, of which it is known that all were as `content` says.
    ///
    /// # Errors
    /// [`BlobError::Differs`] when they are not; what the sender's failure is.
    pub async fn next(&mut self, content: &Content) -> Result<Option<Bytes>, BlobError> {
        let Some(piece) = self.pieces.next().await.transpose()? else {
            return self.end(content).map(|()| None);
        };
        self.size = self.size.saturating_add(piece.len() as u64);
        if self.size > content.size {
            return Err(BlobError::Differs(format!(
                "it has more than {} bytes",
                content.size
            )));
        }
        self.hash.update(&piece);
        Ok(Some(piece))
    }

    fn end(&mut self, content: &Content) -> Result<(), BlobError> {
        if self.size != content.size {
            let why = format!("it has {} bytes, not {}", self.size, content.size);
            return Err(BlobError::Differs(why));
        }
        if hex::encode(self.hash.clone().finalize()) != content.sha256 {
            return Err(BlobError::Differs("its sha256 is another".to_owned()));
        }
        Ok(())
    }
}

impl Content {
    /// Of bytes that are there.
    #[must_use]
    pub fn of(bytes: &[u8], media_type: &str) -> Self {
        Self {
            media_type: media_type.to_owned(),
            size: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(bytes)),
        }
    }
}
