//! Accepting a turn, and what others ask of the journal of a conversation.
//!
//! What an earlier, equal request made is found again; what is new is checked, then written. On a
//! replica set all of it is one transaction. On a standalone server the turn's document decides,
//! with what follows from it inside (`pending`): a crash before it leaves nothing, a crash after it
//! is finished by whoever comes next.
//!
//! A unit that finds one of its unique keys taken runs again, and then looks before it writes: a
//! new turn pays for no look.

use std::collections::HashSet;

use chat_persist::{Accept, Accepted, PersistErrorKind};
use chat_types::{ConversationId, MessageId, Role, Scope, StepState};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};

use crate::collections::{EVENTS, TURNS};
use crate::conversations;
use crate::error::{EngineResult, Outcome, Stop};
use crate::events;
use crate::index::Index;
use crate::messages::{self, Stored, Where};
use crate::record::plain::document;
use crate::record::turn::TurnDocument;
use crate::refusal::refused;
use crate::turn_filters::{changed_meanwhile, key, without_log};
use crate::turns::{follows, read};
use crate::unit::{Cut, Unit};

pub(crate) mod pending;

const OPERATION: &str = "accept turn";

/// How many turns' events are deleted by one command: its filter names each of them.
const TURNS_PER_DELETE: usize = 100;

/// What the queries of the turn journal go by. The scope comes first wherever it is known, and is
/// the shard key.
pub(crate) fn indexes() -> Vec<Index> {
    vec![
        // The turn of an idempotency key.
        Index::on(TURNS, doc! { "tenant": 1, "user": 1, "idempotency_key": 1 })
            .unique()
            .only(doc! { "idempotency_key": { "$exists": true } }),
        // Replies that are being written: no id is promised twice.
        Index::on(TURNS, doc! { "tenant": 1, "user": 1, "claims": 1 })
            .unique()
            .only(doc! { "unfinished": true }),
        // The turns of a conversation.
        Index::on(TURNS, doc! { "tenant": 1, "user": 1, "conversation": 1 }),
    ]
}

/// Makes a turn durable; `call` names this call, also when it runs again.
pub(crate) async fn accept(
    unit: &mut Unit<'_>,
    scope: &Scope,
    accept: &Accept,
    call: ObjectId,
) -> Outcome<Accepted> {
    if (unit.is_repeat() || check_ids(accept).is_err())
        && let Some(answer) = earlier(unit, scope, accept, call).await?
    {
        return Ok(answer);
    }
    let is_plain = check_ids(accept);
    let above = match is_plain {
        Ok(()) => check_place(unit, scope, accept).await,
        Err(refusal) => Err(refusal),
    };
    let above = match above {
        Err(Stop::Refused(refusal)) if !unit.is_repeat() => {
            return earlier(unit, scope, accept, call).await?.ok_or(Stop::Refused(refusal));
        }
        above => above?,
    };
    let new_message = accept.user_message.is_some();
    let mut turn = TurnDocument::new(scope, &accept.turn, new_message, &accept.segment, call)?;
    turn.above = above.filter(|_| !new_message);
    if !unit.is_transaction() {
        turn.pending = Some(pending::of_accept(accept));
        unit.insert_one(TURNS, &document(&turn)?).await?;
        pending::finish(unit, &turn).await?;
        return Ok(Accepted::New);
    }
    unit.insert_one(TURNS, &document(&turn)?).await?;
    let Accept { conversation, turn, user_message, .. } = accept;
    let touched =
        conversations::touch_for_turn(unit, scope, conversation, &turn.reply, turn.created_at)
            .await?;
    if let Some(message) = user_message {
        let place = Where { above, expires_at: touched.expires_at };
        messages::insert(unit, scope, message, place).await?;
    }
    Ok(Accepted::New)
}

