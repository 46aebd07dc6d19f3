//! Chunks into the port's words: everything of one network read as one batch.
//!
//! Adjacent pieces of text become one. Tool calls count from 0 without gaps, whatever the server
//! counts. The reply is finished only when the server's own finish reason was parsed; text after it
//! and everything after `[DONE]` is ignored. Not here: the network (`reply`).

use chat_provider::ProviderEvent;
use chat_transport::SseEvent;
use chat_types::{FinishReason, ModelRef, Opaque, Origin};

use crate::error::VendorError;
use crate::scalar::Scalar;
use crate::shape::{Shape, TextKind};
use crate::usage::{cost, disjoint};
use crate::wire::CHAT_COMPLETIONS_API;
use crate::wire::{Choice, Completion, Delta, Text, ToolCallDelta, WireError};

/// OpenAI takes at most 128 tools; a reply that calls more of them at once is broken.
const TOOL_CALLS_MAX: usize = 128;

/// Sealed reasoning above this is not kept; real ones have some 10 KiB.
const SEALED_BYTES_MAX: usize = 1024 * 1024;

/// Why decoding ends before the connection does.
#[derive(Debug)]
pub(crate) enum Stop {
    /// `[DONE]`.
    Done,
    /// The server reports an error.
    Refused(VendorError),
    /// It is not the dialect.
    Malformed(&'static str),
}

/// What one network read said.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) events: Vec<ProviderEvent>,
    pub(crate) stop: Option<Stop>,
}

#[derive(Debug)]
struct ToolCall {
    /// The server's own number of it.
    wire_index: u64,
    call_id: String,
}

/// Reads one reply.
#[derive(Debug)]
pub(crate) struct Decoder {
    model: ModelRef,
    request_id: Option<String>,
    is_started: bool,
    /// Text, reasoning or a tool call was seen: the reply is committed.
    pub(crate) has_delta: bool,
    /// A finish reason was seen.
    pub(crate) is_finished: bool,
    calls: Vec<ToolCall>,
    sealed: String,
    shape: Shape,
    /// The server's cost is in US dollars.
    is_cost_in_usd: bool,
    /// The tier told last; empty is the standard one.
    tier: String,
}

impl Decoder {
    /// For a reply of `model`; the chunk's own id stands in for a missing `request_id`.
    pub(crate) fn new(model: ModelRef, request_id: Option<String>) -> Self {
        Self {
            model,
            request_id,
            is_started: false,
            has_delta: false,
            is_finished: false,
            calls: Vec::new(),
            sealed: String::new(),
            shape: Shape::none(),
            is_cost_in_usd: false,
            tier: String::new(),
        }
    }

    /// The same for a server whose reported cost is in US dollars.
    pub(crate) fn with_cost_in_usd(mut self, is_cost_in_usd: bool) -> Self {
        self.is_cost_in_usd = is_cost_in_usd;
        self
    }

    /// Decodes the events of one network read.
    pub(crate) fn batch(&mut self, read: &[SseEvent]) -> Batch {
        let mut batch = Batch::default();
        for event in read {
            batch.stop = self.event(event, &mut batch.events).err();
            if batch.stop.is_some() {
                break;
            }
        }
        batch
    }

    fn event(&mut self, event: &SseEvent, out: &mut Vec<ProviderEvent>) -> Result<(), Stop> {
        let data = event.data.trim();
        match event.event.as_ref() {
            "error" => {
                let refused = serde_json::from_str::<Completion<'_>>(data)
                    .ok()
                    .and_then(|chunk| chunk.error)
                    .or_else(|| serde_json::from_str::<WireError<'_>>(data).ok());
                return Err(Stop::Refused(VendorError::from_wire(&refused.unwrap_or_default())));
            }
            "message" => {}
            // Pings and kinds nobody told us of.
            _ => return Ok(()),
        }
        if data == "[DONE]" {
            return Err(Stop::Done);
        }
        if data.is_empty() {
            return Ok(());
        }
        // Only a chunk after the first has a shape to fit.
        if let Some((kind, text)) = self.shape.text(data) {
            if !self.is_finished {
                self.text(kind, text, out);
            }
            return Ok(());
        }
        match serde_json::from_str::<Completion<'_>>(data) {
            Ok(chunk) => {
                self.shape.keep(data, &chunk);
                self.completion(&chunk, out)
            }
            Err(_) => Err(Stop::Malformed("an event is not the JSON of a chunk")),
        }
    }

