//! The event log, and the wish to stop.
//!
//! A turn's newest segments are in its own document (`tail`), so a checkpoint is one update. A tail
//! that gets long is spilled: all but the newest segment are copied to documents of their own, then
//! taken out of the tail. Copies are keyed by their last event and equal whoever makes them, so a
//! crash in between, or two who spill at once, lose and repeat nothing. A reader looks at the turn
//! first: what is not in its tail has been copied before.

use chat_persist::{EventPage, EventSegment, PersistErrorKind, StopAck};
use chat_types::{Scope, TenantId, TurnId};
use mongodb::bson::{Bson, Document, doc};

use crate::collections::{EVENTS, TURNS};
use crate::error::{EngineResult, FailureKind, Outcome};
use crate::index::Index;
use crate::record::event_log::{LOG_KEPT, LogDocument, SegmentDocument};
use crate::record::plain::unsigned;
use crate::record::turn::TurnDocument;
use crate::refusal::{page_rows, refused};
use crate::turn_filters::{OPEN_TURN, by_id, changed_meanwhile};
use crate::turns::read;
use crate::unit::{Cut, Unit};

/// A longer tail is spilled: each checkpoint rewrites the document it is in.
const TAIL_BYTES_MAX: i64 = 64 * 1024;

/// A tail of more segments is spilled, 32 checkpoints of 250 ms apart being 8 seconds.
const TAIL_SEGMENTS_MAX: i64 = 32;

/// What names a segment that is a document of its own, on a sharded cluster too.
const KEY_FIELDS: [&str; 3] = ["_id", "tenant", "user"];

/// Segments are read by their keys alone.
pub(crate) fn indexes() -> Vec<Index> {
    Vec::new()
}

/// What [`spill_if_long`] looks at, as a projection.
pub(crate) fn length_fields() -> Document {
    let bytes = doc! { "$map": { "input": "$tail", "in": { "$strLenBytes": "$$this.payload" } } };
    doc! { "_id": 0, "tail_bytes": { "$sum": bytes }, "tail_segments": { "$size": "$tail" } }
}

/// The `_id` of the segment that ends with `last_seq`.
fn segment_key(tenant: &TenantId, turn: &TurnId, last_seq: impl Into<Bson>) -> Document {
    doc! { "tenant": tenant.as_str(), "turn": turn.as_str(), "last_seq": last_seq.into() }
}

/// The `_id`s of all of a turn's segments.
pub(crate) fn all_of(tenant: &str, turn: &str) -> Document {
    let key = |last_seq: Bson| doc! { "tenant": tenant, "turn": turn, "last_seq": last_seq };
    doc! { "$gt": key(Bson::MinKey), "$lt": key(Bson::MaxKey) }
}

/// Spills the tail of a turn whose [`length_fields`] say that it is long. A failure is no harm:
/// the next checkpoint tries again.
pub(crate) async fn spill_if_long(
    unit: &mut Unit<'_>,
    scope: &Scope,
    turn: &TurnId,
    lengths: &Document,
) {
    let length = |name: &str| match lengths.get(name) {
        Some(Bson::Int32(number)) => i64::from(*number),
        Some(Bson::Int64(number)) => *number,
        _ => 0,
    };
    let segments = length("tail_segments");
    let is_long = segments > TAIL_SEGMENTS_MAX || length("tail_bytes") > TAIL_BYTES_MAX;
    if is_long
        && segments > 1
        && let Err(failure) = spill(unit, scope, turn).await
    {
        tracing::warn!(%turn, ?failure, "a long event log stays in its turn's document");
    }
}

async fn spill(unit: &mut Unit<'_>, scope: &Scope, turn: &TurnId) -> EngineResult<()> {
    let mut kept = by_id(scope, turn)?;
    kept.insert("log", LOG_KEPT);
    let Some(found) = unit.find_one(TURNS, kept.clone(), Cut::default()).await? else {
        return Ok(());
    };
    let mut tail = TurnDocument::read(found)?.tail;
    let Some(newest) = tail.pop() else {
        return Ok(());
    };
    let copies: Vec<Document> = tail
        .into_iter()
        .map(|segment| {
            doc! {
                "_id": segment_key(&scope.tenant, turn, segment.last_seq),
                "tenant": scope.tenant.as_str(),
                "user": scope.user.as_str(),
                "first_seq": segment.first_seq,
                "last_seq": segment.last_seq,
                "payload": segment.payload,
            }
        })
        .collect();
    copy(unit, &copies).await?;
    let spilled = doc! { "first_seq": { "$lt": newest.first_seq } };
    let update = doc! { "$pull": { "tail": spilled } };
    if unit.update_one(TURNS, kept, update).await?.matched_count == 0 {
        // The turn or its log went meanwhile; so do the copies.
        let copies = doc! {
            "_id": all_of(scope.tenant.as_str(), turn.as_str()),
            "tenant": scope.tenant.as_str(),
            "user": scope.user.as_str(),
        };
        unit.delete_many(EVENTS, copies).await?;
    }
    Ok(())
}

