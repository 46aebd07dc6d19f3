//! What the example's model is sent: the dialect, and the way there from the runtime's prompt.
//!
//! The same request gives the same bytes: fields in the order of the struct, no maps, no clock, no
//! random ids. What the dialect cannot say is refused, not dropped. Not here: the reply.

use std::borrow::Cow;

use chat_provider::{ModelRequest, ProviderError, ProviderErrorKind};
use chat_types::{ContentPart, ModelId, Role};
use serde::{Deserialize, Serialize};

/// The body of a prepared call. It has no cap: the permit brings it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EchoRequest {
    pub(crate) model: ModelId,
    pub(crate) lines: Vec<EchoLine>,
    pub(crate) stream: bool,
}

/// One message; its text parts are lines of their own, so that words never run together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EchoLine {
    pub(crate) role: Role,
    pub(crate) text: String,
}

impl EchoRequest {
    /// Translates `request`.
    ///
    /// # Errors
    /// `InvalidRequest` for tools, images and files.
    pub(crate) fn from_request(request: &ModelRequest) -> Result<Self, ProviderError> {
        if !request.prompt.tools.is_empty() {
            return Err(invalid("the example model takes no tools"));
        }
        let lines = request.prompt.items.iter().map(|item| {
            let texts = item.parts.iter().map(text_of);
            Ok(EchoLine { role: item.role, text: texts.collect::<Result<Vec<_>, _>>()?.join("\n") })
        });
        Ok(Self {
            model: request.model.clone(),
            lines: lines.collect::<Result<_, ProviderError>>()?,
            stream: request.stream,
        })
    }

    /// The body as it is sent.
    pub(crate) fn to_body(&self) -> Result<Vec<u8>, ProviderError> {
        serde_json::to_vec(self)
            .map_err(|error| invalid("the prompt has no JSON form").with_source(error))
    }

    /// Reads a body back; only this crate makes them.
    pub(crate) fn from_body(body: &[u8]) -> Result<Self, ProviderError> {
        serde_json::from_slice(body)
            .map_err(|error| invalid("the body is not of this dialect").with_source(error))
    }
}

/// What a part says in a dialect that knows text only. Another model's reasoning stays with it.
fn text_of(part: &ContentPart) -> Result<Cow<'_, str>, ProviderError> {
    let text = match part {
        ContentPart::Text { text } | ContentPart::ToolResult { text, .. } => text.as_str(),
        ContentPart::Summary { summary } => &summary.text,
        ContentPart::ToolCall { name, arguments, .. } => {
            return Ok(Cow::Owned(format!("{name} {arguments}")));
        }
        ContentPart::Reasoning { .. } => "",
        ContentPart::Image { .. } | ContentPart::File { .. } => {
            return Err(invalid("the example model takes text only"));
        }
        // A kind of part newer than this crate.
        _ => return Err(invalid("the example model cannot say this kind of part")),
    };
    Ok(Cow::Borrowed(text))
}

fn invalid(detail: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::InvalidRequest, detail)
}
