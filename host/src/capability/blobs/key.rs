//! Forms of what callers name: keys, prefixes, versions, media types, digests.

use super::BlobError;

/// Longest key, in bytes: S3 has 1,024, of which the module's name takes some.
pub const KEY_BYTES_MAX: usize = 900;
/// Longest name of a version, in bytes.
pub const VERSION_BYTES_MAX: usize = 1_024;
/// Longest media type, in bytes.
const MEDIA_TYPE_BYTES_MAX: usize = 255;

/// Holds a key against the rules of the WIT.
///
/// # Errors
/// [`BlobError::Malformed`] and [`BlobError::TooLarge`] with what is wrong.
pub fn check(key: &str) -> Result<(), BlobError> {
    check_prefix(key)?;
    if key.is_empty() || key.ends_with('/') {
        return Err(malformed("key: it has an empty part"));
    }
    Ok(())
}

/// Holds the beginning of a key against the same rules; it may be empty and end anywhere.
///
/// # Errors
/// [`BlobError::Malformed`] and [`BlobError::TooLarge`] with what is wrong.
pub fn check_prefix(prefix: &str) -> Result<(), BlobError> {
    if prefix.len() > KEY_BYTES_MAX {
        return Err(BlobError::TooLarge(format!(
            "a key has at most {KEY_BYTES_MAX} bytes"
        )));
    }
    if prefix.chars().any(|c| c.is_control() || c == '\\') {
        return Err(malformed(
            "key: control characters and backslashes are not allowed",
        ));
    }
    if prefix.starts_with('/') || prefix.contains("//") {
        return Err(malformed("key: it has an empty part"));
    }
    // Servers and proxies take these for steps in a tree of folders.
    if prefix.split('/').any(|part| part == "." || part == "..") {
        return Err(malformed("key: a part may not be . or .."));
    }
    Ok(())
}

/// Whether a text can be a version's name.
///
/// # Errors
/// [`BlobError::Malformed`].
pub fn check_version(version: &str) -> Result<(), BlobError> {
    let visible = version.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && (1..=VERSION_BYTES_MAX).contains(&version.len()) {
        return Ok(());
    }
    Err(malformed("version: it is none that was given"))
}

/// `type/subtype` of RFC 9110, section 8.3.1, with whatever visible ASCII follows a semicolon.
///
/// # Errors
/// [`BlobError::Malformed`].
pub fn check_media_type(text: &str) -> Result<(), BlobError> {
    let is_token = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !part.is_empty() && part.bytes().all(fits)
    };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let formed = essence
        .split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    let visible = parameters.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    // Servers differ in what they keep of spaces around a header's value.
    if formed && visible && text.trim_end() == text && text.len() <= MEDIA_TYPE_BYTES_MAX {
        return Ok(());
    }
    Err(malformed("media-type: it is not of the form type/subtype"))
}

/// Whether a text is a SHA-256 in lowercase hex.
///
/// # Errors
/// [`BlobError::Malformed`].
pub fn check_sha256(text: &str) -> Result<(), BlobError> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() == 64 && text.bytes().all(is_digit) {
        return Ok(());
    }
    Err(malformed("sha256: it has 64 lowercase hexadecimal digits"))
}

fn malformed(why: &str) -> BlobError {
    BlobError::Malformed(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_paths_without_steps() {
        let longest = "k".repeat(KEY_BYTES_MAX);
        for good in [
            "a",
            "a/b.pdf",
            "...",
            "a/..b",
            "ä ö/ß",
            "a b?c=1&d#e%2F+",
            &longest,
        ] {
            check(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        for bad in [
            "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.", "a\\b", "a\nb", "a\0", &long,
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_may_end_anywhere() {
        for good in ["", "a", "a/", "a/b", "a/b/"] {
            check_prefix(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in ["/", "a//", "..", "../", "a/..", "a/../b", "./", "\u{7f}"] {
            assert!(check_prefix(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn media_types_have_two_parts() {
        for good in ["text/plain", "image/svg+xml", "text/plain; charset=utf-8"] {
            check_media_type(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in [
            "",
            "text",
            "text/",
            "/plain",
            "te xt/plain",
            "text/plain;\r\nx: y",
            "text/plain ",
            "text/plain; é",
        ] {
            assert!(check_media_type(bad).is_err(), "{bad}");
        }
    }
}
