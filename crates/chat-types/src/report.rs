//! What the context builder did and why: returned with every turn, shown by `explain`.

use serde::{Deserialize, Serialize};

use crate::{ContentHash, MessageId, Provenance, Section, TokenizerId, Tokens};

/// How the input budget came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetReport {
    /// The model's window.
    pub window: Tokens,
    /// Kept free for the reply.
    pub output_cap: Tokens,
    /// Kept free for counting errors.
    pub margin: Tokens,
    /// What remains for the prompt.
    pub input: Tokens,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ItemFate {
    /// Sent as it is.
    Kept,
    /// Sent shortened.
    Trimmed,
    /// Stands in the summary.
    Summarised,
    /// Not sent.
    Dropped,
}

/// One item, its size and its fate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemReport {
    /// Its section.
    pub section: Section,
    /// The stored message it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<MessageId>,
    /// The retrieved snippet that it is, by its source id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snippet: Option<String>,
    /// Its size.
    pub tokens: Tokens,
    /// How that is known.
    pub provenance: Provenance,
    /// What became of it.
    pub fate: ItemFate,
    /// Why, in a few words.
    pub reason: String,
}

/// One section in sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionReport {
    /// Which one.
    pub section: Section,
    /// How many items were sent.
    pub items: u32,
    /// Their size.
    pub tokens: Tokens,
    /// Hash of what was sent: equal hashes up to a section mean an equal prefix.
    pub hash: ContentHash,
    /// Of history: the newest message that was left out before it, so that the next turn can leave the
    /// cut where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_before: Option<MessageId>,
}

/// How far a prompt begins as the branch's previous one did, up to that one's volatile tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixReport {
    /// What stood before the previous prompt's volatile tail.
    pub previous: Tokens,
    /// How much of that this prompt begins with, byte by byte: what a prompt cache can read.
    pub stable: Tokens,
    /// The first section that is not as it was; none: all of it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_by: Option<Section>,
}

/// Between what the real number of tokens most probably lies, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenBand {
    /// At least this.
    pub low: Tokens,
    /// At most this.
    pub high: Tokens,
}

impl PrefixReport {
    /// What is sent again although it was sent before: it costs the full price of input once more.
    #[must_use]
    pub const fn sent_again(&self) -> Tokens {
        self.previous.minus(self.stable)
    }
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextReport {
    /// Whose tokens these are.
    pub tokenizer: TokenizerId,
    /// The budget.
    pub budget: BudgetReport,
    /// Everything sent, priming included.
    pub input_tokens: Tokens,
    /// The weakest provenance among the counts.
    pub provenance: Provenance,
    /// How far `input_tokens` can be off; none where nobody knows how the model's provider counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_band: Option<TokenBand>,
    /// Sums per section, in the order sent.
    pub sections: Vec<SectionReport>,
    /// The newest message that did not fit: it and everything older was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_before: Option<MessageId>,
    /// How far the prefix is that of the branch's previous prompt; none: there was none, or it is not
    /// known any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<PrefixReport>,
    /// Item by item; left out of the event log, where `sections` suffices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ItemReport>,
    /// What else the reader should know, for example a summary that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl ContextReport {
    /// The report without its item list: what the event log keeps.
    #[must_use]
    pub fn without_items(&self) -> Self {
        Self { items: Vec::new(), ..self.clone() }
    }
}
