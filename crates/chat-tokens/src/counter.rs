//! The port: counts for one vocabulary.
//!
//! A counter is pure and quick and never fails. It knows how its vendor frames messages, so that
//! a caller adds up whole messages and never overheads. Not here: which counter a model gets
//! (`accounting`), counts that are already known (`stored`).

use std::fmt::Debug;

use chat_types::{
    ContentPart, Provenance, Role, TokenCount, TokenizerId, Tokens, ToolSpec, block_quote,
};

use crate::media::MediaRules;

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

    /// The key of stored counts of messages that hold images or files: models that share a
    /// vocabulary differ in their formulas. The tokenizer itself unless the counter is made for a
    /// model ([`count_for_model`](crate::count_for_model)).
    fn media_tokenizer(&self) -> &TokenizerId {
        self.tokenizer()
    }

    /// What images and files cost.
    fn media_rules(&self) -> &MediaRules {
        MediaRules::default_rules()
    }

    /// `tokens` as a count of this vocabulary.
    fn token_count(&self, tokens: Tokens) -> TokenCount {
        TokenCount { tokens, tokenizer: self.tokenizer().clone(), provenance: self.provenance() }
    }
}

/// The content of a message without its overhead: what most counters start from.
///
/// Text, quotes as they are sent, reasoning, tool calls (name and arguments), tool results and summaries count by their
/// text, images and files by [`TokenCounter::media_rules`], a file's name on top. Sealed data
/// counts nothing: its size in tokens is known to its origin only.
pub fn count_parts<C: TokenCounter + ?Sized>(counter: &C, parts: &[ContentPart]) -> Tokens {
    parts.iter().map(|part| count_part(counter, part)).sum()
}

fn count_part<C: TokenCounter + ?Sized>(counter: &C, part: &ContentPart) -> Tokens {
    let rules = counter.media_rules();
    match part {
        ContentPart::Text { text }
        | ContentPart::Reasoning { text, .. }
        | ContentPart::ToolResult { text, .. } => counter.count_text(text),
        ContentPart::Quote { text } => counter.count_text(&block_quote(text)),
        ContentPart::Image { .. } => rules.part(part).unwrap_or(rules.pdf_page),
        ContentPart::File { name, .. } => counter.count_text(name).plus(rules.pdf_page),
        ContentPart::ToolCall { name, arguments, .. } => {
            counter.count_text(name).plus(counter.count_text(arguments))
        }
        ContentPart::Summary { summary } => counter.count_text(&summary.text),
        // A kind of part that is newer than this crate: refused nowhere, guessed as one page.
        _ => rules.pdf_page,
    }
}