    /// Tells one chunk, or a whole reply.
    pub(crate) fn completion(
        &mut self,
        chunk: &Completion<'_>,
        out: &mut Vec<ProviderEvent>,
    ) -> Result<(), Stop> {
        if let Some(error) = &chunk.error {
            return Err(Stop::Refused(VendorError::from_wire(error)));
        }
        if !self.is_started && chunk.choices.is_some() {
            self.is_started = true;
            let request_id = self.request_id.take();
            let request_id = request_id.or_else(|| chunk.id.non_empty().map(str::to_owned));
            out.push(ProviderEvent::Started { request_id });
        }
        self.tier(&chunk.service_tier, out);
        let choices = chunk.choices.as_deref().unwrap_or_default();
        for choice in choices.iter().filter(|choice| choice.index.0.unwrap_or(0) == 0) {
            self.choice(choice, out)?;
        }
        if let Some(usage) = chunk.usage.as_ref().and_then(disjoint) {
            out.push(ProviderEvent::Usage(usage));
        }
        if self.is_cost_in_usd
            && let Some(cost) = chunk.usage.as_ref().and_then(cost)
        {
            out.push(ProviderEvent::Cost(cost));
        }
        Ok(())
    }

    /// Tells the tier when it is another one than before.
    fn tier(&mut self, tier: &Scalar<'_>, out: &mut Vec<ProviderEvent>) {
        let Some(name) = tier.non_empty() else {
            return;
        };
        let name = if matches!(name, "auto" | "default" | "standard") { "" } else { name };
        if name != self.tier {
            name.clone_into(&mut self.tier);
            let name = (!name.is_empty()).then(|| name.to_owned());
            out.push(ProviderEvent::Tier { name });
        }
    }

    fn choice(&mut self, choice: &Choice<'_>, out: &mut Vec<ProviderEvent>) -> Result<(), Stop> {
        if self.is_finished {
            return Ok(());
        }
        if let Some(delta) = choice.delta.as_ref().or(choice.message.as_deref()) {
            self.delta(delta, out)?;
        }
        let reason = choice.finish_reason.as_ref().map_or("", |reason| reason.0.as_ref());
        let reason = match reason {
            "" => return Ok(()),
            // OpenRouter's and DeepSeek's ways to say that the reply broke off.
            "error" | "insufficient_system_resource" => {
                return Err(Stop::Refused(VendorError::overloaded()));
            }
            "length" | "max_tokens" | "model_length" => FinishReason::Length,
            "content_filter" => FinishReason::ContentFilter,
            "tool_calls" | "function_call" => FinishReason::ToolCalls,
            // `stop`, its synonyms, and `stop` after tool calls as some servers write it.
            _ if self.calls.is_empty() => FinishReason::Stop,
            _ => FinishReason::ToolCalls,
        };
        if !self.sealed.is_empty() {
            let data = format!("[{}]", std::mem::take(&mut self.sealed));
            out.push(ProviderEvent::ReasoningSealed(Opaque {
                origin: Origin { model: self.model.clone(), api: CHAT_COMPLETIONS_API.to_owned() },
                data,
            }));
        }
        self.is_finished = true;
        out.push(ProviderEvent::Finished(reason));
        Ok(())
    }

