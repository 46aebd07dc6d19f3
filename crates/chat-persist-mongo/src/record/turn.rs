//! A turn as one document: the journal row, its steps, and the newest segments of its event log.
//!
//! Reading ignores fields it does not know and takes a missing list as empty, so that a projection
//! may leave the log out. Not here: filters and updates (`journal`, `turns`, `steps`, `close`).

use chat_persist::{EventSegment, NewTurn, OpenStep, TurnRecord, stored};
use chat_types::{
    Conversation, Message, Scope, TenantId, TurnFailure, TurnId, TurnKind, TurnState,
};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, deserialize_from_document};
use serde::{Deserialize, Serialize};

use super::event_log::{LOG_KEPT, SegmentDocument};
use super::plain::{date, document, int64, moment, named, parse, unsigned};
use super::step::StepDocument;
use crate::error::{EngineResult, Failure, FailureKind};

/// The version of this shape; a reader refuses a higher one.
const VERSION: i32 = 1;

/// `_id` of a turn: unique within its tenant, ordered by tenant, then turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TurnKey {
    pub(crate) tenant: String,
    pub(crate) turn: String,
}

/// A turn. See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TurnDocument {
    #[serde(rename = "_id")]
    pub(crate) key: TurnKey,
    v: i32,
    pub(crate) tenant: String,
    pub(crate) user: String,
    pub(crate) conversation: String,
    kind: Document,
    pub(crate) user_message: String,
    pub(crate) reply: String,
    model: String,
    /// Who ran it first; `owner` is who runs it now.
    first_owner: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    request_hash: String,
    created_at: DateTime,
    pub(crate) owner: String,
    state: String,
    /// Its reply is promised and not yet there: true from the first write until the end is applied.
    pub(crate) unfinished: bool,
    /// Message ids that no other turn may promise while this one is unfinished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) claims: Vec<String>,
    /// The `_id` of the user's message, if another turn or process wrote it: the reply's is above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) above: Option<ObjectId>,
    pub(crate) epoch: i64,
    pub(crate) stop_requested: bool,
    pub(crate) last_seq: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<FailureDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed_at: Option<DateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<String>,
    #[serde(default)]
    pub(crate) steps: Vec<StepDocument>,
    #[serde(default)]
    pub(crate) tail: Vec<SegmentDocument>,
    pub(crate) calls: Calls,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<Pending>,
}

/// Which call won each of the writes that only one may win, so that the same call finds itself
/// when it has to run again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Calls {
    pub(crate) accept: ObjectId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) take_over: Option<ObjectId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) close: Option<ObjectId>,
}

/// What the turn's document has decided and its conversation does not show yet. Only on a server
/// without transactions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// Of the turn's accept or of its close.
    pub(crate) of: PendingOf,
    /// The conversation as it is created if it is missing; for an accept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) conversation: Option<Conversation>,
    /// The message to write, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<Message>,
}

/// Which write left something pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PendingOf {
    /// The conversation and the user's message.
    Accept,
    /// The reply and the conversation's head.
    Close,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct FailureDocument {
    code: String,
    message: String,
    retryable: bool,
}

fn stored_form(error: &stored::StoredError) -> Failure {
    Failure::corrupt(error.to_string())
}

impl TurnKey {
    pub(crate) fn new(tenant: &TenantId, turn: &TurnId) -> Self {
        Self { tenant: tenant.as_str().to_owned(), turn: turn.as_str().to_owned() }
    }
}

impl TurnDocument {
    /// A turn as it is first written; it claims its reply's id, and its user message's if new.
    pub(crate) fn new(
        scope: &Scope,
        turn: &NewTurn,
        new_message: bool,
        segment: &EventSegment,
        call: ObjectId,
    ) -> EngineResult<Self> {
        let mut claims = vec![turn.reply.as_str().to_owned()];
        if new_message {
            claims.push(turn.user_message.as_str().to_owned());
        }
        Ok(Self {
            key: TurnKey::new(&scope.tenant, &turn.id),
            v: VERSION,
            tenant: scope.tenant.as_str().to_owned(),
            user: scope.user.as_str().to_owned(),
            conversation: turn.conversation.as_str().to_owned(),
            kind: kind_document(&turn.kind)?,
            user_message: turn.user_message.as_str().to_owned(),
            reply: turn.reply.as_str().to_owned(),
            model: turn.model.to_string(),
            first_owner: turn.owner.as_str().to_owned(),
            idempotency_key: turn.idempotency_key.as_ref().map(|key| key.as_str().to_owned()),
            request_hash: turn.request_hash.clone(),
            created_at: date(turn.created_at),
            owner: turn.owner.as_str().to_owned(),
            state: TurnState::Accepted.as_str().to_owned(),
            unfinished: true,
            claims,
            above: None,
            epoch: 1,
            stop_requested: false,
            last_seq: int64(segment.last_seq)?,
            failure: None,
            closed_at: None,
            log: Some(LOG_KEPT.to_owned()),
            steps: Vec::new(),
            tail: vec![SegmentDocument::of(segment)?],
            calls: Calls { accept: call, take_over: None, close: None },
            pending: None,
        })
    }

