//! Turns to write into a store, and a shell beside it.

use chat_persist::{Accept, EventSegment, Fence, NewTurn, TurnClose};
use chat_types::{
    ContentPart, Conversation, ConversationId, Message, MessageId, MessageStatus, ModelRef,
    OwnerId, Role, Scope, TenantId, Timestamp, TurnId, TurnKind, TurnState, UserId,
};
use sqlx::{PgConnection, Row as _};

pub(crate) async fn run(shell: &mut PgConnection, program: &'static str) {
    sqlx::raw_sql(program).execute(shell).await.expect("the shell's program runs");
}

/// The only number that a query answers with.
pub(crate) async fn number(shell: &mut PgConnection, query: &'static str) -> i64 {
    let row = sqlx::query(query).fetch_one(shell).await.expect("one row");
    row.try_get(0).expect("a number")
}

pub(crate) fn scope() -> Scope {
    Scope::new(TenantId::new("acme").expect("valid"), UserId::new("ada").expect("valid"))
}

pub(crate) fn conversation_id(name: &str) -> ConversationId {
    ConversationId::new(name).expect("valid")
}

pub(crate) fn message_id(name: &str) -> MessageId {
    MessageId::new(name).expect("valid")
}

pub(crate) fn model() -> ModelRef {
    "example/echo".parse().expect("valid")
}

pub(crate) fn at(unix_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(unix_ms)
}

pub(crate) fn message(conversation: &str, id: &str, parent: Option<&str>, text: &str) -> Message {
    Message {
        id: message_id(id),
        conversation: conversation_id(conversation),
        parent: parent.map(message_id),
        role: Role::User,
        parts: vec![ContentPart::text(text)],
        created_at: at(1),
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: Vec::new(),
        summary: None,
    }
}

pub(crate) fn segment(first_seq: u64, last_seq: u64) -> EventSegment {
    EventSegment { first_seq, last_seq, payload: "[]".to_owned() }
}

/// The first turn of a conversation of its own; every id ends in `name`.
pub(crate) fn first_turn(name: &str, text: &str) -> Accept {
    let conversation = format!("c-{name}");
    let user_message = message(&conversation, &format!("u-{name}"), None, text);
    Accept {
        conversation: Conversation::new(conversation_id(&conversation), "a title", at(1)),
        turn: NewTurn {
            id: TurnId::new(format!("t-{name}")).expect("valid"),
            conversation: conversation_id(&conversation),
            kind: TurnKind::New { parent: None, parts: Vec::new() },
            user_message: user_message.id.clone(),
            reply: message_id(&format!("r-{name}")),
            model: model(),
            owner: OwnerId::new("owner").expect("valid"),
            idempotency_key: None,
            request_hash: "hash".to_owned(),
            created_at: at(1),
        },
        user_message: Some(user_message),
        segment: segment(1, 1),
    }
}

pub(crate) fn fence(accept: &Accept) -> Fence {
    Fence { scope: scope(), turn: accept.turn.id.clone(), epoch: 1 }
}

/// The end of `accept`'s turn with a reply of `text`.
pub(crate) fn completed(accept: &Accept, text: &str) -> TurnClose {
    let turn = &accept.turn;
    let mut reply = message(
        turn.conversation.as_str(),
        turn.reply.as_str(),
        Some(turn.user_message.as_str()),
        text,
    );
    reply.role = Role::Assistant;
    TurnClose {
        state: TurnState::Completed,
        message: Some(reply),
        steps: Vec::new(),
        segment: segment(2, 2),
        failure: None,
        closed_at: at(2),
    }
}
