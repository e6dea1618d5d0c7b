//! What replaying a tenant's history on a candidate found, and what is made of it: the words of verification before a swap.
//!
//! The host folds recorded events and decides journalled commands again, off-line, on the release that serves and on the
//! candidate; what differs is a [`Class`] in the [`Report`]. A [`Policy`] says for each class whether it is allowed, warned
//! about, or blocks the swap. Nothing here runs anything; reports and verdicts are kept in the journal of a swap.

mod difference;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use semver::Version;
use serde::{Deserialize, Serialize};

pub use self::difference::{Difference, Relation, canonical, differences, relation};
use crate::Error;

/// A way in which a candidate may differ from the release that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A command leads to other events, claims or releases.
    Events,
    /// Recorded events fold into another state.
    State,
    /// Only the order of events, or of the entries of a list, is another.
    Order,
    /// A command that was accepted is rejected, or the other way round, or rejected with another code.
    Rejection,
    /// The candidate gives no usable answer: it traps, passes a limit or breaks its contract.
    Trap,
    /// Decisions take longer than before by more than a factor.
    Slower,
    /// The release that serves cannot read events that the candidate records: the swap is one-way.
    Unread,
}

/// What follows from a difference of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consequence {
    /// Nothing.
    Allow,
    /// It is told, and the swap goes on.
    Warn,
    /// The swap does not go on.
    Block,
}

/// What follows from each class. Written as an object of the classes that are to differ from the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Class, Consequence>", into = "BTreeMap<Class, Consequence>")]
pub struct Policy(BTreeMap<Class, Consequence>);

/// What was looked at, and all that differed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The module.
    pub module: String,
    /// The version that serves.
    pub from: Version,
    /// The version that was tried.
    pub to: Version,
    /// What was looked at.
    pub counted: Counted,
    /// What was not, and why: it is never taken as equal.
    pub skipped: Vec<Skipped>,
    /// What differed; a class that did not occur is absent.
    pub differences: BTreeMap<Class, Differing>,
    /// How long decisions took; absent when too few were measured.
    pub speed: Option<Speed>,
    /// How long it all took, in milliseconds.
    pub took_ms: u64,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// Aggregates folded whole by both releases.
    pub aggregates: u64,
    /// Events of those.
    pub events: u64,
    /// Journalled commands decided again by both releases.
    pub commands: u64,
    /// Of those commands, how many the release that serves decides otherwise than the journal says, since an earlier
    /// release decided them: the candidate is held against what serves.
    pub drifted: u64,
    /// Decisions whose events were given to the release that serves, to see whether it can read them.
    pub read_back: u64,
}

/// Something that was not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// What.
    pub what: Subject,
    /// Why not.
    pub why: Why,
    /// How many. Beyond a bound they are counted up to a bound too, so it may be more.
    pub count: u64,
}

/// What is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// The events of an aggregate.
    Aggregates,
    /// A command of the journal.
    Commands,
}

/// Why something was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Older than as many as are looked at.
    OverBound,
    /// The time for the replay was over.
    OverTime,
    /// The journal does not have its input any more.
    NoInput,
    /// The candidate's manifest wants facts, numbers, ids or related aggregates that the journal does not have.
    InputIncomplete,
    /// The configuration of then does not fit the candidate's schema.
    ConfigurationUnfit,
    /// A state that it was decided on cannot be folded any more.
    NoState,
    /// The release that serves gives no answer itself, so there is nothing to hold the candidate against.
    NoBaseline,
}

/// All that differed in one way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Differing {
    /// How many aggregates or commands.
    pub count: u64,
    /// The first of them, up to a bound.
    pub examples: Vec<Example>,
}

/// One aggregate or command that differed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// The aggregate's name in the manifest.
    pub aggregate: String,
    /// Its id.
    pub id: String,
    /// Id of the command, where one was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// Name of the command, where one was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// A sentence, where values do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Where the values differ, up to a bound.
    pub differences: Vec<Difference>,
}

