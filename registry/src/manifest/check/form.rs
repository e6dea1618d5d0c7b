//! Forms of the names in a manifest.

use crate::error::Problems;

/// Longest name in a manifest, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Longest dotted path, in bytes.
const PATH_BYTES_MAX: usize = 128;
/// Most fields on the way of a dotted path.
const PATH_FIELDS_MAX: usize = 8;

/// `CreateInvoice`.
pub(in crate::manifest) fn is_pascal_case(text: &str) -> bool {
    is_name(text, u8::is_ascii_uppercase)
}

/// `lineItems`.
pub(in crate::manifest) fn is_camel_case(text: &str) -> bool {
    is_name(text, u8::is_ascii_lowercase)
}

fn is_name(text: &str, starts: fn(&u8) -> bool) -> bool {
    let starts_well = text.as_bytes().first().is_some_and(starts);
    starts_well && text.len() <= NAME_BYTES_MAX && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// `client.address.city`: field names of letters, digits, `_` and `-`.
pub(super) fn is_field_path(text: &str) -> bool {
    let is_field = |field: &str| {
        !field.is_empty()
            && field
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    text.len() <= PATH_BYTES_MAX
        && text.split('.').count() <= PATH_FIELDS_MAX
        && text.split('.').all(is_field)
}

/// `invoicing.read` of the module `invoicing`.
pub(super) fn is_permission_of(module: &str, text: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let verb = text.strip_prefix(module).and_then(|rest| rest.strip_prefix('.'));
    text.len() <= PATH_BYTES_MAX && verb.is_some_and(|verb| verb.split('.').all(is_word))
}

/// Notes a name that is not in PascalCase.
pub(super) fn check_pascal_case(place: &str, name: &str, problems: &mut Problems) {
    if !is_pascal_case(name) {
        problems.add(
            place,
            format_args!("{name:?} must be in PascalCase, letters and digits, 64 at most"),
        );
    }
}

/// Notes a name that is not in camelCase.
pub(super) fn check_camel_case(place: &str, name: &str, problems: &mut Problems) {
    if !is_camel_case(name) {
        problems.add(
            place,
            format_args!("{name:?} must be in camelCase, letters and digits, 64 at most"),
        );
    }
}

/// Notes every text that is no dotted path.
pub(super) fn check_field_paths<'a>(
    place: &str,
    paths: impl IntoIterator<Item = &'a String>,
    problems: &mut Problems,
) {
    for path in paths {
        if !is_field_path(path) {
            problems.add(
                place,
                format_args!("{path:?} must be field names of letters, digits, _ and -, joined by dots"),
            );
        }
    }
}

/// Notes a permission of a route that is not this module's.
pub(super) fn check_permission(
    place: &str,
    module: &str,
    permission: Option<&String>,
    problems: &mut Problems,
) {
    if let Some(text) = permission.filter(|text| !is_permission_of(module, text)) {
        problems.add(
            place,
            format_args!("permission {text:?} must be {module}.<word> in lowercase"),
        );
    }
}
