//! Following a swap while it goes on: what is said to those who wait, and when the waiting ends.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use millwork_registry::swap::Stage;
use serde_json::Value;

use super::modules::Place;
use super::output::progress;
use super::swaps::progress_of;

/// How often at most a stage that goes on is told of again.
const AGAIN: Duration = Duration::from_secs(5);

/// When the waiting ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// It is settled, or waits for somebody, or lets a canary go first.
    Waiting,
    /// It is settled, or lets a canary go first.
    Canary,
    /// It is settled.
    Settled,
    /// Nothing more will happen.
    Over,
}

impl Until {
    fn is_reached(self, stage: Stage) -> bool {
        match self {
            Self::Waiting => stage.is_settled() || matches!(stage, Stage::AwaitingConsent | Stage::Canary),
            Self::Canary => stage.is_settled() || stage == Stage::Canary,
            Self::Settled => stage.is_settled(),
            Self::Over => stage.is_over(),
        }
    }

    fn is_reached_by(self, view: &Value) -> bool {
        stage(view).is_some_and(|stage| self.is_reached(stage))
    }
}

/// How far a swap has come.
pub(super) fn stage(view: &Value) -> Option<Stage> {
    serde_json::from_value(view.get("stage")?.clone()).ok()
}

/// Its number.
pub(super) fn number(view: &Value) -> u64 {
    view.get("number").and_then(Value::as_u64).unwrap_or_default()
}

/// Waits, calling `tell` with every change, and gives the swap as it is then.
pub(super) fn watch(place: &Place, number: u64, until: Until, mut tell: impl FnMut(&Value)) -> Result<Value> {
    let path = format!("{}/{number}", place.swaps());
    let mut last = None;
    let followed = place.client.follow(&format!("{path}/events"), |view| {
        tell(&view);
        let reached = until.is_reached_by(&view);
        last = Some(view);
        if reached {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    if let Some(view) = last.filter(|view| until.is_reached_by(view)) {
        return Ok(view);
    }
    let goes_on = || {
        format!(
            "swap {number} goes on; `{}` follows it further",
            place.command("follow", number)
        )
    };
    followed.with_context(goes_on)?;
    // The host ends the events of a swap that it no longer works on, and all of them when it stops.
    let view = place.client.get(&path).with_context(goes_on)?;
    if until.is_reached_by(&view) || stage(&view).is_some_and(Stage::is_settled) {
        return Ok(view);
    }
    bail!("the host has ended the events; {}", goes_on())
}

/// Says on stderr how a swap comes along: each stage, and now and then how far one that lasts has come.
#[derive(Default)]
pub(super) struct Teller {
    last: Option<(Option<Stage>, String, Instant)>,
}

impl Teller {
    pub(super) fn tell(&mut self, view: &Value) {
        if let Some(text) = self.news(view, Instant::now()) {
            progress(&text);
        }
    }

    fn news(&mut self, view: &Value, now: Instant) -> Option<String> {
        let (stage, text) = (stage(view), progress_of(view));
        if let Some((known, told, at)) = &self.last
            && (*told == text || (*known == stage && now.duration_since(*at) < AGAIN))
        {
            return None;
        }
        self.last = Some((stage, text.clone(), now));
        Some(format!("swap {}: {text}", number(view)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn waiting_ends_where_it_is_meant_to() {
        let check = |stage: Stage, reached: [bool; 4]| {
            let all = [Until::Waiting, Until::Canary, Until::Settled, Until::Over];
            assert_eq!(all.map(|until| until.is_reached(stage)), reached, "{stage}");
        };
        check(Stage::Verifying, [false, false, false, false]);
        check(Stage::AwaitingConsent, [true, false, false, false]);
        check(Stage::Canary, [true, true, false, false]);
        check(Stage::Draining, [true, true, true, false]);
        check(Stage::Failed, [true, true, true, true]);
    }

    #[test]
    fn what_goes_on_is_told_now_and_then() {
        let view = |stage: &str, done: u64| {
            json!({
                "number": 7, "stage": stage, "request": { "module": "client" }, "changes": [],
                "replay": { "aggregatesDone": 0, "aggregatesTotal": 0, "commandsDone": done, "commandsTotal": 90 },
            })
        };
        let (mut teller, start) = (Teller::default(), Instant::now());
        let mut news = |stage: &str, done, after| teller.news(&view(stage, done), start + after);
        assert!(news("verifying", 1, Duration::ZERO).is_some());
        assert_eq!(news("verifying", 2, AGAIN / 2), None);
        assert!(news("verifying", 2, AGAIN).unwrap().contains("2 of 90"));
        assert_eq!(news("verifying", 2, AGAIN * 3), None, "nothing is new");
        assert!(news("activating", 2, AGAIN * 3).is_some());
    }
}
