//! What a prepared call looks like: the engine's lines and options as JSON, and the way there from
//! the runtime's prompt.
//!
//! Promises: the same request gives the same bytes; nothing the model would miss is dropped
//! silently in the newest message. Reasoning is not sent back, tool traffic of other models and
//! older pictures become short labels.

use chat_provider::{ModelRequest, ProviderError, ProviderErrorKind};
use chat_types::{ContentPart, Role, Section};
use serde::{Deserialize, Serialize};

use crate::template::{ChatLine, ChatRole};

/// The body of a prepared call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocalRequest {
    pub(crate) lines: Vec<ChatLine>,
    /// `None` is greedy.
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    /// `None` takes one from the step's key, so that another try differs.
    pub(crate) seed: Option<u64>,
    pub(crate) stop: Vec<String>,
}

impl LocalRequest {
    /// Translates `request`.
    ///
    /// # Errors
    /// `InvalidRequest` for tools, for images or files in the newest message, and for sampling
    /// options outside their range.
    pub(crate) fn from_request(request: &ModelRequest) -> Result<Self, ProviderError> {
        if !request.prompt.tools.is_empty() {
            return Err(invalid("the embedded model takes no tools"));
        }
        let items = request.prompt.items.iter();
        let is_unusable = |item: &chat_types::PromptItem| {
            item.section == Section::User && item.parts.iter().any(is_picture_or_file)
        };
        if items.clone().any(is_unusable) {
            return Err(invalid("the embedded model takes no images or files"));
        }
        let options = &request.options;
        if options.temperature.is_some_and(|value| !(0.0..=100.0).contains(&value)) {
            return Err(invalid("temperature must be between 0 and 100"));
        }
        if options.top_p.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            return Err(invalid("top_p must be between 0 and 1"));
        }
        Ok(Self {
            lines: items.map(|item| chat_line(item.role, &item.parts)).collect(),
            temperature: options.temperature,
            top_p: options.top_p,
            seed: options.seed,
            stop: options.stop.iter().filter(|stop| !stop.is_empty()).cloned().collect(),
        })
    }
}

fn invalid(detail: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::InvalidRequest, detail)
}

fn is_picture_or_file(part: &ContentPart) -> bool {
    matches!(part, ContentPart::Image { .. } | ContentPart::File { .. })
}

/// One message in the template's words; counting and sending both go through here.
pub(crate) fn chat_line(role: Role, parts: &[ContentPart]) -> ChatLine {
    let role = match role {
        Role::System => ChatRole::System,
        Role::User | Role::Tool => ChatRole::User,
        Role::Assistant => ChatRole::Assistant,
    };
    let mut text = String::new();
    for part in parts {
        match part {
            ContentPart::Text { text: piece } => text.push_str(piece),
            ContentPart::Summary { summary } => text.push_str(&summary.text),
            ContentPart::ToolResult { text: piece, .. } => {
                text.push_str("[tool result] ");
                text.push_str(piece);
            }
            ContentPart::ToolCall { name, arguments, .. } => {
                text.push_str(&format!("[tool call {name} {arguments}]"));
            }
            ContentPart::File { name, .. } => text.push_str(&format!("[file {name}]")),
            ContentPart::Image { .. } => text.push_str("[image]"),
            ContentPart::Reasoning { .. } => {}
            // A kind of part newer than this crate.
            _ => text.push_str("[unreadable part]"),
        }
    }
    ChatLine::new(role, text)
}