    /// A turn that ended in another store; its event log counts as expired.
    pub(crate) fn restored(
        scope: &Scope,
        record: &TurnRecord,
        call: ObjectId,
    ) -> EngineResult<Self> {
        let first =
            EventSegment { first_seq: 1, last_seq: record.last_seq, payload: String::new() };
        let closed_at = record.closed_at.map(date);
        Ok(Self {
            state: record.state.as_str().to_owned(),
            unfinished: false,
            claims: Vec::new(),
            epoch: int64(record.epoch)?,
            stop_requested: record.stop_requested,
            failure: record.failure.as_ref().map(FailureDocument::of),
            closed_at,
            log: None,
            steps: record
                .steps
                .iter()
                .map(|step| StepDocument::of(step, closed_at))
                .collect::<EngineResult<_>>()?,
            tail: Vec::new(),
            ..Self::new(scope, &record.turn, false, &first, call)?
        })
    }

    /// Reads a turn, or as much of it as a projection gave.
    pub(crate) fn read(document: Document) -> EngineResult<Self> {
        if document.get_i32("v").is_ok_and(|version| version > VERSION) {
            let detail = "a turn was written by a newer version of this program";
            return Err(Failure::new(FailureKind::NewerSchema, detail));
        }
        deserialize_from_document(document)
            .map_err(|_| Failure::corrupt("a stored turn cannot be read"))
    }

    pub(crate) fn scope(&self) -> EngineResult<Scope> {
        Ok(Scope::new(parse(&self.tenant)?, parse(&self.user)?))
    }

    pub(crate) fn id(&self) -> EngineResult<TurnId> {
        parse(&self.key.turn)
    }

    pub(crate) fn state(&self) -> EngineResult<TurnState> {
        named(&self.state, TurnState::from_stored)
    }

    pub(crate) fn is_of(&self, scope: &Scope) -> bool {
        self.tenant == scope.tenant.as_str() && self.user == scope.user.as_str()
    }

    pub(crate) fn idempotency_key(&self) -> Option<&str> {
        self.idempotency_key.as_deref()
    }

    /// The turn with its steps.
    pub(crate) fn record(&self) -> EngineResult<TurnRecord> {
        let id = self.id()?;
        let steps = self.steps.iter().map(|step| step.record(&id)).collect::<EngineResult<_>>()?;
        Ok(TurnRecord {
            turn: NewTurn {
                id,
                conversation: parse(&self.conversation)?,
                kind: kind_of(&self.kind)?,
                user_message: parse(&self.user_message)?,
                reply: parse(&self.reply)?,
                model: parse(&self.model)?,
                owner: parse(&self.first_owner)?,
                idempotency_key: self.idempotency_key.as_deref().map(parse).transpose()?,
                request_hash: self.request_hash.clone(),
                created_at: moment(self.created_at),
            },
            state: self.state()?,
            epoch: unsigned(self.epoch)?,
            stop_requested: self.stop_requested,
            last_seq: unsigned(self.last_seq)?,
            failure: self.failure.as_ref().map(FailureDocument::failure),
            closed_at: self.closed_at.map(moment),
            steps,
        })
    }

    /// One of its steps as the ledger's side needs it.
    pub(crate) fn open_step(&self, step: &StepDocument) -> EngineResult<OpenStep> {
        Ok(OpenStep {
            scope: self.scope()?,
            conversation: parse(&self.conversation)?,
            turn_state: self.state()?,
            turn_epoch: unsigned(self.epoch)?,
            step: step.record(&self.id()?)?,
        })
    }

    /// The step of this number.
    pub(crate) fn step(&self, number: u32) -> Option<&StepDocument> {
        self.steps.iter().find(|step| step.step == i64::from(number))
    }
}

impl FailureDocument {
    fn of(failure: &TurnFailure) -> Self {
        Self {
            code: failure.code.clone(),
            message: failure.message.clone(),
            retryable: failure.retryable,
        }
    }

    fn failure(&self) -> TurnFailure {
        TurnFailure::new(self.code.clone(), self.message.clone(), self.retryable)
    }
}

/// A turn's `failure`.
pub(crate) fn failure_document(failure: &TurnFailure) -> EngineResult<Document> {
    document(&FailureDocument::of(failure))
}

/// A turn's `kind`: the shared JSON form as a document.
fn kind_document(kind: &TurnKind) -> EngineResult<Document> {
    let text = stored::kind_record(kind).map_err(|error| stored_form(&error))?;
    let form: serde_json::Value =
        serde_json::from_str(&text).map_err(|_| Failure::corrupt("a kind has no JSON form"))?;
    document(&form)
}

fn kind_of(kind: &Document) -> EngineResult<TurnKind> {
    let form: serde_json::Value = deserialize_from_document(kind.clone())
        .map_err(|_| Failure::corrupt("a stored kind of turn cannot be read"))?;
    stored::kind_of(&form.to_string()).map_err(|error| stored_form(&error))
}