    fn delta(&mut self, delta: &Delta<'_>, out: &mut Vec<ProviderEvent>) -> Result<(), Stop> {
        // Servers that write both names write the same text twice.
        if let Some(text) = text(&delta.reasoning_content).or_else(|| text(&delta.reasoning)) {
            self.text(TextKind::Reasoning, text, out);
        }
        if let Some(details) = delta.reasoning_details {
            self.seal(details.get());
        }
        for text in [text(&delta.content), text(&delta.refusal)].into_iter().flatten() {
            self.text(TextKind::Text, text, out);
        }
        for call in delta.tool_calls.iter().flatten() {
            self.tool_call(call, out)?;
        }
        Ok(())
    }

    /// Adds to the text before it, if it is of the same kind.
    fn text(&mut self, kind: TextKind, text: &str, out: &mut Vec<ProviderEvent>) {
        if text.is_empty() {
            return;
        }
        self.has_delta = true;
        match (kind, out.last_mut()) {
            (TextKind::Text, Some(ProviderEvent::Text(open)))
            | (TextKind::Reasoning, Some(ProviderEvent::Reasoning(open))) => open.push_str(text),
            (TextKind::Text, _) => out.push(ProviderEvent::Text(text.to_owned())),
            (TextKind::Reasoning, _) => out.push(ProviderEvent::Reasoning(text.to_owned())),
        }
    }

    fn tool_call(
        &mut self,
        delta: &ToolCallDelta<'_>,
        out: &mut Vec<ProviderEvent>,
    ) -> Result<(), Stop> {
        let function = delta.function.as_ref();
        let name = function.and_then(|function| text(&function.name));
        let arguments = function.and_then(|function| text(&function.arguments));
        let id = delta.id.non_empty();
        let known = match delta.index.0 {
            Some(index) => self.calls.iter().rposition(|call| call.wire_index == index),
            None => self.calls.len().checked_sub(1),
        };
        // A second call under the same number, or under none: another id with a name of its own.
        let known = known.filter(|at| {
            let is_other_id =
                id.is_some_and(|id| self.calls.get(*at).is_some_and(|call| call.call_id != id));
            !(is_other_id && name.is_some())
        });
        let at = match known {
            Some(at) => at,
            None if name.is_none() && arguments.is_none() => return Ok(()),
            None => self.begin_call(delta.index.0, id, name, out)?,
        };
        if let Some(arguments) = arguments {
            let index = u32::try_from(at).unwrap_or(u32::MAX);
            match out.last_mut() {
                Some(ProviderEvent::ToolArguments { index: last, arguments: open })
                    if *last == index =>
                {
                    open.push_str(arguments);
                }
                _ => out
                    .push(ProviderEvent::ToolArguments { index, arguments: arguments.to_owned() }),
            }
        }
        Ok(())
    }

    fn begin_call(
        &mut self,
        wire_index: Option<u64>,
        id: Option<&str>,
        name: Option<&str>,
        out: &mut Vec<ProviderEvent>,
    ) -> Result<usize, Stop> {
        let at = self.calls.len();
        if at >= TOOL_CALLS_MAX {
            return Err(Stop::Malformed("more than 128 tool calls in one reply"));
        }
        let call_id = id.map_or_else(|| format!("call_{at}"), str::to_owned);
        self.has_delta = true;
        self.calls.push(ToolCall {
            wire_index: wire_index.unwrap_or(u64::MAX),
            call_id: call_id.clone(),
        });
        out.push(ProviderEvent::ToolCall {
            index: u32::try_from(at).unwrap_or(u32::MAX),
            call_id,
            name: name.unwrap_or_default().to_owned(),
        });
        Ok(at)
    }

    /// Keeps the elements of a JSON array for the end of the reply.
    fn seal(&mut self, details: &str) {
        let inner =
            details.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).map_or("", str::trim);
        if inner.is_empty() || self.sealed.len().saturating_add(inner.len()) > SEALED_BYTES_MAX {
            return;
        }
        if !self.sealed.is_empty() {
            self.sealed.push(',');
        }
        self.sealed.push_str(inner);
    }
}

fn text<'a>(text: &'a Option<Text<'_>>) -> Option<&'a str> {
    text.as_ref().map(|text| text.0.as_ref()).filter(|text| !text.is_empty())
}
