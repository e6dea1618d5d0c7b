//! Which plans there are, and what is said when there is none.

mod search;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use semver::{Version, VersionReq};
use serde_json::json;

use super::{Change, Offer, Offers, Plan, resolve};
use crate::Error;
use crate::generation::{Generation, Installation};
use crate::id::{Digest, TenantId};

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn range(text: &str) -> VersionReq {
    VersionReq::parse(text).unwrap()
}

fn digest(release: &str) -> Digest {
    Digest::of(release.as_bytes())
}

/// One release a line: `name version: dependency range, other range; has View; reads module.View; withdrawn`.
fn offers(text: &str) -> Offers {
    let mut offers = Offers::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (release, rest) = line.split_once(':').unwrap();
        let (name, number) = release.split_once(' ').unwrap();
        let mut offer = Offer {
            digest: digest(release),
            dependencies: IndexMap::new(),
            views: Default::default(),
            reads: Vec::new(),
            yanked: false,
            unreadable: false,
        };
        for part in rest.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            if let Some(view) = part.strip_prefix("has ") {
                offer.views.insert(view.to_owned());
            } else if let Some(view) = part.strip_prefix("reads ") {
                let (module, view) = view.split_once('.').unwrap();
                offer.reads.push((module.to_owned(), view.to_owned()));
            } else if part == "withdrawn" {
                offer.yanked = true;
            } else {
                for dependency in part.split(", ") {
                    let (name, wanted) = dependency.split_once(' ').unwrap();
                    offer.dependencies.insert(name.to_owned(), range(wanted));
                }
            }
        }
        let versions: &mut BTreeMap<_, _> = offers.entry(name.to_owned()).or_default();
        versions.insert(version(number), offer);
    }
    offers
}

fn installed(name: &str, number: &Version, wanted: Option<VersionReq>) -> Installation {
    Installation {
        name: name.to_owned(),
        version: number.clone(),
        digest: digest(&format!("{name} {number}")),
        wanted,
        granted: Vec::new(),
        given: None,
        config: json!({}),
        enabled_at_ms: 1,
    }
}

/// What a tenant runs: `client 1.0.0, crm 1.0.0 in ^1`.
fn running(text: &str) -> Generation {
    let mut generation = Generation::first(TenantId::new("acme").unwrap());
    for part in text.split(", ").filter(|part| !part.is_empty()) {
        let (release, wanted) = match part.split_once(" in ") {
            Some((release, wanted)) => (release, Some(range(wanted))),
            None => (part, None),
        };
        let (name, number) = release.split_once(' ').unwrap();
        let installed = installed(name, &version(number), wanted);
        generation.installations.insert(name.to_owned(), installed);
    }
    generation
}

/// `enable crm`, `enable crm ^1`, `move crm 1.0.0`, `pin crm 1.0.0`, `disable crm`, joined by `, `.
fn changes(text: &str) -> Vec<Change> {
    let change = |text: &str| {
        let mut words = text.splitn(3, ' ');
        let (verb, name) = (words.next().unwrap(), words.next().unwrap().to_owned());
        let rest = words.next();
        match verb {
            "enable" => Change::Enable {
                name,
                wanted: rest.map(range),
            },
            "move" => Change::Move {
                name,
                version: version(rest.unwrap()),
            },
            "pin" => Change::Pin {
                name,
                version: version(rest.unwrap()),
            },
            _ => Change::Disable { name },
        }
    };
    text.split(", ").map(change).collect()
}

/// `client 1.0.0, crm 1.0.0 > 1.1.0, + tax 1.0.0, - old 1.0.0`
fn words(plan: &Plan) -> String {
    let planned = plan.modules.iter().map(|planned| match &planned.from {
        None => format!("+ {} {}", planned.name, planned.version),
        Some(_) if !planned.is_changed() => format!("{} {}", planned.name, planned.version),
        Some(from) => format!("{} {from} > {}", planned.name, planned.version),
    });
    let removed = plan
        .removed
        .iter()
        .map(|(name, version)| format!("- {name} {version}"));
    planned.chain(removed).collect::<Vec<_>>().join(", ")
}

#[track_caller]
fn planned(runs: &str, change: &str, published: &str, expected: &str) -> Plan {
    let plan = resolve(&running(runs), &changes(change), &offers(published)).unwrap();
    assert_eq!(words(&plan), expected);
    plan
}

#[track_caller]
fn refused(runs: &str, change: &str, published: &str, code: &str, expected: &str) {
    let error: Error = resolve(&running(runs), &changes(change), &offers(published)).unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), (code, expected));
}

const SHOP: &str = "
    client 1.0.0: has Detail
    client 1.1.0: has Detail
    client 2.0.0: has Detail
    client 3.0.0-rc.1: has Detail
    crm 1.0.0: client ^1
    crm 2.0.0: client ^2
    invoicing 1.0.0: client ^1
    invoicing 1.1.0: client ^1.1
    invoicing 2.0.0: client ^2
