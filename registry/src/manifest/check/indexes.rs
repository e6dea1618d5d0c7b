//! Checks of the indexes that are searched.

use super::check_granted;
use super::form::check_camel_case;
use crate::error::Problems;
use crate::manifest::{IndexKind, Manifest, Permission};

/// Most indexes of one component.
const INDEXES_MAX: usize = 16;
/// Most fields of one index.
const FIELDS_MAX: usize = 64;

pub(super) fn check(manifest: &Manifest, problems: &mut Problems) {
    if manifest.indexes.len() > INDEXES_MAX {
        problems.add("indexes", format_args!("at most {INDEXES_MAX} indexes"));
    }
    for (name, index) in &manifest.indexes {
        let place = format!("indexes.{name}");
        check_camel_case(&place, name, problems);
        check_granted(manifest, &Permission::Search, &place, problems);
        let fields = format!("{place}.fields");
        if index.fields.len() > FIELDS_MAX {
            problems.add(&fields, format_args!("at most {FIELDS_MAX} fields"));
        }
        for field in index.fields.keys() {
            check_camel_case(&fields, field, problems);
        }
        if !index.fields.values().any(|field| field.kind == IndexKind::Text) {
            problems.add(&fields, "an index needs a field of the type text");
        }
    }
}
