//! Stored turns: read with their steps, checked against a fence.
//!
//! Not here: what their filters say (`turn_filters`).

use chat_persist::{EventSegment, Fence, PersistErrorKind, TurnRecord};
use chat_types::{Scope, TurnId};

use crate::collections::TURNS;
use crate::error::{Outcome, Stop};
use crate::journal::pending;
use crate::record::plain::int64;
use crate::record::turn::TurnDocument;
use crate::refusal::refused;
use crate::turn_filters::{by_id, changed_meanwhile, without_log};
use crate::unit::{Cut, Unit};

/// How often a turn is read again because something was pending: an accept, then a close.
const READS_MAX: u32 = 3;

/// Reads a turn of a scope.
pub(crate) async fn turn(
    unit: &mut Unit<'_>,
    scope: &Scope,
    turn: &TurnId,
) -> Outcome<Option<TurnRecord>> {
    let found = read(unit, scope, turn).await?;
    Ok(found.map(|found| found.record()).transpose()?)
}

/// Reads a turn without its log, after finishing what was pending.
pub(crate) async fn read(
    unit: &mut Unit<'_>,
    scope: &Scope,
    turn: &TurnId,
) -> Outcome<Option<TurnDocument>> {
    for _ in 0..READS_MAX {
        let cut = Cut::default().only(without_log());
        let Some(found) = unit.find_one(TURNS, by_id(scope, turn)?, cut).await? else {
            return Ok(None);
        };
        let found = TurnDocument::read(found)?;
        if found.pending.is_none() {
            return Ok(Some(found));
        }
        match pending::finish(unit, &found).await {
            // It was taken back: there is no such turn.
            Ok(()) | Err(Stop::Refused(_)) => {}
            Err(failed) => return Err(failed),
        }
    }
    Err(changed_meanwhile())
}

/// The turn, if `fence` still holds and the turn goes on; else which of the two is not so.
pub(crate) async fn fenced(
    unit: &mut Unit<'_>,
    fence: &Fence,
    operation: &'static str,
) -> Outcome<TurnDocument> {
    let turn = &fence.turn;
    let Some(found) = read(unit, &fence.scope, turn).await? else {
        let detail = format!("there is no turn {turn}");
        return refused(PersistErrorKind::NotFound, operation, detail);
    };
    if int64(fence.epoch).ok() != Some(found.epoch) {
        let detail =
            format!("turn {turn} is at epoch {}, this write at {}", found.epoch, fence.epoch);
        return refused(PersistErrorKind::Fenced, operation, detail);
    }
    let state = found.state()?;
    if state.is_terminal() {
        let detail = format!("turn {turn} has ended as {}", state.as_str());
        return refused(PersistErrorKind::IllegalState, operation, detail);
    }
    Ok(found)
}

/// The segment begins right after `last_seq`.
pub(crate) fn follows(
    segment: &EventSegment,
    last_seq: u64,
    operation: &'static str,
) -> Outcome<()> {
    let is_next = Some(segment.first_seq) == last_seq.checked_add(1);
    if is_next && segment.first_seq <= segment.last_seq {
        return Ok(());
    }
    let detail = format!(
        "the events {} to {} do not follow event {last_seq}",
        segment.first_seq, segment.last_seq
    );
    refused(PersistErrorKind::IllegalState, operation, detail)
}
