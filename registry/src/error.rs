//! What can go wrong in the registry.

use std::path::PathBuf;
use std::{fmt, io};

use semver::Version;

use crate::id::TenantId;
use crate::key::{KeyId, PublicKey};
use crate::swap::Stage;

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
    /// Nobody signed the release; its publisher does.
    #[error("{name} {version} is not signed; `millwork plugin sign` does that")]
    Unsigned {
        /// The component.
        name: String,
        /// The version.
        version: Version,
    },
    /// The signature does not hold for these bytes; the publisher signs again what was meant.
    #[error("the signature is not valid: {0}")]
    SignatureInvalid(&'static str),
    /// The release is signed with a key that nobody has trusted here; an operator does, or does not.
    #[error("it is signed for publisher {publisher} with the key {key}, which is not trusted here")]
    PublisherUnknown {
        /// Who signed, as the manifest says.
        publisher: String,
        /// With what.
        key: PublicKey,
    },
    /// The key was revoked; the publisher signs with another.
    #[error("the key {key} of publisher {publisher} is revoked: {reason}")]
    KeyRevoked {
        /// Whose it was.
        publisher: String,
        /// The key.
        key: KeyId,
        /// What the operator gave as the reason.
        reason: String,
    },
    /// A key signs for one publisher only; the publisher takes the right one, or corrects the manifest.
    #[error("the key {key} is publisher {owner}'s, so it cannot sign for publisher {publisher}")]
    PublisherMismatch {
        /// The key.
        key: KeyId,
        /// Whose it is.
        owner: String,
        /// For whom it was used.
        publisher: String,
    },
    /// The name belongs to the publisher who published it first; the other takes another name.
    #[error("the name {name} belongs to publisher {owner}, who published it first")]
    NameTaken {
        /// The component.
        name: String,
        /// Whose it is.
        owner: String,
    },
    /// The release was withdrawn; who does not run it yet takes another version.
    #[error("{name} {version} is yanked: {reason}")]
    Yanked {
        /// The component.
        name: String,
        /// The version.
        version: Version,
        /// What the operator gave as the reason.
        reason: String,
    },
    /// This installation has never trusted such a key.
    #[error("no key {0} is known here")]
    NoKey(KeyId),
    /// A key file is not what was written; its owner takes the right one. Says nothing of what stands in it.
    #[error("it is not a key file that `millwork key new` wrote")]
    KeyFile,
    /// The component does not fit the host's interfaces, or breaks what an earlier release promised; says where and how.
    #[error("{0}")]
    InterfaceIncompatible(String),
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
    /// No versions fit together; says why in one sentence, and whoever asked asks for others.
    #[error("{0}")]
    Conflict(String),
    /// A module is published, but not as asked; says in which versions.
    #[error("{0}")]
    NoVersionFits(String),
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
    /// There is no such swap, or it is too old to be kept.
    #[error("tenant {tenant} has no swap {number}")]
    NoSwap {
        /// The tenant.
        tenant: TenantId,
        /// The number asked for.
        number: u64,
    },
    /// A swap was to take a step that may not come now.
    #[error("swap {number} is {stage} and cannot be {wanted}")]
    SwapStage {
        /// Which swap.
        number: u64,
        /// How far it has come.
        stage: Stage,
        /// The step refused.
        wanted: &'static str,
    },
    /// Another host has gone on with a swap meanwhile: whoever wanted to leaves it to that one.
    #[error("swap {number} of tenant {tenant} was taken over by another host")]
    SwapTakenOver {
        /// The tenant.
        tenant: TenantId,
        /// Which swap.
        number: u64,
    },
    /// The tenant is there already.
    #[error("tenant {0} exists already")]
    TenantExists(TenantId),
    /// There is no such tenant.
    #[error("tenant {0} does not exist")]
    NoTenant(TenantId),
    /// A record or an artifact is not what was written: an operator restores it.
    #[error("{name} is damaged: {detail}")]
    Damaged {
        /// Its name in the store.
        name: String,
        /// What is wrong with it.
        detail: String,
    },
    /// What keeps the registry for several hosts is not reached: the caller tries again later. Says what it is, without
    /// addresses.
    #[error("the registry is not reached: {0}")]
    Unavailable(String),
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
            Self::Unsigned { .. } => "unsigned",
            Self::SignatureInvalid(_) => "signature-invalid",
            Self::PublisherUnknown { .. } => "publisher-unknown",
            Self::KeyRevoked { .. } => "key-revoked",
            Self::PublisherMismatch { .. } => "publisher-mismatch",
            Self::NameTaken { .. } => "name-taken",
            Self::Yanked { .. } => "yanked",
            Self::NoKey(_) => "key-unknown",
            Self::KeyFile => "key-file-malformed",
            Self::InterfaceIncompatible(_) => "interface-incompatible",
            Self::ReleaseExists { .. } => "release-exists",
            Self::NoRelease { .. } => "release-unknown",
            Self::NotEnabled { .. } => "module-not-enabled",
            Self::DependenciesUnmet(_) => "dependencies-unmet",
            Self::Conflict(_) => "dependencies-conflict",
            Self::NoVersionFits(_) => "no-version-fits",
            Self::RoutesCollide(_) => "routes-collide",
            Self::NotGranted { .. } => "permissions-not-granted",
            Self::GenerationOutdated { .. } => "generation-outdated",
            Self::NoGeneration { .. } => "generation-unknown",
            Self::NoSwap { .. } => "swap-unknown",
            Self::SwapStage { .. } => "swap-stage",
            Self::SwapTakenOver { .. } => "swap-taken-over",
            Self::TenantExists(_) => "tenant-exists",
            Self::NoTenant(_) => "tenant-unknown",
            Self::Damaged { .. } => "storage-damaged",
            Self::Unavailable(_) => "registry-unavailable",
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
