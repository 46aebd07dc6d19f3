//! The model-bound prompt: ordered items, each with its section and cache mark.

use serde::{Deserialize, Serialize};

use crate::{ContentPart, MessageId, Role};

/// What an item is there for, in the order items are sent: static first, volatile last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Section {
    /// Standing instructions.
    Instructions,
    /// Tool schemas.
    Tools,
    /// The summary of what is older than the window.
    Summary,
    /// Earlier messages of the branch.
    History,
    /// Retrieved snippets: data, never instructions.
    Retrieval,
    /// The newest user message.
    User,
}

/// One message of the prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromptItem {
    /// Why it is there.
    pub section: Section,
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub parts: Vec<ContentPart>,
    /// The stored message it comes from, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<MessageId>,
    /// Everything up to and including this item is worth caching.
    #[serde(default)]
    pub cache_mark: bool,
}

/// A tool the model may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON schema of its arguments, as text so that its bytes stay stable.
    pub parameters: String,
}

/// Everything that is sent, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// Messages, oldest first, instructions in front.
    pub items: Vec<PromptItem>,
    /// Tools, in a stable order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolSpec>,
}
