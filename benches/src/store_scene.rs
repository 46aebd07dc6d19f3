//! The rows that `bench store` writes: a turn's commits in their order, long branches, long lists.

use std::sync::Arc;
use std::time::Instant;

use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, HoldRequest, LegRequest, Posting, Settlement,
};
use chat_persist::{
    Accept, AttemptAmount, Checkpoint, EventSegment, Fence, NewStep, NewTurn, StepClose, TurnClose,
};
use chat_types::{
    AccountId, AttemptKey, ContentPart, Conversation, ConversationId, EVENT_VERSION, EventKind,
    FinishReason, Message, MessageId, MessageStatus, ModelRef, Money, OwnerId, Purpose, Role,
    Scope, StepKey, Timestamp, TokenCount, Tokens, TurnEvent, TurnId, TurnKind, TurnState, Usage,
    UsageSource, UserId,
};
use chat_usage::UsageRow;

use crate::samples::milliseconds;
use crate::store_engine::Opened;

/// Conversations of the user whose lists are measured.
pub(crate) const CONVERSATIONS: usize = 100_000;
/// Written at a time while a list is made; not measured.
const WRITERS: usize = 32;
/// Messages of one import while a branch is made; MongoDB's transactions end after a minute.
const MESSAGES_PER_IMPORT: usize = 1_000;
/// A conversation is left after this many turns.
const TURNS_PER_CONVERSATION: usize = 10;

/// A long conversation of one branch.
pub(crate) struct Line {
    pub(crate) scope: Scope,
    pub(crate) conversation: ConversationId,
    pub(crate) head: MessageId,
}

/// Milliseconds of one turn.
pub(crate) struct TurnTimes {
    pub(crate) accept_ms: f64,
    pub(crate) whole_ms: f64,
}

/// Makes the turns of one user, ten to a conversation.
pub(crate) struct TurnMaker {
    opened: Arc<Opened>,
    scope: Scope,
    account: AccountId,
    owner: OwnerId,
    model: ModelRef,
    name: String,
}

impl TurnMaker {
    pub(crate) async fn new(opened: &Arc<Opened>, user: usize) -> anyhow::Result<Self> {
        let name = format!("user-{user}");
        let scope = opened.scope(UserId::new(&name)?)?;
        let account = AccountId::new(&name)?;
        let spec = AccountSpec {
            id: account.clone(),
            owner: Some(scope.user.clone()),
            kind: AccountKind::Limited,
            opening: Money::from_usd(1_000_000)?,
            unit: AccountUnit::Usd,
            refill: None,
            warn_below: None,
        };
        opened.ports().ledger.open_account(&scope, &spec, Timestamp::from_unix_ms(0)).await?;
        let owner = OwnerId::new(format!("owner-{user}"))?;
        let lease_until = Timestamp::from_unix_ms(i64::MAX / 4);
        opened.ports().maintenance.heartbeat(&owner, lease_until).await?;
        let model: ModelRef = "openai/bench".parse()?;
        Ok(Self { opened: Arc::clone(opened), scope, account, owner, model, name })
    }

