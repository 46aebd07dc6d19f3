//! Reads a long history newest first, in pages, and stops when the budget is full.
//!
//! `cargo run -p chat-truncation --example paged`

#![expect(clippy::print_stdout, reason = "an example speaks on stdout")]

use std::error::Error;

use chat_truncation::{Ladder, LadderStart, Offer, SizedMessage, TruncationPolicy, UnitGrouper};
use chat_types::{
    ContentPart, ConversationId, Message, MessageId, MessageStatus, Role, Timestamp, Tokens,
};

const HISTORY: u32 = 10_000;
const PAGE: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let policy: TruncationPolicy =
        toml::from_str("rungs = [{ kind = 'cap_messages' }, { kind = 'drop_blocks' }]")?;
    // A stand-in for a real counter: a token for every four bytes.
    let count = |_role: Role, parts: &[ContentPart]| {
        Tokens::from_len(chat_types::text_of(parts).len().div_ceil(4))
    };
    let start = LadderStart::new(Tokens::new(100)).with_priming(Tokens::new(3));
    let mut ladder = Ladder::new(&policy, &start, &count);
    let mut grouper = UnitGrouper::new();
    let mut read = Vec::new();
    let newest_first: Vec<u32> = (0..HISTORY).rev().collect();

    'pages: for page in newest_first.chunks(PAGE) {
        for number in page {
            for unit in grouper.push_older(message(*number)?) {
                let sized: Vec<SizedMessage<'_>> = unit
                    .messages
                    .iter()
                    .map(|message| SizedMessage::new(message, count(message.role, &message.parts)))
                    .collect();
                let offer = ladder.offer(&sized, &count);
                read.extend(unit.messages);
                if offer == Offer::Full {
                    break 'pages;
                }
            }
        }
    }

    read.reverse();
    let plan = ladder.finish();
    println!(
        "read {} of {HISTORY} messages, {} tokens left, cut before {:?}\n",
        read.len(),
        plan.remaining,
        plan.cut_before
    );
    for message in plan.into_messages(read) {
        println!("{}: {}", message.role.as_str(), message.text());
    }
    Ok(())
}

fn message(number: u32) -> Result<Message, Box<dyn Error>> {
    let role = if number.is_multiple_of(2) { Role::User } else { Role::Assistant };
    Ok(Message {
        id: MessageId::new(format!("m{number}"))?,
        conversation: ConversationId::new("c")?,
        parent: None,
        role,
        parts: vec![ContentPart::text(format!(
            "This is message number {number} of a long conversation."
        ))],
        created_at: Timestamp::from_unix_ms(i64::from(number)),
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: Vec::new(),
        summary: None,
    })
}
