//! One aggregate or one command at a time: what both releases make of it, and how that differs.

use std::time::{Duration, Instant};

use millwork_registry::replay::{
    Class, Example, Relation, Report, Subject as What, Why, differences, relation,
};
use serde_json::Value;

use super::answer::{Answer, codes};
use super::decision::{Case, Finding};
use super::fold::{Folded, Folds, Side};
use super::input::{Configurations, Input, Saw};
use super::read_back::parsed;
use super::{Stop, Trial};
use crate::bindings::aggregates::exports::millwork::module::aggregates::Decision;
use crate::engine::component::Asked;
use crate::error::{Error, Reason, Rejection};
use crate::event_store::Subject;
use crate::event_store::journal::{JournalEntry, Shelf};
use crate::tenant::Module;
use crate::tenant::module::Plan;

/// How long a thread works before it rests.
const WORK_AT_ONCE: Duration = Duration::from_millis(2);
/// Longest rest: a thread that was kept waiting for a processor has not worked all the time.
const REST_MAX: Duration = Duration::from_millis(20);

/// What a thread takes at once.
pub(super) enum Task {
    /// Aggregates with their versions.
    Aggregates(Vec<(Subject, u64)>),
    /// Commands by the store's keys.
    Commands(Shelf, Vec<u64>),
}

/// What one task found.
pub(super) struct Part {
    pub(super) report: Report,
    /// What decisions took, in nanoseconds: the release that serves, the candidate.
    pub(super) samples: Vec<(u64, u64)>,
}

/// One thread of a replay.
pub(super) struct Worker<'a> {
    trial: &'a Trial,
    folds: Folds,
    serving_configs: Configurations,
    candidate_configs: Configurations,
    part: Part,
    /// Whether the candidate is asked first the next time.
    candidate_first: bool,
    /// When it rested last.
    rested: Instant,
}

/// How one release is to be asked: its command, and the input for it; or the answer that the host gives in its place.
enum Question<'a> {
    Asks(Box<Asked>),
    Answered(Answer),
    /// The release does not have the command.
    Unknown(&'a Module),
}

impl<'a> Worker<'a> {
    pub(super) fn new(trial: &'a Trial) -> Self {
        Self {
            trial,
            folds: Folds::default(),
            serving_configs: Configurations::default(),
            candidate_configs: Configurations::default(),
            part: Part::new(trial),
            candidate_first: false,
            rested: Instant::now(),
        }
    }

    /// Does a task; what there is no time for is counted as skipped.
    pub(super) async fn run(&mut self, task: &Task) -> Result<Part, Stop> {
        match task {
            Task::Aggregates(aggregates) => {
                for (of, version) in aggregates {
                    if self.has_time(What::Aggregates)? {
                        self.aggregate(of, *version).await?;
                    }
                    self.trial.counter.aggregate_done();
                    self.rest();
                }
            }
            Task::Commands(shelf, keys) => {
                let trial = self.trial;
                let entries = trial.events.journal(&trial.tenant, *shelf, keys).await?;
                let gone = keys.len().saturating_sub(entries.len()) as u64;
                self.part.report.skip(What::Commands, Why::NoInput, gone);
                for entry in &entries {
                    if self.has_time(What::Commands)?
                        && let Err(why) = self.command(entry).await?
                    {
                        self.part.report.skip(What::Commands, why, 1);
                    }
                    trial.counter.command_done();
                    self.rest();
                }
            }
        }
        Ok(std::mem::replace(&mut self.part, Part::new(self.trial)))
    }

    fn has_time(&mut self, what: What) -> Result<bool, Stop> {
        if self.trial.counter.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        let over = self.trial.is_over();
        self.part.report.skip(what, Why::OverTime, u64::from(over));
        Ok(!over)
    }

    /// Leaves the processor, and whatever calls into components contend for, to live requests in between.
    fn rest(&mut self) {
        let worked = self.rested.elapsed();
        if worked < WORK_AT_ONCE {
            return;
        }
        let rest = worked * self.trial.limits.rest_percent / 100;
        std::thread::sleep(rest.min(REST_MAX));
        self.rested = Instant::now();
    }

