//! `bench history`: a turn costs what its window costs, however long the conversation is.

use chat_core::{Placement, TurnRequest};
use chat_persist::PersistenceAdapter;
use chat_tokens::{OpenAiCounter, OpenAiEncoding, TokenCounter};
use chat_types::{
    ContentPart, Conversation, ConversationId, Message, MessageId, MessageStatus, Role, Timestamp,
};

use crate::rig::Rig;
use crate::table::{Table, Target, percentile};

/// Turns measured per length, taken in turns so that the machine's mood is shared.
const TURNS: usize = 120;
const WINDOW_TOKENS: u64 = 8_000;
const LENGTHS: [usize; 3] = [10, 1_000, 10_000];

pub(crate) async fn run() -> anyhow::Result<Table> {
    let mut table = Table::new("history");
    let folder = tempfile::tempdir()?;
    let rig = Rig::start(folder.path(), "chunks=1", WINDOW_TOKENS).await?;
    let scope = rig.scope(0)?;
    let mut heads = Vec::new();
    for length in LENGTHS {
        heads.push(import(&rig, length).await?);
    }
    let mut first: [Vec<f64>; 3] = Default::default();
    for round in 0..TURNS + 10 {
        for ((conversation, head), samples) in heads.iter().zip(&mut first) {
            let request = TurnRequest::placed(Placement::After {
                parent: head.clone(),
                parts: vec![ContentPart::text("And what came after that?")],
            })
            .in_conversation(conversation.clone());
            let (times, turn) = rig.turn(&scope, request).await?;
            turn.settled().await;
            if round >= 10 {
                samples.push(times.first_ms);
            }
        }
    }
    let [mut ten, mut thousand, mut ten_thousand] = first;
    let (ten, thousand, ten_thousand) = (
        percentile(&mut ten, 50),
        percentile(&mut thousand, 50),
        percentile(&mut ten_thousand, 50),
    );
    table.add("10 messages: first delta, p50", ten, "ms", Target::Shown);
    table.add("1,000 messages: first delta, p50", thousand, "ms", Target::Shown);
    table.add("10,000 messages: first delta, p50", ten_thousand, "ms", Target::Shown);
    table.add("10,000 over 1,000", ten_thousand / thousand, "x", Target::AtMost(1.2));
    table.add("10,000 over 10", ten_thousand / ten, "x", Target::AtMost(2.0));
    Ok(table)
}

/// A conversation of one branch, 50 tokens a message, counts stored.
async fn import(rig: &Rig, length: usize) -> anyhow::Result<(ConversationId, MessageId)> {
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
