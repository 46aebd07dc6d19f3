//! The fenced moves of a running turn: open a step, journal an attempt, checkpoint, close a step.
//!
//! Each is one conditional update of the turn's document. If that matched nothing, the turn is read
//! and the refusal, or the repeat of what was done before, follows from it.

use chat_persist::{AttemptAmount, Checkpoint, Fence, NewStep, PersistErrorKind, StepClose};
use chat_types::{AttemptKey, StepState, TurnState};
use mongodb::bson::{Document, doc};

use crate::collections::TURNS;
use crate::error::Outcome;
use crate::events;
use crate::record::event_log::SegmentDocument;
use crate::record::plain::{document, int64, unsigned};
use crate::record::step::{StepDocument, amounts_array};
use crate::refusal::refused;
use crate::turn_filters::{OPEN_STEP, changed_meanwhile, fence_holds, is_open};
use crate::turns::{fenced, follows};
use crate::unit::Unit;

pub(crate) async fn open_step(unit: &mut Unit<'_>, fence: &Fence, step: &NewStep) -> Outcome<()> {
    const OPERATION: &str = "open step";
    let mut filter = fence_holds(fence)?;
    filter.insert("steps.step", doc! { "$ne": i64::from(step.step) });
    let opened = document(&StepDocument::opened(step)?)?;
    let update = doc! {
        "$push": { "steps": { "$each": [opened], "$sort": { "step": 1 } } },
        "$set": { "state": TurnState::Running.as_str() },
    };
    if unit.update_one(TURNS, filter, update).await?.matched_count == 1 {
        return Ok(());
    }
    let turn = fenced(unit, fence, OPERATION).await?;
    match turn.step(step.step) {
        None => Err(changed_meanwhile()),
        Some(stored) if stored.is_opened_by(step)? => Ok(()),
        Some(_) => {
            let detail = format!("step {} is there and another one", step.step);
            refused(PersistErrorKind::Conflict, OPERATION, detail)
        }
    }
}

pub(crate) async fn dispatch(
    unit: &mut Unit<'_>,
    fence: &Fence,
    attempt: &AttemptKey,
) -> Outcome<()> {
    const OPERATION: &str = "dispatch";
    let (number, is_of_turn) = (attempt.step.step, attempt.step.turn == fence.turn);
    if let Some(before) = attempt.attempt.checked_sub(1).filter(|_| is_of_turn)
        && dispatch_next(unit, fence, number, before).await?
    {
        return Ok(());
    }
    let turn = fenced(unit, fence, OPERATION).await?;
    let Some(step) = turn.step(number).filter(|_| is_of_turn) else {
        let detail = format!("turn {} has no step {number}", fence.turn);
        return refused(PersistErrorKind::NotFound, OPERATION, detail);
    };
    let (state, attempts) = (step.state()?, step.attempts()?);
    if !is_open(state) {
        let detail = format!("step {number} is closed as {}", state.as_str());
        return refused(PersistErrorKind::IllegalState, OPERATION, detail);
    }
    if (1..=attempts).contains(&attempt.attempt) {
        return Ok(());
    }
    if Some(attempt.attempt) == attempts.checked_add(1) {
        return Err(changed_meanwhile());
    }
    let detail = format!("attempt {} does not follow attempt {attempts}", attempt.attempt);
    refused(PersistErrorKind::IllegalState, OPERATION, detail)
}

/// Journals the attempt after `before` of an open step, if that is the next one.
async fn dispatch_next(
    unit: &mut Unit<'_>,
    fence: &Fence,
    number: u32,
    before: u32,
) -> Outcome<bool> {
    let mut filter = fence_holds(fence)?;
    let open = doc! {
        "step": i64::from(number),
        "attempts": i64::from(before),
        "state": { "$in": OPEN_STEP.to_vec() },
    };
    filter.insert("steps", doc! { "$elemMatch": open });
    let mut set = doc! { "steps.$.attempts": i64::from(before).saturating_add(1) };
    if before == 0 {
        // A step without an attempt is held; a later attempt leaves the state as it is.
        set.insert("steps.$.state", StepState::Dispatched.as_str());
    }
    Ok(unit.update_one(TURNS, filter, doc! { "$set": set }).await?.matched_count == 1)
}