/// Medians of decisions on the same inputs, measured by turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Speed {
    /// How many decisions each release was measured on.
    pub samples: u64,
    /// Median of the release that serves, in nanoseconds.
    pub from_ns: u64,
    /// Median of the candidate, in nanoseconds.
    pub to_ns: u64,
    /// The candidate's median in percent of the other.
    pub percent: u64,
}

/// How far a replay has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Aggregates that are done with.
    pub aggregates_done: u64,
    /// Aggregates in all; 0 until they are counted.
    pub aggregates_total: u64,
    /// Commands that are done with.
    pub commands_done: u64,
    /// Commands in all; 0 until they are counted.
    pub commands_total: u64,
}

/// What a policy makes of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Whether nothing blocks.
    pub passes: bool,
    /// The classes that block.
    pub blocked: Vec<Class>,
    /// The classes that are warned about.
    pub warnings: Vec<Class>,
    /// Whether the release that serves could not go on after the candidate; whatever the policy says.
    pub one_way: bool,
    /// Whether some of the history was not looked at.
    pub incomplete: bool,
}

impl Class {
    /// All of them, in their order.
    pub const ALL: [Self; 7] = [
        Self::Events,
        Self::State,
        Self::Order,
        Self::Rejection,
        Self::Trap,
        Self::Slower,
        Self::Unread,
    ];

    /// The word for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::State => "state",
            Self::Order => "order",
            Self::Rejection => "rejection",
            Self::Trap => "trap",
            Self::Slower => "slower",
            Self::Unread => "unread",
        }
    }

    /// What it is, for people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Events => "decides otherwise",
            Self::State => "folds recorded events into another state",
            Self::Order => "gives another order",
            Self::Rejection => "rejects otherwise",
            Self::Trap => "fails",
            Self::Slower => "is slower",
            Self::Unread => "records what the release that serves cannot read",
        }
    }

    fn default_consequence(self) -> Consequence {
        match self {
            Self::Events | Self::Rejection | Self::Trap | Self::Unread => Consequence::Block,
            Self::State | Self::Order | Self::Slower => Consequence::Warn,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Class {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|class| class.word() == text);
        found.ok_or_else(|| Error::Form {
            what: "class of differences",
            text: text.to_owned(),
            expected: "events, state, order, rejection, trap, slower or unread",
        })
    }
}

impl FromStr for Consequence {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "allow" => Ok(Self::Allow),
            "warn" => Ok(Self::Warn),
            "block" => Ok(Self::Block),
            _ => Err(Error::Form {
                what: "consequence",
                text: text.to_owned(),
                expected: "allow, warn or block",
            }),
        }
    }
}

impl Policy {
    /// What follows from a class.
    #[must_use]
    pub fn of(&self, class: Class) -> Consequence {
        self.0
            .get(&class)
            .copied()
            .unwrap_or_else(|| class.default_consequence())
    }

    /// The same with another consequence of one class.
    #[must_use]
    pub fn with(mut self, class: Class, consequence: Consequence) -> Self {
        self.0.insert(class, consequence);
        self
    }
}

impl Default for Policy {
    fn default() -> Self {
        BTreeMap::new().into()
    }
}

impl From<BTreeMap<Class, Consequence>> for Policy {
    fn from(given: BTreeMap<Class, Consequence>) -> Self {
        let all = Class::ALL.map(|class| (class, class.default_consequence()));
        Self(all.into_iter().chain(given).collect())
    }
}

impl From<Policy> for BTreeMap<Class, Consequence> {
    fn from(policy: Policy) -> Self {
        policy.0
    }
}

/// `rejection=warn,slower=allow`: the classes that are to differ from the default.
impl FromStr for Policy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let malformed = || Error::Form {
            what: "replay policy",
            text: text.to_owned(),
            expected: "classes with their consequences, such as rejection=warn,slower=allow",
        };
        let mut policy = Self::default();
        for part in text.split(',') {
            let (class, consequence) = part.split_once('=').ok_or_else(malformed)?;
            policy = policy.with(class.trim().parse()?, consequence.trim().parse()?);
        }
        Ok(policy)
    }
}

