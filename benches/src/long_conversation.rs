//! A conversation as long as a bench wants it, written through the store's import.

use chat_persist::PersistenceAdapter;
use chat_tokens::{OpenAiCounter, OpenAiEncoding, TokenCounter};
use chat_types::{
    ContentPart, Conversation, ConversationId, Message, MessageId, MessageStatus, Role, Timestamp,
};

use crate::rig::Rig;

/// A conversation of one branch, 50 tokens a message, counts stored.
pub(crate) async fn import(
    rig: &Rig,
    length: usize,
) -> anyhow::Result<(ConversationId, MessageId)> {
    let scope = rig.scope(0)?;
    let counter = OpenAiCounter::new(OpenAiEncoding::O200kBase);
    let id = ConversationId::new(format!("long-{length}"))?;
    let text = "The lamp was lit before the evening came, and the sea was calm. ".repeat(3);
    let text = text.get(..195).unwrap_or(&text);
    let mut messages: Vec<Message> = Vec::with_capacity(length);
    for number in 0..length {
        let role = if number % 2 == 0 { Role::User } else { Role::Assistant };
        let parts = vec![ContentPart::text(format!("{number}: {text}"))];
        let tokens = counter.count_message(role, &parts);
        messages.push(Message {
            id: MessageId::new(format!("long-{length}-{number}"))?,
            conversation: id.clone(),
            parent: messages.last().map(|parent| parent.id.clone()),
            role,
            parts,
            created_at: Timestamp::from_unix_ms(i64::try_from(number)?),
            turn: None,
            model: None,
            status: MessageStatus::Complete,
            finish_reason: None,
            token_counts: vec![counter.token_count(tokens)],
            summary: None,
        });
    }
    let head = messages.last().map(|message| message.id.clone());
    let head = head.ok_or_else(|| anyhow::anyhow!("a conversation has messages"))?;
    let conversation = Conversation::new(id.clone(), "long", Timestamp::from_unix_ms(0));
    rig.store.import(&scope, &conversation, &messages).await?;
    Ok((id, head))
}
