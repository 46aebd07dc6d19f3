//! What goes into a store and comes out of it, as plain data.
//!
//! These are the port's words, not a stored shape: each store converts them field by field.

use std::borrow::Borrow;

use chat_types::{
    AttemptKey, Conversation, ConversationId, IdempotencyKey, Message, MessageId, ModelRef, Money,
    OwnerId, Purpose, Scope, StepKey, StepState, Timestamp, Tokens, TurnEvent, TurnFailure, TurnId,
    TurnKind, TurnState, Usage, UsageSource,
};
use serde::{Deserialize, Serialize};

use crate::{PersistError, PersistErrorKind, Result};

/// What differs between stores; the suites and the caller read the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Several processes may use one store at a time.
    pub multi_process: bool,
    /// What was acknowledged survives the process.
    pub durable: bool,
}

/// The right to write to a turn: void once another owner has raised the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fence {
    /// Whose turn.
    pub scope: Scope,
    /// Which turn.
    pub turn: TurnId,
    /// The epoch this owner writes under.
    pub epoch: u64,
}

/// A turn as it is first written.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTurn {
    /// Names it.
    pub id: TurnId,
    /// The conversation.
    pub conversation: ConversationId,
    /// What was asked, without the content (the message has it).
    pub kind: TurnKind,
    /// The user message that is answered: new with this turn, or already there.
    pub user_message: MessageId,
    /// The id the reply will have.
    pub reply: MessageId,
    /// The model that will answer.
    pub model: ModelRef,
    /// The process that runs it.
    pub owner: OwnerId,
    /// The caller's key, if any.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Hash of the request, compared when the key comes again.
    pub request_hash: String,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// Everything that `accept` makes durable in one transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Accept {
    /// Created with these values if the scope has no conversation of this id.
    pub conversation: Conversation,
    /// The new user message; none when an existing one is answered again.
    pub user_message: Option<Message>,
    /// The turn.
    pub turn: NewTurn,
    /// The first events.
    pub segment: EventSegment,
}

/// What `accept` found.
#[derive(Clone, Debug, PartialEq)]
pub enum Accepted {
    /// Everything was written; the turn runs under epoch 1.
    New,
    /// The key was used before for the same request: this is its turn, nothing was written.
    Existing(Box<TurnRecord>),
}

/// A run of events as the log keeps it: one row per checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSegment {
    /// Sequence number of its first event.
    pub first_seq: u64,
    /// Sequence number of its last event.
    pub last_seq: u64,
    /// The events, a JSON array.
    pub payload: String,
}

impl EventSegment {
    /// Encodes a non-empty run of events.
    ///
    /// # Errors
    /// `Corrupt` if `events` is empty or cannot be encoded.
    pub fn encode<E: Borrow<TurnEvent>>(events: &[E]) -> Result<Self> {
        let corrupt = |detail: &str| {
            PersistError::new(PersistErrorKind::Corrupt, "encode events", detail.to_owned())
        };
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return Err(corrupt("a segment holds at least one event"));
        };
        let (first_seq, last_seq) = (first.borrow().seq, last.borrow().seq);
        let mut payload = String::from("[");
        for event in events {
            if payload.len() > 1 {
                payload.push(',');
            }
            let json = serde_json::to_string(event.borrow())
                .map_err(|error| corrupt("an event has no JSON form").with_source(error))?;
            payload.push_str(&json);
        }
        payload.push(']');
        Ok(Self { first_seq, last_seq, payload })
    }

    /// Decodes the events.
    ///
    /// # Errors
    /// `Corrupt` if the payload is no list of events.
    pub fn decode(&self) -> Result<Vec<TurnEvent>> {
        serde_json::from_str(&self.payload).map_err(|error| {
            let detail =
                format!("the events {} to {} cannot be read", self.first_seq, self.last_seq);
            PersistError::new(PersistErrorKind::Corrupt, "decode events", detail).with_source(error)
        })
    }
}

/// A step as it is first written.
#[derive(Clone, Debug, PartialEq)]
pub struct NewStep {
    /// Counted from 1.
    pub step: u32,
    /// What the call is for.
    pub purpose: Purpose,
    /// The model it asks.
    pub model: ModelRef,
    /// The most input it can be charged for.
    pub input_bound: Tokens,
    /// What the input most likely is: the estimate if nothing is ever reported.
    pub input_estimate: Tokens,
    /// When it was opened: the moment whose prices apply.
    pub opened_at: Timestamp,
    /// The service tier the body asks for; none: the standard one.
    pub tier: Option<String>,
    /// The first attempt is journaled with the step, in the same write.
    pub dispatched: bool,
}

/// A durable point in a running turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Events since the last point.
    pub segment: EventSegment,
    /// The step whose first delta is in them.
    pub streaming_step: Option<u32>,
}

/// What one attempt costs, decided before the ledger hears of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptAmount {
    /// Which attempt.
    pub attempt: u32,
    /// What it consumed.
    pub usage: Usage,
    /// Who says so.
    pub source: UsageSource,
    /// What it costs.
    pub amount: Money,
    /// Which prices were used.
    pub price_version: String,
    /// The provider's own name of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_request_id: Option<String>,
}

/// How a step ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepClose {
    /// Which step.
    pub step: u32,
    /// Amounts per attempt that reached a provider; none means it never did, and is released.
    pub amounts: Vec<AttemptAmount>,
}

/// How a turn ends: written in one commit, won by compare-and-set.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnClose {
    /// A terminal state.
    pub state: TurnState,
    /// The reply, if there is anything to keep.
    pub message: Option<Message>,
    /// The steps that are still open.
    pub steps: Vec<StepClose>,
    /// The last events, the terminal one included.
    pub segment: EventSegment,
    /// Why it ended badly.
    pub failure: Option<TurnFailure>,
    /// When.
    pub closed_at: Timestamp,
}

