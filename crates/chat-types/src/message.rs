//! Messages and their typed parts.

use serde::{Deserialize, Serialize};

use crate::{
    ContentHash, ConversationId, FileId, MessageId, ModelRef, Timestamp, TokenCount, TokenizerId,
    TurnId,
};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
    /// The result of a tool.
    Tool,
}

impl Role {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    /// The role of a stored name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [Self::System, Self::User, Self::Assistant, Self::Tool]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}

/// Where an opaque part comes from; it is sent back only there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// Provider and model that made it.
    pub model: ModelRef,
    /// The provider's API dialect, for example `chat_completions`.
    pub api: String,
}

/// A provider's sealed data (signatures, encrypted reasoning), bound to its origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Opaque {
    /// The only place it may go back to.
    pub origin: Origin,
    /// The sealed bytes, as the provider encoded them.
    pub data: String,
}

/// A summary of everything on the branch up to and including `covers_to`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Summary {
    /// The summary itself; a blank one is never a checkpoint.
    pub text: String,
    /// The newest message it covers.
    pub covers_to: MessageId,
    /// Hash of the covered content, so that siblings and forks can reuse it.
    pub covered: ContentHash,
    /// The version of the prompt that asked for it; none: imported, or written by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_version: Option<u32>,
}

/// One typed part of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContentPart {
    /// Plain text.
    Text {
        /// The text.
        text: String,
    },
    /// An excerpt that the user points at. The model reads it as a block quote before the text; it is
    /// no part of what the user typed.
    Quote {
        /// The excerpt.
        text: String,
    },
    /// The model's reasoning, readable or sealed.
    Reasoning {
        /// What may be shown.
        text: String,
        /// What must go back to its origin unchanged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        opaque: Option<Opaque>,
    },
    /// An image, by reference.
    Image {
        /// The stored file.
        file: FileId,
        /// Media type.
        media_type: String,
        /// Width in pixels, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        width_px: Option<u32>,
        /// Height in pixels, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        height_px: Option<u32>,
    },
    /// A file, by reference.
    File {
        /// The stored file.
        file: FileId,
        /// Its label.
        name: String,
        /// Media type.
        media_type: String,
    },
    /// The model asks for a tool.
    ToolCall {
        /// Pairs the call with its result.
        call_id: String,
        /// Which tool.
        name: String,
        /// Arguments as the model wrote them, a JSON text.
        arguments: String,
    },
    /// What a tool answered.
    ToolResult {
        /// The call it answers.
        call_id: String,
        /// The answer as text.
        text: String,
        /// The tool failed.
        #[serde(default)]
        is_error: bool,
    },
    /// A summary that stands for the branch before it.
    Summary {
        /// The summary and what it covers.
        summary: Summary,
    },
}

/// Quotes trimmed, blank ones left out, and put before everything else; the order stays within both.
/// Doing it twice changes nothing.
#[must_use]
pub fn quotes_first(parts: Vec<ContentPart>) -> Vec<ContentPart> {
    let (mut quotes, rest): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|part| matches!(part, ContentPart::Quote { .. }));
    quotes.retain_mut(|part| {
        let ContentPart::Quote { text } = part else { return true };
        *text = text.trim().replace("\r\n", "\n");
        !text.is_empty()
    });
    quotes.extend(rest);
    quotes
}

/// An excerpt as a block quote of Markdown, with the empty line that ends it.
#[must_use]
pub fn block_quote(excerpt: &str) -> String {
    let lines = excerpt.lines().map(|line| format!("> {line}\n"));
    lines.chain(["\n".to_owned()]).collect()
}

/// All text parts, joined by nothing.
#[must_use]
pub fn text_of(parts: &[ContentPart]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        ContentPart::Text { text } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

impl ContentPart {
    /// An excerpt that the user points at.
    pub fn quote(text: impl Into<String>) -> Self {
        Self::Quote { text: text.into() }
    }

    /// A text part.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// The file that it stands for, if it is a file or an image.
    #[must_use]
    pub const fn file(&self) -> Option<&FileId> {
        match self {
            Self::Image { file, .. } | Self::File { file, .. } => Some(file),
            _ => None,
        }
    }
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// The output cap was reached.
    Length,
    /// A content filter cut it.
    ContentFilter,
    /// It wants tools to run.
    ToolCalls,
    /// The user stopped it.
    Cancelled,
}

impl FinishReason {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::ToolCalls => "tool_calls",
            Self::Cancelled => "cancelled",
        }
    }

    /// The reason of a stored name.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [Self::Stop, Self::Length, Self::ContentFilter, Self::ToolCalls, Self::Cancelled]
            .into_iter()
            .find(|reason| reason.as_str() == name)
    }
}

/// Whether a message is all there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// All there.
    #[default]
    Complete,
    /// Cut short: stopped, failed or interrupted. What is there is a true prefix.
    Partial,
}

/// A node of the conversation's tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Names it.
    pub id: MessageId,
    /// The conversation it lives in.
    pub conversation: ConversationId,
    /// The message it answers or follows; none at a root.
    pub parent: Option<MessageId>,
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub parts: Vec<ContentPart>,
    /// When it was accepted (user) or closed (assistant).
    pub created_at: Timestamp,
    /// The turn that wrote it; none for imported and copied messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnId>,
    /// The model that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRef>,
    /// Whether it is all there.
    #[serde(default)]
    pub status: MessageStatus,
    /// Why the model stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<FinishReason>,
    /// Counts known so far, at most one per tokenizer; counted once, then kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_counts: Vec<TokenCount>,
    /// A summary of the branch up to and including this message, made later and kept with it: its
    /// `covers_to` is this message. The parts stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
}

impl Message {
    /// All text parts, joined by nothing.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(&self.parts)
    }

    /// The count stored for `tokenizer`, if any.
    #[must_use]
    pub fn token_count(&self, tokenizer: &TokenizerId) -> Option<&TokenCount> {
        self.token_counts.iter().find(|count| &count.tokenizer == tokenizer)
    }

    /// Equal in everything but what is added later and says nothing new: token counts and the
    /// summary.
    #[must_use]
    pub fn is_same_content(&self, other: &Self) -> bool {
        let Self {
            id,
            conversation,
            parent,
            role,
            parts,
            created_at,
            turn,
            model,
            status,
            finish_reason,
            token_counts: _,
            summary: _,
        } = self;
        *id == other.id
            && *conversation == other.conversation
            && *parent == other.parent
            && *role == other.role
            && *parts == other.parts
            && *created_at == other.created_at
            && *turn == other.turn
            && *model == other.model
            && *status == other.status
            && *finish_reason == other.finish_reason
    }
}
