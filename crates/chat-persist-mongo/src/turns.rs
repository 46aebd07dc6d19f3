//! Stored turns: their keys and filters, read with their steps, checked against a fence.
//!
//! A turn is one document, so every move of a running turn is one conditional update of it, atomic
//! on every kind of server. The filter holds all the rules; if it matches nothing, the turn is read
//! to say which rule it was.

use chat_persist::{EventSegment, Fence, PersistErrorKind, TurnRecord};
use chat_types::{Scope, StepState, TenantId, TurnId, TurnState};
use futures::future::BoxFuture;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{FindOneAndUpdateOptions, ReturnDocument};

use crate::MongoStore;
use crate::collections::TURNS;
use crate::error::{EngineResult, Failure, FailureKind, Outcome, Stop};
use crate::journal::pending;
use crate::record::plain::{document, int64};
use crate::record::turn::{TurnDocument, TurnKey};
use crate::refusal::refused;
use crate::unit::{Cut, Unit};

/// States of a turn that goes on.
pub(crate) const OPEN_TURN: [&str; 3] =
    [TurnState::Accepted.as_str(), TurnState::Running.as_str(), TurnState::Paused.as_str()];

/// States of a step that may still make attempts.
pub(crate) const OPEN_STEP: [&str; 3] =
    [StepState::Held.as_str(), StepState::Dispatched.as_str(), StepState::Streaming.as_str()];

/// How often a turn is read again because something was pending: an accept, then a close.
const READS_MAX: u32 = 3;

/// The `_id` of a turn.
pub(crate) fn key(tenant: &TenantId, turn: &TurnId) -> EngineResult<Document> {
    document(&TurnKey::new(tenant, turn))
}

/// The turn of this scope. The tenant is named outside of the key too: it is the shard key's.
pub(crate) fn by_id(scope: &Scope, turn: &TurnId) -> EngineResult<Document> {
    Ok(doc! {
        "_id": key(&scope.tenant, turn)?,
        "tenant": scope.tenant.as_str(),
        "user": scope.user.as_str(),
    })
}

/// The turn of `fence`, if the fence holds and the turn goes on.
pub(crate) fn fence_holds(fence: &Fence) -> EngineResult<Document> {
    let mut filter = by_id(&fence.scope, &fence.turn)?;
    filter.insert("epoch", int64(fence.epoch)?);
    filter.insert("state", doc! { "$in": OPEN_TURN.to_vec() });
    filter.insert("pending", Bson::Null);
    Ok(filter)
}

/// All fields but the event log.
pub(crate) fn without_log() -> Document {
    doc! { "tail": 0 }
}

pub(crate) fn changed_meanwhile<E>() -> Stop<E> {
    Stop::Failed(Failure::new(FailureKind::Contended, "the turn changed while it was read"))
}

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

pub(crate) const fn is_open(state: StepState) -> bool {
    matches!(state, StepState::Held | StepState::Dispatched | StepState::Streaming)
}

impl Unit<'_> {
    /// Changes one turn, elements of its lists by `array_filters`, and returns `fields` of it as
    /// it is now; none if the filter matched nothing.
    pub(crate) async fn change_turn(
        &mut self,
        filter: Document,
        update: Document,
        array_filters: Vec<Document>,
        fields: Document,
    ) -> EngineResult<Option<Document>> {
        let options = FindOneAndUpdateOptions::builder()
            .array_filters((!array_filters.is_empty()).then_some(array_filters))
            .projection(fields)
            .return_document(ReturnDocument::After)
            .build();
        let turns = self.database.collection::<Document>(TURNS);
        let call = turns.find_one_and_update(filter, update).with_options(options);
        Ok(match self.session.as_mut() {
            Some(session) => call.session(session).await?,
            None => call.await?,
        })
    }
}

impl MongoStore {
    /// Runs `work` as a unit outside of a transaction: each of its writes is one conditional update
    /// of one document, or may be repeated whatever came of the others.
    pub(crate) async fn write_singly<I, T, W>(
        &self,
        operation: &'static str,
        input: I,
        work: W,
    ) -> chat_persist::Result<T>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        W: for<'a> Fn(&'a mut Unit<'_>, &'a I) -> BoxFuture<'a, Outcome<T>> + Send + Sync + 'static,
    {
        self.read(operation, input, work).await
    }
}
