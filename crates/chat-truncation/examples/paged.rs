//! Reads a long history newest first, in pages, and stops when the budget is full.
//!
//! `cargo run -p chat-truncation --example paged`

#![expect(clippy::print_stdout, reason = "an example speaks on stdout")]

use std::error::Error;

use chat_truncation::{Offer, TruncationPolicy, UnitGrouper, message_transcript};
use chat_types::{
    ContentPart, ConversationId, Message, MessageId, MessageStatus, Role, Timestamp, Tokens,
};

const HISTORY: u32 = 10_000;
const PAGE: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let mut fill = TruncationPolicy::recent_window().start(Tokens::new(100), Tokens::new(3));
    let mut grouper = UnitGrouper::new();
    let mut kept = Vec::new();
    let mut messages_read = 0_u32;
    let newest_first: Vec<u32> = (0..HISTORY).rev().collect();

    'pages: for page in newest_first.chunks(PAGE) {
        for number in page {
            messages_read = messages_read.saturating_add(1);
            for unit in grouper.push_older(message(*number)?) {
                // A stand-in for a real counter: a token for every four bytes.
                let bytes: usize = unit.messages.iter().map(|m| m.text().len()).sum();
                match fill.offer(Tokens::from_len(bytes.div_ceil(4))) {
                    Offer::Kept => kept.push(unit),
                    Offer::Full => break 'pages,
                }
            }
        }
    }

    kept.reverse();
    println!(
        "read {messages_read} of {HISTORY} messages, kept {} units, {} tokens left\n",
        kept.len(),
        fill.remaining()
    );
    for unit in &kept {
        print!("{}", message_transcript(&unit.messages));
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
    })
}
