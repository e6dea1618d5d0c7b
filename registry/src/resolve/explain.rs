//! Why no versions fit together, in one sentence: the facts from which PubGrub derived it, without the derivation.

use std::collections::BTreeMap;

use pubgrub::{DerivationTree, External, Ranges};
use semver::{Version, VersionReq};

use super::Offer;
use super::asked::{Asked, join, list};
use super::solve::TENANT;

/// Most facts in a sentence: beyond, nobody reads on.
const FACTS_MAX: usize = 8;

type Tree = DerivationTree<String, Ranges<Version>, String>;

/// Which versions of a module need another: module and dependency.
type Needs = BTreeMap<(String, String), Ranges<Version>>;

/// Where a fact stands in the sentence: what the change asks for, then what comes along, then what stands against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Named,
    ComesAlong,
    AskedFor,
    Enabled,
    Bound,
}

/// One part of the sentence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Fact {
    side: Side,
    text: String,
}

pub(super) fn conflict(asked: &Asked<'_>, tree: &Tree) -> String {
    let mut needs = Needs::new();
    let mut bounds = Vec::new();
    gather(tree, &mut needs, &mut bounds);
    let mut facts: Vec<_> = needs
        .iter()
        .flat_map(|((name, on), versions)| needed(asked, name, on, versions))
        .collect();
    for name in bounds {
        facts.extend(against(asked, &name, &needs));
    }
    facts.sort();
    facts.dedup();
    sentence(facts)
}

/// What stands against the needs of others: that the change asks for something else, or that a module which is enabled
/// may not move so far. If it could not because of others that are enabled, they are the reason that people can act on.
fn against(asked: &Asked<'_>, name: &str, needs: &Needs) -> Vec<Fact> {
    let Some(root) = asked.roots.get(name) else {
        return Vec::new();
    };
    let mut wanted = Ranges::empty();
    let mut contested = false;
    for ((needing, _), versions) in needs.iter().filter(|((_, on), _)| on == name) {
        contested = true;
        if asked.roots.get(needing.as_str()).is_none_or(|root| root.named) {
            wanted = wanted.union(&meeting(asked, needing, name, versions));
        }
    }
    let Some(bound) = root.bound.clone().filter(|_| contested) else {
        return Vec::new();
    };
    let held = asked.roots.iter().filter(|(_, root)| !root.named);
    let opposed = held.filter(|(other, root)| {
        let needed = needed(asked, other, name, &root.allowed);
        !needed.is_empty() && meeting(asked, other, name, &root.allowed).is_disjoint(&wanted)
    });
    let opposed: Vec<_> = opposed
        .flat_map(|(other, root)| needed(asked, other, name, &root.allowed))
        .collect();
    match (root.named, opposed.is_empty()) {
        (true, _) => vec![Fact {
            side: Side::AskedFor,
            text: bound,
        }],
        (false, true) => vec![Fact {
            side: Side::Bound,
            text: bound,
        }],
        (false, false) => opposed,
    }
}

/// The versions of `on` that some of these versions of a module can use.
fn meeting(asked: &Asked<'_>, name: &str, on: &str, versions: &Ranges<Version>) -> Ranges<Version> {
    let known = asked.offers.get(name).into_iter().flatten();
    known
        .filter(|(version, _)| versions.contains(version))
        .map(|(_, offer)| asked.meeting(offer, on))
        .fold(Ranges::empty(), |all, one| all.union(&one))
}

/// The leaves of the tree: which versions of a module need another, and which modules the tenant must have.
fn gather(tree: &Tree, needs: &mut BTreeMap<(String, String), Ranges<Version>>, bounds: &mut Vec<String>) {
    // A stack of our own: how deep the tree is depends on what publishers write.
    let mut open = vec![tree];
    while let Some(tree) = open.pop() {
        match tree {
            Tree::Derived(derived) => open.extend([&*derived.cause1, &*derived.cause2]),
            Tree::External(External::FromDependencyOf(name, _, on, _)) if name == TENANT => {
                bounds.push(on.clone());
            }
            Tree::External(External::FromDependencyOf(name, versions, on, _)) => {
                let known = needs
                    .entry((name.clone(), on.clone()))
                    .or_insert_with(Ranges::empty);
                *known = known.union(versions);
            }
            Tree::External(_) => {}
        }
    }
}