    /// Folds an aggregate whole.
    async fn aggregate(&mut self, of: &Subject, version: u64) -> Result<(), Stop> {
        let Some(folded) = self.trial.fold(of, Folded::start(), version).await? else {
            self.part.report.skip(What::Aggregates, Why::NoState, 1);
            return Ok(());
        };
        let example = Example {
            aggregate: of.aggregate.clone(),
            id: of.id.clone(),
            ..Example::default()
        };
        let serving = match folded.serving {
            Ok(state) => parsed(state.as_ref()),
            Err(_) => {
                self.part.report.skip(What::Aggregates, Why::NoBaseline, 1);
                return Ok(());
            }
        };
        self.part.report.counted.aggregates += 1;
        self.part.report.counted.events += version;
        match folded.candidate {
            Ok(_) if let Some(event) = folded.undeclared => {
                let detail = format!(
                    "{} has no event {event}, which is recorded",
                    self.trial.candidate.release
                );
                self.note(Class::Trap, example, detail);
            }
            Ok(state) => {
                let candidate = parsed(state.as_ref());
                self.note_values(
                    Class::State,
                    example,
                    &serving,
                    &candidate,
                    self.same_snapshots(of),
                );
            }
            Err(error) => self.note(Class::Trap, example, format!("cannot fold it: {error}")),
        }
        Ok(())
    }

    /// What makes another state worse: snapshots of the one release would be taken as they are by the other.
    fn same_snapshots(&self, of: &Subject) -> Option<String> {
        let version = |module: &Module| {
            module
                .manifest
                .aggregates
                .get(&of.aggregate)
                .map(|of| of.state_version)
        };
        let (serving, candidate) = (version(&self.trial.serving)?, version(&self.trial.candidate)?);
        (serving == candidate).then(|| {
            format!(
                "stateVersion is {serving} in both releases, so snapshots of one would be used by the other"
            )
        })
    }

    /// Decides a journalled command again, on both releases; or says why not.
    async fn command(&mut self, entry: &JournalEntry) -> Result<Result<(), Why>, Stop> {
        let Some(input) = Input::read(entry) else {
            return Ok(Err(Why::NoInput));
        };
        let mut seen = Vec::new();
        for (of, version) in input.subjects(&entry.command.target.module) {
            let Some(folded) = self.folds.at(self.trial, &of, version).await? else {
                return Ok(Err(Why::NoState));
            };
            if folded.serving.is_err() {
                return Ok(Err(Why::NoBaseline));
            }
            if let Err(error) = &folded.candidate {
                let detail = format!("cannot fold {} {}: {error}", of.aggregate, of.id);
                self.part.report.counted.commands += 1;
                self.note(Class::Trap, example(entry), detail);
                return Ok(Ok(()));
            }
            seen.push((of, folded));
        }
        Ok(self.decide(&Case { entry, input, seen }))
    }

    fn decide(&mut self, case: &Case<'_>) -> Result<(), Why> {
        let trial = self.trial;
        let name = &case.entry.command.name;
        let (old, new) = (trial.serving.plan(name).ok(), trial.candidate.plan(name).ok());
        if let (Some(old), Some(new)) = (old, new)
            && !asks_alike(old, new)
        {
            return Err(Why::InputIncomplete);
        }
        let config = self.serving_configs.of(&trial.serving, &case.input)?;
        let serving = question(&trial.serving, old, case, |folded| &folded.serving, &config)?;
        let config = self.candidate_configs.of(&trial.candidate, &case.input)?;
        let candidate = question(&trial.candidate, new, case, |folded| &folded.candidate, &config)?;

        let (served, tried) = self.ask_both(serving, candidate);
        if let Answer::Failed(_) = served {
            return Err(Why::NoBaseline);
        }
        let counted = &mut self.part.report.counted;
        counted.commands += 1;
        counted.drifted += u64::from(!served.is(&case.entry.outcome));
        self.compare(case.entry, &served, &tried);
        if let Answer::Decided(decision, _) = &tried {
            self.check(case, decision, &served, &tried);
        }
        Ok(())
    }

    /// Asks both releases by turns, so that neither always has the warm caches.
    fn ask_both(&mut self, serving: Question<'_>, candidate: Question<'_>) -> (Answer, Answer) {
        let (old, new) = (&self.trial.serving, &self.trial.candidate);
        let measured = matches!((&serving, &candidate), (Question::Asks(_), Question::Asks(_)));
        self.candidate_first = !self.candidate_first;
        let ((served, served_ns), (tried, tried_ns)) = if self.candidate_first {
            let tried = self.ask(new, candidate);
            (self.ask(old, serving), tried)
        } else {
            let served = self.ask(old, serving);
            (served, self.ask(new, candidate))
        };
        if measured {
            self.part.samples.push((served_ns, tried_ns));
        }
        (served, tried)
    }

    fn ask(&self, module: &Module, question: Question<'_>) -> (Answer, u64) {
        match question {
            Question::Asks(asked) => {
                let started = Instant::now();
                let answered = module.component.decide_on_trial(&self.trial.caller, &asked);
                let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
                (Answer::of(answered), took)
            }
            Question::Answered(answer) => (answer, 0),
            Question::Unknown(module) => {
                let gone = Rejection::NotFound(Reason {
                    code: "no-command".to_owned(),
                    message: format!("{} does not have this command", module.release),
                });
                (Answer::rejected(&gone), 0)
            }
        }
    }

