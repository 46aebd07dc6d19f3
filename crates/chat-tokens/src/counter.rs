//! The port: counts for one vocabulary.
//!
//! A counter is pure and quick and never fails. It knows how its vendor frames messages, so that
//! a caller adds up whole messages and never overheads. Not here: which counter a model gets
//! (`accounting`), counts that are already known (`stored`).

use std::fmt::Debug;

use chat_types::{ContentPart, Provenance, Role, TokenCount, TokenizerId, Tokens, ToolSpec};

use crate::image::image_tokens;

/// A file whose size is not known here counts as one page: what the reference system takes.
const FILE_TOKENS: Tokens = Tokens::new(1_500);

/// Counts for one vocabulary. Pure, quick, never fails; linear in the length of the text.
pub trait TokenCounter: Debug + Send + Sync + 'static {
    /// Whose vocabulary it counts in: the key under which its counts are stored.
    fn tokenizer(&self) -> &TokenizerId;

    /// How far its counts can be trusted.
    fn provenance(&self) -> Provenance;

    /// The tokens of `text` alone; special tokens written in it count as the text they are.
    fn count_text(&self, text: &str) -> Tokens;

    /// One message as it is sent, its overhead included.
    fn count_message(&self, role: Role, parts: &[ContentPart]) -> Tokens;

    /// What every request costs besides its messages, for example the reply's priming.
    fn priming(&self) -> Tokens;

    /// All tool schemas of a request, their framing included; zero for none.
    fn count_tools(&self, tools: &[ToolSpec]) -> Tokens;

    /// `tokens` as a count of this vocabulary.
    fn token_count(&self, tokens: Tokens) -> TokenCount {
        TokenCount { tokens, tokenizer: self.tokenizer().clone(), provenance: self.provenance() }
    }
}

/// The content of a message without its overhead: what most counters start from.
///
/// Text, reasoning, tool calls (name and arguments), tool results and summaries count by their
/// text. Images count by [`image_tokens`]; a file counts by its name and as one page of 1,500
/// tokens. Sealed data counts nothing: its size in tokens is known to its origin only.
pub fn count_parts<C: TokenCounter + ?Sized>(counter: &C, parts: &[ContentPart]) -> Tokens {
    parts.iter().map(|part| count_part(counter, part)).sum()
}

fn count_part<C: TokenCounter + ?Sized>(counter: &C, part: &ContentPart) -> Tokens {
    match part {
        ContentPart::Text { text }
        | ContentPart::Reasoning { text, .. }
        | ContentPart::ToolResult { text, .. } => counter.count_text(text),
        ContentPart::Image { width_px, height_px, .. } => image_tokens(*width_px, *height_px),
        ContentPart::File { name, .. } => counter.count_text(name).plus(FILE_TOKENS),
        ContentPart::ToolCall { name, arguments, .. } => {
            counter.count_text(name).plus(counter.count_text(arguments))
        }
        ContentPart::Summary { summary } => counter.count_text(&summary.text),
        // A kind of part that is newer than this crate: refused nowhere, guessed as one page.
        _ => FILE_TOKENS,
    }
}
