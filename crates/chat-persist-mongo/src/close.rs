//! The end of a turn: reply, amounts, last events and state, won by one caller.
//!
//! The turn's document decides, by one conditional update. On a replica set the reply and the
//! conversation's head follow in the same transaction. On a standalone server the document carries
//! them until they are written (`pending`), so whoever comes next can finish what a crash cut off.

use std::collections::BTreeSet;

use chat_persist::{Fence, PersistErrorKind, StepClose, TurnClose};
use chat_types::{Scope, StepState};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use crate::collections::TURNS;
use crate::conversations;
use crate::error::Outcome;
use crate::journal::pending::{self, NewHead};
use crate::messages::{self, Where};
use crate::record::event_log::SegmentDocument;
use crate::record::plain::{date, document, int64, unsigned};
use crate::record::step::amounts_array;
use crate::record::turn::{TurnDocument, failure_document};
use crate::refusal::refused;
use crate::steps::{check_close, closed_as};
use crate::turn_filters::{OPEN_STEP, by_id, changed_meanwhile, fence_holds, is_open, without_log};
use crate::turns::{fenced, follows};
use crate::unit::{Cut, Unit};

const OPERATION: &str = "close turn";

/// Ends the turn; `call` names this call, also when it runs again.
pub(crate) async fn close_turn(
    unit: &mut Unit<'_>,
    fence: &Fence,
    close: &TurnClose,
    call: ObjectId,
) -> Outcome<()> {
    let named: Vec<&StepClose> = close.steps.iter().collect();
    let is_plain = close.state.is_terminal() && close.segment.first_seq <= close.segment.last_seq;
    if is_plain && let Some(turn) = end(unit, fence, close, &named, call).await? {
        return apply(unit, &fence.scope, close, &turn).await;
    }
    if unit.is_repeat() && was_won(unit, fence, call).await? {
        return Ok(());
    }
    let turn = fenced(unit, fence, OPERATION).await?;
    let still_open = check(fence, close, &turn)?;
    match end(unit, fence, close, &still_open, call).await? {
        Some(turn) => apply(unit, &fence.scope, close, &turn).await,
        None => Err(changed_meanwhile()),
    }
}

/// This same call has ended the turn when it ran before, and its acknowledgement was lost.
async fn was_won(unit: &mut Unit<'_>, fence: &Fence, call: ObjectId) -> Outcome<bool> {
    let cut = Cut::default().only(without_log());
    let Some(found) = unit.find_one(TURNS, by_id(&fence.scope, &fence.turn)?, cut).await? else {
        return Ok(false);
    };
    let found = TurnDocument::read(found)?;
    let is_own = found.calls.close == Some(call);
    if is_own {
        pending::finish(unit, &found).await?;
    }
    Ok(is_own)
}

/// The rules, one by one. Returns the named steps that are still open; the others were closed in
/// just this way.
fn check<'c>(
    fence: &Fence,
    close: &'c TurnClose,
    turn: &TurnDocument,
) -> Outcome<Vec<&'c StepClose>> {
    if !close.state.is_terminal() {
        let detail = format!("{} is no end", close.state.as_str());
        return refused(PersistErrorKind::IllegalState, OPERATION, detail);
    }
    follows(&close.segment, unsigned(turn.last_seq)?, OPERATION)?;
    let mut still_open = Vec::new();
    for step in &close.steps {
        if check_close(turn.step(step.step), step, OPERATION)? {
            still_open.push(step);
        }
    }
    for step in &turn.steps {
        let number = step.number()?;
        if is_open(step.state()?) && close.steps.iter().all(|named| named.step != number) {
            let detail = format!("step {number} is open and not named");
            return refused(PersistErrorKind::IllegalState, OPERATION, detail);
        }
    }
    let is_reply = close.message.as_ref().is_none_or(|message| {
        message.id.as_str() == turn.reply
            && message.conversation.as_str() == turn.conversation
            && message.parent.as_ref().map(|parent| parent.as_str())
                == Some(turn.user_message.as_str())
    });
    if !is_reply {
        let detail = format!("the message is not the reply of turn {}", fence.turn);
        return refused(PersistErrorKind::Conflict, OPERATION, detail);
    }
    Ok(still_open)
}