    fn compare(&mut self, entry: &JournalEntry, served: &Answer, tried: &Answer) {
        let (before, after) = (served.value(), tried.value());
        match (served, tried) {
            (_, Answer::Failed(detail)) => self.note(Class::Trap, example(entry), detail.clone()),
            (Answer::Decided(..), Answer::Decided(..)) => {
                self.note_values(Class::Events, example(entry), &before, &after, None);
            }
            (Answer::Rejected(old), Answer::Rejected(new)) if codes(old) == codes(new) => {}
            _ => self.note_values(Class::Rejection, example(entry), &before, &after, None),
        }
    }

    /// Holds a decision of the candidate against its contract, and gives it to the release that serves when that would
    /// have recorded something else.
    fn check(&mut self, case: &Case<'_>, decision: &Decision, served: &Answer, tried: &Answer) {
        let touched = match self.trial.follow(case, decision) {
            Ok(touched) => touched,
            Err(broken) => return self.note_finding(Class::Trap, case.entry, broken),
        };
        if events_of(served) == events_of(tried) {
            return;
        }
        self.part.report.counted.read_back += 1;
        let unread = touched.iter().find_map(|touched| self.trial.read_back(touched));
        if let Some(unread) = unread {
            self.note_finding(Class::Unread, case.entry, unread);
        }
    }

    fn note_finding(&mut self, class: Class, entry: &JournalEntry, finding: Finding) {
        let example = Example {
            differences: finding.differences,
            ..example(entry)
        };
        self.note(class, example, finding.detail);
    }

    fn note(&mut self, class: Class, example: Example, detail: String) {
        let example = Example {
            detail: Some(detail),
            ..example
        };
        self.part
            .report
            .add(class, example, self.trial.limits.examples_max);
    }

    /// Notes where two values differ, if they do: as `class`, or as another order when it is only that.
    fn note_values(
        &mut self,
        class: Class,
        example: Example,
        before: &Value,
        after: &Value,
        detail: Option<String>,
    ) {
        let limits = &self.trial.limits;
        let class = match relation(before, after) {
            Relation::Equal => return,
            Relation::Order => Class::Order,
            Relation::Different => class,
        };
        let example = Example {
            differences: differences(before, after, limits.differences_max),
            detail: detail.filter(|_| class == Class::State),
            ..example
        };
        self.part.report.add(class, example, limits.examples_max);
    }
}

impl Part {
    fn new(trial: &Trial) -> Self {
        Self {
            report: trial.empty_report(),
            samples: Vec::new(),
        }
    }
}

fn example(entry: &JournalEntry) -> Example {
    let command = &entry.command;
    Example {
        aggregate: command.target.aggregate.clone(),
        id: command.target.id.clone(),
        command_id: Some(command.id.clone()),
        command: Some(command.name.clone()),
        ..Example::default()
    }
}

/// Whether two releases fetch the same for a command as far as both fetch it: under one name another view, aggregate or
/// number would be another input.
fn asks_alike(old: &Plan, new: &Plan) -> bool {
    let (old, new) = (&old.command, &new.command);
    let facts = new
        .facts
        .iter()
        .all(|(name, fact)| old.facts.get(name).is_none_or(|of| of == fact));
    let numbers = new
        .numbers
        .iter()
        .all(|(name, number)| old.numbers.get(name).is_none_or(|of| of == number));
    facts && numbers && old.related == new.related
}

/// How a release is asked what the journal has; `side` is its part of what both have folded.
fn question<'a>(
    module: &'a Module,
    plan: Option<&Plan>,
    case: &Case<'_>,
    side: fn(&Folded) -> &Side,
    config: &str,
) -> Result<Question<'a>, Why> {
    let Some(plan) = plan else {
        return Ok(Question::Unknown(module));
    };
    let input = &case.input;
    let data: Value = serde_json::from_str(input.data.get()).map_err(|_| Why::NoInput)?;
    if let Err(Error::Schema(violations)) = plan.check_body(&data) {
        return Ok(Question::Answered(Answer::rejected(&Rejection::Invalid(
            violations,
        ))));
    }
    if !input.has_all(&plan.command) {
        return Err(Why::InputIncomplete);
    }
    let saw = case.seen.iter().map(|(of, folded)| Saw {
        of,
        version: folded.version,
        state: side(folded).as_ref().ok().and_then(Option::as_ref),
    });
    let asked = input.asked(case.entry, &plan.command, saw, config);
    asked
        .map(|asked| Question::Asks(Box::new(asked)))
        .ok_or(Why::NoInput)
}

fn events_of(answer: &Answer) -> Option<&Value> {
    match answer {
        Answer::Decided(_, value) => value.get("events"),
        Answer::Rejected(_) | Answer::Failed(_) => None,
    }
}
