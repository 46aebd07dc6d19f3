//! A turn as one document: the journal row, its steps, and the newest segments of its event log.
//!
//! Numbers are Int64, moments are BSON dates, names are those of the words' `as_str`. Reading
//! ignores fields it does not know and takes a missing list as empty, so that a projection may
//! leave the log out. Not here: filters and updates (`journal`, `turns`, `steps`, `close`).

use std::str::FromStr;

use chat_persist::stored;
use chat_persist::{
    AttemptAmount, EventSegment, NewStep, NewTurn, OpenStep, StepRecord, TurnRecord,
};
use chat_types::{
    Conversation, Message, Money, Purpose, Scope, StepKey, StepState, TenantId, Timestamp, Tokens,
    TurnFailure, TurnId, TurnKind, TurnState, Usage, UsageSource,
};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, deserialize_from_document, serialize_to_document};
use serde::{Deserialize, Serialize};

use crate::error::{EngineResult, Failure, FailureKind};

/// The version of this shape; a reader refuses a higher one.
const VERSION: i32 = 1;

/// `log` of a turn whose events are all there.
pub(crate) const LOG_KEPT: &str = "kept";

/// `log` of a turn whose events are being deleted; without the field they are gone.
pub(crate) const LOG_EXPIRING: &str = "expiring";

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

/// One of `steps`, which are in the order of their numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StepDocument {
    pub(crate) step: i64,
    purpose: String,
    model: String,
    state: String,
    attempts: i64,
    input_bound: i64,
    input_estimate: i64,
    opened_at: DateTime,
    /// Since when the ledger owes it; only in state `settling`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settling_since: Option<DateTime>,
    amounts: Vec<AmountDocument>,
}

/// One of a step's `amounts`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AmountDocument {
    attempt: i64,
    input_uncached: i64,
    cache_read: i64,
    cache_write: i64,
    output: i64,
    reasoning: i64,
    source: String,
    nano_usd: i64,
    price_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_request_id: Option<String>,
}

/// A segment of the event log, in a turn's `tail` or as the body of a document of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentDocument {
    pub(crate) first_seq: i64,
    pub(crate) last_seq: i64,
    pub(crate) payload: String,
}

/// What a reader of the event log needs of a turn.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LogDocument {
    state: String,
    pub(crate) last_seq: i64,
    pub(crate) epoch: i64,
    #[serde(default)]
    pub(crate) log: Option<String>,
    /// As much of the tail as was asked for.
    #[serde(default)]
    pub(crate) tail: Vec<SegmentDocument>,
    /// The first event of the whole tail.
    #[serde(default)]
    pub(crate) tail_from: Option<i64>,
}

impl LogDocument {
    pub(crate) fn read(document: Document) -> EngineResult<Self> {
        deserialize_from_document(document)
            .map_err(|_| Failure::corrupt("a stored turn cannot be read"))
    }

    pub(crate) fn state(&self) -> EngineResult<TurnState> {
        named(&self.state, TurnState::from_stored)
    }
}

/// A number as it is stored.
pub(crate) fn int64(number: u64) -> EngineResult<i64> {
    i64::try_from(number)
        .map_err(|_| Failure::new(FailureKind::TooLarge, "a number is beyond 64 signed bits"))
}

/// A stored number that cannot be negative.
pub(crate) fn unsigned(number: i64) -> EngineResult<u64> {
    u64::try_from(number).map_err(|_| Failure::corrupt("a stored number is negative"))
}

fn small(number: i64) -> EngineResult<u32> {
    u32::try_from(number).map_err(|_| Failure::corrupt("a stored number is out of its range"))
}

/// A moment as it is stored.
pub(crate) fn date(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.unix_ms())
}

fn moment(date: DateTime) -> Timestamp {
    Timestamp::from_unix_ms(date.timestamp_millis())
}

fn parse<T: FromStr>(text: &str) -> EngineResult<T> {
    text.parse().map_err(|_| Failure::corrupt("a stored id or name breaks the rule of its kind"))
}

fn named<T>(name: &str, from_stored: impl Fn(&str) -> Option<T>) -> EngineResult<T> {
    from_stored(name).ok_or_else(|| Failure::corrupt(format!("a stored name is unknown: {name}")))
}

fn stored_form(error: &stored::StoredError) -> Failure {
    Failure::corrupt(error.to_string())
}

