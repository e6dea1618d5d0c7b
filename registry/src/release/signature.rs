//! The publisher's signature, within the component's file: the custom section `millwork:signature`, the very last one.
//!
//! It covers every byte before itself, so the code and the manifest alike. What is signed is a text of three lines, each
//! ended by a line feed: `millwork-release-v1`, the publisher's name, and `sha256:<hex>` of the bytes covered. The first
//! keeps a signature that was made for something else from passing for one of these. The section is JSON and has
//! exactly one form for each signature; so does the file, and with it the release's digest.

use serde::{Deserialize, Serialize};

use super::binary;
use crate::Error;
use crate::id::Digest;
use crate::key::{KeyPair, PublicKey, Signature};

/// Name of the custom section.
const SECTION: &str = "millwork:signature";
/// First line of what is signed.
const DOMAIN: &str = "millwork-release-v1";

/// What stands in the section.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    publisher: String,
    key: PublicKey,
    signature: Signature,
}

/// Signs a component as its manifest's publisher, in place of whoever signed it before.
///
/// # Errors
/// [`Error::PublisherMismatch`] when the key is another publisher's; those of reading the manifest.
pub fn sign(component: &[u8], key: &KeyPair) -> Result<Vec<u8>, Error> {
    let publisher = binary::manifest(component)?.publisher;
    check_publisher(&key.public(), key.publisher(), &publisher)?;
    let mut bytes = binary::without(component, SECTION)?;
    let signed = Signed {
        signature: key.sign(&statement(&publisher, &bytes)),
        key: key.public(),
        publisher,
    };
    bytes.extend_from_slice(&section(&signed)?);
    Ok(bytes)
}

/// Whether a component bears a signature, be it a good one or not.
///
/// # Errors
/// [`Error::NotComponent`].
pub fn is_signed(component: &[u8]) -> Result<bool, Error> {
    Ok(!binary::custom_sections(component, SECTION)?.is_empty())
}

/// The key with which `publisher` signed the component; nothing when it is not signed.
pub(super) fn verified(component: &[u8], publisher: &str) -> Result<Option<PublicKey>, Error> {
    let sections = binary::custom_sections(component, SECTION)?;
    let text = match sections.as_slice() {
        [] => return Ok(None),
        [one] => one,
        _ => return Err(Error::SignatureInvalid("there is more than one")),
    };
    let signed: Signed = serde_json::from_slice(text)
        .map_err(|_| Error::SignatureInvalid("its section is not what `millwork plugin sign` writes"))?;
    let covered = component.strip_suffix(section(&signed)?.as_slice());
    let covered = covered.ok_or(Error::SignatureInvalid(
        "it must be the last section, as `millwork plugin sign` writes it",
    ))?;
    let statement = statement(&signed.publisher, covered);
    if !signed.key.verifies(&statement, &signed.signature) {
        return Err(Error::SignatureInvalid(
            "the component is not what was signed: it was changed afterwards, or the signature is another's",
        ));
    }
    check_publisher(&signed.key, &signed.publisher, publisher)?;
    Ok(Some(signed.key))
}

fn check_publisher(key: &PublicKey, owner: &str, publisher: &str) -> Result<(), Error> {
    if owner == publisher {
        return Ok(());
    }
    Err(Error::PublisherMismatch {
        key: key.id(),
        owner: owner.to_owned(),
        publisher: publisher.to_owned(),
    })
}

fn statement(publisher: &str, covered: &[u8]) -> Vec<u8> {
    format!("{DOMAIN}\n{publisher}\n{}\n", Digest::of(covered)).into_bytes()
}

fn section(signed: &Signed) -> Result<Vec<u8>, Error> {
    let json = serde_json::to_vec(signed)
        .map_err(|_| Error::SignatureInvalid("its section cannot be written as JSON"))?;
    Ok(binary::custom_section(SECTION, &json))
}

#[cfg(test)]
mod tests;
