//! What to find, as tantivy's queries: built from parts, never from text in tantivy's query language.

use std::ops::Bound;

use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, ConstScoreQuery, EmptyQuery, InvertedIndexRangeQuery, Occur, PhraseQuery, Query,
    TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};

use super::schema::Fields;
use crate::capability::search::filter::{Filter, Order};
use crate::capability::search::text::Clause;
use crate::capability::search::{Find, Index};

/// Above every text that begins with what stands before it.
const LAST: char = char::MAX;

/// Clauses score, the filter does not.
pub(super) fn of(fields: &Fields, index: &Index, find: &Find) -> Box<dyn Query> {
    let filter: Box<dyn Query> = Box::new(ConstScoreQuery::new(filter(fields, &find.filter), 0.0));
    let mut all = vec![(Occur::Must, filter)];
    for clause in &find.clauses {
        let in_fields = index.texts().filter_map(|name| in_field(fields, name, clause));
        let any = in_fields.map(|query| (Occur::Should, query)).collect();
        all.push((Occur::Must, Box::new(BooleanQuery::new(any))));
    }
    Box::new(BooleanQuery::new(all))
}

fn in_field(fields: &Fields, name: &str, clause: &Clause) -> Option<Box<dyn Query>> {
    Some(match clause {
        Clause::Words { stems, .. } => {
            let field = *fields.stems.get(name)?;
            let mut terms: Vec<Term> = stems
                .iter()
                .map(|stem| Term::from_field_text(field, stem))
                .collect();
            match terms.len() {
                1 => Box::new(TermQuery::new(terms.pop()?, IndexRecordOption::WithFreqs)),
                _ => Box::new(PhraseQuery::new(terms)),
            }
        }
        Clause::Prefix(prefix) => beginning_with(*fields.words.get(name)?, prefix),
        Clause::Nothing => Box::new(EmptyQuery),
    })
}

/// Every match is as good as another.
fn beginning_with(field: Field, prefix: &str) -> Box<dyn Query> {
    let from = Term::from_field_text(field, prefix);
    let to = Term::from_field_text(field, &format!("{prefix}{LAST}"));
    let range = InvertedIndexRangeQuery::new(Bound::Included(from), Bound::Excluded(to));
    Box::new(ConstScoreQuery::new(Box::new(range), 1.0))
}

fn filter(fields: &Fields, of: &Filter) -> Box<dyn Query> {
    match of {
        Filter::All(parts) if parts.is_empty() => Box::new(AllQuery),
        Filter::All(parts) => combined(fields, Occur::Must, parts),
        Filter::Any(parts) => combined(fields, Occur::Should, parts),
        Filter::Not(part) => {
            let all: Box<dyn Query> = Box::new(AllQuery);
            Box::new(BooleanQuery::new(vec![
                (Occur::Must, all),
                (Occur::MustNot, filter(fields, part)),
            ]))
        }
        Filter::OneOf(name, values) => match fields.values.get(name) {
            Some(field) if !values.is_empty() => {
                let terms = values
                    .iter()
                    .map(|value| Term::from_field_text(*field, &value.key()));
                Box::new(BooleanQuery::new_multiterms_query(terms.collect()))
            }
            _ => Box::new(EmptyQuery),
        },
        Filter::Compare(name, order, value) => match fields.values.get(name) {
            Some(field) => {
                let term = Term::from_field_text(*field, &value.key());
                let (from, to) = match order {
                    Order::Less => (Bound::Unbounded, Bound::Excluded(term)),
                    Order::AtMost => (Bound::Unbounded, Bound::Included(term)),
                    Order::Greater => (Bound::Excluded(term), Bound::Unbounded),
                    Order::AtLeast => (Bound::Included(term), Bound::Unbounded),
                };
                Box::new(InvertedIndexRangeQuery::new(from, to))
            }
            None => Box::new(EmptyQuery),
        },
        Filter::Exists(name) => {
            let term = Term::from_field_text(fields.present, name);
            Box::new(TermQuery::new(term, IndexRecordOption::Basic))
        }
    }
}

fn combined(fields: &Fields, occur: Occur, parts: &[Filter]) -> Box<dyn Query> {
    let parts = parts.iter().map(|part| (occur, filter(fields, part)));
    Box::new(BooleanQuery::new(parts.collect()))
}