    /// One turn from its acceptance to its settled mark, as the conductor orders it.
    pub(crate) async fn turn(&self, number: usize) -> anyhow::Result<TurnTimes> {
        let ports = self.opened.ports();
        let turn = TurnId::new(format!("t-{}-{number}", self.name))?;
        let key = StepKey { turn: turn.clone(), step: 1 };
        let at = Timestamp::from_unix_ms(i64::try_from(number)?);
        let fence = Fence { scope: self.scope.clone(), turn: turn.clone(), epoch: 1 };
        let accept = self.accept(number, &turn, at)?;
        let hold = HoldRequest {
            key: key.clone(),
            legs: vec![LegRequest {
                account: self.account.clone(),
                amount: Money::from_nano_usd(9_000_000),
                floor: Money::from_nano_usd(1_000_000),
                refill: None,
                warn_below: None,
            }],
            at,
        };
        let step = NewStep {
            step: 1,
            purpose: Purpose::Reply,
            model: self.model.clone(),
            input_bound: Tokens::new(9_000),
            input_estimate: Tokens::new(8_000),
            opened_at: at,
            tier: None,
            dispatched: true,
        };
        let text = "The lamp was lit before the evening came. ".repeat(40);
        let delta = EventKind::TextDelta { part: 0, text: text.clone() };
        let checkpoint = Checkpoint { segment: segment(&turn, 2, delta)?, streaming_step: Some(1) };
        let close = self.close(&accept, text, at)?;
        let amount = Money::from_nano_usd(8_200_000);
        let settlement = Settlement {
            key: key.clone(),
            postings: vec![Posting { attempt: 1, amount, tokens: Tokens::ZERO }],
            at,
        };
        let row = self.row(&key, &accept.conversation.id, at);

        let start = Instant::now();
        ports.store.accept(&self.scope, &accept).await?;
        let accept_ms = milliseconds(start);
        let (held, opened) = futures::join!(
            ports.ledger.hold(&self.scope, &hold),
            ports.store.open_step(&fence, &step)
        );
        held?;
        opened?;
        ports.store.checkpoint(&fence, &checkpoint).await?;
        ports.store.close_turn(&fence, &close).await?;
        let (settled, recorded) = futures::join!(
            ports.ledger.settle(&self.scope, &settlement),
            ports.usage.record(&self.scope, std::slice::from_ref(&row))
        );
        settled?;
        recorded?;
        ports.maintenance.mark_settled(&[(self.scope.tenant.clone(), key)]).await?;
        Ok(TurnTimes { accept_ms, whole_ms: milliseconds(start) })
    }

    fn accept(&self, number: usize, turn: &TurnId, at: Timestamp) -> anyhow::Result<Accept> {
        let conversation = format!("c-{}-{}", self.name, number / TURNS_PER_CONVERSATION);
        let conversation = ConversationId::new(conversation)?;
        let message =
            |kind: char, number: usize| MessageId::new(format!("{kind}-{}-{number}", self.name));
        let parent = match number % TURNS_PER_CONVERSATION {
            0 => None,
            _ => Some(message('r', number.saturating_sub(1))?),
        };
        let user_message = Message {
            turn: Some(turn.clone()),
            ..message_of(
                message('u', number)?,
                &conversation,
                parent.clone(),
                Role::User,
                "Tell me about the sea, and about the lamp.".to_owned(),
            )
        };
        Ok(Accept {
            conversation: Conversation::new(conversation.clone(), "The sea", at),
            turn: NewTurn {
                id: turn.clone(),
                conversation,
                kind: TurnKind::New { parent, parts: Vec::new() },
                user_message: user_message.id.clone(),
                reply: message('r', number)?,
                model: self.model.clone(),
                owner: self.owner.clone(),
                idempotency_key: None,
                request_hash: format!("hash of {number}"),
                created_at: at,
            },
            user_message: Some(user_message),
            segment: segment(turn, 1, EventKind::TextDelta { part: 0, text: String::new() })?,
        })
    }

    fn close(&self, accept: &Accept, text: String, at: Timestamp) -> anyhow::Result<TurnClose> {
        let turn = &accept.turn;
        let parent = Some(turn.user_message.clone());
        let conversation = &turn.conversation;
        let reply = Message {
            turn: Some(turn.id.clone()),
            model: Some(turn.model.clone()),
            finish_reason: Some(FinishReason::Stop),
            ..message_of(turn.reply.clone(), conversation, parent, Role::Assistant, text)
        };
        let ended = EventKind::Ended {
            outcome: TurnState::Completed,
            message: Some(reply.id.clone()),
            usage: usage(),
            cost: Money::from_nano_usd(8_200_000),
            finish_reason: Some(FinishReason::Stop),
            failure: None,
        };
        let amounts = vec![AttemptAmount {
            attempt: 1,
            usage: usage(),
            source: UsageSource::Provider,
            amount: Money::from_nano_usd(8_200_000),
            price_version: "bench".to_owned(),
            provider_request_id: Some(format!("request of {}", turn.id)),
        }];
        Ok(TurnClose {
            state: TurnState::Completed,
            message: Some(reply),
            steps: vec![StepClose { step: 1, amounts }],
            segment: segment(&turn.id, 3, ended)?,
            failure: None,
            closed_at: at,
        })
    }