";

#[test]
fn the_newest_comes_with_what_it_needs() {
    planned("", "enable client", SHOP, "+ client 2.0.0");
    planned("", "enable invoicing", SHOP, "+ client 2.0.0, + invoicing 2.0.0");
    planned(
        "",
        "enable invoicing ^1",
        SHOP,
        "+ client 1.1.0, + invoicing 1.1.0",
    );
    planned("", "enable client ^3.0.0-rc", SHOP, "+ client 3.0.0-rc.1");
    planned(
        "",
        "enable beta",
        "beta 1.0.0-rc.1:\nbeta 1.0.0-rc.2:",
        "+ beta 1.0.0-rc.2",
    );
    planned("", "enable a", "a 1.0.0:\na 1.1.0: withdrawn", "+ a 1.0.0");
    planned(
        "",
        "move invoicing 1.0.0",
        SHOP,
        "+ client 1.1.0, + invoicing 1.0.0",
    );
}

#[test]
fn what_runs_stays_where_it_can() {
    planned(
        "client 1.0.0",
        "enable invoicing ^1.0",
        SHOP,
        "client 1.0.0 > 1.1.0, + invoicing 1.1.0",
    );
    planned(
        "client 1.0.0",
        "move invoicing 1.0.0",
        SHOP,
        "client 1.0.0, + invoicing 1.0.0",
    );
    // Another major is for the tenant to name, so the newest invoicing that does without is taken.
    planned(
        "client 1.1.0",
        "enable invoicing",
        SHOP,
        "client 1.1.0, + invoicing 1.1.0",
    );
    planned(
        "client 1.1.0 in *",
        "enable invoicing",
        SHOP,
        "client 1.1.0 > 2.0.0, + invoicing 2.0.0",
    );
    planned(
        "client 1.0.0 in =1.0.0",
        "enable invoicing",
        SHOP,
        "client 1.0.0, + invoicing 1.0.0",
    );
    // What was withdrawn meanwhile goes on where it runs.
    planned(
        "a 1.1.0",
        "enable b",
        "a 1.0.0:\na 1.1.0: withdrawn\nb 1.0.0: a ^1.1",
        "a 1.1.0, + b 1.0.0",
    );
}

#[test]
fn modules_move_together_when_named_together() {
    let both = "client 1.1.0, crm 1.0.0, invoicing 1.1.0";
    planned(
        both,
        "move client 2.0.0, enable crm *, enable invoicing *",
        SHOP,
        "client 1.1.0 > 2.0.0, crm 1.0.0 > 2.0.0, invoicing 1.1.0 > 2.0.0",
    );
    refused(
        both,
        "move client 2.0.0, enable crm *",
        SHOP,
        "dependencies-conflict",
        "client 2.0.0 is asked for, but invoicing 1.1.0, which is enabled, needs client ^1.1",
    );
}

#[test]
fn rolling_back_and_pinning() {
    planned("client 2.0.0", "move client 1.0.0", SHOP, "client 2.0.0 > 1.0.0");
    planned("client 1.1.0", "enable client", SHOP, "client 1.1.0 > 2.0.0");
    planned(
        "client 1.0.0 in ^1",
        "enable client",
        SHOP,
        "client 1.0.0 > 1.1.0",
    );
    planned("client 3.0.0-rc.1", "enable client", SHOP, "client 3.0.0-rc.1");
    planned("client 2.0.0", "enable client ^1", SHOP, "client 2.0.0 > 1.1.0");
    let wanted = |runs: &str, change: &str, expected: &str| {
        let plan = resolve(&running(runs), &changes(change), &offers(SHOP)).unwrap();
        let first = &plan.modules[0];
        let found = (first.wanted.as_ref().map(ToString::to_string), first.named);
        assert_eq!(
            found,
            (Some(expected.to_owned()).filter(|text| !text.is_empty()), true)
        );
    };
    wanted("client 2.0.0", "pin client 1.0.0", "=1.0.0");
    wanted("client 1.1.0 in ^1", "move client 1.0.0", "^1");
    wanted("client 1.1.0 in ^1", "move client 2.0.0", "");
    wanted("client 1.1.0 in ^1", "enable client", "^1");
    wanted("client 1.1.0 in ^1", "enable client ^2", "^2");
}

