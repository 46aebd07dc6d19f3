//! An owner's vectors in memory, as long as they hold.
//!
//! The owner's row counts their writes. A search reads that count in the same transaction as
//! everything else; vectors kept under another count are read anew, so that nothing can be stale,
//! whichever process wrote. Owners with more vectors than may be kept are read page by page.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chat_rag::VectorSpace;
use sqlx::SqliteConnection;

use crate::codes::{Coded, packed_bytes, unpack};
use crate::error::EngineResult;
use crate::row::Columns;

/// Documents per page: some megabytes, so that a search that keeps nothing stays small.
const DOCUMENTS_PER_PAGE: i64 = 1_000;

/// The vectors of one document.
#[derive(Debug)]
struct Block {
    document: i64,
    first_chunk: i64,
    /// Its vectors in the page.
    first: usize,
    end: usize,
}

/// The vectors of some documents, side by side, documents and chunks ascending.
#[derive(Debug, Default)]
pub(crate) struct Page {
    dimensions: usize,
    blocks: Vec<Block>,
    scales: Vec<f32>,
    codes: Vec<i8>,
}

/// A chunk and the cosine of its vector.
pub(crate) type Scored = (i64, f64);

impl Page {
    fn bytes(&self) -> usize {
        let block = size_of::<Block>().saturating_mul(self.blocks.len());
        let vectors = packed_bytes(self.dimensions).saturating_mul(self.scales.len());
        block.saturating_add(vectors)
    }

    fn vector(&self, place: usize) -> Option<(f32, &[i8])> {
        let first = place.checked_mul(self.dimensions)?;
        let codes = self.codes.get(first..first.checked_add(self.dimensions)?)?;
        Some((*self.scales.get(place)?, codes))
    }

    /// The best `depth` chunks of the allowed documents, best first, lower keys first among equals.
    pub(crate) fn nearest(
        &self,
        query: &Coded,
        depth: usize,
        allows: &dyn Fn(i64) -> bool,
    ) -> Vec<Scored> {
        let mut best: Vec<Scored> = Vec::with_capacity(depth.saturating_mul(2));
        let mut least = 0.0;
        let allowed = self.blocks.iter().filter(|block| allows(block.document));
        for block in allowed {
            let scales = self.scales.get(block.first..block.end).unwrap_or_default();
            let codes = self.codes.chunks_exact(self.dimensions.max(1)).skip(block.first);
            for ((scale, codes), chunk) in scales.iter().zip(codes).zip(block.first_chunk..) {
                let cosine = query.cosine(*scale, codes);
                if cosine > least {
                    best.push((chunk, cosine));
                    // Cut back now and then, which costs less than keeping a heap in order.
                    if best.len() >= depth.saturating_mul(2) {
                        least = cut(&mut best, depth);
                    }
                }
            }
        }
        cut(&mut best, depth);
        best
    }

    /// The cosine of one chunk, if it is here.
    pub(crate) fn cosine(&self, query: &Coded, chunk: i64) -> Option<f64> {
        let after = self.blocks.partition_point(|block| block.first_chunk <= chunk);
        let block = self.blocks.get(after.checked_sub(1)?)?;
        let offset = usize::try_from(chunk.checked_sub(block.first_chunk)?).ok()?;
        let place = block.first.checked_add(offset).filter(|place| *place < block.end)?;
        let (scale, codes) = self.vector(place)?;
        Some(query.cosine(scale, codes))
    }
}

/// Keeps the best `depth`, in order; the least that a better one must exceed.
fn cut(best: &mut Vec<Scored>, depth: usize) -> f64 {
    best.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
    best.truncate(depth);
    if best.len() == depth { best.last().map_or(0.0, |(_, cosine)| *cosine) } else { 0.0 }
}

/// Joins the best of several pages.
pub(crate) fn join(pages: Vec<Vec<Scored>>, depth: usize) -> Vec<Scored> {
    let mut best: Vec<Scored> = pages.into_iter().flatten().collect();
    cut(&mut best, depth);
    best
}

/// The page of an owner's vectors after document `after`, and the last document read; none at the
/// end.
pub(crate) async fn read_page(
    connection: &mut SqliteConnection,
    owner: i64,
    space: &VectorSpace,
    after: i64,
) -> EngineResult<Option<(Page, i64)>> {
    let rows = sqlx::query(
        "SELECT d.pk, d.first_chunk, v.codes
           FROM documents d JOIN vectors v ON v.document = d.pk
          WHERE d.owner = $1 AND d.pk > $2 AND d.embedding = $3
          ORDER BY d.pk LIMIT $4",
    )
    .bind(owner)
    .bind(after)
    .bind(&space.model)
    .bind(DOCUMENTS_PER_PAGE)
    .fetch_all(connection)
    .await?;
    let mut page = Page { dimensions: space.dimensions, ..Page::default() };
    let mut last = None;
    for row in &rows {
        let mut columns = Columns::of(row);
        let (document, first_chunk) = (columns.integer()?, columns.integer()?);
        let first = page.scales.len();
        for (scale, codes) in unpack(columns.bytes()?, space.dimensions) {
            page.scales.push(scale);
            page.codes.extend(codes.iter().map(|byte| i8::from_le_bytes([*byte])));
        }
        page.blocks.push(Block { document, first_chunk, first, end: page.scales.len() });
        last = Some(document);
    }
    // Chunks are numbered as documents are written, but a page may be searched by chunk.
    page.blocks.sort_by_key(|block| block.first_chunk);
    Ok(last.map(|last| (page, last)))
}

/// What is kept of an owner.
#[derive(Debug)]
struct Kept {
    version: i64,
    pages: Arc<Vec<Page>>,
    bytes: usize,
    used: u64,
}

/// Vectors of the owners who asked last, within a bound.
#[derive(Debug)]
pub(crate) struct VectorCache {
    bytes_max: usize,
    state: Mutex<(u64, BTreeMap<i64, Kept>)>,
}

impl VectorCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    /// All vectors of the owner at this version, if they are kept.
    pub(crate) fn get(&self, owner: i64, version: i64) -> Option<Arc<Vec<Page>>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (clock, owners) = &mut *state;
        *clock = clock.wrapping_add(1);
        let kept = owners.get_mut(&owner).filter(|kept| kept.version == version)?;
        kept.used = *clock;
        Some(Arc::clone(&kept.pages))
    }

    /// Whether pages of this size together may be kept.
    pub(crate) fn has_room(&self, pages: &[Page]) -> bool {
        pages.iter().map(Page::bytes).sum::<usize>() <= self.bytes_max
    }

    /// Keeps an owner's vectors; those not used for longest make room.
    pub(crate) fn keep(&self, owner: i64, version: i64, pages: &Arc<Vec<Page>>) {
        let bytes = pages.iter().map(Page::bytes).sum();
        if bytes > self.bytes_max {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (clock, owners) = &mut *state;
        let is_newer = owners.get(&owner).is_some_and(|kept| kept.version > version);
        if is_newer {
            return;
        }
        *clock = clock.wrapping_add(1);
        let kept = Kept { version, pages: Arc::clone(pages), bytes, used: *clock };
        owners.insert(owner, kept);
        while owners.values().map(|kept| kept.bytes).sum::<usize>() > self.bytes_max {
            let oldest = owners.iter().min_by_key(|(_, kept)| kept.used).map(|(owner, _)| *owner);
            match oldest {
                Some(oldest) => drop(owners.remove(&oldest)),
                None => break,
            }
        }
    }
}