async fn copy(unit: &mut Unit<'_>, copies: &[Document]) -> EngineResult<()> {
    match unit.insert_many(EVENTS, copies).await {
        Err(failure) if failure.kind == FailureKind::Duplicate => {}
        answer => return answer,
    }
    // Somebody has copied some of them before.
    for copy in copies {
        let (mut key, mut rest) = (Document::new(), Document::new());
        for (name, value) in copy {
            let part = if KEY_FIELDS.contains(&name.as_str()) { &mut key } else { &mut rest };
            part.insert(name, value.clone());
        }
        unit.upsert_one(EVENTS, key, doc! { "$setOnInsert": rest }).await?;
    }
    Ok(())
}

/// Reads a page of segments.
pub(crate) async fn events(
    unit: &mut Unit<'_>,
    scope: &Scope,
    turn: &TurnId,
    after_seq: u64,
    limit: u32,
) -> Outcome<EventPage> {
    // No event has a number beyond the range of what is stored.
    let after_seq = i64::try_from(after_seq).unwrap_or(i64::MAX);
    let wanted = doc! { "$gt": ["$$this.last_seq", after_seq] };
    let fields = doc! {
        "_id": 0, "state": 1, "last_seq": 1, "epoch": 1, "log": 1, "pending.of": 1,
        "tail": { "$filter": { "input": "$tail", "cond": wanted } },
        "tail_from": { "$first": "$tail.first_seq" },
    };
    let cut = Cut::default().only(fields);
    let Some(found) = unit.find_one(TURNS, by_id(scope, turn)?, cut).await? else {
        let detail = format!("there is no turn {turn}");
        return refused(PersistErrorKind::NotFound, "read events", detail);
    };
    if found.contains_key("pending") {
        // Finishes it: an end is shown when its reply is there.
        read(unit, scope, turn).await?;
        return Err(changed_meanwhile());
    }
    let log = LogDocument::read(found)?;
    let mut page = EventPage {
        segments: Vec::new(),
        state: Some(log.state()?),
        last_seq: unsigned(log.last_seq)?,
        epoch: unsigned(log.epoch)?,
        expired: log.log.as_deref() != Some(LOG_KEPT),
    };
    if page.expired {
        return Ok(page);
    }
    let rows = page_rows(limit);
    let rows_max = usize::try_from(rows).unwrap_or(usize::MAX);
    if let Some(before) = log.tail_from.and_then(|from| from.checked_sub(1))
        && after_seq < before
    {
        page.segments = spilled(unit, scope, turn, (after_seq, before), rows).await?;
    }
    let tail = log.tail.into_iter().map(SegmentDocument::segment);
    page.segments.extend(tail.collect::<EngineResult<Vec<_>>>()?);
    page.segments.truncate(rows_max);
    if has_gap(&page.segments, unsigned(after_seq)?) {
        // The log expired after its turn was read.
        return Err(changed_meanwhile());
    }
    Ok(page)
}

/// The segments that end after event `after` and up to event `to`, as far as they were spilled.
async fn spilled(
    unit: &mut Unit<'_>,
    scope: &Scope,
    turn: &TurnId,
    (after, to): (i64, i64),
    rows: i64,
) -> Outcome<Vec<EventSegment>> {
    let filter = doc! {
        "_id": {
            "$gt": segment_key(&scope.tenant, turn, after),
            "$lte": segment_key(&scope.tenant, turn, to),
        },
        "tenant": scope.tenant.as_str(),
        "user": scope.user.as_str(),
    };
    let found = unit.find(EVENTS, filter, Cut::sorted(doc! { "_id": 1 }, rows)).await?;
    let segments = found.into_iter().map(|found| SegmentDocument::read(found)?.segment());
    Ok(segments.collect::<EngineResult<_>>()?)
}

fn has_gap(segments: &[EventSegment], after_seq: u64) -> bool {
    let mut seen = after_seq;
    segments.iter().any(|segment| {
        let is_gap = segment.first_seq > seen.saturating_add(1);
        seen = segment.last_seq;
        is_gap
    })
}

/// Asks a turn to stop.
pub(crate) async fn request_stop(
    unit: &mut Unit<'_>,
    scope: &Scope,
    turn: &TurnId,
) -> Outcome<StopAck> {
    let mut filter = by_id(scope, turn)?;
    filter.insert("state", doc! { "$in": OPEN_TURN.to_vec() });
    let update = doc! { "$set": { "stop_requested": true } };
    if unit.update_one(TURNS, filter, update).await?.matched_count == 1 {
        return Ok(StopAck::Requested);
    }
    let Some(found) = read(unit, scope, turn).await? else {
        let detail = format!("there is no turn {turn}");
        return refused(PersistErrorKind::NotFound, "request stop", detail);
    };
    let state = found.state()?;
    if state.is_terminal() { Ok(StopAck::AlreadyEnded(state)) } else { Err(changed_meanwhile()) }
}