/// Ends the turn if every rule holds, all of `named` are open, and no other step is.
async fn end(
    unit: &mut Unit<'_>,
    fence: &Fence,
    close: &TurnClose,
    named: &[&StepClose],
    call: ObjectId,
) -> Outcome<Option<TurnDocument>> {
    let Some(last_seq) = close.segment.first_seq.checked_sub(1) else {
        return Ok(None);
    };
    let filter = end_filter(fence, close, named, int64(last_seq)?)?;
    let mut set = doc! {
        "state": close.state.as_str(),
        "closed_at": date(close.closed_at),
        "last_seq": int64(close.segment.last_seq)?,
        "calls.close": call,
    };
    if let Some(failure) = &close.failure {
        set.insert("failure", failure_document(failure)?);
    }
    let mut array_filters = Vec::new();
    let mut seen = BTreeSet::new();
    for step in named.iter().filter(|step| seen.insert(step.step)) {
        let (name, state) = (format!("s{}", step.step), closed_as(step));
        array_filters.push(doc! { format!("{name}.step"): i64::from(step.step) });
        set.insert(format!("steps.$[{name}].state"), state.as_str());
        set.insert(format!("steps.$[{name}].amounts"), amounts_array(&step.amounts)?);
        if state == StepState::Settling {
            set.insert(format!("steps.$[{name}].settling_since"), date(close.closed_at));
        }
    }
    let mut update = doc! {
        "$push": { "tail": document(&SegmentDocument::of(&close.segment)?)? },
    };
    if unit.is_transaction() {
        set.insert("unfinished", false);
        update.insert("$unset", doc! { "claims": "" });
    } else {
        set.insert("pending", document(&pending::of_close(close))?);
    }
    update.insert("$set", set);
    let ended = unit.change_turn(filter, update, array_filters, without_log()).await?;
    Ok(ended.map(TurnDocument::read).transpose()?)
}

fn end_filter(
    fence: &Fence,
    close: &TurnClose,
    named: &[&StepClose],
    last_seq: i64,
) -> Outcome<Document> {
    let mut filter = fence_holds(fence)?;
    filter.insert("last_seq", last_seq);
    let open = || Bson::from(doc! { "$in": OPEN_STEP.to_vec() });
    let numbers: Vec<i64> = named.iter().map(|step| i64::from(step.step)).collect();
    let other = doc! { "step": { "$nin": numbers.clone() }, "state": open() };
    let mut steps = vec![doc! { "steps": { "$not": { "$elemMatch": other } } }];
    steps.extend(numbers.into_iter().map(|number| {
        doc! { "steps": { "$elemMatch": { "step": number, "state": open() } } }
    }));
    filter.insert("$and", steps);
    if let Some(message) = &close.message {
        filter.insert("reply", message.id.as_str());
        filter.insert("conversation", message.conversation.as_str());
        filter.insert("user_message", message.parent.as_ref().map(|parent| parent.as_str()));
    }
    Ok(filter)
}

/// Writes what follows from the end.
async fn apply(
    unit: &mut Unit<'_>,
    scope: &Scope,
    close: &TurnClose,
    turn: &TurnDocument,
) -> Outcome<()> {
    if turn.pending.is_some() {
        return pending::finish(unit, turn).await;
    }
    let record = turn.record()?;
    let NewHead { from, to } = NewHead::of(&record, close.message.is_some());
    let conversation = &record.turn.conversation;
    let touched =
        conversations::move_head(unit, scope, conversation, from, Some(to), close.closed_at)
            .await?;
    // A conversation whose time was over may be gone, deleted by the server itself.
    let (Some(touched), Some(message)) = (touched, &close.message) else {
        return Ok(());
    };
    let above = reply_above(unit, scope, turn, &record).await?;
    messages::insert(unit, scope, message, Where { above, expires_at: touched.expires_at }).await
}

/// The `_id` that the reply's must be above, if it is not so by itself: what this process writes
/// ascends, but another one, whose clock may run ahead, has written the user's message.
async fn reply_above(
    unit: &mut Unit<'_>,
    scope: &Scope,
    turn: &TurnDocument,
    record: &chat_persist::TurnRecord,
) -> Outcome<Option<ObjectId>> {
    if record.epoch == 1 {
        return Ok(turn.above);
    }
    let asked = &record.turn;
    let found = messages::find(unit, scope, &asked.conversation, &asked.user_message).await?;
    Ok(found.map(|found| found.object_id))
}
