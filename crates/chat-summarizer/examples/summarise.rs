//! Summarises two messages without a model and checks that a copy reuses the summary: offline.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use chat_summarizer::{ExtractiveSummarizer, Summarizer as _, SummaryRequest, covers};
use chat_types::{
    ContentPart, ConversationId, InvalidId, Message, MessageId, MessageStatus, Role, Timestamp,
    Tokens,
};

fn said(id: &str, role: Role, text: &str) -> Result<Message, InvalidId> {
    Ok(Message {
        id: MessageId::new(id)?,
        conversation: ConversationId::new("talk")?,
        parent: None,
        role,
        parts: vec![ContentPart::text(text)],
        created_at: Timestamp::from_unix_ms(0),
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: Vec::new(),
        summary: None,
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let messages = vec![
        said("1", Role::User, "What is the capital of France?")?,
        said("2", Role::Assistant, "Paris.")?,
    ];
    let request = SummaryRequest { previous: None, messages, tokens_max: Tokens::new(400) };
    let summary = ExtractiveSummarizer::default().summarize(request).await?;
    println!("{}", summary.text);
    let copies = [
        said("a", Role::User, "What is the capital of France?")?,
        said("b", Role::Assistant, "Paris.")?,
    ];
    println!("a copy can reuse it: {}", covers(&summary, &copies));
    Ok(())
}
