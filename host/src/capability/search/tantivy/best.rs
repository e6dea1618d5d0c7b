//! The best documents of a page, equal ones by id: tantivy's own collector orders equal ones by where they are stored,
//! which changes when segments are put together.

use std::cmp::Ordering;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::StrColumn;
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader};

use super::schema::ID;
use crate::capability::search::cursor::Cursor;

/// Collects `keep` documents behind a cursor, and counts all.
pub(super) struct Best {
    pub(super) keep: usize,
    pub(super) after: Option<Cursor>,
}

/// A document and its place.
pub(super) struct Ranked {
    pub(super) score: Score,
    pub(super) id: String,
    pub(super) address: DocAddress,
}

/// How many there are, and the best.
type Fruit = tantivy::Result<(u64, Vec<Ranked>)>;

/// The same within one segment, where ids are in the order of their ordinals.
pub(super) struct BestOfSegment {
    segment: SegmentOrdinal,
    ids: Option<StrColumn>,
    keep: usize,
    /// Documents with this score count from this ordinal on.
    after: Option<(Score, u64)>,
    total: u64,
    best: Vec<(Score, u64, DocId)>,
}

impl Collector for Best {
    type Fruit = Fruit;
    type Child = BestOfSegment;

    fn for_segment(&self, segment: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<BestOfSegment> {
        let ids = reader.fast_fields().str(ID)?;
        let mut after = None;
        if let (Some(cursor), Some(ids)) = (&self.after, &ids) {
            let behind = std::ops::Bound::Excluded(cursor.id.as_bytes());
            let (from, _) = ids
                .dictionary()
                .term_bounds_to_ord(behind, std::ops::Bound::Unbounded)?;
            let from = match from {
                std::ops::Bound::Included(ordinal) => ordinal,
                std::ops::Bound::Excluded(ordinal) => ordinal.saturating_add(1),
                std::ops::Bound::Unbounded => 0,
            };
            after = Some((cursor.score, from));
        }
        Ok(BestOfSegment {
            segment,
            ids,
            keep: self.keep,
            after,
            total: 0,
            best: Vec::new(),
        })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, segments: Vec<Fruit>) -> tantivy::Result<Fruit> {
        let (mut total, mut all) = (0, Vec::new());
        for fruit in segments {
            let (count, best) = fruit?;
            total += count;
            all.extend(best);
        }
        all.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
        all.truncate(self.keep);
        Ok(Ok((total, all)))
    }
}

impl SegmentCollector for BestOfSegment {
    type Fruit = Fruit;

    fn collect(&mut self, document: DocId, score: Score) {
        self.total += 1;
        let id = self.ids.as_ref().and_then(|ids| ids.ords().first(document));
        let id = id.unwrap_or_default();
        let is_later =
            |(last, from): (Score, u64)| score < last || (score.total_cmp(&last).is_eq() && id >= from);
        if !self.after.is_none_or(is_later) {
            return;
        }
        self.best.push((score, id, document));
        if self.best.len() >= self.keep.saturating_mul(2) {
            self.prune();
        }
    }

    fn harvest(mut self) -> Fruit {
        self.prune();
        let mut ranked = Vec::with_capacity(self.best.len());
        for (score, ordinal, document) in &self.best {
            let mut id = String::new();
            if let Some(ids) = &self.ids {
                ids.ord_to_str(*ordinal, &mut id)?;
            }
            let address = DocAddress::new(self.segment, *document);
            ranked.push(Ranked {
                score: *score,
                id,
                address,
            });
        }
        Ok((self.total, ranked))
    }
}

impl BestOfSegment {
    fn prune(&mut self) {
        self.best.sort_unstable_by(better_first);
        self.best.truncate(self.keep);
    }
}

fn better_first(a: &(Score, u64, DocId), b: &(Score, u64, DocId)) -> Ordering {
    b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1))
}
