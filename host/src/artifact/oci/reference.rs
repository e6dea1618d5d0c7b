//! Which image is meant, and how its registry is reached.

use std::net::IpAddr;

use oci_client::Reference;
use semver::Version;

use super::super::{ArtifactError, Place};

/// Longest reference, in bytes.
const REFERENCE_BYTES_MAX: usize = 512;

/// An image in a registry.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) reference: Reference,
    pub(super) plain_http: bool,
}

impl Target {
    /// A reference names its registry: there is no default that one could mean by mistake. What has neither tag nor digest
    /// gets the version as its tag, or is refused.
    pub(super) fn of(place: &Place, version: Option<&Version>) -> Result<Self, ArtifactError> {
        let malformed = |why: String| {
            let shown: String = place.reference.chars().take(REFERENCE_BYTES_MAX).collect();
            ArtifactError::Malformed(format!("reference {shown:?} {why}"))
        };
        let text = place.reference.strip_prefix("oci://").unwrap_or(&place.reference);
        if text.len() > REFERENCE_BYTES_MAX {
            return Err(malformed(format!("is longer than {REFERENCE_BYTES_MAX} bytes")));
        }
        let (registry, repository) = text.split_once('/').unwrap_or(("", text));
        if !registry.contains(['.', ':']) && registry != "localhost" {
            return Err(malformed(
                "must begin with a registry's host, such as registry.example.com/".to_owned(),
            ));
        }
        let text = match version {
            _ if repository.contains([':', '@']) => text.to_owned(),
            Some(version) => format!("{text}:{version}"),
            None => return Err(malformed("must end with a tag or a digest".to_owned())),
        };
        let reference: Reference = text
            .parse()
            .map_err(|error| malformed(format!("is not understood: {error}")))?;
        if version.is_some() && reference.digest().is_some() {
            return Err(malformed(
                "must not name a digest: the registry makes it".to_owned(),
            ));
        }
        Ok(Self {
            plain_http: place.plain_http || is_this_machine(reference.registry()),
            reference,
        })
    }

    pub(super) fn unreachable(&self, detail: String) -> ArtifactError {
        ArtifactError::Unreachable {
            registry: self.reference.registry().to_owned(),
            detail,
        }
    }

    pub(super) fn too_large(&self, bytes_max: usize) -> ArtifactError {
        ArtifactError::TooLarge {
            reference: self.reference.whole(),
            bytes_max,
        }
    }
}

/// Whether what goes to this registry leaves the machine. By its name, not by what a name server says.
fn is_this_machine(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => registry,
    };
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use semver::Version;

    use super::{Place, Target};

    fn target(reference: &str, version: Option<&str>) -> Result<(String, bool), String> {
        let place = Place {
            reference: reference.to_owned(),
            plain_http: false,
            username: None,
            password: None,
        };
        let version = version.map(|version| Version::parse(version).unwrap());
        Target::of(&place, version.as_ref())
            .map(|target| (target.reference.whole(), target.plain_http))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_reference_names_its_registry_and_one_image() {
        for (given, version, whole, plain) in [
            (
                "oci://127.0.0.1:5000/acme/client:1.0.0",
                None,
                "127.0.0.1:5000/acme/client:1.0.0",
                true,
            ),
            ("localhost:5000/client:1", None, "localhost:5000/client:1", true),
            (
                "r.example/acme/client:1.0.0",
                None,
                "r.example/acme/client:1.0.0",
                false,
            ),
            (
                "127.0.0.1.example.com/a:1",
                None,
                "127.0.0.1.example.com/a:1",
                false,
            ),
            (
                "10.0.0.1:5000/a",
                Some("1.2.3-rc.1"),
                "10.0.0.1:5000/a:1.2.3-rc.1",
                false,
            ),
            ("127.0.0.1/a:latest", Some("1.2.3"), "127.0.0.1/a:latest", true),
        ] {
            assert_eq!(target(given, version).unwrap(), (whole.to_owned(), plain));
        }
        let pinned = format!("r.example/a@sha256:{}", "a".repeat(64));
        assert_eq!(target(&pinned, None).unwrap(), (pinned.clone(), false));
        assert!(
            target(&pinned, Some("1.0.0"))
                .unwrap_err()
                .contains("must not name a digest")
        );
        for (given, why) in [
            ("client:1.0.0", "must begin with a registry's host"),
            ("acme/client:1.0.0", "must begin with a registry's host"),
            ("", "must begin with a registry's host"),
            ("r.example/client", "must end with a tag or a digest"),
            ("r.example/Client:1", "is not understood"),
            ("r.example/a:b:c", "is not understood"),
            ("https://r.example/a:1", "is not understood"),
        ] {
            let refused = target(given, None).unwrap_err();
            assert!(refused.contains(why), "{given}: {refused}");
        }
        assert!(
            target(&"a".repeat(513), None)
                .unwrap_err()
                .contains("longer than 512")
        );
    }
}
