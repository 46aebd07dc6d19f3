//! From what a provider says to the events of a turn.
//!
//! Opens and closes parts so that each kind opens and closes in order; text of one network read
//! stays one event. Not here: sequence numbers (`feed`), money (`billing`).

use chat_provider::ProviderEvent;
use chat_types::{ContentPart, EventKind, FinishReason, Money, Usage};

use crate::tools::ToolResult;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Nothing,
    Text(u32),
    Reasoning(u32),
    ToolCall(u32),
}

/// What one call said besides the reply.
#[derive(Debug, Default)]
struct OnTheSide {
    usage: Option<Usage>,
    cost: Option<Money>,
    tier: Option<String>,
    finish: Option<FinishReason>,
    request_id: Option<String>,
    said_something: bool,
}

/// Tells a reply as events and remembers what it heard on the side.
#[derive(Debug)]
pub(crate) struct Narrator {
    step: u32,
    open: Open,
    parts: u32,
    tool_parts: Vec<u32>,
    call: OnTheSide,
    said_before: bool,
    /// What a continued reply starts with, until there is something to add to it.
    kept: Vec<ContentPart>,
}

impl Narrator {
    /// Starts an empty reply in `step`.
    pub(crate) fn new(step: u32) -> Self {
        Self {
            step,
            open: Open::Nothing,
            parts: 0,
            tool_parts: Vec::new(),
            call: OnTheSide::default(),
            said_before: false,
            kept: Vec::new(),
        }
    }

    /// Goes on with another call: its parts follow those that were told.
    pub(crate) fn next_step(&mut self, step: u32) {
        self.said_before |= self.call.said_something;
        self.step = step;
        self.call = OnTheSide::default();
        self.tool_parts.clear();
    }

