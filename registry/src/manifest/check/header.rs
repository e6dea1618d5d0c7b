//! Checks of what stands outside the module's own nouns: name, permissions, dependencies, roles.

use super::check_unique;
use super::form::{check_permission, is_permission_of};
use crate::error::Problems;
use crate::id::check_name;
use crate::manifest::{Manifest, Permission};

/// The version of the manifest's format that this crate reads.
const FORMAT: u32 = 1;
/// Longest version, in bytes.
const VERSION_BYTES_MAX: usize = 64;
/// Names that stand for something else where the marketplace names components in paths.
const RESERVED: [&str; 1] = ["swaps"];
/// Longest description, in characters.
const DESCRIPTION_CHARS_MAX: usize = 300;
/// Longest title, in characters.
const TITLE_CHARS_MAX: usize = 60;
/// Longest changelog of one version, in characters.
const CHANGELOG_CHARS_MAX: usize = 10_000;
/// Most categories.
const CATEGORIES_MAX: usize = 8;
/// Roles that the host defines for every module.
const HOST_ROLES: [&str; 3] = ["admin", "editor", "viewer"];

pub(super) fn check(manifest: &Manifest, problems: &mut Problems) {
    check_identity(manifest, problems);
    check_presentation(manifest, problems);
    check_licence(manifest, problems);
    check_permissions(manifest, problems);
    for name in manifest.dependencies.keys() {
        check_dependency(manifest, name, problems);
    }
    for (role, permissions) in &manifest.roles {
        check_role(manifest, role, permissions, problems);
    }
}

fn check_identity(manifest: &Manifest, problems: &mut Problems) {
    if manifest.manifest != FORMAT {
        problems.add(
            "manifest",
            format_args!(
                "format {} is unknown, this host reads {FORMAT}",
                manifest.manifest
            ),
        );
    }
    if let Err(error) = check_name("component", &manifest.name) {
        problems.add("name", error);
    }
    if RESERVED.contains(&manifest.name.as_str()) {
        problems.add("name", format_args!("{} is reserved for the host", manifest.name));
    }
    let version = &manifest.version;
    // Two versions that differ in build metadata only have no order, and a version is part of a file's name.
    if !version.build.is_empty() || version.to_string().len() > VERSION_BYTES_MAX {
        let rule = format!("must have no build metadata and be at most {VERSION_BYTES_MAX} bytes long");
        problems.add("version", format_args!("{version} {rule}"));
    }
    if let Err(error) = check_name("publisher", &manifest.publisher) {
        problems.add("publisher", error);
    }
}

/// What people read in the marketplace.
fn check_presentation(manifest: &Manifest, problems: &mut Problems) {
    let is_line = |text: &str, chars_max: usize| {
        (1..=chars_max).contains(&text.chars().count()) && !text.chars().any(char::is_control)
    };
    let mut check_line = |place: &str, text: &str, chars_max: usize| {
        if !is_line(text, chars_max) {
            problems.add(
                place,
                format_args!("must be one line of 1 to {chars_max} characters"),
            );
        }
    };
    if let Some(title) = &manifest.title {
        check_line("title", title, TITLE_CHARS_MAX);
    }
    check_line("description", &manifest.description, DESCRIPTION_CHARS_MAX);
    let changelog = manifest.changelog.as_deref().unwrap_or_default();
    if changelog.chars().count() > CHANGELOG_CHARS_MAX
        || changelog.chars().any(|c| c.is_control() && c != '\n')
    {
        problems.add(
            "changelog",
            format_args!("must be lines of text, {CHANGELOG_CHARS_MAX} characters at most"),
        );
    }
    if manifest.categories.len() > CATEGORIES_MAX {
        problems.add("categories", format_args!("{CATEGORIES_MAX} at most"));
    }
    check_unique(
        "categories",
        manifest.categories.iter().map(String::as_str),
        problems,
    );
    for category in &manifest.categories {
        if let Err(error) = check_name("category", category) {
            problems.add("categories", error);
        }
    }
}

fn check_licence(manifest: &Manifest, problems: &mut Problems) {
    let spdx = |b: u8| b.is_ascii_alphanumeric() || b" .+-:()".contains(&b);
    if manifest.licence.is_empty() || !manifest.licence.bytes().all(spdx) {
        problems.add(
            "licence",
            format_args!("{:?} must be an SPDX expression", manifest.licence),
        );
    }
}

fn check_permissions(manifest: &Manifest, problems: &mut Problems) {
    let texts: Vec<_> = manifest.permissions.iter().map(ToString::to_string).collect();
    check_unique("permissions", texts.iter().map(String::as_str), problems);
    for permission in &manifest.permissions {
        let (Permission::View(name) | Permission::Events(name) | Permission::Published(name)) = permission
        else {
            continue;
        };
        if name.module == manifest.name {
            problems.add(
                "permissions",
                format_args!("{permission} is this component's own and needs none"),
            );
        } else if matches!(permission, Permission::View(_))
            && !manifest.dependencies.contains_key(&name.module)
        {
            problems.add(
                "permissions",
                format_args!("{permission} needs {} among the dependencies", name.module),
            );
        }
    }
}

fn check_dependency(manifest: &Manifest, name: &str, problems: &mut Problems) {
    let place = format!("dependencies.{name}");
    if let Err(error) = check_name("component", name) {
        problems.add(&place, error);
    }
    if name == manifest.name {
        problems.add(&place, "a component cannot depend on itself");
    }
}

fn check_role(manifest: &Manifest, role: &str, permissions: &[String], problems: &mut Problems) {
    let place = format!("roles.{role}");
    if let Err(error) = check_name("role", role) {
        problems.add(&place, error);
    }
    if HOST_ROLES.contains(&role) {
        problems.add(&place, "is defined by the host");
    }
    check_unique(&place, permissions.iter().map(String::as_str), problems);
    for permission in permissions {
        check_permission(&place, &manifest.name, Some(permission), problems);
        if is_permission_of(&manifest.name, permission) && !is_asked_for(manifest, permission) {
            problems.add(
                &place,
                format_args!("no command, view or query asks for {permission:?}"),
            );
        }
    }
}

fn is_asked_for(manifest: &Manifest, permission: &str) -> bool {
    let commands = manifest
        .commands()
        .filter_map(|(_, _, command)| command.permission.as_deref());
    let views = manifest
        .views
        .values()
        .filter_map(|view| view.permission.as_deref());
    let queries = manifest
        .queries
        .values()
        .filter_map(|query| query.permission.as_deref());
    let defaults = [manifest.read_permission(), manifest.write_permission()];
    commands
        .chain(views)
        .chain(queries)
        .any(|asked| asked == permission)
        || defaults.iter().any(|name| name == permission)
}