/// `invoicing 1.2.0 needs client ^2`, once for each thing that versions of one module need of another.
fn needed(asked: &Asked<'_>, name: &str, on: &str, versions: &Ranges<Version>) -> Vec<Fact> {
    let mut alike: BTreeMap<String, Vec<&Version>> = BTreeMap::new();
    let known = asked.offers.get(name).into_iter().flatten();
    for (version, offer) in known.filter(|(version, _)| versions.contains(version)) {
        let Some(range) = offer.dependencies.get(on) else {
            continue;
        };
        let views = with_views(asked, offer, on, range);
        let note = absence(asked, on, &asked.meeting(offer, on));
        alike
            .entry(format!("{on} {range}{views}{note}"))
            .or_default()
            .push(version);
    }
    alike
        .into_iter()
        .map(|(what, versions)| who_needs(asked, name, &versions, &what))
        .collect()
}

/// The views that a release reads, where not every version in the range has them.
fn with_views(asked: &Asked<'_>, offer: &Offer, on: &str, range: &VersionReq) -> String {
    let mut others = asked.offers.get(on).into_iter().flatten();
    let lacking =
        |(version, other): (&Version, &Offer)| range.matches(version) && !offer.is_met_by(on, version, other);
    if others.any(lacking) {
        let views: Vec<_> = offer.views_of(on).map(ToOwned::to_owned).collect();
        format!(" with the view {}", join(&views))
    } else {
        String::new()
    }
}

/// Why no version will do, where that is so whatever else is enabled.
fn absence(asked: &Asked<'_>, on: &str, meeting: &Ranges<Version>) -> String {
    if !meeting.is_empty() {
        return String::new();
    }
    if asked.removed.contains(on) {
        return ", which is to be disabled".to_owned();
    }
    let known = asked.offers.get(on).into_iter().flatten();
    let offered: Vec<_> = known
        .filter(|(_, offer)| !offer.yanked)
        .map(|(version, _)| version)
        .collect();
    match offered.as_slice() {
        [] if asked.offers.get(on).is_some_and(|known| !known.is_empty()) => {
            ", of which every version was withdrawn".to_owned()
        }
        [] => ", which is not published".to_owned(),
        [one] => format!(", of which there is only {one}"),
        offered => format!(", of which there are {}", list(offered.iter().copied())),
    }
}

fn who_needs(asked: &Asked<'_>, name: &str, versions: &[&Version], what: &str) -> Fact {
    let running = asked.installed(name).map(|old| &old.version);
    let runs = running.is_some_and(|running| versions.contains(&running));
    let side = match asked.roots.get(name) {
        Some(root) if root.named => Side::Named,
        Some(_) => Side::Enabled,
        None => Side::ComesAlong,
    };
    let text = match versions {
        [one] if runs && side == Side::Enabled => format!("{name} {one}, which is enabled, needs {what}"),
        [one] => format!("{name} {one} needs {what}"),
        all => {
            let enabled = if runs && side == Side::Enabled {
                format!(
                    " ({} is enabled)",
                    running.map(ToString::to_string).unwrap_or_default()
                )
            } else {
                String::new()
            };
            format!("{name} {}{enabled} need {what}", list(all.iter().copied()))
        }
    };
    Fact { side, text }
}

/// `a, b, but c and d`: the turn is where the side changes for the last time.
fn sentence(mut facts: Vec<Fact>) -> String {
    let more = facts.len().saturating_sub(FACTS_MAX);
    if more > 0 {
        // Those in the middle are left out: both ends are what people can change.
        facts.drain(FACTS_MAX / 2..FACTS_MAX / 2 + more);
    }
    let last = facts.last().map(|fact| fact.side);
    let turn = facts.iter().filter(|fact| Some(fact.side) != last).count();
    // On one side only, the last one is where it fails.
    let turn = if turn == 0 {
        facts.len().saturating_sub(1)
    } else {
        turn
    };
    let against = facts.split_off(turn.min(facts.len()));
    let texts = |facts: Vec<Fact>| facts.into_iter().map(|fact| fact.text).collect::<Vec<_>>();
    let (asked, against) = (texts(facts).join(", "), join(&texts(against)));
    let more = match more {
        0 => String::new(),
        more => format!(" (and {more} more reasons)"),
    };
    if asked.is_empty() {
        format!("{against}{more}")
    } else {
        format!("{asked}, but {against}{more}")
    }
}
