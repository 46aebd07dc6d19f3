//! Builders for the values that cases write, and short forms for what they check.
//!
//! `Sent::named("1")` has user message `u-1`, reply `r-1` and turn `t-1`, in conversation `c`.

use std::fmt::Debug;
use std::future::Future;
use std::str::FromStr;

use chat_persist::{
    Accept, Accepted, AttemptAmount, Checkpoint, EventPage, EventSegment, Fence, LapsedTurn,
    MessagePage, NewStep, NewTurn, PersistErrorKind, StepClose, TurnClose, TurnRecord,
};
use chat_types::{
    AttemptKey, ContentPart, Conversation, ConversationId, EVENT_VERSION, EventKind, Message,
    MessageId, MessageStatus, ModelRef, Money, Purpose, Role, Scope, StepKey, Timestamp, Tokens,
    TurnEvent, TurnId, TurnKind, TurnState, Usage, UsageSource,
};
use tokio::task::JoinSet;

use crate::Store;

/// An id of any kind.
pub(crate) fn id<T>(text: &str) -> T
where
    T: FromStr,
    T::Err: Debug,
{
    text.parse().expect("cases use valid ids")
}

pub(crate) fn scope_of(tenant: &str, user: &str) -> Scope {
    Scope::new(id(tenant), id(user))
}

/// The scope that cases write under.
pub(crate) fn scope() -> Scope {
    scope_of("acme", "ada")
}

/// Another user of the same tenant, and the same user of another tenant.
pub(crate) fn strangers() -> [Scope; 2] {
    [scope_of("acme", "bob"), scope_of("umbrella", "ada")]
}

pub(crate) const fn at(unix_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(unix_ms)
}

/// The `n`th millisecond after a moment.
pub(crate) fn later(ms: i64, n: usize) -> Timestamp {
    at(ms.saturating_add(i64::try_from(n).unwrap_or(i64::MAX)))
}

pub(crate) fn model() -> ModelRef {
    id("example/echo-1")
}

/// The conversation cases write to.
pub(crate) fn c() -> ConversationId {
    id("c")
}

pub(crate) fn conversation(name: &str, now_ms: i64) -> Conversation {
    Conversation::new(id(name), format!("title of {name}"), at(now_ms))
}

pub(crate) fn message(name: &str, parent: Option<&str>, role: Role) -> Message {
    Message {
        id: id(name),
        conversation: c(),
        parent: parent.map(id),
        role,
        parts: vec![ContentPart::text(format!("text of {name}"))],
        created_at: at(1_000),
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: Vec::new(),
        summary: None,
    }
}

/// `m-0` to `m-{count - 1}` on one branch, user and assistant in turn.
pub(crate) fn line(count: usize) -> Vec<Message> {
    (0..count)
        .map(|n| {
            let parent = n.checked_sub(1).map(|before| format!("m-{before}"));
            let role = if n % 2 == 0 { Role::User } else { Role::Assistant };
            message(&format!("m-{n}"), parent.as_deref(), role)
        })
        .collect()
}

/// Imports `messages` into conversation `c`.
pub(crate) async fn import(store: &dyn Store, messages: &[Message]) {
    let conversation = conversation("c", 1_000);
    store.import(&scope(), &conversation, messages).await.expect("imports");
}

pub(crate) fn ids(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.id.as_str()).collect()
}

/// A turn about to be accepted, and what follows from it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) scope: Scope,
    pub(crate) accept: Accept,
}

impl Sent {
    /// A new root in conversation `c`, at 1,000 ms, by owner `o-1`.
    pub(crate) fn named(name: &str) -> Self {
        let turn_id: TurnId = id(&format!("t-{name}"));
        let user = message(&format!("u-{name}"), None, Role::User);
        let user_message = Message { turn: Some(turn_id.clone()), ..user };
        let turn = NewTurn {
            id: turn_id.clone(),
            conversation: c(),
            kind: TurnKind::New { parent: None, parts: Vec::new() },
            user_message: user_message.id.clone(),
            reply: id(&format!("r-{name}")),
            model: model(),
            owner: id("o-1"),
            idempotency_key: None,
            request_hash: format!("hash of {name}"),
            created_at: at(1_000),
        };
        let accept = Accept {
            conversation: conversation("c", 1_000),
            user_message: Some(user_message),
            turn,
            segment: segment(&turn_id, 1, 1),
        };
        Self { scope: scope(), accept }
    }