    /// The provider's newest usage snapshot.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.call.usage
    }

    /// What the provider says that the call costs.
    pub(crate) fn cost(&self) -> Option<Money> {
        self.call.cost
    }

    /// The service tier that the provider says it used; none is the standard one.
    pub(crate) fn tier(&self) -> Option<&str> {
        self.call.tier.as_deref()
    }

    /// Why the model stopped, once it said so.
    pub(crate) fn finish(&self) -> Option<FinishReason> {
        self.call.finish
    }

    /// The provider's own name of the call.
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.call.request_id.as_deref()
    }

    /// A delta of this call was heard: from here on it is not retried.
    pub(crate) fn said_something(&self) -> bool {
        self.call.said_something
    }

    /// A delta of this call or of one before it was heard.
    pub(crate) fn ever_said_something(&self) -> bool {
        self.said_before || self.call.said_something
    }

    /// Tells what a tool answered.
    pub(crate) fn tool_result(&mut self, result: ToolResult, out: &mut Vec<EventKind>) {
        let ToolResult { call_id, text, is_error } = result;
        let part = self.start_part(out);
        out.push(EventKind::ToolResult { part, call_id, text, is_error });
    }

    /// Goes on from these parts: they are told as soon as there is something to add to them, so
    /// that a continuation that says nothing tells nothing.
    pub(crate) fn resume(&mut self, kept: &[ContentPart]) {
        self.kept = kept.to_vec();
    }

    /// Repeats the parts a continued reply starts with; a trailing text stays open for more.
    fn tell_kept(&mut self, out: &mut Vec<EventKind>) {
        for part in std::mem::take(&mut self.kept) {
            match part {
                ContentPart::Text { text } => self.text(text, out),
                ContentPart::Reasoning { text, opaque } => {
                    self.reasoning(text, out);
                    if let Open::Reasoning(part) = self.open {
                        out.push(EventKind::ReasoningEnd { part, opaque });
                        self.open = Open::Nothing;
                    }
                }
                ContentPart::ToolCall { call_id, name, arguments } => {
                    let part = self.start_part(out);
                    out.push(EventKind::ToolCallStart { part, call_id, name });
                    out.push(EventKind::ToolCallDelta { part, arguments });
                    self.open = Open::ToolCall(part);
                }
                ContentPart::ToolResult { call_id, text, is_error } => {
                    self.tool_result(ToolResult { call_id, text, is_error }, out);
                }
                _ => {}
            }
        }
    }

    /// Tells the events of one network read.
    pub(crate) fn tell(&mut self, heard: Vec<ProviderEvent>, out: &mut Vec<EventKind>) {
        for event in heard {
            match event {
                ProviderEvent::Started { request_id } => {
                    self.call.request_id = request_id.or(self.call.request_id.take());
                }
                ProviderEvent::Text(text) => self.text(text, out),
                ProviderEvent::Reasoning(text) if text.is_empty() => {}
                ProviderEvent::Reasoning(text) => self.reasoning(text, out),
                ProviderEvent::ReasoningSealed(opaque) => {
                    if !matches!(self.open, Open::Reasoning(_)) {
                        self.reasoning(String::new(), out);
                    }
                    self.call.said_something = true;
                    if let Open::Reasoning(part) = self.open {
                        out.push(EventKind::ReasoningEnd { part, opaque: Some(opaque) });
                        self.open = Open::Nothing;
                    }
                }
                ProviderEvent::ToolCall { call_id, name, .. } => {
                    self.tell_kept(out);
                    let part = self.start_part(out);
                    self.tool_parts.push(part);
                    self.open = Open::ToolCall(part);
                    self.call.said_something = true;
                    out.push(EventKind::ToolCallStart { part, call_id, name });
                }
                ProviderEvent::ToolArguments { index, arguments } => {
                    let part = usize::try_from(index).ok().and_then(|at| self.tool_parts.get(at));
                    if let Some(part) = part.copied() {
                        out.push(EventKind::ToolCallDelta { part, arguments });
                    }
                }
                ProviderEvent::Usage(usage) => {
                    self.call.usage = Some(usage);
                    out.push(EventKind::Usage { step: self.step, usage });
                }
                ProviderEvent::Cost(cost) => self.call.cost = Some(cost),
                ProviderEvent::Tier { name } => self.call.tier = name,
                ProviderEvent::Finished(reason) => {
                    self.call.finish = Some(reason);
                    self.close_part(out);
                }
                _ => {}
            }
        }
    }

    /// Closes the part that is open, if any: called once when nothing more will come.
    pub(crate) fn close_part(&mut self, out: &mut Vec<EventKind>) {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => {}
            Open::Text(part) => out.push(EventKind::TextEnd { part }),
            Open::Reasoning(part) => out.push(EventKind::ReasoningEnd { part, opaque: None }),
            Open::ToolCall(part) => out.push(EventKind::ToolCallEnd { part }),
        }
    }

    fn start_part(&mut self, out: &mut Vec<EventKind>) -> u32 {
        self.close_part(out);
        let part = self.parts;
        self.parts = self.parts.saturating_add(1);
        part
    }

    fn text(&mut self, text: String, out: &mut Vec<EventKind>) {
        if text.is_empty() {
            return;
        }
        self.tell_kept(out);
        self.call.said_something = true;
        let part = if let Open::Text(part) = self.open {
            part
        } else {
            let part = self.start_part(out);
            out.push(EventKind::TextStart { part });
            self.open = Open::Text(part);
            part
        };
        out.push(EventKind::TextDelta { part, text });
    }

    fn reasoning(&mut self, text: String, out: &mut Vec<EventKind>) {
        self.tell_kept(out);
        let part = if let Open::Reasoning(part) = self.open {
            part
        } else {
            let part = self.start_part(out);
            out.push(EventKind::ReasoningStart { part });
            self.open = Open::Reasoning(part);
            part
        };
        if !text.is_empty() {
            self.call.said_something = true;
            out.push(EventKind::ReasoningDelta { part, text });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_types::PartAssembler;

    fn assemble(events: &[EventKind]) -> Vec<ContentPart> {
        let mut assembler = PartAssembler::new();
        for event in events {
            assembler.apply(event);
        }
        assembler.stored_parts()
    }

    #[test]
    fn parts_open_and_close_in_order() {
        let mut narrator = Narrator::new(1);
        let mut out = Vec::new();
        narrator.tell(
            vec![
                ProviderEvent::Reasoning("hm".into()),
                ProviderEvent::Text("a".into()),
                ProviderEvent::Text("b".into()),
                ProviderEvent::Finished(FinishReason::Stop),
            ],
            &mut out,
        );
        assert_eq!(
            out,
            vec![
                EventKind::ReasoningStart { part: 0 },
                EventKind::ReasoningDelta { part: 0, text: "hm".into() },
                EventKind::ReasoningEnd { part: 0, opaque: None },
                EventKind::TextStart { part: 1 },
                EventKind::TextDelta { part: 1, text: "a".into() },
                EventKind::TextDelta { part: 1, text: "b".into() },
                EventKind::TextEnd { part: 1 },
            ],
        );
    }

    #[test]
    fn a_continued_text_is_joined_to_the_kept_one() {
        let kept = vec![ContentPart::text("Par")];
        let mut narrator = Narrator::new(1);
        let mut out = Vec::new();
        narrator.resume(&kept);
        narrator.tell(vec![ProviderEvent::Reasoning(String::new())], &mut out);
        assert_eq!(out, vec![], "nothing is there to add yet");
        assert!(!narrator.said_something(), "what was kept is no delta");
        narrator.tell(vec![ProviderEvent::Text("is".into())], &mut out);
        narrator.close_part(&mut out);
        assert_eq!(assemble(&out), vec![ContentPart::text("Paris")]);
    }

    #[test]
    fn arguments_of_two_tool_calls_do_not_mix() {
        let mut narrator = Narrator::new(1);
        let mut out = Vec::new();
        let call = |index: u32, name: &str| ProviderEvent::ToolCall {
            index,
            call_id: format!("call-{index}"),
            name: name.into(),
        };
        let arguments =
            |index, text: &str| ProviderEvent::ToolArguments { index, arguments: text.into() };
        narrator.tell(
            vec![call(0, "f"), call(1, "g"), arguments(0, "{}"), arguments(1, "[]")],
            &mut out,
        );
        let tool = |call_id: &str, name: &str, arguments: &str| ContentPart::ToolCall {
            call_id: call_id.into(),
            name: name.into(),
            arguments: arguments.into(),
        };
        assert_eq!(assemble(&out), vec![tool("call-0", "f", "{}"), tool("call-1", "g", "[]")]);
    }
}