#[test]
fn disabling() {
    planned(
        "client 1.0.0, crm 1.0.0",
        "disable crm",
        SHOP,
        "client 1.0.0, - crm 1.0.0",
    );
    planned(
        "client 1.0.0, crm 1.0.0",
        "disable crm, disable client",
        SHOP,
        "- client 1.0.0, - crm 1.0.0",
    );
    refused(
        "client 1.1.0, crm 1.0.0, invoicing 1.1.0",
        "disable client",
        SHOP,
        "dependencies-unmet",
        "client cannot be disabled, because crm 1.0.0 and invoicing 1.1.0 need it",
    );
    refused(
        "client 1.1.0, crm 1.0.0",
        "disable client, enable crm",
        SHOP,
        "dependencies-conflict",
        "crm 1.0.0 needs client ^1, which is to be disabled, but crm 2.0.0 needs client ^2, which is to be disabled",
    );
    refused(
        "",
        "disable client",
        SHOP,
        "module-not-enabled",
        "client is not enabled for tenant acme",
    );
}

#[test]
fn what_is_not_there_is_said_at_once() {
    refused(
        "",
        "enable tax",
        SHOP,
        "release-unknown",
        "tax in any version is not published",
    );
    refused(
        "",
        "move client 1.5.0",
        SHOP,
        "release-unknown",
        "client 1.5.0 is not published",
    );
    refused(
        "client 0.9.0",
        "enable crm",
        SHOP,
        "release-unknown",
        "client 0.9.0 is not published",
    );
    refused(
        "",
        "enable client ^4",
        SHOP,
        "no-version-fits",
        "no version of client fits ^4; published are 1.0.0, 1.1.0, 2.0.0 and 3.0.0-rc.1",
    );
    let withdrawn = "a 1.0.0: withdrawn\na 1.1.0: withdrawn\na 2.0.0:";
    refused(
        "",
        "enable a ^1",
        withdrawn,
        "no-version-fits",
        "every version of a that fits ^1 was withdrawn: 1.0.0 and 1.1.0",
    );
    refused(
        "",
        "move a 1.0.0",
        withdrawn,
        "no-version-fits",
        "a 1.0.0 was withdrawn",
    );
    refused(
        "",
        "enable a, disable a",
        "a 1.0.0:",
        "dependencies-conflict",
        "a is named twice in one change",
    );
}

#[test]
fn conflicts_in_a_sentence() {
    let conflict = |runs: &str, change: &str, published: &str, expected: &str| {
        refused(runs, change, published, "dependencies-conflict", expected);
    };
    conflict(
        "client 1.0.0, crm 1.0.0",
        "enable invoicing ^2",
        SHOP,
        "invoicing 2.0.0 needs client ^2, but crm 1.0.0, which is enabled, needs client ^1",
    );
    conflict(
        "client 1.0.0",
        "enable invoicing ^2",
        SHOP,
        "invoicing 2.0.0 needs client ^2, but client 1.0.0, which is enabled, moves only within ^1.0.0 and not down \
         unless it is named",
    );
    conflict(
        "",
        "enable invoicing ^2, enable client ^1",
        SHOP,
        "invoicing 2.0.0 needs client ^2, but client ^1 is asked for",
    );
    conflict(
        "",
        "enable a, enable d",
        "a 1.0.0: b ^1\nb 1.0.0: c ^2\nb 1.1.0: c ^2\nd 1.0.0: c ^1\nc 1.0.0:\nc 2.0.0:",
        "a 1.0.0 needs b ^1, d 1.0.0 needs c ^1, but b 1.0.0 and 1.1.0 need c ^2",
    );
    conflict(
        "",
        "enable a",
        "a 1.0.0: tax ^1",
        "a 1.0.0 needs tax ^1, which is not published",
    );
    conflict(
        "",
        "enable a",
        "a 1.0.0: b ^1\nb 2.0.0:",
        "a 1.0.0 needs b ^1, of which there is only 2.0.0",
    );
    conflict(
        "",
        "enable a",
        "a 1.0.0: b ^1\nb 1.0.0: withdrawn",
        "a 1.0.0 needs b ^1, of which every version was withdrawn",
    );
    conflict(
        "",
        "enable a",
        "a 1.0.0: b ^1; reads b.Detail\nb 1.0.0: has List\nb 2.0.0: has Detail",
        "a 1.0.0 needs b ^1 with the view Detail, of which there are 1.0.0 and 2.0.0",
    );
}

#[test]
fn views_that_are_read_count_like_versions() {
    let published = "a 1.0.0: b ^1; reads b.Detail\nb 1.0.0: has Detail\nb 1.1.0: has Card";
    planned("", "enable a", published, "+ b 1.0.0, + a 1.0.0");
}

#[test]
fn circles_have_an_order_too() {
    planned(
        "",
        "enable a",
        "a 1.0.0: b ^1\nb 1.0.0: a ^1",
        "+ b 1.0.0, + a 1.0.0",
    );
    planned(
        "b 1.0.0",
        "enable a",
        "a 1.0.0: b ^1\nb 1.0.0: a ^1",
        "+ a 1.0.0, b 1.0.0",
    );
}
