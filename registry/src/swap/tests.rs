//! Which step may follow which, whatever comes in, and what a crash leaves on the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::{Just, Strategy, prop, proptest};
use semver::Version;

use super::{Action, CanaryPlan, Change, Entry, Options, Request, Stage, Step, Swap, Swaps};
use crate::consent::Difference;
use crate::id::TenantId;
use crate::store::Files;

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn request() -> Request {
    Request {
        module: "invoicing".to_owned(),
        action: Action::Enable {
            version: Some(Version::new(1, 1, 0)),
            wanted: None,
            config: None,
        },
        options: Options::default(),
        by: "ada".to_owned(),
    }
}

fn canary() -> CanaryPlan {
    CanaryPlan {
        percent: 10,
        seconds: 60,
        commands: None,
        slower_max: 2.0,
        rejections_more_max: 5.0,
    }
}

fn wider() -> Difference {
    Difference {
        module: "invoicing".to_owned(),
        version: Version::new(1, 1, 0),
        from: Some(Version::new(1, 0, 0)),
        new: Vec::new(),
        dropped: Vec::new(),
    }
}

fn resolved(wider: Vec<Difference>) -> Step {
    let change = Change {
        module: "invoicing".to_owned(),
        from: Some(Version::new(1, 0, 0)),
        to: None,
    };
    Step::Resolved {
        changes: vec![change],
        wider,
    }
}

fn verified() -> Step {
    Step::Verified {
        reports: Vec::new(),
        warnings: Vec::new(),
        one_way: false,
        passed: true,
    }
}

fn verified_one_way() -> Step {
    Step::Verified {
        reports: Vec::new(),
        warnings: Vec::new(),
        one_way: true,
        passed: true,
    }
}

fn found_wanting() -> Step {
    Step::Verified {
        reports: Vec::new(),
        warnings: Vec::new(),
        one_way: false,
        passed: false,
    }
}

fn rebuilt() -> Step {
    Step::Rebuilt {
        projections: vec!["invoicing.Invoices".to_owned()],
    }
}

fn by_ada() -> String {
    "ada".to_owned()
}

/// The way of an upgrade with everything in it.
fn whole_way() -> Vec<Step> {
    vec![
        resolved(vec![wider()]),
        Step::ConsentAsked,
        Step::Consented { by: by_ada() },
        verified(),
        Step::Activated,
        rebuilt(),
        Step::CanaryStarted { plan: canary() },
        Step::CanaryPassed {
            commands: 7,
            by: None,
        },
        Step::Flipping { generation: 3 },
        Step::Flipped { generation: 3 },
        Step::Drained { resident: Vec::new() },
    ]
}

fn entry(step: Step) -> Entry {
    Entry { at_ms: 1, step }
}

fn fold(steps: &[Step]) -> Swap {
    let mut swap = Swap::begin(tenant(), 1, request(), 0);
    for step in steps {
        swap.apply(entry(step.clone())).unwrap();
    }
    swap
}

#[test]
fn an_upgrade_goes_through_all_stages() {
    let stages: Vec<_> = (0..=whole_way().len())
        .map(|count| fold(whole_way().split_at(count).0).stage.as_str())
        .collect();
    assert_eq!(
        stages.join(" "),
        "resolving verifying awaiting-consent verifying activating rebuilding ready canary ready flipping draining \
         completed"
    );
    let done = fold(&whole_way());
    assert_eq!((done.generation, done.canary_passed()), (Some(3), true));
    assert_eq!(done.history.len(), 12);
}

#[test]
fn nothing_serves_without_the_consent_that_it_needs() {
    let mut swap = fold(&[resolved(vec![wider()])]);
    let refused = swap.apply(entry(verified())).unwrap_err();
    assert_eq!(refused.to_string(), "swap 1 is verifying and cannot be verified");
    assert_eq!(refused.code(), "swap-stage");
    let mut needless = fold(&[resolved(Vec::new())]);
    assert!(needless.apply(entry(Step::ConsentAsked)).is_err());
}

#[test]
fn what_was_verified_and_found_wanting_goes_nowhere() {
    let mut swap = fold(&[resolved(Vec::new()), found_wanting()]);
    assert_eq!((swap.stage, swap.verified), (Stage::Verifying, false));
    assert!(swap.apply(entry(Step::Activated)).is_err());
    swap.apply(entry(verified())).unwrap();
}

#[test]
fn a_one_way_swap_has_no_canary() {
    let mut swap = fold(&[
        resolved(Vec::new()),
        verified_one_way(),
        Step::Activated,
        rebuilt(),
    ]);
    assert!(swap.apply(entry(Step::CanaryStarted { plan: canary() })).is_err());
    swap.apply(entry(Step::Flipping { generation: 1 })).unwrap();
}

#[test]
fn what_has_flipped_cannot_fail_any_more() {
    for count in 0..=whole_way().len() {
        let way = whole_way();
        let mut swap = fold(way.split_at(count).0);
        let settled = swap.stage.is_settled();
        let flipping = swap.stage == Stage::Flipping;
        let failed = Step::Failed {
            code: "x".to_owned(),
            message: "y".to_owned(),
        };
        assert_eq!(
            swap.clone().apply(entry(failed)).is_err(),
            settled,
            "{}",
            swap.stage
        );
        let cancelled = swap.apply(entry(Step::Cancelled { by: by_ada() }));
        assert_eq!(cancelled.is_err(), settled || flipping, "{}", swap.stage);
    }
}