/// The turn that an earlier, equal request made: by its key, or by being the very same turn.
async fn earlier(
    unit: &mut Unit<'_>,
    scope: &Scope,
    accept: &Accept,
    call: ObjectId,
) -> Outcome<Option<Accepted>> {
    let turn = &accept.turn;
    let wanted_key = turn.idempotency_key.as_ref().map(|key| key.as_str());
    let mut ways = vec![doc! {
        "_id": key(&scope.tenant, &turn.id)?,
        "tenant": scope.tenant.as_str(),
    }];
    if let Some(wanted) = wanted_key {
        ways.push(doc! {
            "tenant": scope.tenant.as_str(),
            "user": scope.user.as_str(),
            "idempotency_key": wanted,
        });
    }
    let cut = Cut::default().only(without_log());
    let found = unit.find(TURNS, doc! { "$or": ways }, cut).await?;
    let found = found.into_iter().map(TurnDocument::read).collect::<EngineResult<Vec<_>>>()?;
    let has_key = |found: &&TurnDocument| {
        wanted_key.is_some() && found.is_of(scope) && found.idempotency_key() == wanted_key
    };
    let by_key = found.iter().find(has_key);
    let Some(found) = by_key.or(found.first()) else {
        return Ok(None);
    };
    if found.calls.accept == call {
        // This same call, when it ran before and its acknowledgement was lost.
        pending::finish(unit, found).await?;
        return Ok(Some(Accepted::New));
    }
    let record = found.record()?;
    let is_same = match by_key {
        Some(_) => record.turn.request_hash == turn.request_hash,
        None => found.is_of(scope) && record.turn == *turn,
    };
    if is_same {
        if found.pending.is_none() {
            return Ok(Some(Accepted::Existing(Box::new(record))));
        }
        let finished = read(unit, scope, &record.turn.id).await?;
        let record = finished.ok_or_else(changed_meanwhile)?.record()?;
        return Ok(Some(Accepted::Existing(Box::new(record))));
    }
    if by_key.is_some() {
        let detail = "the idempotency key stands for another request";
        return refused(PersistErrorKind::IdempotencyConflict, OPERATION, detail);
    }
    refused(PersistErrorKind::Conflict, OPERATION, format!("turn id {} is taken", turn.id))
}

/// The parts of the request fit together.
fn check_ids(accept: &Accept) -> Outcome<()> {
    let turn = &accept.turn;
    let is_consistent = accept.conversation.id == turn.conversation
        && turn.reply != turn.user_message
        && accept.user_message.as_ref().is_none_or(|message| {
            message.conversation == turn.conversation && message.id == turn.user_message
        });
    if !is_consistent {
        let detail = format!("the ids of turn {} do not fit together", turn.id);
        return refused(PersistErrorKind::Conflict, OPERATION, detail);
    }
    follows(&accept.segment, 0, OPERATION)
}

/// The tree rules of a new turn. Returns the `_id` of the message that the new one follows, or of
/// the one that is answered again.
async fn check_place(
    unit: &mut Unit<'_>,
    scope: &Scope,
    accept: &Accept,
) -> Outcome<Option<ObjectId>> {
    let turn = &accept.turn;
    let parent = accept.user_message.as_ref().and_then(|message| message.parent.as_ref());
    let mut ids = vec![&turn.user_message, &turn.reply];
    ids.extend(parent);
    let found = messages::find_all(unit, scope, &ids).await?;
    let stored = |id: &MessageId| found.iter().find(|stored| stored.message.id == *id);
    let here = |id: &MessageId| {
        stored(id).filter(|stored| stored.message.conversation == turn.conversation)
    };
    let Some(message) = &accept.user_message else {
        let asked = here(&turn.user_message).filter(|asked| asked.message.role == Role::User);
        let Some(asked) = asked else {
            let detail = format!(
                "there is no user message {} in conversation {}",
                turn.user_message, turn.conversation
            );
            return refused(PersistErrorKind::NotFound, OPERATION, detail);
        };
        check_free(unit, scope, stored(&turn.reply), &turn.reply).await?;
        return Ok(Some(asked.object_id));
    };
    let above = match parent {
        None => None,
        Some(parent) => match here(parent) {
            Some(parent) => Some(parent.object_id),
            None => return no_parent(unit, scope, &turn.conversation, parent).await,
        },
    };
    check_free(unit, scope, stored(&message.id), &message.id).await?;
    check_free(unit, scope, stored(&turn.reply), &turn.reply).await?;
    Ok(above)
}

/// Why `parent` cannot be followed.
async fn no_parent<T>(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &ConversationId,
    parent: &MessageId,
) -> Outcome<T> {
    let promised = promised(unit, scope, std::slice::from_ref(parent)).await?;
    if promised.iter().any(|turn| turn.conversation == conversation.as_str()) {
        let detail = format!("message {parent} is still being written");
        return refused(PersistErrorKind::ParentUnfinished, OPERATION, detail);
    }
    let detail = format!("message {parent} is not in conversation {conversation}");
    refused(PersistErrorKind::ParentMissing, OPERATION, detail)
}