/// Any of these records as a document.
pub(crate) fn document<T: Serialize>(record: &T) -> EngineResult<Document> {
    serialize_to_document(record).map_err(|_| Failure::corrupt("a record has no BSON form"))
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

impl StepDocument {
    /// A step as it is first written.
    pub(crate) fn opened(step: &NewStep) -> EngineResult<Self> {
        let (state, attempts) =
            if step.dispatched { (StepState::Dispatched, 1) } else { (StepState::Held, 0) };
        Ok(Self {
            step: i64::from(step.step),
            purpose: step.purpose.as_str().to_owned(),
            model: step.model.to_string(),
            state: state.as_str().to_owned(),
            attempts,
            input_bound: int64(step.input_bound.get())?,
            input_estimate: int64(step.input_estimate.get())?,
            opened_at: date(step.opened_at),
            settling_since: None,
            amounts: Vec::new(),
        })
    }

    fn of(step: &StepRecord, settling_since: Option<DateTime>) -> EngineResult<Self> {
        Ok(Self {
            step: i64::from(step.key.step),
            purpose: step.purpose.as_str().to_owned(),
            model: step.model.to_string(),
            state: step.state.as_str().to_owned(),
            attempts: i64::from(step.attempts),
            input_bound: int64(step.input_bound.get())?,
            input_estimate: int64(step.input_estimate.get())?,
            opened_at: date(step.opened_at),
            settling_since: settling_since.filter(|_| step.state == StepState::Settling),
            amounts: step.amounts.iter().map(AmountDocument::of).collect::<EngineResult<_>>()?,
        })
    }

    pub(crate) fn record(&self, turn: &TurnId) -> EngineResult<StepRecord> {
        Ok(StepRecord {
            key: StepKey { turn: turn.clone(), step: small(self.step)? },
            purpose: named(&self.purpose, Purpose::from_stored)?,
            model: parse(&self.model)?,
            state: self.state()?,
            attempts: self.attempts()?,
            input_bound: Tokens::new(unsigned(self.input_bound)?),
            input_estimate: Tokens::new(unsigned(self.input_estimate)?),
            opened_at: moment(self.opened_at),
            amounts: self.amounts()?,
        })
    }

    pub(crate) fn number(&self) -> EngineResult<u32> {
        small(self.step)
    }

    pub(crate) fn state(&self) -> EngineResult<StepState> {
        named(&self.state, StepState::from_stored)
    }

    pub(crate) fn attempts(&self) -> EngineResult<u32> {
        small(self.attempts)
    }

    pub(crate) fn amounts(&self) -> EngineResult<Vec<AttemptAmount>> {
        self.amounts.iter().map(AmountDocument::amount).collect()
    }

    /// Whether it was opened by this same call. Not its state: it may have moved on.
    pub(crate) fn is_opened_by(&self, step: &NewStep) -> EngineResult<bool> {
        let opened = Self::opened(step)?;
        Ok(self.purpose == opened.purpose
            && self.model == opened.model
            && self.input_bound == opened.input_bound
            && self.input_estimate == opened.input_estimate
            && self.opened_at == opened.opened_at)
    }
}

impl AmountDocument {
    fn of(amount: &AttemptAmount) -> EngineResult<Self> {
        Ok(Self {
            attempt: i64::from(amount.attempt),
            input_uncached: int64(amount.usage.input_uncached.get())?,
            cache_read: int64(amount.usage.cache_read.get())?,
            cache_write: int64(amount.usage.cache_write.get())?,
            output: int64(amount.usage.output.get())?,
            reasoning: int64(amount.usage.reasoning.get())?,
            source: amount.source.as_str().to_owned(),
            nano_usd: amount.amount.nano_usd(),
            price_version: amount.price_version.clone(),
            provider_request_id: amount.provider_request_id.clone(),
        })
    }

    fn amount(&self) -> EngineResult<AttemptAmount> {
        let tokens = |number| unsigned(number).map(Tokens::new);
        Ok(AttemptAmount {
            attempt: small(self.attempt)?,
            usage: Usage {
                input_uncached: tokens(self.input_uncached)?,
                cache_read: tokens(self.cache_read)?,
                cache_write: tokens(self.cache_write)?,
                output: tokens(self.output)?,
                reasoning: tokens(self.reasoning)?,
            },
            source: named(&self.source, UsageSource::from_stored)?,
            amount: Money::from_nano_usd(self.nano_usd),
            price_version: self.price_version.clone(),
            provider_request_id: self.provider_request_id.clone(),
        })
    }
}

/// A step's `amounts`.
pub(crate) fn amounts_array(amounts: &[AttemptAmount]) -> EngineResult<Bson> {
    let amounts = amounts
        .iter()
        .map(|amount| Ok(Bson::Document(document(&AmountDocument::of(amount)?)?)))
        .collect::<EngineResult<Vec<Bson>>>()?;
    Ok(Bson::Array(amounts))
}

impl SegmentDocument {
    /// Reads a segment that is a document of its own.
    pub(crate) fn read(document: Document) -> EngineResult<Self> {
        deserialize_from_document(document)
            .map_err(|_| Failure::corrupt("a stored segment of events cannot be read"))
    }

    pub(crate) fn of(segment: &EventSegment) -> EngineResult<Self> {
        Ok(Self {
            first_seq: int64(segment.first_seq)?,
            last_seq: int64(segment.last_seq)?,
            payload: segment.payload.clone(),
        })
    }

    pub(crate) fn segment(self) -> EngineResult<EventSegment> {
        Ok(EventSegment {
            first_seq: unsigned(self.first_seq)?,
            last_seq: unsigned(self.last_seq)?,
            payload: self.payload,
        })
    }
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
