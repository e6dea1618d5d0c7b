//! Publishers' keys: Ed25519 (RFC 8032), each bound to the name of its publisher.
//!
//! The public half stands in signatures and in the list of those who are [trusted](crate::trust); the secret half never
//! leaves the publisher's key file. Randomness comes in as an argument.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::id::{Digest, check_name};

/// What a public key's text starts with.
const PREFIX: &str = "ed25519:";
/// Hexadecimal digits of a [`KeyId`]: 128 bits, so that nobody finds a second key with the same one.
const KEY_ID_DIGITS: usize = 32;

/// The public half of a key, as text `ed25519:<base64>`. Whoever holds one holds a point that signatures can be held
/// against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The short name of this key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let digest = Digest::of(&self.0);
        KeyId(digest.hex().chars().take(KEY_ID_DIGITS).collect())
    }

    /// Whether the holder of this key signed the message. Signatures of which another form would hold as well do not.
    #[must_use]
    pub(crate) fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl TryFrom<String> for PublicKey {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let bytes = text.strip_prefix(PREFIX).and_then(decode::<32>);
        // A weak key verifies signatures that nobody made.
        let is_good = |bytes: &[u8; 32]| VerifyingKey::from_bytes(bytes).is_ok_and(|key| !key.is_weak());
        match bytes.filter(is_good) {
            Some(bytes) => Ok(Self(bytes)),
            None => Err(Error::Form {
                what: "public key",
                text,
                expected: "ed25519: and the base64 of an Ed25519 public key, as `millwork key new` prints it",
            }),
        }
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

/// The short name of a public key, for paths and people: the first 32 hexadecimal digits of its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for KeyId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == KEY_ID_DIGITS && text.bytes().all(is_digit) {
            return Ok(Self(text));
        }
        Err(Error::Form {
            what: "key id",
            text,
            expected: "32 lowercase hexadecimal digits, as `millwork key list` shows them",
        })
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

/// A signature, as base64 text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Signature([u8; 64]);

impl TryFrom<String> for Signature {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        match decode::<64>(&text) {
            Some(bytes) => Ok(Self(bytes)),
            None => Err(Error::Form {
                what: "signature",
                text,
                expected: "the base64 of 64 bytes",
            }),
        }
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        STANDARD.encode(signature.0)
    }
}

/// Both halves, with the name of the publisher who signs with them. Its `Debug` shows no secret.
#[derive(Debug)]
pub struct KeyPair {
    publisher: String,
    signing: SigningKey,
}

/// What a publisher's key file holds, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    publisher: String,
    key: PublicKey,
    /// The 32 bytes that RFC 8032 calls the private key, as base64.
    secret: String,
}

impl KeyPair {
    /// The key that these 32 bytes are the secret of; they must come from a generator fit for secrets.
    ///
    /// # Errors
    /// [`Error::Name`] when the publisher's name has another form.
    pub fn new(publisher: &str, secret: &[u8; 32]) -> Result<Self, Error> {
        check_name("publisher", publisher)?;
        Ok(Self {
            publisher: publisher.to_owned(),
            signing: SigningKey::from_bytes(secret),
        })
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`Error::KeyFile`], which says nothing of the text, since that holds a secret.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let file: KeyFile = serde_json::from_str(text).map_err(|_| Error::KeyFile)?;
        let secret = decode::<32>(&file.secret).ok_or(Error::KeyFile)?;
        let pair = Self::new(&file.publisher, &secret).map_err(|_| Error::KeyFile)?;
        if pair.public() == file.key {
            Ok(pair)
        } else {
            Err(Error::KeyFile)
        }
    }

    /// The text of a key file. It holds the secret: only its owner may read it.
    #[must_use]
    pub fn to_file(&self) -> String {
        let (publisher, key) = (&self.publisher, self.public());
        let secret = STANDARD.encode(self.signing.as_bytes());
        // Names and base64 need no escaping in JSON.
        format!(
            "{{\n  \"publisher\": \"{publisher}\",\n  \"key\": \"{key}\",\n  \"secret\": \"{secret}\"\n}}\n"
        )
    }

    /// Who signs with it.
    #[must_use]
    pub fn publisher(&self) -> &str {
        &self.publisher
    }

    /// The half that everybody may know.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.signing.verifying_key().to_bytes())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.signing.sign(message).to_bytes())
    }
}

/// Exactly so many bytes.
fn decode<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::{KeyId, KeyPair, PublicKey};

    #[test]
    fn a_key_file_is_read_as_it_was_written() {
        let pair = KeyPair::new("acme", &[7; 32]).unwrap();
        let file = pair.to_file();
        let again = KeyPair::parse(&file).unwrap();
        assert_eq!((again.publisher(), again.public()), ("acme", pair.public()));
        assert_eq!(again.sign(b"x"), pair.sign(b"x"));
        let other = KeyPair::new("acme", &[8; 32]).unwrap().public().to_string();
        for bad in [
            String::new(),
            "{}".to_owned(),
            file.replace("acme", "Acme"),
            file.replace(&pair.public().to_string(), &other),
            file.replace("\"secret\": \"", "\"secret\": \"AA"),
        ] {
            let error = KeyPair::parse(&bad).unwrap_err();
            assert_eq!(error.code(), "key-file-malformed", "{bad}");
        }
        assert!(!format!("{pair:?}").contains(&"7, ".repeat(8)), "{pair:?}");
        assert_eq!(
            KeyPair::new("Acme", &[7; 32]).unwrap_err().code(),
            "name-malformed"
        );
    }

    #[test]
    fn signatures_are_those_of_rfc_8032() {
        // Section 7.1, test 1: no message.
        let secret = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let secret: [u8; 32] = hex::decode(secret).unwrap().try_into().unwrap();
        let pair = KeyPair::new("acme", &secret).unwrap();
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(hex::encode(pair.public().0), public);
        let signature = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
             d25bf5f0595bbe24655141438e7a100b";
        assert_eq!(hex::encode(pair.sign(b"").0), signature);
        assert!(pair.public().verifies(b"", &pair.sign(b"")));
        assert!(!pair.public().verifies(b"x", &pair.sign(b"")));
    }

    #[test]
    fn public_keys_and_their_ids_are_written_as_they_are_read() {
        let key = KeyPair::new("acme", &[7; 32]).unwrap().public();
        let text = key.to_string();
        assert_eq!(PublicKey::try_from(text.clone()).unwrap(), key);
        let id = key.id().to_string();
        assert_eq!(KeyId::try_from(id.clone()).unwrap(), key.id());
        // The neutral element, against which a signature of anything can be made without a secret.
        let weak = format!("ed25519:AQ{}=", "A".repeat(41));
        for bad in ["", "ed25519:", &text[8..], &text[..text.len() - 1], weak.as_str()] {
            let error = PublicKey::try_from(bad.to_owned()).unwrap_err();
            assert_eq!(error.code(), "text-malformed", "{bad}");
        }
        for bad in [
            "",
            &id[1..],
            &id.to_uppercase(),
            "../../../../../../../../../../xx",
        ] {
            assert!(KeyId::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
