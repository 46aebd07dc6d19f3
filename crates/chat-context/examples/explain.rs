//! Builds the prompt of a long conversation and prints the report, with the time it took: offline.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::time::{Duration, Instant};

use chat_context::{ContextRequest, ConversationContext};
use chat_instructions::InstructionBlock;
use chat_thread::MemoryBranch;
use chat_tokens::{EstimateCounter, TokenCounter as _};
use chat_types::{
    CacheStyle, ContentPart, ConversationId, InvalidId, Message, MessageId, MessageStatus,
    Modalities, ModelInfo, Role, SystemRole, Timestamp, Tokens,
};

const MESSAGES: usize = 10_000;

fn said(number: usize, counter: &EstimateCounter) -> Result<Message, InvalidId> {
    let role = if number.is_multiple_of(2) { Role::User } else { Role::Assistant };
    let parts = vec![ContentPart::text("forty words or so ".repeat(8))];
    let tokens = counter.count_message(role, &parts);
    Ok(Message {
        id: MessageId::new(format!("m-{number}"))?,
        conversation: ConversationId::new("talk")?,
        parent: number
            .checked_sub(1)
            .map(|parent| MessageId::new(format!("m-{parent}")))
            .transpose()?,
        role,
        parts,
        created_at: Timestamp::from_unix_ms(0),
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: vec![counter.token_count(tokens)],
        summary: None,
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let counter = EstimateCounter::new();
    let messages: Result<Vec<Message>, InvalidId> =
        (0..MESSAGES).map(|number| said(number, &counter)).collect();
    let stored = MemoryBranch::new(messages?);
    let newest = said(MESSAGES, &counter)?;
    let model = ModelInfo {
        model: "example/small".parse()?,
        context_window: Tokens::new(12_000),
        output_max: Tokens::new(1_000),
        modalities: Modalities::default(),
        system_role: SystemRole::Native,
        tools: false,
        cache: CacheStyle::None,
        prefill: false,
        tokenizer: EstimateCounter::TOKENIZER,
    };
    let instructions = [InstructionBlock::new("persona", "You are a helpful assistant.")];
    let request = ContextRequest {
        instructions: &instructions,
        ..ContextRequest::new(&stored, std::slice::from_ref(&newest), &model, &counter)
    };
    let context = ConversationContext::new();
    let mut best = Duration::MAX;
    for _ in 0..100 {
        let started = Instant::now();
        context.build(request).await?;
        best = best.min(started.elapsed());
    }
    let built = context.build(request).await?;
    println!("budget {:?}", built.report.budget);
    for section in &built.report.sections {
        println!("{:?}: {} items, {} tokens", section.section, section.items, section.tokens);
    }
    println!("sent {} tokens in all", built.report.input_tokens);
    println!("cut before {:?}", built.report.cut_before);
    println!("built in {best:?} of {MESSAGES} stored messages");
    Ok(())
}