    pub(crate) fn by(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    pub(crate) fn below(mut self, parent: &str) -> Self {
        let parent: MessageId = id(parent);
        self.accept.turn.kind = TurnKind::New { parent: Some(parent.clone()), parts: Vec::new() };
        if let Some(message) = &mut self.accept.user_message {
            message.parent = Some(parent);
        }
        self
    }

    /// Answers a message that is there already.
    pub(crate) fn again(mut self, user_message: &str) -> Self {
        self.accept.user_message = None;
        self.accept.turn.user_message = id(user_message);
        self.accept.turn.kind = TurnKind::Regenerate { message: id(user_message) };
        self
    }

    pub(crate) fn keyed(mut self, key: &str) -> Self {
        self.accept.turn.idempotency_key = Some(id(key));
        self
    }

    pub(crate) fn owned_by(mut self, owner: &str) -> Self {
        self.accept.turn.owner = id(owner);
        self
    }

    pub(crate) const fn at(mut self, now_ms: i64) -> Self {
        self.accept.turn.created_at = at(now_ms);
        self
    }

    pub(crate) fn into_conversation(mut self, name: &str) -> Self {
        self.accept.conversation = conversation(name, 1_000);
        self.accept.turn.conversation = id(name);
        if let Some(message) = &mut self.accept.user_message {
            message.conversation = id(name);
        }
        self
    }

    pub(crate) async fn accept(self, store: &dyn Store) -> Self {
        let accepted = store.accept(&self.scope, &self.accept).await.expect("accepts");
        assert_eq!(accepted, Accepted::New);
        self
    }

    /// Accepted, with step 1 dispatched.
    pub(crate) async fn run(self, store: &dyn Store) -> Self {
        let sent = self.accept(store).await;
        store.open_step(&sent.fence(), &step(1, true)).await.expect("opens");
        sent
    }

    /// Accepted, run and completed at 2,000 ms; step 1 is settling.
    pub(crate) async fn complete(self, store: &dyn Store) -> Self {
        let sent = self.run(store).await;
        store.close_turn(&sent.fence(), &sent.close()).await.expect("closes");
        sent
    }

    pub(crate) fn id(&self) -> &TurnId {
        &self.accept.turn.id
    }

    pub(crate) fn fence(&self) -> Fence {
        Fence { scope: self.scope.clone(), turn: self.id().clone(), epoch: 1 }
    }

    /// As `lapsed_turns` lists it at its first epoch.
    pub(crate) fn lapsed(&self, at_ms: i64) -> LapsedTurn {
        let (scope, turn) = (self.scope.clone(), self.id().clone());
        LapsedTurn { scope, turn, epoch: 1, at: at(at_ms) }
    }

    pub(crate) fn step_key(&self, step: u32) -> StepKey {
        StepKey { turn: self.id().clone(), step }
    }

    pub(crate) fn attempt_key(&self, step: u32, attempt: u32) -> AttemptKey {
        AttemptKey { step: self.step_key(step), attempt }
    }

    pub(crate) fn reply(&self) -> Message {
        let turn = &self.accept.turn;
        Message {
            id: turn.reply.clone(),
            conversation: turn.conversation.clone(),
            parent: Some(turn.user_message.clone()),
            role: Role::Assistant,
            parts: vec![ContentPart::text("the reply")],
            created_at: at(2_000),
            turn: Some(turn.id.clone()),
            model: Some(turn.model.clone()),
            status: MessageStatus::Complete,
            finish_reason: Some(chat_types::FinishReason::Stop),
            token_counts: Vec::new(),
            summary: None,
        }
    }

    /// Completes the turn with event 2 as its last; step 1 is the only open step.
    pub(crate) fn close(&self) -> TurnClose {
        TurnClose {
            state: TurnState::Completed,
            message: Some(self.reply()),
            steps: vec![settling(1)],
            segment: segment(self.id(), 2, 2),
            failure: None,
            closed_at: at(2_000),
        }
    }

    /// Events `first` to `last`, with step 1's first delta if `streaming`.
    pub(crate) fn checkpoint(&self, first: u64, last: u64, streaming: bool) -> Checkpoint {
        Checkpoint {
            segment: segment(self.id(), first, last),
            streaming_step: streaming.then_some(1),
        }
    }

    pub(crate) async fn record(&self, store: &dyn Store) -> TurnRecord {
        let turn = store.turn(&self.scope, self.id()).await.expect("reads");
        turn.expect("the turn is there")
    }

    /// All that a refused write could have changed.
    pub(crate) async fn everything(&self, store: &dyn Store) -> Everything {
        let conversation = &self.accept.turn.conversation;
        Everything {
            conversation: store.conversation(&self.scope, conversation).await.expect("reads"),
            messages: store.messages(&self.scope, conversation, None, 1_000).await.expect("reads"),
            turn: store.turn(&self.scope, self.id()).await.expect("reads"),
            events: store.events(&self.scope, self.id(), 0, 1_000).await.ok(),
        }
    }
}

/// See [`Sent::everything`].
#[derive(Debug, PartialEq)]
pub(crate) struct Everything {
    pub(crate) conversation: Option<Conversation>,
    pub(crate) messages: MessagePage,
    pub(crate) turn: Option<TurnRecord>,
    pub(crate) events: Option<EventPage>,
}

/// Events with one text delta each.
pub(crate) fn segment(turn: &TurnId, first: u64, last: u64) -> EventSegment {
    let events: Vec<TurnEvent> = (first..=last)
        .map(|seq| TurnEvent {
            v: EVENT_VERSION,
            turn: turn.clone(),
            epoch: 1,
            seq,
            event: EventKind::TextDelta { part: 0, text: format!("delta {seq}") },
        })
        .collect();
    EventSegment::encode(&events).expect("events encode")
}

pub(crate) fn step(step: u32, dispatched: bool) -> NewStep {
    NewStep {
        step,
        purpose: Purpose::Reply,
        model: model(),
        input_bound: Tokens::new(200),
        input_estimate: Tokens::new(150),
        opened_at: at(1_500),
        tier: None,
        dispatched,
    }
}

pub(crate) fn amount(attempt: u32) -> AttemptAmount {
    AttemptAmount {
        attempt,
        usage: Usage {
            input_uncached: Tokens::new(100),
            cache_read: Tokens::new(20),
            cache_write: Tokens::new(3),
            output: Tokens::new(40),
            reasoning: Tokens::new(5),
        },
        source: UsageSource::Provider,
        amount: Money::from_nano_usd(123_456),
        price_version: "2026-01".into(),
        provider_request_id: Some("req-1".into()),
    }
}

pub(crate) fn settling(step: u32) -> StepClose {
    StepClose { step, amounts: vec![amount(1)] }
}

pub(crate) fn released(step: u32) -> StepClose {
    StepClose { step, amounts: Vec::new() }
}

/// Checks that a call was refused, and as what.
#[track_caller]
pub(crate) fn assert_refused<T: Debug>(result: chat_persist::Result<T>, kind: PersistErrorKind) {
    match result {
        Ok(value) => panic!("expected {kind:?}, but it went through: {value:?}"),
        Err(error) => assert_eq!(error.kind(), kind, "{error}"),
    }
}

/// Runs `count` tasks at once and returns what they answered, in no order.
pub(crate) async fn in_parallel<T, F>(count: usize, task: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut tasks: JoinSet<T> = (0..count).map(task).collect();
    let mut answers = Vec::with_capacity(count);
    while let Some(answer) = tasks.join_next().await {
        answers.push(answer.expect("no task panics"));
    }
    answers
}
