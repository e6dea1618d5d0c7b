//! `millwork module replay`: what a version would make of a tenant's history, before it serves.

use anyhow::{Result, ensure};
use clap::Args;
use http::Method;
use millwork_registry::replay::{Class, Consequence, Policy, Report, Verdict, Why};
use semver::Version;
use serde::Deserialize;
use serde_json::{Value, json};

use super::modules::Of;
use super::output::progress;

/// A module and the version to try.
#[derive(Args)]
pub(super) struct Replay {
    /// The module.
    name: String,
    /// The version to try; it must be published.
    #[arg(long)]
    version: Version,
    /// Consequences that are to differ from the default: `rejection=warn,slower=allow`.
    #[arg(long)]
    policy: Option<Policy>,
    #[command(flatten)]
    of: Of,
}

/// What the host answers.
#[derive(Deserialize)]
struct Tried {
    report: Report,
    policy: Policy,
    verdict: Verdict,
}

impl Replay {
    /// Prints what was found; that the policy blocks it is a failure.
    pub(super) fn run(&self) -> Result<()> {
        let place = self.of.open()?;
        let path = format!("{}/replay", place.module(&self.name)?);
        let mut body = json!({ "version": self.version });
        if let (Some(policy), Some(members)) = (&self.policy, body.as_object_mut()) {
            members.insert("policy".to_owned(), json!(policy));
        }
        progress(&format!(
            "replaying the history of {} on {}",
            self.name, self.version
        ));
        let answer = place.client.send(Method::POST, &path, &body)?;
        let tried: Tried = serde_json::from_value(answer.clone())?;
        self.of
            .remote
            .output()
            .answer(&answer, |_: &Value| text(&tried))?;
        ensure!(
            tried.verdict.passes,
            "the policy blocks it: {}",
            tried.report.explain(&tried.verdict.blocked)
        );
        Ok(())
    }
}

fn text(tried: &Tried) -> String {
    let Tried {
        report,
        policy,
        verdict,
    } = tried;
    let counted = &report.counted;
    let mut lines = vec![format!(
        "{} {} on the history of {}: {} aggregates with {} events folded, {} commands decided again, in {} ms",
        report.module,
        report.to,
        report.from,
        counted.aggregates,
        counted.events,
        counted.commands,
        report.took_ms
    )];
    if counted.drifted > 0 {
        lines.push(format!(
            "{} commands were decided otherwise by an earlier release; they are held against {}",
            counted.drifted, report.from
        ));
    }
    lines.extend(report.skipped.iter().map(|skipped| {
        let what = serde_json::to_value(skipped.what).unwrap_or_default();
        let what = what.as_str().unwrap_or_default();
        format!("not looked at: {} {what}, {}", skipped.count, reason(skipped.why))
    }));
    if let Some(speed) = &report.speed {
        let us = |ns: u64| ns / 1_000;
        let (from, to) = (us(speed.from_ns), us(speed.to_ns));
        lines.push(format!("decisions take {to} us in the median, {from} us before"));
    }
    lines.extend(found(report, policy));
    lines.push(summary(verdict));
    lines.join("\n")
}

/// All that differs, class by class, with examples: which aggregate and command, and both values of each place.
pub(super) fn found(report: &Report, policy: &Policy) -> Vec<String> {
    let mut lines = Vec::new();
    for (class, found) in &report.differences {
        let consequence = match policy.of(*class) {
            Consequence::Allow => "allowed",
            Consequence::Warn => "warning",
            Consequence::Block => "blocks",
        };
        lines.push(format!(
            "{class} ({consequence}): {} {}",
            found.count,
            class.sentence()
        ));
        found
            .examples
            .iter()
            .for_each(|example| lines.extend(shown(*class, example)));
    }
    lines
}

/// One example: which aggregate and command, then each place with both values.
fn shown(class: Class, example: &millwork_registry::replay::Example) -> Vec<String> {
    let mut lines = Vec::new();
    if class != Class::Slower {
        let command = example.command.as_deref().unwrap_or("all its events");
        lines.push(format!("  {} {}, {command}", example.aggregate, example.id));
    }
    lines.extend(example.detail.iter().map(|detail| format!("    {detail}")));
    lines.extend(example.differences.iter().map(|place| format!("    {place}")));
    lines
}

fn summary(verdict: &Verdict) -> String {
    let mut summary = match (verdict.passes, verdict.warnings.is_empty()) {
        (false, _) => "it does not pass",
        (true, false) => "it passes, with warnings",
        (true, true) => "it passes",
    }
    .to_owned();
    if verdict.one_way {
        summary.push_str("; the swap would be one-way");
    }
    if verdict.incomplete {
        summary.push_str("; not all of the history was looked at");
    }
    summary
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::OverBound => "older than as many as are looked at",
        Why::OverTime => "the time was over",
        Why::NoInput => "the journal does not have their input",
        Why::InputIncomplete => "the candidate wants what the journal does not have",
        Why::ConfigurationUnfit => "the configuration of then does not fit the candidate",
        Why::NoState => "their events are not all there",
        Why::NoBaseline => "the release that serves gives no answer itself",
    }
}

#[cfg(test)]
mod tests {
    use millwork_registry::replay::{Example, Subject, differences};

    use super::*;

    #[test]
    fn a_report_is_read_from_top_to_bottom() {
        let mut report = Report::new("sales".to_owned(), Version::new(1, 0, 0), Version::new(1, 1, 0));
        report.counted.commands = 3;
        report.skip(Subject::Commands, Why::NoInput, 2);
        let example = Example {
            aggregate: "Order".to_owned(),
            id: "7".to_owned(),
            command: Some("Place".to_owned()),
            differences: differences(&json!({"tax": "1.90"}), &json!({"tax": "2.00"}), 5),
            ..Example::default()
        };
        report.add(Class::Events, example, 5);
        let policy = Policy::default();
        let verdict = report.judge(&policy);
        let expected = "sales 1.1.0 on the history of 1.0.0: 0 aggregates with 0 events folded, 3 commands decided again, in 0 ms\n\
             not looked at: 2 commands, the journal does not have their input\n\
             events (blocks): 1 decides otherwise\n  Order 7, Place\n    /tax \"1.90\" -> \"2.00\"\n\
             it does not pass; not all of the history was looked at";
        assert_eq!(
            text(&Tried {
                report,
                policy,
                verdict
            }),
            expected
        );
    }
}
