//! What can go wrong in the registry.

use std::path::PathBuf;
use std::{fmt, io};

use semver::Version;

use crate::id::TenantId;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name has not the form that keeps it safe in paths and keys; the caller corrects it.
    #[error(
        "{what} name {text:?} must start with a lowercase letter and hold only lowercase letters, digits and \
         hyphens, 40 at most"
    )]
    Name {
        /// Whose name.
        what: &'static str,
        /// The text refused.
        text: String,
    },
    /// A text has not the form of what it stands for; the caller corrects it.
    #[error("{what} {text:?} must be {expected}")]
    Form {
        /// What the text stands for.
        what: &'static str,
        /// The text refused.
        text: String,
        /// The form, in words.
        expected: &'static str,
    },
    /// The manifest is no YAML, or has other keys or types than a manifest; the publisher corrects it.
    #[error("manifest: {0}")]
    ManifestSyntax(String),
    /// The manifest contradicts itself; the publisher corrects all of it at once.
    #[error("manifest: {0}")]
    ManifestInvalid(Problems),
    /// A value does not fit a schema of the manifest; whoever made the value corrects it.
    #[error("{what}: {message}")]
    SchemaMismatch {
        /// What the value is.
        what: &'static str,
        /// Where it differs and how.
        message: String,
    },
    /// Over a limit; the caller sends less.
    #[error("{what} of {bytes} bytes is over the limit of {bytes_max}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The bytes are no component that the host can run; the publisher builds it again.
    #[error("not a valid component: {0}")]
    NotComponent(String),
    /// A component carries one manifest; the publisher embeds it.
    #[error("a component must have one custom section millwork:manifest, not {found}")]
    ManifestSections {
        /// How many there are.
        found: usize,
    },
    /// The component wants what its manifest does not ask for or the host does not give; says what.
    #[error("imports refused: {0}")]
    ImportsRefused(String),
    /// The manifest promises what the component does not implement; says what.
    #[error("exports missing: {0}")]
    ExportsMissing(String),
    /// The release exists with other bytes; the publisher takes another version.
    #[error("{name} {version} is published already with other bytes; a release never changes")]
    ReleaseExists {
        /// The component.
        name: String,
        /// The version.
        version: Version,
    },
    /// There is no such release.
    #[error("{name} {version} is not published")]
    NoRelease {
        /// The component.
        name: String,
        /// The version, or `in any version`.
        version: String,
    },
    /// The component is not enabled for the tenant.
    #[error("{name} is not enabled for tenant {tenant}")]
    NotEnabled {
        /// The component.
        name: String,
        /// The tenant.
        tenant: TenantId,
    },
    /// Components of a generation would miss one another; says which, in sentences.
    #[error("{0}")]
    DependenciesUnmet(String),
    /// Two components of a generation want the same route; says which.
    #[error("{0}")]
    RoutesCollide(String),
    /// A component wants more than the tenant has granted; an administrator grants it.
    #[error("{name} wants {permissions}, which tenant {tenant} has not granted")]
    NotGranted {
        /// The component.
        name: String,
        /// What is missing, joined.
        permissions: String,
        /// The tenant.
        tenant: TenantId,
    },
    /// Another generation was stored meanwhile; the caller starts again from that.
    #[error("tenant {tenant} is at generation {current} meanwhile, so {number} cannot follow")]
    GenerationOutdated {
        /// The tenant.
        tenant: TenantId,
        /// The generation stored.
        current: u64,
        /// The one refused.
        number: u64,
    },
    /// There is no such generation, or it is too old to be kept.
    #[error("tenant {tenant} has no generation {number}")]
    NoGeneration {
        /// The tenant.
        tenant: TenantId,
        /// The number asked for.
        number: u64,
    },
    /// The tenant is there already.
    #[error("tenant {0} exists already")]
    TenantExists(TenantId),
    /// There is no such tenant.
    #[error("tenant {0} does not exist")]
    NoTenant(TenantId),
    /// A file is not what was written: an operator restores it.
    #[error("{} is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The file system failed: the caller tries again later.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// A word for programs: never changes for one kind of error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "name-malformed",
            Self::Form { .. } => "text-malformed",
            Self::ManifestSyntax(_) => "manifest-malformed",
            Self::ManifestInvalid(_) => "manifest-invalid",
            Self::SchemaMismatch { .. } => "schema-mismatch",
            Self::TooLarge { .. } => "too-large",
            Self::NotComponent(_) => "not-a-component",
            Self::ManifestSections { .. } => "manifest-sections",
            Self::ImportsRefused(_) => "imports-refused",
            Self::ExportsMissing(_) => "exports-missing",
            Self::ReleaseExists { .. } => "release-exists",
            Self::NoRelease { .. } => "release-unknown",
            Self::NotEnabled { .. } => "module-not-enabled",
            Self::DependenciesUnmet(_) => "dependencies-unmet",
            Self::RoutesCollide(_) => "routes-collide",
            Self::NotGranted { .. } => "permissions-not-granted",
            Self::GenerationOutdated { .. } => "generation-outdated",
            Self::NoGeneration { .. } => "generation-unknown",
            Self::TenantExists(_) => "tenant-exists",
            Self::NoTenant(_) => "tenant-unknown",
            Self::Damaged { .. } => "storage-damaged",
            Self::Io { .. } => "storage-failed",
        }
    }
}

/// One thing that is wrong in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Keys from the top, dotted: `aggregates.Invoice.commands.CreateInvoice.facts.client`.
    pub place: String,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Everything that is wrong in a manifest, in the order of its keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Notes one more.
    pub(crate) fn add(&mut self, place: impl fmt::Display, message: impl fmt::Display) {
        self.0.push(Problem {
            place: place.to_string(),
            message: message.to_string(),
        });
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
