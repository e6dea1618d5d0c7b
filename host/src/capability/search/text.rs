//! The language of searched text: words, `"words in quotes"`, and `word*`. Whatever else somebody types is text; no
//! backend's own query language is ever reached.

use super::SearchError;
use super::words;

/// Longest text that is searched for, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;
/// Most words of it.
const WORDS_MAX: usize = 32;

/// What must be in one text field of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause {
    /// Words that follow each other; often only one.
    Words {
        /// As they were typed.
        typed: String,
        /// By their stems.
        stems: Vec<String>,
    },
    /// The beginning of a word, in lowercase and without accents.
    Prefix(String),
    /// Something without a letter or digit, which no text contains.
    Nothing,
}

/// Reads a text; nothing but space has no clauses.
///
/// # Errors
/// [`SearchError::Malformed`] when a quote does not end, [`SearchError::TooLarge`].
pub fn parse(text: &str) -> Result<Vec<Clause>, SearchError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(SearchError::TooLarge(format!(
            "the text is longer than {TEXT_BYTES_MAX} bytes"
        )));
    }
    let mut clauses = Vec::new();
    // Every other part stands in quotes.
    let parts: Vec<&str> = text.split('"').collect();
    if parts.len().is_multiple_of(2) {
        return Err(SearchError::Malformed("text: a quote does not end".to_owned()));
    }
    for (at, part) in parts.into_iter().enumerate() {
        if at % 2 == 1 {
            clauses.extend(phrase(part));
        } else {
            part.split_whitespace()
                .for_each(|typed| word(typed, &mut clauses));
        }
    }
    let words: usize = clauses.iter().map(Clause::word_count).sum();
    if words > WORDS_MAX {
        return Err(SearchError::TooLarge(format!(
            "the text has more than {WORDS_MAX} words"
        )));
    }
    // What has nothing to be found by is passed over beside what has, and alone it finds nothing.
    let real: Vec<Clause> = clauses
        .iter()
        .filter(|clause| **clause != Clause::Nothing)
        .cloned()
        .collect();
    let nothing_real = real.is_empty() && !text.trim().is_empty();
    Ok(if nothing_real { vec![Clause::Nothing] } else { real })
}

/// What stands between two quotes.
fn phrase(typed: &str) -> Option<Clause> {
    let stems = stems(typed);
    (!stems.is_empty()).then(|| Clause::Words {
        typed: typed.to_owned(),
        stems,
    })
}

/// What stands between spaces. `foo-bar` is two words that follow each other.
fn word(typed: &str, clauses: &mut Vec<Clause>) {
    let Some(beginning) = typed.strip_suffix('*') else {
        clauses.push(phrase(typed).unwrap_or(Clause::Nothing));
        return;
    };
    let words = words::of(&mut words::exact(), beginning);
    let Some((last, before)) = words.split_last() else {
        clauses.push(Clause::Nothing);
        return;
    };
    let whole = before.iter().filter_map(|word| phrase(&word.form));
    clauses.extend(whole);
    clauses.push(Clause::Prefix(last.form.clone()));
}

fn stems(typed: &str) -> Vec<String> {
    let words = words::of(&mut words::stemming(), typed);
    words.into_iter().map(|word| word.form).collect()
}

impl Clause {
    fn word_count(&self) -> usize {
        match self {
            Self::Words { stems, .. } => stems.len(),
            Self::Prefix(_) | Self::Nothing => 1,
        }
    }
}
