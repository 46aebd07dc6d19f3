//! What is sent: our prompt as a Chat Completions body, without its output cap.
//!
//! Promises: equal requests give equal bytes; nothing is copied but into those bytes (files are encoded
//! once more); what the dialect cannot say, or a file whose bytes are not there, is refused where the
//! model would miss it (the newest message) and labelled elsewhere; sealed reasoning goes back only to the model it came from, readable reasoning nowhere.
//! The cap is added as the last field when the call is made.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chat_provider::{Media, ModelRequest, ProviderError, ProviderErrorKind};
use chat_types::{
    CacheStyle, ContentPart, ModelOptions, ModelRef, Prompt, PromptItem, Role, Section, Tokens,
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::config::CapField;
use crate::models::Instructions;
use crate::wire::CHAT_COMPLETIONS_API;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_details: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

/// A message's pieces: written as one string if they are nothing but text, as a list of parts where
/// there is a file among them or a mark for the cache; null for a message that only calls tools.
#[derive(Default)]
struct Content<'a> {
    pieces: Vec<Piece<'a>>,
    is_null_if_empty: bool,
    /// The cache should hold everything up to and including this message.
    cache_mark: bool,
}

enum Piece<'a> {
    Text(Cow<'a, str>),
    Image(&'a Media),
    File { name: &'a str, media: &'a Media },
}

/// A part of a message's content, as the dialect writes it.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WirePart<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    ImageUrl {
        image_url: WireUrl,
    },
    File {
        file: WireFile<'a>,
    },
}

/// Anthropic's mark, as routers of this dialect take it.
#[derive(Serialize)]
struct CacheControl {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct WireUrl {
    url: String,
}

#[derive(Serialize)]
struct WireFile<'a> {
    filename: &'a str,
    file_data: String,
}

#[derive(Serialize)]
struct WireToolCall<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: WireFunctionCall<'a>,
}

#[derive(Serialize)]
struct WireFunctionCall<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct WireTool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: WireFunction<'a>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a RawValue,
}

impl Content<'_> {
    fn is_plain(&self) -> bool {
        !self.cache_mark && self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    fn parts(&self) -> Vec<WirePart<'_>> {
        let last_text = self.pieces.iter().rposition(|piece| matches!(piece, Piece::Text(_)));
        let mut parts = Vec::with_capacity(self.pieces.len());
        for (place, piece) in self.pieces.iter().enumerate() {
            let is_marked = self.cache_mark && Some(place) == last_text;
            parts.push(match piece {
                Piece::Text(text) => WirePart::Text {
                    text: text.as_ref(),
                    cache_control: is_marked.then_some(CacheControl { kind: "ephemeral" }),
                },
                Piece::Image(media) => {
                    WirePart::ImageUrl { image_url: WireUrl { url: data_url(media) } }
                }
                Piece::File { name, media } => {
                    WirePart::File { file: WireFile { filename: name, file_data: data_url(media) } }
                }
            });
        }
        parts
    }
}

impl fmt::Display for Content<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => formatter.write_str(text),
            Piece::Image(_) | Piece::File { .. } => Ok(()),
        })
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.pieces.as_slice() {
            [] if self.is_null_if_empty => serializer.serialize_none(),
            [] => serializer.serialize_str(""),
            _ if !self.is_plain() => self.parts().serialize(serializer),
            [Piece::Text(piece)] => serializer.serialize_str(piece),
            _ => serializer.collect_str(self),
        }
    }
}

fn data_url(media: &Media) -> String {
    format!("data:{};base64,{}", media.media_type, BASE64.encode(&media.bytes))
}

/// How many bytes of a body are files: they are charged by their own rules, not as text.
pub(crate) fn media_bytes(request: &ModelRequest) -> usize {
    let encoded = request.media.iter().map(|media| media.bytes.len().div_ceil(3).saturating_mul(4));
    encoded.fold(0, usize::saturating_add)
}

/// The body of `request` for `model`, a JSON object without the cap.
///
/// # Errors
/// `InvalidRequest`, see the module.
pub(crate) fn body(
    request: &ModelRequest,
    model: &ModelRef,
    instructions: Instructions,
    cache: CacheStyle,
    service_tier: Option<&str>,
) -> Result<Vec<u8>, ProviderError> {
    check(&request.options)?;
    let body = Body {
        model: request.model.as_str(),
        messages: messages(request, model, instructions, cache)?,
        tools: tools(&request.prompt)?,
        temperature: request.options.temperature,
        top_p: request.options.top_p,
        stop: &request.options.stop,
        seed: request.options.seed,
        reasoning_effort: request.options.reasoning_effort.as_deref(),
        service_tier,
        stream: request.stream,
        stream_options: request.stream.then_some(StreamOptions { include_usage: true }),
    };
    serde_json::to_vec(&body)
        .map_err(|error| invalid("the prompt has no JSON form").with_source(error))
}

