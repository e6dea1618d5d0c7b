//! Which servers a component may send requests to.

use std::fmt;

/// Longest name of a host, in bytes (RFC 1035, 2.3.4).
const HOST_BYTES_MAX: usize = 253;
/// Longest label of a name, in bytes (RFC 1035, 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// `api.example.com`, or `*.example.com` for all names below it; with `:8443` for a port other than the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPattern {
    /// Whether all names below `name` are meant, and not `name` itself.
    below: bool,
    name: String,
    port: Option<u16>,
}

impl HostPattern {
    /// `None` when the text has another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(parse_port(port)?)),
            None => (text, None),
        };
        let (below, name) = match host.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, host),
        };
        let labels = name.split('.').count();
        // All of a top level domain is `http:outbound` in disguise.
        let well_formed =
            name.len() <= HOST_BYTES_MAX && name.split('.').all(is_label) && (labels > 1 || !below);
        well_formed.then(|| Self {
            below,
            name: name.to_owned(),
            port,
        })
    }

    /// Whether every server of the other pattern is one of this.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let is_below = || {
            let rest = other.name.strip_suffix(&self.name);
            rest.is_some_and(|rest| rest.ends_with('.') || (rest.is_empty() && other.below))
        };
        let named = if self.below {
            is_below()
        } else {
            !other.below && self.name == other.name
        };
        named && self.port == other.port
    }

    pub(super) fn words(&self) -> String {
        let port = self
            .port
            .map_or_else(String::new, |port| format!(", port {port}"));
        if self.below {
            format!("all servers below {}{port}", self.name)
        } else {
            format!("the server {}{port}", self.name)
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.below { "*." } else { "" })?;
        f.write_str(&self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// One way to write a port only: no sign, no leading zeros.
fn parse_port(text: &str) -> Option<u16> {
    let port: u16 = text.parse().ok()?;
    (port > 0 && port.to_string() == text).then_some(port)
}

/// Lowercase only, so that one host has one pattern.
fn is_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::HostPattern;

    #[test]
    fn patterns_have_one_form() {
        for good in [
            "api.example.com",
            "*.example.com",
            "localhost",
            "10.0.0.1:8443",
            "a-1.example.com:1",
        ] {
            assert_eq!(HostPattern::parse(good).unwrap().to_string(), good);
        }
        let long = format!("{}.com", "a".repeat(64));
        for bad in [
            "",
            "*",
            "*.com",
            "*.*.com",
            "a.*.com",
            "Api.example.com",
            "a..b",
            ".a",
            "a.",
            "-a.com",
            "a-.com",
            "a_b.com",
            "a/b",
            "a.com:0",
            "a.com:080",
            "a.com:+8",
            "a.com:99999",
            "a.com:",
            "user@a.com",
            "ä.com",
            "[::1]",
            &long,
        ] {
            assert!(HostPattern::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_wider_pattern_covers_a_narrower_one() {
        let covers = |wide: &str, narrow: &str| {
            HostPattern::parse(wide)
                .unwrap()
                .covers(&HostPattern::parse(narrow).unwrap())
        };
        for (wide, narrow) in [
            ("a.b.com", "a.b.com"),
            ("*.b.com", "a.b.com"),
            ("*.b.com", "c.a.b.com"),
            ("*.b.com", "*.b.com"),
            ("*.b.com", "*.a.b.com"),
            ("*.b.com:81", "a.b.com:81"),
        ] {
            assert!(covers(wide, narrow), "{wide} {narrow}");
        }
        for (wide, narrow) in [
            ("*.b.com", "b.com"),
            ("*.b.com", "ab.com"),
            ("*.b.com", "evilb.com"),
            ("b.com", "a.b.com"),
            ("a.b.com", "*.b.com"),
            ("*.a.b.com", "*.b.com"),
            ("*.b.com", "a.b.com:81"),
            ("a.b.com:81", "a.b.com"),
        ] {
            assert!(!covers(wide, narrow), "{wide} {narrow}");
        }
    }
}
