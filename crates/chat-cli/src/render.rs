//! How things look: tables, trees, charts, moments. Pure text in, text out.

mod chart;
mod csv;
mod table;
mod time;
mod tree;
mod window;

pub(crate) use chart::bars;
pub(crate) use csv::csv_line;
pub(crate) use table::Table;
pub(crate) use time::{day, day_start, moment};
pub(crate) use tree::{draw_tree, short_id};
pub(crate) use window::window_bar;

use chat_runtime::types::{ContentPart, Message, MessageStatus, block_quote};

/// What a message says, other parts named in brackets.
pub(crate) fn message_text(message: &Message) -> String {
    let mut pieces = Vec::new();
    for part in &message.parts {
        match part {
            ContentPart::Text { text } => pieces.push(text.clone()),
            ContentPart::Quote { text } => pieces.push(block_quote(text)),
            ContentPart::Reasoning { .. } => {}
            ContentPart::Image { .. } => pieces.push("[image]".to_owned()),
            ContentPart::File { name, .. } => pieces.push(format!("[file {name}]")),
            ContentPart::ToolCall { name, .. } => pieces.push(format!("[calls {name}]")),
            ContentPart::ToolResult { text, .. } => pieces.push(format!("[result] {text}")),
            ContentPart::Summary { summary } => pieces.push(format!("[summary] {}", summary.text)),
            _ => pieces.push("[part]".to_owned()),
        }
    }
    if message.status == MessageStatus::Partial {
        pieces.push(" [partial]".to_owned());
    }
    pieces.concat()
}

/// The first line of a text, at most `chars_max` characters.
pub(crate) fn first_line(text: &str, chars_max: usize) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let line = line.unwrap_or_default();
    if line.chars().count() <= chars_max {
        return line.to_owned();
    }
    let mut cut: String = line.chars().take(chars_max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}
