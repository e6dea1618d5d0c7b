//! What a change would let modules touch that the tenant has not granted, in words.
//!
//! A release that asks for more waits for consent while the old one serves; one that asks for less is told too, since
//! what is dropped is no longer granted afterwards.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::generation::Generation;
use crate::manifest::{Manifest, Permission};

/// What changes for one module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The module.
    pub module: String,
    /// The version that would run.
    pub version: Version,
    /// The version that runs, if any.
    pub from: Option<Version>,
    /// What it asks for and nobody has granted.
    pub new: Vec<Told>,
    /// What was granted and it no longer asks for.
    pub dropped: Vec<Told>,
}

/// A permission and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// As the manifest has it.
    pub permission: Permission,
    /// For people: [`Permission::in_words`].
    pub words: String,
}

impl Told {
    /// A permission with its words.
    #[must_use]
    pub fn of(permission: &Permission) -> Self {
        Self {
            permission: permission.clone(),
            words: permission.in_words(),
        }
    }
}

/// What these manifests ask for against what the tenant has granted; modules for which nothing changes are left out.
pub fn differences<'m>(
    running: &Generation,
    manifests: impl IntoIterator<Item = &'m Manifest>,
) -> Vec<Difference> {
    manifests
        .into_iter()
        .map(|manifest| difference(running, manifest))
        .filter(|found| !found.new.is_empty() || !found.dropped.is_empty())
        .collect()
}

/// Whether somebody has to consent.
#[must_use]
pub fn is_needed(differences: &[Difference]) -> bool {
    differences.iter().any(|difference| !difference.new.is_empty())
}

fn difference(running: &Generation, manifest: &Manifest) -> Difference {
    let installed = running.installations.get(&manifest.name);
    let granted = installed.map(|installed| installed.granted.as_slice());
    let is_dropped = |had: &&Permission| !manifest.permissions.iter().any(|asked| asked.covers(had));
    Difference {
        module: manifest.name.clone(),
        version: manifest.version.clone(),
        from: installed.map(|installed| installed.version.clone()),
        new: running.new_permissions(manifest).iter().map(Told::of).collect(),
        dropped: granted
            .unwrap_or_default()
            .iter()
            .filter(is_dropped)
            .map(Told::of)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{differences, is_needed};
    use crate::generation::{Generation, Installation};
    use crate::id::TenantId;
    use crate::manifest::Manifest;
    use crate::manifest::tests::GOOD;
    use crate::release::Release;
    use crate::release::tests::release;

    fn asking(permissions: &str) -> String {
        GOOD.replace("  - documents\n", &format!("  - documents\n{permissions}"))
    }

    /// What changes when the tenant has the one and gets the other.
    fn check(had: &str, asks: &str) -> serde_json::Value {
        let had = Release::read(&release(&asking(had)), 1).unwrap();
        let mut running = Generation::first(TenantId::new("acme").unwrap());
        let installed = Installation::of(&had, None, 1).unwrap();
        running.installations.insert("invoicing".to_owned(), installed);
        let asks = Manifest::parse(&asking(asks).replace("version: 1.0.0", "version: 1.1.0")).unwrap();
        let found = differences(&running, [&asks]);
        let needed = found.iter().any(|difference| !difference.new.is_empty());
        assert_eq!(is_needed(&found), needed);
        serde_json::to_value(found).unwrap()
    }

    #[test]
    fn what_is_new_is_told_in_words() {
        assert_eq!(check("", ""), json!([]));
        let found = check("  - cache\n", "  - http:outbound:api.example.com\n");
        let expected = json!([{
            "module": "invoicing",
            "version": "1.1.0",
            "from": "1.0.0",
            "new": [{
                "permission": "http:outbound:api.example.com",
                "words": "send data to the server api.example.com",
            }],
            "dropped": [{
                "permission": "cache",
                "words": "keep data of its own in the cache, from where it may vanish at any time",
            }],
        }]);
        assert_eq!(found, expected);
    }

    #[test]
    fn a_narrower_pattern_is_not_new() {
        let wide = "  - http:outbound:*.example.com\n";
        let narrow = "  - http:outbound:api.example.com\n";
        assert_eq!(check(wide, narrow)[0]["new"], json!([]));
        assert_eq!(
            check(narrow, wide)[0]["new"][0]["permission"],
            "http:outbound:*.example.com"
        );
        assert_eq!(check(narrow, wide)[0]["dropped"], json!([]));
        assert_eq!(check("  - http:outbound\n", wide)[0]["new"], json!([]));
        assert_eq!(
            check(wide, "  - http:outbound\n")[0]["new"][0]["permission"],
            "http:outbound"
        );
    }

    #[test]
    fn for_a_module_that_is_not_enabled_all_is_new() {
        let running = Generation::first(TenantId::new("acme").unwrap());
        let found = differences(&running, [&Manifest::parse(GOOD).unwrap()]);
        let [one] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!((one.new.len(), one.from.as_ref()), (3, None));
        let words: Vec<_> = one.new.iter().map(|told| told.words.as_str()).collect();
        assert_eq!(words[1], "read ClientDetail of the module client when it decides");
    }
}
