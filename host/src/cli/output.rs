//! What is printed: answers as tables or JSON, complaints as one sentence.

use std::io::{self, Write as _};

use anyhow::Result;
use serde_json::Value;

/// How answers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// The host's answer, as JSON.
    Json,
    /// For people.
    Text,
}

impl Output {
    /// Prints an answer: `text` gives the lines for people.
    pub(super) fn answer(self, answer: &Value, text: impl FnOnce(&Value) -> String) -> Result<()> {
        match self {
            Self::Json => say(&serde_json::to_string_pretty(answer)?),
            Self::Text => say(text(answer).trim_end()),
        }
    }
}

/// A line, or several, for stdout. That nobody reads on, as `head` does, is no error.
pub(super) fn say(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// What is happening, for those who wait.
pub(super) fn progress(text: &str) {
    // Progress that cannot be shown is no reason to stop.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Why it did not work.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "millwork: {text}");
}

/// Rows under a heading, in columns.
pub(super) fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let heading: Vec<String> = heading.iter().map(|cell| (*cell).to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&heading).chain(rows).collect();
    let width = |column: usize| {
        all.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let lines = all.iter().map(|row| {
        let cells = row.iter().enumerate();
        let cells = cells.map(|(column, cell)| format!("{cell:0$}", width(column).unwrap_or_default()));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A member as text: texts without quotes, what is absent as a dash.
pub(super) fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => "-".to_owned(),
        Some(other) => other.to_string(),
    }
}

/// The items of a list that an answer has under a key.
pub(super) fn items<'a>(answer: &'a Value, key: &str) -> &'a [Value] {
    answer
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["client".to_owned(), "1.0.0".to_owned()],
            vec!["a".to_owned(), "2".to_owned()],
        ];
        assert_eq!(
            table(&["NAME", "V"], &rows),
            "NAME    V\nclient  1.0.0\na       2"
        );
    }
}
