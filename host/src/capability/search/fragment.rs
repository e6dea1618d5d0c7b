//! Fragments: pieces of a text in which what was searched for is marked. Made here for all backends, from the document
//! itself, so that nothing of it reaches a page as HTML.

use std::ops::Range;

use super::text::Clause;
use super::words::{self, Word};
use super::{Document, Fragments};

/// Most fragments of one field.
const FRAGMENTS_MAX: usize = 3;
/// About how long a fragment is, in bytes of text.
const FRAGMENT_BYTES: usize = 160;
/// About how much stands before the first match of a fragment.
const LEAD_BYTES: usize = 40;

/// Fragments of these fields, by field; one without a match is left out.
#[must_use]
pub fn of(document: &Document, fields: &[String], clauses: &[Clause]) -> Fragments {
    let of_field = |name: &String| {
        let values = match document.get(name)? {
            serde_json::Value::Array(values) => values.iter().filter_map(|value| value.as_str()).collect(),
            value => value.as_str().into_iter().collect::<Vec<_>>(),
        };
        let fragments = values.into_iter().flat_map(|text| of_text(text, clauses));
        let fragments: Vec<_> = fragments.take(FRAGMENTS_MAX).collect();
        (!fragments.is_empty()).then(|| (name.clone(), fragments))
    };
    fields.iter().filter_map(of_field).collect()
}

fn of_text(text: &str, clauses: &[Clause]) -> Vec<String> {
    let stems = words::of(&mut words::stemming(), text);
    let exact = words::of(&mut words::exact(), text);
    let mut matched: Vec<Range<usize>> = clauses
        .iter()
        .flat_map(|clause| match clause {
            Clause::Words { stems: wanted, .. } => runs(&stems, wanted),
            Clause::Prefix(prefix) => beginnings(&exact, prefix),
            Clause::Nothing => Vec::new(),
        })
        .collect();
    matched.sort_by_key(|range| (range.start, range.end));
    matched.dedup();
    let mut fragments = Vec::new();
    let mut left = matched.as_slice();
    while let Some(first) = left.first() {
        let piece = piece(&exact, text.len(), first);
        let inside = left
            .iter()
            .take_while(|range| range.end <= piece.end.max(first.end))
            .count()
            .max(1);
        let (here, later) = left.split_at(inside);
        fragments.push(marked(text, piece, here));
        left = later;
        if fragments.len() == FRAGMENTS_MAX {
            break;
        }
    }
    fragments
}

/// Each word of each place where these words follow each other.
fn runs(words: &[Word], wanted: &[String]) -> Vec<Range<usize>> {
    let fits = |run: &&[Word]| run.iter().zip(wanted).all(|(word, wanted)| word.form == *wanted);
    words
        .windows(wanted.len().max(1))
        .filter(fits)
        .flatten()
        .map(|word| word.start..word.end)
        .collect()
}

fn beginnings(words: &[Word], prefix: &str) -> Vec<Range<usize>> {
    let fitting = words.iter().filter(|word| word.form.starts_with(prefix));
    fitting.map(|word| word.start..word.end).collect()
}

/// What a fragment around a match shows: whole words, as many as fit.
fn piece(words: &[Word], text_end: usize, first: &Range<usize>) -> Range<usize> {
    let earliest = first.start.saturating_sub(LEAD_BYTES);
    let start = words
        .iter()
        .map(|word| word.start)
        .find(|start| *start >= earliest)
        .map_or(first.start, |start| start.min(first.start));
    let start = if earliest == 0 { 0 } else { start };
    let latest = start + FRAGMENT_BYTES;
    if text_end <= latest {
        return start..text_end;
    }
    let last = words.iter().rev().map(|word| word.end).find(|end| *end <= latest);
    start..last.unwrap_or(first.end).max(first.end)
}

fn marked(text: &str, piece: Range<usize>, matches: &[Range<usize>]) -> String {
    let mut html = String::new();
    let mut at = piece.start;
    for range in matches.iter().filter(|range| range.end <= piece.end) {
        // A word that is matched twice, once by its beginning, is marked once.
        if range.start < at {
            continue;
        }
        escape(text.get(at..range.start).unwrap_or_default(), &mut html);
        html.push_str("<em>");
        escape(text.get(range.clone()).unwrap_or_default(), &mut html);
        html.push_str("</em>");
        at = range.end;
    }
    escape(text.get(at..piece.end).unwrap_or_default(), &mut html);
    html
}

fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
}
