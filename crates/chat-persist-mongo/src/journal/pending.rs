//! What a turn's document has decided and its conversation does not show yet.
//!
//! Only on a server without transactions. The call that decided writes the rest right away; after a
//! crash in between, whoever meets the turn does it: at open, at a read or repeat of the turn, in
//! recovery. Each step may be done twice. Not here: the deciding itself (`journal`, `close`).

use chat_persist::{Accept, PersistErrorKind, Result, TurnClose};
use chat_types::Message;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};

use crate::MongoStore;
use crate::collections::TURNS;
use crate::conversations;
use crate::error::{EngineResult, Failure, Outcome, Stop};
use crate::messages::{self, Where};
use crate::record::plain::document;
use crate::record::turn::{Pending, PendingOf, TurnDocument};
use crate::refusal::{PAGE_ROWS_MAX, refused};
use crate::turn_filters::without_log;
use crate::unit::{Cut, Unit};

/// What follows from accepting a turn.
pub(crate) fn of_accept(accept: &Accept) -> Pending {
    Pending {
        of: PendingOf::Accept,
        conversation: Some(accept.conversation.clone()),
        message: accept.user_message.clone(),
    }
}

/// What follows from ending a turn.
pub(crate) fn of_close(close: &TurnClose) -> Pending {
    Pending { of: PendingOf::Close, conversation: None, message: close.message.clone() }
}

/// Where a conversation's head goes when a turn ends, if it is still where the turn put it.
pub(crate) struct NewHead<'t> {
    pub(crate) from: &'t chat_types::MessageId,
    pub(crate) to: &'t chat_types::MessageId,
}

impl<'t> NewHead<'t> {
    /// To the reply, or back to the user's message if nothing was kept.
    pub(crate) fn of(record: &'t chat_persist::TurnRecord, is_kept: bool) -> Self {
        let turn = &record.turn;
        Self { from: &turn.reply, to: if is_kept { &turn.reply } else { &turn.user_message } }
    }
}

/// Does what is pending; nothing if nothing is.
///
/// Refused as `Conflict`, and the turn taken back, if the id of an accepted message was taken by
/// somebody else in the same moment.
pub(crate) async fn finish(unit: &mut Unit<'_>, turn: &TurnDocument) -> Outcome<()> {
    match &turn.pending {
        None => Ok(()),
        Some(pending) if pending.of == PendingOf::Accept => accept(unit, turn, pending).await,
        Some(pending) => close(unit, turn, pending).await,
    }
}

impl MongoStore {
    /// Finishes what crashes have cut off, at open; later crashes are recovery's.
    pub(crate) async fn finish_pending(&self) -> Result<()> {
        if self.has_transactions() {
            return Ok(());
        }
        // Every owner: the condition is there for the index.
        let of_any_owner = doc! { "owner": { "$gt": "" } };
        self.write_singly("finish turns", of_any_owner, |unit, filter| {
            Box::pin(finish_all(unit, filter.clone(), PAGE_ROWS_MAX))
        })
        .await
    }
}

/// Finishes up to `limit` turns that match `filter`, which names owners.
pub(crate) async fn finish_all(
    unit: &mut Unit<'_>,
    mut filter: Document,
    limit: i64,
) -> Outcome<()> {
    filter.insert("unfinished", true);
    filter.insert("pending", doc! { "$exists": true });
    let cut = Cut::sorted(doc! { "_id": 1 }, limit).only(without_log());
    for found in unit.find(TURNS, filter, cut).await? {
        let turn = TurnDocument::read(found)?;
        match finish(unit, &turn).await {
            Err(Stop::Refused(refusal)) => {
                tracing::warn!(turn = %turn.key.turn, %refusal, "a turn was taken back");
            }
            answer => answer?,
        }
    }
    Ok(())
}