    fn row(&self, key: &StepKey, conversation: &ConversationId, at: Timestamp) -> UsageRow {
        UsageRow {
            key: AttemptKey { step: key.clone(), attempt: 1 },
            conversation: conversation.clone(),
            purpose: Purpose::Reply,
            model: self.model.clone(),
            usage: usage(),
            source: UsageSource::Provider,
            amount: Money::from_nano_usd(8_200_000),
            price_version: "bench".to_owned(),
            provider_request_id: None,
            at,
        }
    }
}

fn usage() -> Usage {
    Usage { input_uncached: Tokens::new(8_000), output: Tokens::new(100), ..Usage::default() }
}

fn segment(turn: &TurnId, seq: u64, event: EventKind) -> anyhow::Result<EventSegment> {
    let event = TurnEvent { v: EVENT_VERSION, turn: turn.clone(), epoch: 1, seq, event };
    Ok(EventSegment::encode(&[event])?)
}

fn message_of(
    id: MessageId,
    conversation: &ConversationId,
    parent: Option<MessageId>,
    role: Role,
    text: String,
) -> Message {
    Message {
        id,
        conversation: conversation.clone(),
        parent,
        role,
        parts: vec![ContentPart::text(text)],
        created_at: Timestamp::from_unix_ms(0),
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: Vec::<TokenCount>::new(),
        summary: None,
    }
}

/// A conversation of one branch of this length, some 50 tokens a message.
pub(crate) async fn line(opened: &Opened, length: usize) -> anyhow::Result<Line> {
    let scope = opened.scope(UserId::new("reader")?)?;
    let id = ConversationId::new(format!("long-{length}"))?;
    let conversation = Conversation::new(id.clone(), "long", Timestamp::from_unix_ms(0));
    let text = "The lamp was lit before the evening came, and the sea was calm. ".repeat(3);
    let mut head: Option<MessageId> = None;
    let mut messages = Vec::with_capacity(MESSAGES_PER_IMPORT);
    for number in 0..length {
        let role = if number % 2 == 0 { Role::User } else { Role::Assistant };
        let message = message_of(
            MessageId::new(format!("long-{length}-{number}"))?,
            &id,
            head.clone(),
            role,
            format!("{number}: {text}"),
        );
        head = Some(message.id.clone());
        messages.push(message);
        if messages.len() == MESSAGES_PER_IMPORT || number + 1 == length {
            opened.ports().store.import(&scope, &conversation, &messages).await?;
            messages.clear();
        }
    }
    let head = head.ok_or_else(|| anyhow::anyhow!("a conversation has messages"))?;
    Ok(Line { scope, conversation: id, head })
}

/// The id of the `number`th conversation of the list, which was updated `number` ms after 1970.
pub(crate) fn listed_id(number: usize) -> anyhow::Result<ConversationId> {
    Ok(ConversationId::new(format!("listed-{number:06}"))?)
}

/// Writes the list.
#[expect(clippy::disallowed_methods, reason = "joined right below")]
pub(crate) async fn conversations(opened: &Arc<Opened>, scope: &Scope) -> anyhow::Result<()> {
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (opened, scope) = (Arc::clone(opened), scope.clone());
            tokio::spawn(async move {
                for number in (writer..CONVERSATIONS).step_by(WRITERS) {
                    let at = Timestamp::from_unix_ms(i64::try_from(number)?);
                    let title = format!("Conversation {number} about the sea");
                    let conversation = Conversation::new(listed_id(number)?, title, at);
                    opened.ports().store.import(&scope, &conversation, &[]).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for writer in writers {
        writer.await??;
    }
    Ok(())
}
