//! What follows from what was found.

use semver::Version;
use serde_json::json;

use super::{
    Class, Consequence, Differing, Example, Policy, Report, Skipped, Speed, Subject, Verdict, Why,
    differences,
};

fn report() -> Report {
    Report::new(
        "invoicing".to_owned(),
        Version::new(1, 0, 0),
        Version::new(1, 2, 0),
    )
}

fn example(id: &str) -> Example {
    Example {
        aggregate: "Invoice".to_owned(),
        id: id.to_owned(),
        command_id: Some("c1".to_owned()),
        command: Some("FinalizeInvoice".to_owned()),
        detail: None,
        differences: differences(&json!({"tax": "1.90"}), &json!({"tax": "2.00"}), 10),
    }
}

/// A report in which these classes occurred once each.
fn found(classes: &[Class]) -> Report {
    let mut report = report();
    classes
        .iter()
        .for_each(|class| report.add(*class, example("7"), 10));
    report
}

#[test]
fn each_class_has_its_consequence() {
    for class in Class::ALL {
        let verdict = found(&[class]).judge(&Policy::default());
        let blocks = matches!(
            class,
            Class::Events | Class::Rejection | Class::Trap | Class::Unread
        );
        let expected = Verdict {
            passes: !blocks,
            blocked: if blocks { vec![class] } else { Vec::new() },
            warnings: if blocks { Vec::new() } else { vec![class] },
            one_way: class == Class::Unread,
            incomplete: false,
        };
        assert_eq!(verdict, expected, "{class}");
    }
    let nothing = report().judge(&Policy::default());
    assert!(nothing.passes && nothing.warnings.is_empty() && !nothing.one_way);
}

#[test]
fn a_policy_differs_from_the_default_where_it_says_so() {
    let policy: Policy = "rejection=warn, slower = allow,state=block".parse().unwrap();
    let verdict = found(&Class::ALL).judge(&policy);
    assert_eq!(
        verdict.blocked,
        [Class::Events, Class::State, Class::Trap, Class::Unread]
    );
    assert_eq!(verdict.warnings, [Class::Order, Class::Rejection]);
    let written: Policy =
        serde_json::from_value(json!({"rejection": "warn", "slower": "allow", "state": "block"})).unwrap();
    assert_eq!(written, policy);
    let all = serde_json::to_value(&policy).unwrap();
    assert_eq!(
        all.as_object().unwrap().len(),
        Class::ALL.len(),
        "the journal has all of it"
    );
    assert_eq!(serde_json::from_value::<Policy>(all).unwrap(), policy);
}

#[test]
fn what_is_no_policy_is_refused() {
    for text in [
        "",
        "events",
        "events=maybe",
        "tax=warn",
        "events=warn,",
        "Events=warn",
    ] {
        assert_eq!(
            text.parse::<Policy>().unwrap_err().code(),
            "text-malformed",
            "{text}"
        );
    }
    for value in [json!({"tax": "warn"}), json!({"events": "maybe"}), json!([])] {
        assert!(
            serde_json::from_value::<Policy>(value.clone()).is_err(),
            "{value}"
        );
    }
}

#[test]
fn a_one_way_swap_is_one_way_whatever_the_policy() {
    let policy = Policy::default().with(Class::Unread, Consequence::Allow);
    let verdict = found(&[Class::Unread]).judge(&policy);
    assert!(verdict.passes && verdict.one_way);
}

#[test]
fn parts_add_up_within_the_bound_of_examples() {
    let mut whole = report();
    for part in 0..3 {
        let mut found = report();
        found.counted.commands = 5;
        found.skip(Subject::Commands, Why::NoInput, 2);
        for id in 0..4 {
            found.add(Class::Events, example(&format!("{part}{id}")), 4);
        }
        whole.merge(found, 6);
    }
    whole.skip(Subject::Commands, Why::OverBound, 0);
    assert_eq!(whole.counted.commands, 15);
    assert_eq!(
        whole.skipped,
        [Skipped {
            what: Subject::Commands,
            why: Why::NoInput,
            count: 6
        }]
    );
    let Differing { count, examples } = &whole.differences[&Class::Events];
    let ids: Vec<_> = examples.iter().map(|example| example.id.as_str()).collect();
    assert_eq!((*count, ids.join(" ")), (12, "00 01 02 03 10 11".to_owned()));
    assert!(whole.judge(&Policy::default()).incomplete);
}

#[test]
fn a_report_says_in_a_sentence_what_it_found() {
    let mut report = found(&[Class::Events]);
    let trap = Example {
        aggregate: "Invoice".to_owned(),
        id: "8".to_owned(),
        detail: Some("trapped: no".to_owned()),
        ..Example::default()
    };
    report.add(Class::Trap, trap, 10);
    assert_eq!(
        report.explain(&report.judge(&Policy::default()).blocked),
        "invoicing 1.2.0 decides otherwise (1): Invoice 7 FinalizeInvoice /tax \"1.90\" -> \"2.00\"; fails (1): \
         Invoice 8 trapped: no"
    );
}

#[test]
fn a_report_is_read_as_it_was_written() {
    let mut report = found(&Class::ALL);
    report.skip(Subject::Aggregates, Why::OverTime, 3);
    report.speed = Some(Speed {
        samples: 10,
        from_ns: 20_000,
        to_ns: 30_000,
        percent: 150,
    });
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    for part in [
        r#""skipped":[{"what":"aggregates","why":"over-time","count":3}]"#,
        r#""readBack":0"#,
        r#""commandId":"c1""#,
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}
