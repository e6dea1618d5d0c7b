//! What a signature covers, where it stands, and every way in which it does not hold.

use super::{SECTION, is_signed, sign};
use crate::key::KeyPair;
use crate::manifest::tests::GOOD;
use crate::release::tests::{key, release};
use crate::release::{Release, binary};

#[track_caller]
fn refused(bytes: &[u8], code: &str, part: &str) {
    let error = Release::read(bytes, 7).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

#[test]
fn a_signed_component_says_with_which_key() {
    let (bare, key) = (release(GOOD), key("millwork", 1));
    let signed = sign(&bare, &key).unwrap();
    assert!(signed.starts_with(&bare));
    assert_eq!(Release::read(&signed, 7).unwrap().key, Some(key.public()));
    assert!(is_signed(&signed).unwrap() && !is_signed(&bare).unwrap());
}

#[test]
fn the_form_never_changes() {
    // Releases that were signed once are verified for ever: this file is read by every later version.
    let bare = binary::custom_section("x", b"y");
    let statement = super::statement("acme", &bare);
    let digest = crate::id::Digest::of(&bare);
    assert_eq!(
        String::from_utf8(statement).unwrap(),
        format!("millwork-release-v1\nacme\n{digest}\n")
    );
    let signed = sign(&release(GOOD), &key("millwork", 1)).unwrap();
    let section = &signed[release(GOOD).len()..];
    let key = key("millwork", 1).public();
    let json = format!(r#"{{"publisher":"millwork","key":"{key}","signature":""#);
    let at = section
        .windows(json.len())
        .position(|part| part == json.as_bytes());
    assert_eq!(at, Some(1 + 2 + 1 + SECTION.len()));
}

#[test]
fn signing_again_takes_the_place_of_the_signature() {
    let (bare, one, two) = (release(GOOD), key("millwork", 1), key("millwork", 2));
    let signed = sign(&bare, &one).unwrap();
    assert_eq!(sign(&signed, &one).unwrap(), signed);
    assert_eq!(sign(&signed, &two).unwrap(), sign(&bare, &two).unwrap());
    // A tool has added something behind the signature.
    let more = binary::custom_section("producers", b"");
    let added = [signed.as_slice(), &more].concat();
    refused(&added, "signature-invalid", "it must be the last section");
    assert_eq!(
        sign(&added, &one).unwrap(),
        sign(&[bare.as_slice(), &more].concat(), &one).unwrap()
    );
}

#[test]
fn every_byte_counts() {
    let bare = release(GOOD);
    let signed = sign(&bare, &key("millwork", 1)).unwrap();
    let found = |part: &[u8]| {
        signed
            .windows(part.len())
            .position(|bytes| bytes == part)
            .unwrap()
    };
    // The manifest, within what is signed; and each part of the signature itself.
    for part in ["draft", "documents", "ed25519:", "signature\":\"", "{\"publisher"] {
        let mut changed = signed.clone();
        let at = found(part.as_bytes()) + part.len();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(Release::read(&changed, 7).is_err(), "{part}");
    }
    let text = String::from_utf8_lossy(&signed).into_owned();
    assert!(text.contains("Invoices from draft"));
    let at = found(b"draft");
    let mut changed = signed.clone();
    changed[at] = b'D';
    refused(&changed, "signature-invalid", "it was changed afterwards");
}

#[test]
fn a_signature_has_one_form_and_one_place() {
    let (bare, key) = (release(GOOD), key("millwork", 1));
    let signed = sign(&bare, &key).unwrap();
    let section = &signed[bare.len()..];
    refused(
        &[&signed, section].concat(),
        "signature-invalid",
        "there is more than one",
    );
    let json = section[1 + 2 + 1 + SECTION.len()..].to_vec();
    let with = |json: &[u8]| [bare.as_slice(), &binary::custom_section(SECTION, json)].concat();
    assert_eq!(with(&json), signed);
    refused(
        &with(&[json.as_slice(), b" "].concat()),
        "signature-invalid",
        "it must be the last section",
    );
    for other in [
        &b""[..],
        b"{}",
        b"null",
        br#"{"publisher":"a","key":"b","signature":"c"}"#,
    ] {
        refused(
            &with(other),
            "signature-invalid",
            "not what `millwork plugin sign` writes",
        );
    }
    // Of another release of the same publisher.
    let other = sign(&release(&GOOD.replace("draft", "first draft")), &key).unwrap();
    let other = &other[release(&GOOD.replace("draft", "first draft")).len()..];
    refused(
        &[bare.as_slice(), other].concat(),
        "signature-invalid",
        "the signature is another's",
    );
}

#[test]
fn a_key_signs_for_its_publisher_only() {
    let acme: KeyPair = key("acme", 1);
    let error = sign(&release(GOOD), &acme).unwrap_err();
    assert_eq!(error.code(), "publisher-mismatch");
    // Signed for acme with all that belongs to it, but the manifest says millwork.
    let theirs = sign(
        &release(&GOOD.replace("publisher: millwork", "publisher: acme")),
        &acme,
    )
    .unwrap();
    let section = &theirs[theirs.len() - 1..];
    assert_eq!(section, b"}");
    let bare = release(GOOD);
    let signed = super::Signed {
        publisher: "acme".to_owned(),
        key: acme.public(),
        signature: acme.sign(&super::statement("acme", &bare)),
    };
    let bytes = [bare.as_slice(), &super::section(&signed).unwrap()].concat();
    refused(
        &bytes,
        "publisher-mismatch",
        "is publisher acme's, so it cannot sign for publisher millwork",
    );
}

#[test]
fn a_signature_within_a_part_of_the_component_does_not_count() {
    let text = format!(r#"(component (core module (@custom "{SECTION}" "x")))"#);
    let manifest = "{manifest: 1, name: a, version: 1.0.0, publisher: b, description: c, licence: MIT}";
    let bare = crate::release::embed(&wat::parse_str(text).unwrap(), manifest).unwrap();
    assert_eq!(Release::read(&bare, 7).unwrap().key, None);
    let signed = sign(&bare, &key("b", 1)).unwrap();
    assert!(signed.starts_with(&bare));
    assert_eq!(sign(&signed, &key("b", 1)).unwrap(), signed);
    assert!(Release::read(&signed, 7).unwrap().key.is_some());
}
