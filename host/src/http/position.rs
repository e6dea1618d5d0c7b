//! Position tokens: opaque to clients, who hand one back as `?after=` to read their own writes.
//!
//! Nine bytes in base64url without padding: the form's version and the position, big-endian. A position is a number
//! within the tenant that the credential names, so a token taken to another tenant reveals and opens nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::Error;
use crate::event_store::Position;

const FORM: u8 = 1;

/// The token of a position.
#[must_use]
pub fn encode(position: Position) -> String {
    let mut bytes = [FORM; 9];
    let [_, number @ ..] = &mut bytes;
    number.copy_from_slice(&position.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position of a token.
///
/// # Errors
/// [`Error::Malformed`] for anything that [`encode`] does not make.
pub fn decode(token: &str) -> Result<Position, Error> {
    let malformed = || Error::Malformed(format!("{token:?} is no position token"));
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| malformed())?;
    match bytes.as_slice() {
        [FORM, number @ ..] => number.try_into().map(u64::from_be_bytes).map_err(|_| malformed()),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_went() {
        for position in [0, 1, 255, 1 << 40, u64::MAX] {
            assert_eq!(decode(&encode(position)).unwrap(), position);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let longer = URL_SAFE_NO_PAD.encode([1, 0, 0, 0, 0, 0, 0, 0, 7, 7]);
        let other_form = URL_SAFE_NO_PAD.encode([2, 0, 0, 0, 0, 0, 0, 0, 7]);
        for token in ["", "7", "AQ", "AQAAAAAAAAAH=", "nonsense!", &longer, &other_form] {
            assert!(decode(token).is_err(), "{token}");
        }
    }
}