/// A stored step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRecord {
    /// Names it.
    pub key: StepKey,
    /// What the call is for.
    pub purpose: Purpose,
    /// The model it asks.
    pub model: ModelRef,
    /// Where it stands.
    pub state: StepState,
    /// Attempts journaled so far.
    pub attempts: u32,
    /// See [`NewStep::input_bound`].
    pub input_bound: Tokens,
    /// See [`NewStep::input_estimate`].
    pub input_estimate: Tokens,
    /// See [`NewStep::opened_at`].
    pub opened_at: Timestamp,
    /// See [`NewStep::tier`].
    pub tier: Option<String>,
    /// Decided amounts, from `Settling` on.
    pub amounts: Vec<AttemptAmount>,
}

impl StepRecord {
    /// The key of one of its attempts.
    #[must_use]
    pub fn attempt_key(&self, attempt: u32) -> AttemptKey {
        AttemptKey { step: self.key.clone(), attempt }
    }
}

/// A step that the ledger may still owe something.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenStep {
    /// Whose.
    pub scope: Scope,
    /// The conversation of its turn.
    pub conversation: ConversationId,
    /// Where its turn stands.
    pub turn_state: TurnState,
    /// The turn's present epoch.
    pub turn_epoch: u64,
    /// The step.
    pub step: StepRecord,
}

/// A stored turn with its steps.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnRecord {
    /// As it was first written.
    pub turn: NewTurn,
    /// Where it stands.
    pub state: TurnState,
    /// Raised at every takeover.
    pub epoch: u64,
    /// Somebody asked for it to stop.
    pub stop_requested: bool,
    /// The newest event in the log.
    pub last_seq: u64,
    /// Why it ended badly.
    pub failure: Option<TurnFailure>,
    /// When it ended.
    pub closed_at: Option<Timestamp>,
    /// Its steps, in order.
    pub steps: Vec<StepRecord>,
}

impl TurnRecord {
    /// A turn that can be restored elsewhere: ended, and its steps are its own, in order.
    ///
    /// # Errors
    /// `IllegalState` if it has not ended; `Conflict` if its steps do not fit.
    pub fn check_ended(&self) -> Result<()> {
        const OPERATION: &str = "restore turns";
        let turn = &self.turn.id;
        if !self.state.is_terminal() || self.closed_at.is_none() {
            let detail = format!("turn {turn} has not ended, it is {}", self.state.as_str());
            return Err(PersistError::new(PersistErrorKind::IllegalState, OPERATION, detail));
        }
        let mut before = 0;
        for step in &self.steps {
            if step.key.turn != *turn || step.key.step <= before {
                let detail = format!("the steps of turn {turn} do not fit together");
                return Err(PersistError::new(PersistErrorKind::Conflict, OPERATION, detail));
            }
            before = step.key.step;
        }
        Ok(())
    }

    /// The same ended turn: equal in everything, but that the ledger may have got steps of one of
    /// the two meanwhile (`settling` and `settled` count as the same).
    #[must_use]
    pub fn is_same_end(&self, other: &Self) -> bool {
        let settled = |record: &Self| {
            let mut record = record.clone();
            for step in record.steps.iter_mut().filter(|step| step.state == StepState::Settling) {
                step.state = StepState::Settled;
            }
            record
        };
        settled(self) == settled(other)
    }
}

/// A piece of the event log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventPage {
    /// Whole segments in order; the first may begin before the sequence number asked for.
    pub segments: Vec<EventSegment>,
    /// Where the turn stood when this was read; read before the segments, so a terminal state
    /// with no further segment means the log is exhausted.
    pub state: Option<TurnState>,
    /// The newest event in the log, or the newest there ever was if the log has expired.
    pub last_seq: u64,
    /// The turn's epoch.
    pub epoch: u64,
    /// The log was deleted: replay from the message.
    pub expired: bool,
}

/// What a request to stop found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopAck {
    /// The flag is set; the owner will see it.
    Requested,
    /// The turn had already ended, like this.
    AlreadyEnded(TurnState),
}

/// A running turn whose owner has let its lease lapse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LapsedTurn {
    /// Whose.
    pub scope: Scope,
    /// Which.
    pub turn: TurnId,
    /// The epoch it was seen at.
    pub epoch: u64,
    /// The moment its owner had no lease beyond.
    pub at: Timestamp,
}

/// Where a page of conversations starts: after this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationCursor {
    /// When the last one seen was updated.
    pub updated_at: Timestamp,
    /// The last one seen.
    pub id: ConversationId,
}

/// Which conversations to list, newest change first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationQuery {
    /// At most this many, 1 to 1,000.
    pub limit: u32,
    /// After this one.
    pub after: Option<ConversationCursor>,
    /// Archived ones instead of the others.
    pub archived: bool,
    /// Only those whose title holds this text, letter case of ASCII ignored.
    pub title_contains: Option<String>,
}

impl Default for ConversationQuery {
    fn default() -> Self {
        Self { limit: 50, after: None, archived: false, title_contains: None }
    }
}

/// A page of conversations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConversationPage {
    /// Newest change first.
    pub conversations: Vec<Conversation>,
    /// Where the next page starts, if there is one.
    pub next: Option<ConversationCursor>,
}

/// A page of messages in the order they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MessagePage {
    /// Parents always before their children.
    pub messages: Vec<Message>,
    /// Where the next page starts, if there is one: after this message.
    pub next: Option<MessageId>,
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Conversations whose time was over, with their messages.
    pub conversations: u64,
    /// Turns whose event log was deleted.
    pub event_logs: u64,
}