async fn accept(unit: &mut Unit<'_>, turn: &TurnDocument, pending: &Pending) -> Outcome<()> {
    let (scope, record) = (turn.scope()?, turn.record()?);
    let conversation = pending
        .conversation
        .as_ref()
        .ok_or_else(|| Failure::corrupt("a pending accept has no conversation"))?;
    let place = place(unit, turn, pending.message.as_ref()).await?;
    if let Place::Foreign = place {
        let mut filter = key_of(turn)?;
        filter.insert("pending.of", "accept");
        unit.delete_many(TURNS, filter).await?;
        let detail = format!("message id {} is taken", turn.user_message);
        return refused(PersistErrorKind::Conflict, "accept turn", detail);
    }
    // The message first: if its id is taken, nothing but the turn's document has to go.
    if let (Place::Free(above), Some(message)) = (place, &pending.message) {
        let touched = conversations::touched(unit, &scope, &conversation.id).await?;
        let expires_at = touched.map_or(conversation.expires_at, |touched| touched.expires_at);
        messages::insert(unit, &scope, message, Where { above, expires_at }).await?;
    }
    let (reply, created_at) = (&record.turn.reply, record.turn.created_at);
    conversations::touch_for_turn(unit, &scope, conversation, reply, created_at).await?;
    let mut filter = key_of(turn)?;
    filter.insert("pending.of", "accept");
    unit.update_one(TURNS, filter, doc! { "$unset": { "pending": "" } }).await?;
    Ok(())
}

async fn close(unit: &mut Unit<'_>, turn: &TurnDocument, pending: &Pending) -> Outcome<()> {
    let (scope, record) = (turn.scope()?, turn.record()?);
    let NewHead { from, to } = NewHead::of(&record, pending.message.is_some());
    let closed_at = record.closed_at.unwrap_or(record.turn.created_at);
    let conversation = &record.turn.conversation;
    let touched =
        conversations::move_head(unit, &scope, conversation, from, Some(to), closed_at).await?;
    if let (Some(touched), Some(message)) = (touched, &pending.message) {
        match place(unit, turn, Some(message)).await? {
            Place::Free(above) => {
                let place = Where { above, expires_at: touched.expires_at };
                messages::insert(unit, &scope, message, place).await?;
            }
            Place::Written => {}
            Place::None | Place::Foreign => {
                tracing::warn!(turn = %turn.key.turn, "another message has the id of its reply");
            }
        }
    }
    let mut filter = key_of(turn)?;
    filter.insert("pending.of", "close");
    let update = doc! {
        "$set": { "unfinished": false },
        "$unset": { "pending": "", "claims": "" },
    };
    unit.update_one(TURNS, filter, update).await?;
    Ok(())
}

fn key_of(turn: &TurnDocument) -> EngineResult<Document> {
    Ok(doc! { "_id": document(&turn.key)?, "tenant": &turn.tenant, "user": &turn.user })
}

/// Where a pending message stands.
#[derive(Clone, Copy)]
enum Place {
    /// There is none to write.
    None,
    /// It is to be written, above its parent.
    Free(Option<ObjectId>),
    /// It is there.
    Written,
    /// Another message has its id.
    Foreign,
}

async fn place(
    unit: &mut Unit<'_>,
    turn: &TurnDocument,
    message: Option<&Message>,
) -> Outcome<Place> {
    let Some(message) = message else {
        return Ok(Place::None);
    };
    let ids: Vec<_> = [Some(&message.id), message.parent.as_ref()].into_iter().flatten().collect();
    let found = messages::find_all(unit, &turn.scope()?, &ids).await?;
    if let Some(stored) = found.iter().find(|stored| stored.message.id == message.id) {
        let is_same = stored.message.conversation == message.conversation
            && stored.message.turn == message.turn
            && stored.message.parent == message.parent
            && stored.message.parts == message.parts;
        return Ok(if is_same { Place::Written } else { Place::Foreign });
    }
    let parent = found.iter().find(|stored| Some(&stored.message.id) == message.parent.as_ref());
    Ok(Place::Free(parent.map(|parent| parent.object_id)))
}