pub(crate) async fn checkpoint(
    unit: &mut Unit<'_>,
    fence: &Fence,
    checkpoint: &Checkpoint,
) -> Outcome<bool> {
    const OPERATION: &str = "checkpoint";
    let segment = &checkpoint.segment;
    if segment.first_seq <= segment.last_seq
        && let Some(turn) = append(unit, fence, checkpoint).await?
    {
        events::spill_if_long(unit, &fence.scope, &fence.turn, &turn).await;
        return Ok(turn.get_bool("stop_requested").unwrap_or(false));
    }
    let turn = fenced(unit, fence, OPERATION).await?;
    let last_seq = unsigned(turn.last_seq)?;
    if segment.first_seq <= segment.last_seq && segment.last_seq <= last_seq {
        return Ok(turn.stop_requested);
    }
    follows(segment, last_seq, OPERATION)?;
    Err(changed_meanwhile())
}

/// Appends the segment if it follows: then what a checkpoint wants to know of the turn.
async fn append(
    unit: &mut Unit<'_>,
    fence: &Fence,
    checkpoint: &Checkpoint,
) -> Outcome<Option<Document>> {
    let Checkpoint { segment, streaming_step } = checkpoint;
    let Some(last_seq) = segment.first_seq.checked_sub(1) else {
        return Ok(None);
    };
    let mut filter = fence_holds(fence)?;
    filter.insert("last_seq", int64(last_seq)?);
    let mut set = doc! { "last_seq": int64(segment.last_seq)? };
    let mut array_filters = Vec::new();
    if let Some(step) = streaming_step {
        set.insert("steps.$[first].state", StepState::Streaming.as_str());
        array_filters.push(doc! {
            "first.step": i64::from(*step),
            "first.state": StepState::Dispatched.as_str(),
        });
    }
    let update = doc! {
        "$set": set,
        "$push": { "tail": document(&SegmentDocument::of(segment)?)? },
    };
    let mut fields = events::length_fields();
    fields.insert("stop_requested", 1);
    Ok(unit.change_turn(filter, update, array_filters, fields).await?)
}

pub(crate) async fn close_step(
    unit: &mut Unit<'_>,
    fence: &Fence,
    close: &StepClose,
) -> Outcome<()> {
    const OPERATION: &str = "close step";
    let number = i64::from(close.step);
    let mut filter = fence_holds(fence)?;
    let open = doc! { "step": number, "state": { "$in": OPEN_STEP.to_vec() } };
    filter.insert("steps", doc! { "$elemMatch": open });
    let state = closed_as(close);
    let ended = doc! { "state": state.as_str(), "amounts": amounts_array(&close.amounts)? };
    let mut parts = vec![doc! { "$literal": ended }];
    if state == StepState::Settling {
        // The ledger is late from the moment the step was opened: the call carries no other time.
        parts.push(doc! { "settling_since": "$$step.opened_at" });
    }
    let mut merged = vec![mongodb::bson::Bson::from("$$step")];
    merged.extend(parts.into_iter().map(mongodb::bson::Bson::from));
    let steps = doc! { "$map": { "input": "$steps", "as": "step", "in": { "$cond": [
        { "$eq": ["$$step.step", number] },
        { "$mergeObjects": merged },
        "$$step",
    ] } } };
    let stages = vec![doc! { "$set": { "steps": steps } }];
    if unit.update_one(TURNS, filter, stages).await?.matched_count == 1 {
        return Ok(());
    }
    let turn = fenced(unit, fence, OPERATION).await?;
    if check_close(turn.step(close.step), close, OPERATION)? {
        return Err(changed_meanwhile());
    }
    Ok(())
}

/// The state that a step closes in.
pub(crate) const fn closed_as(close: &StepClose) -> StepState {
    if close.amounts.is_empty() { StepState::Released } else { StepState::Settling }
}

/// Whether the step is open. If it is not, it was closed before in just this way.
pub(crate) fn check_close(
    stored: Option<&StepDocument>,
    close: &StepClose,
    operation: &'static str,
) -> Outcome<bool> {
    let Some(stored) = stored else {
        let detail = format!("the turn has no step {}", close.step);
        return refused(PersistErrorKind::IllegalState, operation, detail);
    };
    let state = stored.state()?;
    if is_open(state) {
        return Ok(true);
    }
    let amounts: Vec<AttemptAmount> = stored.amounts()?;
    if amounts == close.amounts {
        return Ok(false);
    }
    let detail = format!("step {} is closed as {}", close.step, state.as_str());
    refused(PersistErrorKind::IllegalState, operation, detail)
}
