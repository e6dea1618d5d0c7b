//! Which interfaces a component may import, and which it must export.

use semver::Version;

use crate::Error;
use crate::manifest::{Manifest, Permission};

/// An interface of the host: what it is called, the newest version given, and what a manifest needs to import it.
struct Given {
    interface: &'static str,
    version: Version,
    needs: Option<Need>,
}

/// One of the permissions that make an interface worth importing.
struct Need {
    told: &'static str,
    is: fn(&Permission) -> bool,
}

/// The version of `millwork:*` interfaces.
const V0_1: Version = Version::new(0, 1, 0);

static GIVEN: [Given; 12] = [
    Given {
        interface: "millwork:module/types",
        version: V0_1,
        needs: None,
    },
    Given {
        interface: "millwork:platform/log",
        version: V0_1,
        needs: None,
    },
    Given {
        interface: "millwork:platform/clock",
        version: V0_1,
        needs: None,
    },
    Given {
        interface: "millwork:platform/random",
        version: V0_1,
        needs: None,
    },
    Given {
        interface: "millwork:documents/documents",
        version: V0_1,
        needs: Some(Need {
            told: "documents",
            is: |permission| *permission == Permission::Documents,
        }),
    },
    Given {
        interface: "millwork:cache/cache",
        version: V0_1,
        needs: Some(CACHE),
    },
    Given {
        interface: "millwork:messaging/types",
        version: V0_1,
        needs: None,
    },
    Given {
        interface: "millwork:messaging/events",
        version: V0_1,
        needs: Some(Need {
            told: "messages:publish",
            is: |permission| *permission == Permission::Publish,
        }),
    },
    Given {
        interface: "millwork:messaging/commands",
        version: V0_1,
        needs: Some(Need {
            told: "commands:<module>",
            is: |permission| matches!(permission, Permission::Commands(_)),
        }),
    },
    Given {
        interface: "millwork:messaging/requests",
        version: V0_1,
        needs: Some(Need {
            told: "requests:<module>.<Query>",
            is: |permission| matches!(permission, Permission::Requests(_)),
        }),
    },
    Given {
        interface: "millwork:search/search",
        version: V0_1,
        needs: Some(Need {
            told: "search",
            is: |permission| *permission == Permission::Search,
        }),
    },
    Given {
        interface: "millwork:blobs/blobs",
        version: V0_1,
        needs: Some(Need {
            told: "blobs:read:<bucket> or blobs:write:<bucket>",
            is: |permission| matches!(permission, Permission::ReadBlobs(_) | Permission::WriteBlobs(_)),
        }),
    },
];

/// Proposals of WASI that have something behind them here: the interface in the one version given, since drafts promise
/// nothing to each other, and what a manifest needs to import it.
static STANDARD: [(&str, Option<Need>); 4] = [
    ("wasi:keyvalue/store@0.2.0-draft2", Some(CACHE)),
    ("wasi:keyvalue/atomics@0.2.0-draft2", Some(CACHE)),
    ("wasi:config/store@0.2.0-rc.1", None),
    ("wasi:logging/logging@0.1.0-draft", None),
];

const CACHE: Need = Need {
    told: "cache",
    is: |permission| *permission == Permission::Cache,
};

/// WASI 0.2 that toolchains import without being asked: given to all, with no files, no arguments and no network behind.
const WASI: [&str; 27] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

pub(super) fn check_imports(imports: &[String], manifest: &Manifest) -> Result<(), Error> {
    let refused: Vec<_> = imports
        .iter()
        .filter_map(|import| refusal(import, manifest))
        .collect();
    if refused.is_empty() {
        Ok(())
    } else {
        Err(Error::ImportsRefused(refused.join("; ")))
    }
}

/// Why an import is refused, if it is.
fn refusal(import: &str, manifest: &Manifest) -> Option<String> {
    let unknown = || Some(format!("{import} is not known to this host"));
    if let Some((_, needs)) = STANDARD.iter().find(|(standard, _)| *standard == import) {
        return lacks(import, needs.as_ref(), manifest);
    }
    let Some((interface, version)) = versioned(import) else {
        return unknown();
    };
    if WASI.contains(&interface) {
        return if (version.major, version.minor) == (0, 2) {
            None
        } else {
            unknown()
        };
    }
    if let Some(rest) = interface.strip_prefix("wasi:http/") {
        return match rest {
            _ if (version.major, version.minor) != (0, 2) => unknown(),
            "types" => None,
            "outgoing-handler" if may_send(manifest) => None,
            "outgoing-handler" => Some(format!("{import} needs the permission http:outbound")),
            _ => unknown(),
        };
    }
    let Some(given) = GIVEN.iter().find(|given| given.interface == interface) else {
        return unknown();
    };
    if !serves(&given.version, &version) {
        return Some(format!(
            "{import} is not known to this host, which gives {}",
            given.version
        ));
    }
    lacks(import, given.needs.as_ref(), manifest)
}

/// Which permission is missing, if one is.
fn lacks(import: &str, needs: Option<&Need>, manifest: &Manifest) -> Option<String> {
    let missing = needs.filter(|needed| !manifest.permissions.iter().any(needed.is));
    missing.map(|needed| format!("{import} needs the permission {}", needed.told))
}

/// To whom is for the host to hold against the request.
fn may_send(manifest: &Manifest) -> bool {
    let mut permissions = manifest.permissions.iter();
    permissions.any(|permission| matches!(permission, Permission::HttpOutbound(_)))
}

pub(super) fn check_exports(exports: &[String], manifest: &Manifest) -> Result<(), Error> {
    let needed = [
        ("aggregates", !manifest.aggregates.is_empty()),
        ("projections", !manifest.projections.is_empty()),
        ("queries", !manifest.queries.is_empty()),
        ("subscriptions", !manifest.subscriptions.is_empty()),
    ];
    let missing: Vec<_> = needed
        .into_iter()
        .filter(|(name, is_needed)| *is_needed && !exports.iter().any(|export| is_export(export, name)))
        .map(|(name, _)| format!("millwork:module/{name}@{V0_1}"))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::ExportsMissing(missing.join(", ")))
    }
}

/// Whether the host can call this export as `millwork:module/<name>`.
fn is_export(export: &str, name: &str) -> bool {
    versioned(export).is_some_and(|(interface, version)| {
        interface.strip_prefix("millwork:module/") == Some(name) && serves(&V0_1, &version)
    })
}

/// `a:b/c@1.2.3` in its two parts.
pub(crate) fn versioned(name: &str) -> Option<(&str, Version)> {
    let (interface, version) = name.split_once('@')?;
    Some((interface, Version::parse(version).ok()?))
}

/// Whether both sides understand each other: equal up to the minor version before 1.0, and nothing newer asked for.
pub(crate) fn serves(given: &Version, asked: &Version) -> bool {
    let track = |version: &Version| {
        if version.major == 0 {
            (0, version.minor)
        } else {
            (version.major, 0)
        }
    };
    track(given) == track(asked) && asked <= given
}
