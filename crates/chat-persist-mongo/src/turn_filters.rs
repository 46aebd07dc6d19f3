//! A turn is one document: which one a filter means, and how it is changed.
//!
//! Every move of a running turn is one conditional update, atomic on every kind of server. The filter holds
//! all the rules; if it matches nothing, the turn is read (`turns`) to say which rule it was.

use chat_persist::Fence;
use chat_types::{Scope, StepState, TenantId, TurnId, TurnState};
use futures::future::BoxFuture;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{FindOneAndUpdateOptions, ReturnDocument};

use crate::MongoStore;
use crate::collections::TURNS;
use crate::error::{EngineResult, Failure, FailureKind, Outcome, Stop};
use crate::record::plain::{document, int64};
use crate::record::turn::TurnKey;
use crate::unit::Unit;

/// States of a turn that goes on.
pub(crate) const OPEN_TURN: [&str; 3] =
    [TurnState::Accepted.as_str(), TurnState::Running.as_str(), TurnState::Paused.as_str()];

/// States of a step that may still make attempts.
pub(crate) const OPEN_STEP: [&str; 3] =
    [StepState::Held.as_str(), StepState::Dispatched.as_str(), StepState::Streaming.as_str()];

pub(crate) const fn is_open(state: StepState) -> bool {
    matches!(state, StepState::Held | StepState::Dispatched | StepState::Streaming)
}

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