#[test]
fn a_canary_must_make_sense() {
    assert_eq!(canary().problem(), None);
    let wrong = |change: fn(&mut CanaryPlan)| {
        let mut plan = canary();
        change(&mut plan);
        plan.problem().is_some()
    };
    assert!(wrong(|plan| plan.percent = 0));
    assert!(wrong(|plan| plan.percent = 100));
    assert!(wrong(|plan| plan.seconds = 0));
    assert!(wrong(|plan| plan.seconds = u64::MAX));
    assert!(wrong(|plan| plan.commands = Some(0)));
    assert!(wrong(|plan| plan.slower_max = 0.5));
    assert!(wrong(|plan| plan.slower_max = f64::NAN));
    assert!(wrong(|plan| plan.rejections_more_max = -1.0));
}

fn any_step() -> impl Strategy<Value = Step> {
    let failed = Step::Failed {
        code: "x".to_owned(),
        message: "y".to_owned(),
    };
    let others = [
        Step::Cancelled { by: by_ada() },
        verified_one_way(),
        found_wanting(),
        resolved(Vec::new()),
        failed,
        Step::Requested {
            request: Box::new(request()),
        },
    ];
    let all: Vec<Step> = whole_way().into_iter().chain(others).collect();
    (0..all.len()).prop_flat_map(move |index| Just(all[index].clone()))
}

proptest! {
    #[test]
    fn whatever_comes_in_nothing_serves_unverified(steps in prop::collection::vec(any_step(), 0..40)) {
        let mut swap = Swap::begin(tenant(), 1, request(), 0);
        for step in steps {
            let before = swap.clone();
            if swap.apply(entry(step)).is_err() {
                assert_eq!(swap, before, "a refused step changes nothing");
            }
            assert!(!before.stage.is_over() || swap == before, "what is over stays over");
            if matches!(swap.stage, Stage::Flipping | Stage::Draining | Stage::Completed | Stage::Canary) {
                assert!(swap.verified && (swap.consented || swap.wider.is_empty()));
            }
            assert!(swap.stage != Stage::Canary || !swap.one_way);
        }
    }

    #[test]
    fn a_torn_last_line_is_as_if_it_had_not_begun(cut in 1..200_usize, count in 1..11_usize) {
        let folder = tempfile::tempdir().unwrap();
        let (swaps, path) = journal(folder.path());
        let mut swap = swaps.begin(&tenant(), request(), 0).unwrap();
        let way = whole_way();
        let (last, before) = way.split_at(count).0.split_last().unwrap();
        before.iter().for_each(|step| swaps.record(&mut swap, step.clone(), 1).unwrap());
        let whole = fs::read(&path).unwrap().len();
        swaps.record(&mut swap.clone(), last.clone(), 1).unwrap();
        let text = fs::read(&path).unwrap();
        let torn = text.len() - 1 - cut.min(text.len() - whole - 1);
        fs::write(&path, &text[..torn]).unwrap();
        assert_eq!(swaps.load(&tenant(), 1).unwrap(), swap);
        assert_eq!(swaps.interrupted(&tenant()).unwrap().len(), usize::from(!swap.stage.is_over()));
        swaps.record(&mut swap, last.clone(), 1).unwrap();
        assert_eq!(fs::read(&path).unwrap(), text, "the torn line is cut off");
    }
}

fn journal(folder: &Path) -> (Swaps, PathBuf) {
    let files = Files::open(folder).unwrap();
    (
        Swaps::new(Arc::new(files)),
        folder.join("tenants/acme/swaps/1.jsonl"),
    )
}

#[test]
fn a_journal_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (swaps, path) = journal(folder.path());
    let mut swap = swaps.begin(&tenant(), request(), 0).unwrap();
    for step in whole_way() {
        swaps.record(&mut swap, step, 1).unwrap();
    }
    assert_eq!(swaps.load(&tenant(), 1).unwrap(), swap);
    assert!(swaps.record(&mut swap, Step::Activated, 1).is_err());
    assert_eq!(
        swaps.load(&tenant(), 1).unwrap(),
        swap,
        "a refused step leaves no line"
    );
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"activated\"", "\"celebrated\"")).unwrap();
    assert_eq!(swaps.load(&tenant(), 1).unwrap_err().code(), "storage-damaged");
}

#[test]
fn numbers_go_on_and_what_is_over_is_not_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let (swaps, _) = journal(folder.path());
    let first = swaps.begin(&tenant(), request(), 0).unwrap();
    let mut second = swaps.begin(&tenant(), request(), 0).unwrap();
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!(swaps.interrupted(&tenant()).unwrap().len(), 2);
    swaps
        .record(&mut second, Step::Cancelled { by: by_ada() }, 1)
        .unwrap();
    assert_eq!(swaps.interrupted(&tenant()).unwrap(), [first]);
    assert_eq!(swaps.last(&tenant(), 1).unwrap(), [second]);
    assert_eq!(swaps.load(&tenant(), 9).unwrap_err().code(), "swap-unknown");
}

#[test]
fn a_swap_that_another_has_gone_on_with_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (swaps, _) = journal(folder.path());
    let mut ours = swaps.begin(&tenant(), request(), 0).unwrap();
    let mut theirs = ours.clone();
    swaps.record(&mut theirs, resolved(Vec::new()), 1).unwrap();
    let before = ours.clone();
    let error = swaps
        .record(&mut ours, Step::Cancelled { by: by_ada() }, 2)
        .unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        (
            "swap-taken-over",
            "swap 1 of tenant acme was taken over by another host"
        )
    );
    assert_eq!(ours, before);
    assert_eq!(swaps.load(&tenant(), 1).unwrap(), theirs);
}