/// `body` with the cap as its last field.
///
/// # Errors
/// `InvalidRequest` if `body` is not one of ours.
pub(crate) fn with_cap(
    body: &[u8],
    field: CapField,
    cap: Tokens,
) -> Result<Vec<u8>, ProviderError> {
    let open = body
        .strip_suffix(b"}")
        .filter(|open| open.len() > 1)
        .ok_or_else(|| invalid("the body is not of this dialect"))?;
    let tail = format!(",\"{}\":{}}}", field.as_str(), cap.get());
    let mut whole = Vec::with_capacity(open.len().saturating_add(tail.len()));
    whole.extend_from_slice(open);
    whole.extend_from_slice(tail.as_bytes());
    Ok(whole)
}

fn check(options: &ModelOptions) -> Result<(), ProviderError> {
    if options.temperature.is_some_and(|value| !(0.0..=2.0).contains(&value)) {
        return Err(invalid("temperature must be between 0 and 2"));
    }
    if options.top_p.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
        return Err(invalid("top_p must be between 0 and 1"));
    }
    Ok(())
}

fn tools(prompt: &Prompt) -> Result<Vec<WireTool<'_>>, ProviderError> {
    let tools = prompt.tools.iter().map(|tool| {
        let parameters = serde_json::from_str(&tool.parameters).map_err(|error| {
            invalid(&format!("the schema of tool {} is not JSON", tool.name)).with_source(error)
        })?;
        Ok(WireTool {
            kind: "function",
            function: WireFunction { name: &tool.name, description: &tool.description, parameters },
        })
    });
    tools.collect()
}

fn messages<'a>(
    request: &'a ModelRequest,
    model: &ModelRef,
    instructions: Instructions,
    cache: CacheStyle,
) -> Result<Vec<WireMessage<'a>>, ProviderError> {
    let items = &request.prompt.items;
    let mut messages = Vec::with_capacity(items.len());
    for item in items {
        let role = match (item.role, instructions) {
            (Role::System, Instructions::Developer) => "developer",
            (Role::System, Instructions::System | Instructions::Merged) => "system",
            (Role::User, _) => "user",
            (Role::Assistant | Role::Tool, _) => "assistant",
        };
        push_item(&mut messages, request, item, role, model)?;
        if cache == CacheStyle::Marked
            && item.cache_mark
            && let Some(last) = messages.last_mut()
        {
            last.content.cache_mark = true;
        }
    }
    Ok(messages)
}

/// One item as one message; one with tool results as several, each result after its call.
fn push_item<'a>(
    messages: &mut Vec<WireMessage<'a>>,
    request: &'a ModelRequest,
    item: &'a PromptItem,
    role: &'static str,
    model: &ModelRef,
) -> Result<(), ProviderError> {
    let mut open = WireMessage::new(role);
    let mut has_results = false;
    for part in &item.parts {
        match part {
            ContentPart::Text { text } => open.push(text.as_str()),
            ContentPart::Summary { summary } => open.push(summary.text.as_str()),
            ContentPart::Reasoning { opaque, .. } => {
                if let Some(opaque) = opaque
                    && opaque.origin.model == *model
                    && opaque.origin.api == CHAT_COMPLETIONS_API
                {
                    // Sealed by us from JSON; anything else would not be ours and is left out.
                    open.reasoning_details = serde_json::from_str(&opaque.data).ok();
                }
            }
            ContentPart::ToolCall { call_id, name, arguments } => {
                open.content.is_null_if_empty = true;
                open.tool_calls.push(WireToolCall {
                    id: call_id,
                    kind: "function",
                    function: WireFunctionCall { name, arguments },
                });
            }
            ContentPart::ToolResult { call_id, text, .. } => {
                has_results = true;
                if !open.is_empty() {
                    messages.push(std::mem::replace(&mut open, WireMessage::new(role)));
                }
                let mut result = WireMessage::new("tool");
                result.push(text.as_str());
                result.tool_call_id = Some(call_id);
                messages.push(result);
            }
            ContentPart::Image { file, .. } | ContentPart::File { file, .. } => {
                let (name, label) = match part {
                    ContentPart::File { name, .. } => (name.as_str(), format!("[file {name}]")),
                    _ => ("image", "[image]".to_owned()),
                };
                match request.media_of(file) {
                    Some(media) if media.media_type.starts_with("image/") => {
                        open.content.pieces.push(Piece::Image(media));
                    }
                    Some(media) => open.content.pieces.push(Piece::File { name, media }),
                    None if item.section != Section::User => open.push(label),
                    None => return Err(invalid(&format!("the bytes of {name} are not there"))),
                }
            }
            // A kind of part newer than this crate.
            _ => return Err(invalid("this provider cannot say this kind of part")),
        }
    }
    if item.role == Role::Tool && !has_results {
        return Err(invalid("a tool message without a tool result"));
    }
    if !has_results || !open.is_empty() {
        messages.push(open);
    }
    Ok(())
}

impl<'a> WireMessage<'a> {
    fn new(role: &'static str) -> Self {
        Self {
            role,
            content: Content::default(),
            reasoning_details: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
        }
    }

    fn push(&mut self, piece: impl Into<Cow<'a, str>>) {
        self.content.pieces.push(Piece::Text(piece.into()));
    }

    fn is_empty(&self) -> bool {
        self.content.pieces.is_empty()
            && self.tool_calls.is_empty()
            && self.reasoning_details.is_none()
    }
}

fn invalid(detail: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::InvalidRequest, detail)
}
