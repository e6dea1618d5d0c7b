//! Where a page ended: the sort keys and the id of its last document, so that documents which come and go before that
//! place do not shift the next page.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::query::{Direction, Filter, Path, Sort};
use super::{Collection, Document, DocumentError};

/// Bytes of the digest that ties a cursor to its query.
const TIE_BYTES: usize = 16;

/// A place between two documents.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// One for each field of the sort.
    pub(super) keys: Vec<Vec<u8>>,
    /// The last document's.
    pub(super) id: String,
}

impl Cursor {
    /// Just after a document.
    pub(super) fn after(document: &Document, sort: &Sort, of: &Collection) -> Self {
        let key = |(path, direction): &(Path, Direction)| {
            direction.key(path, document, path.reading("", &of.decimals))
        };
        let id = document
            .get("_id")
            .and_then(|id| id.as_str())
            .unwrap_or_default()
            .to_owned();
        Self {
            keys: sort.fields.iter().map(key).collect(),
            id,
        }
    }

    /// Opaque text for the caller.
    pub(super) fn to_text(&self, of: &Collection, filter: &Filter, sort: &Sort) -> String {
        let mut bytes = tie(of, filter, sort);
        for part in self.keys.iter().map(Vec::as_slice).chain([self.id.as_bytes()]) {
            bytes.extend((u32::try_from(part.len()).unwrap_or(u32::MAX)).to_be_bytes());
            bytes.extend(part);
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// From what the caller gives back.
    pub(super) fn parse(
        text: &str,
        of: &Collection,
        filter: &Filter,
        sort: &Sort,
    ) -> Result<Self, DocumentError> {
        let malformed = || DocumentError::Malformed("cursor: is not one of this query".to_owned());
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed())?;
        let mut rest = bytes
            .strip_prefix(tie(of, filter, sort).as_slice())
            .ok_or_else(malformed)?;
        let mut parts = Vec::with_capacity(sort.fields.len() + 1);
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let (part, after) = after.split_at_checked(length).ok_or_else(malformed)?;
            parts.push(part.to_vec());
            rest = after;
        }
        let id = parts
            .pop()
            .and_then(|id| String::from_utf8(id).ok())
            .ok_or_else(malformed)?;
        if !rest.is_empty() || parts.len() != sort.fields.len() {
            return Err(malformed());
        }
        Ok(Self { keys: parts, id })
    }
}

/// The same for the same query only.
fn tie(of: &Collection, filter: &Filter, sort: &Sort) -> Vec<u8> {
    let mut digest = Sha256::new();
    for part in [
        &of.module,
        &of.name,
        &sort.to_text(),
        &filter.as_json().to_string(),
    ] {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    digest.finalize().iter().take(TIE_BYTES).copied().collect()
}