/// No message has this id and no running turn will write one. The second is asked of a unit that
/// runs again only: the turn's unique claims send it there.
async fn check_free(
    unit: &mut Unit<'_>,
    scope: &Scope,
    stored: Option<&Stored>,
    id: &MessageId,
) -> Outcome<()> {
    let is_taken = stored.is_some()
        || (unit.is_repeat() && !promised(unit, scope, std::slice::from_ref(id)).await?.is_empty());
    if is_taken {
        return refused(PersistErrorKind::Conflict, OPERATION, format!("message id {id} is taken"));
    }
    Ok(())
}

/// The unfinished turns that will write one of `ids` as their reply, when nothing of it is pending.
async fn promised(
    unit: &mut Unit<'_>,
    scope: &Scope,
    ids: &[MessageId],
) -> Outcome<Vec<TurnDocument>> {
    let claims: Vec<&str> = ids.iter().map(MessageId::as_str).collect();
    let mut filter = of_scope(scope);
    filter.insert("unfinished", true);
    filter.insert("claims", doc! { "$in": claims.clone() });
    let found = unit.find(TURNS, filter, Cut::default().only(without_log())).await?;
    let found = found.into_iter().map(TurnDocument::read).collect::<EngineResult<Vec<_>>>()?;
    if let Some(cut_off) = found.iter().find(|turn| turn.pending.is_some()) {
        pending::finish(unit, cut_off).await?;
        return Err(changed_meanwhile());
    }
    Ok(found.into_iter().filter(|turn| claims.contains(&turn.reply.as_str())).collect())
}

fn of_scope(scope: &Scope) -> Document {
    doc! { "tenant": scope.tenant.as_str(), "user": scope.user.as_str() }
}

fn of_conversation(scope: &Scope, conversation: &ConversationId) -> Document {
    let mut filter = of_scope(scope);
    filter.insert("conversation", conversation.as_str());
    filter
}

/// One of its turns is running, or has a step whose amounts the ledger may not have yet.
pub(crate) async fn is_busy(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &ConversationId,
) -> Outcome<bool> {
    let mut filter = of_conversation(scope, conversation);
    filter.insert(
        "$or",
        [doc! { "unfinished": true }, doc! { "steps.state": StepState::Settling.as_str() }]
            .to_vec(),
    );
    let cut = Cut::default().only(doc! { "_id": 1 });
    Ok(unit.find_one(TURNS, filter, cut).await?.is_some())
}

/// A turn is running whose user message is one of these.
pub(crate) async fn is_writing_below(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &ConversationId,
    messages: &HashSet<MessageId>,
) -> Outcome<bool> {
    let mut filter = of_conversation(scope, conversation);
    filter.insert("unfinished", true);
    let cut = Cut::default().only(doc! { "_id": 0, "user_message": 1 });
    let found = unit.find(TURNS, filter, cut).await?;
    Ok(found.iter().any(|turn| {
        let asked = turn.get_str("user_message").ok().and_then(|id| id.parse().ok());
        asked.is_some_and(|asked: MessageId| messages.contains(&asked))
    }))
}

/// Those of `ids` that a running turn will write as its reply.
pub(crate) async fn replies_to_be(
    unit: &mut Unit<'_>,
    scope: &Scope,
    ids: &[MessageId],
) -> Outcome<Vec<MessageId>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let promised = promised(unit, scope, ids).await?;
    let is_promised = |id: &&MessageId| promised.iter().any(|turn| turn.reply == id.as_str());
    Ok(ids.iter().filter(is_promised).cloned().collect())
}

/// Removes the turns of a conversation with their steps, keys and events.
pub(crate) async fn remove_turns(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &ConversationId,
) -> Outcome<()> {
    let filter = of_conversation(scope, conversation);
    let cut = Cut::default().only(doc! { "_id": 1 });
    let turns = unit.find(TURNS, filter.clone(), cut).await?;
    let names: Vec<&str> = turns
        .iter()
        .filter_map(|turn| turn.get_document("_id").ok()?.get_str("turn").ok())
        .collect();
    remove_events(unit, scope, &names).await?;
    unit.delete_many(TURNS, filter).await?;
    Ok(())
}

/// Removes the events of these turns of a scope.
pub(crate) async fn remove_events(
    unit: &mut Unit<'_>,
    scope: &Scope,
    turns: &[&str],
) -> EngineResult<()> {
    for some in turns.chunks(TURNS_PER_DELETE) {
        let ranges: Vec<Document> = some
            .iter()
            .map(|turn| doc! { "_id": events::all_of(scope.tenant.as_str(), turn) })
            .collect();
        let mut filter = of_scope(scope);
        filter.insert("$or", ranges);
        unit.delete_many(EVENTS, filter).await?;
    }
    Ok(())
}