impl Report {
    /// A report in which nothing was looked at yet.
    #[must_use]
    pub fn new(module: String, from: Version, to: Version) -> Self {
        Self {
            module,
            from,
            to,
            counted: Counted::default(),
            skipped: Vec::new(),
            differences: BTreeMap::new(),
            speed: None,
            took_ms: 0,
        }
    }

    /// Counts a difference, and keeps it as an example while there are fewer than `examples_max`.
    pub fn add(&mut self, class: Class, example: Example, examples_max: usize) {
        let differing = self.differences.entry(class).or_default();
        differing.count += 1;
        if differing.examples.len() < examples_max {
            differing.examples.push(example);
        }
    }

    /// Counts what was not looked at.
    pub fn skip(&mut self, what: Subject, why: Why, count: u64) {
        if count == 0 {
            return;
        }
        let known = |known: &&mut Skipped| known.what == what && known.why == why;
        match self.skipped.iter_mut().find(known) {
            Some(known) => known.count += count,
            None => self.skipped.push(Skipped { what, why, count }),
        }
    }

    /// Takes in what another part of the same replay found; its examples come after those known.
    pub fn merge(&mut self, part: Self, examples_max: usize) {
        self.counted.aggregates += part.counted.aggregates;
        self.counted.events += part.counted.events;
        self.counted.commands += part.counted.commands;
        self.counted.drifted += part.counted.drifted;
        self.counted.read_back += part.counted.read_back;
        for skipped in part.skipped {
            self.skip(skipped.what, skipped.why, skipped.count);
        }
        for (class, found) in part.differences {
            let differing = self.differences.entry(class).or_default();
            differing.count += found.count;
            let room = examples_max.saturating_sub(differing.examples.len());
            differing.examples.extend(found.examples.into_iter().take(room));
        }
    }

    /// How often a class occurred.
    #[must_use]
    pub fn count(&self, class: Class) -> u64 {
        self.differences.get(&class).map_or(0, |found| found.count)
    }

    /// What a policy makes of it.
    #[must_use]
    pub fn judge(&self, policy: &Policy) -> Verdict {
        let with = |consequence: Consequence| -> Vec<Class> {
            let found = self.differences.keys().copied();
            found
                .filter(|class| self.count(*class) > 0 && policy.of(*class) == consequence)
                .collect()
        };
        let blocked = with(Consequence::Block);
        Verdict {
            passes: blocked.is_empty(),
            blocked,
            warnings: with(Consequence::Warn),
            one_way: self.count(Class::Unread) > 0,
            incomplete: !self.skipped.is_empty(),
        }
    }

    /// One sentence about these classes, each with its first example:
    /// `invoicing 1.2.0 decides otherwise (2): Invoice 7 FinalizeInvoice /events/0/data/taxTotal "1.90" -> "2.00"`.
    #[must_use]
    pub fn explain(&self, classes: &[Class]) -> String {
        let parts = classes.iter().filter_map(|class| {
            let found = self.differences.get(class)?;
            let example = found.examples.first().map(|example| format!(": {example}"));
            let example = example.unwrap_or_default();
            Some(format!("{} ({}){example}", class.sentence(), found.count))
        });
        let parts: Vec<_> = parts.collect();
        format!("{} {} {}", self.module, self.to, parts.join("; "))
    }
}

/// In one line: which aggregate and command, and the first difference or the sentence.
impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.aggregate, self.id)?;
        if let Some(command) = &self.command {
            write!(f, " {command}")?;
        }
        match (self.differences.first(), &self.detail) {
            (Some(first), _) => write!(f, " {first}"),
            (None, Some(detail)) => write!(f, " {detail}"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
