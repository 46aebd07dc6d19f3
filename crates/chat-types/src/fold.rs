//! From events back to the message: `fold(events) == stored message`.
//!
//! The conductor assembles a reply with the same code that a reader uses, so the two cannot
//! disagree. Unknown part numbers are ignored: a reader never panics on a log.

use crate::{ContentPart, EventKind, TurnEvent, TurnState};

/// Builds a message's parts from events, one event at a time.
#[derive(Clone, Debug, Default)]
pub struct PartAssembler {
    parts: Vec<ContentPart>,
}

impl PartAssembler {
    /// Starts from nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The parts so far, empty texts included.
    #[must_use]
    pub fn parts(&self) -> &[ContentPart] {
        &self.parts
    }

    /// The parts as a message keeps them: empty texts and empty, unsealed reasoning left out.
    #[must_use]
    pub fn stored_parts(&self) -> Vec<ContentPart> {
        self.parts.iter().filter(|part| !is_blank(part)).cloned().collect()
    }

    /// Takes one event in; events that say nothing of parts change nothing.
    pub fn apply(&mut self, event: &EventKind) {
        match event {
            EventKind::TextStart { part } => self.start(*part, ContentPart::text("")),
            EventKind::TextDelta { part, text: piece } => {
                if let Some(ContentPart::Text { text }) = self.part_mut(*part) {
                    text.push_str(piece);
                }
            }
            EventKind::ReasoningStart { part } => {
                self.start(*part, ContentPart::Reasoning { text: String::new(), opaque: None });
            }
            EventKind::ReasoningDelta { part, text: piece } => {
                if let Some(ContentPart::Reasoning { text, .. }) = self.part_mut(*part) {
                    text.push_str(piece);
                }
            }
            EventKind::ReasoningEnd { part, opaque: sealed } => {
                if let Some(ContentPart::Reasoning { opaque, .. }) = self.part_mut(*part) {
                    opaque.clone_from(sealed);
                }
            }
            EventKind::ToolCallStart { part, call_id, name } => self.start(
                *part,
                ContentPart::ToolCall {
                    call_id: call_id.clone(),
                    name: name.clone(),
                    arguments: String::new(),
                },
            ),
            EventKind::ToolCallDelta { part, arguments: piece } => {
                if let Some(ContentPart::ToolCall { arguments, .. }) = self.part_mut(*part) {
                    arguments.push_str(piece);
                }
            }
            EventKind::ToolResult { part, call_id, text, is_error } => self.start(
                *part,
                ContentPart::ToolResult {
                    call_id: call_id.clone(),
                    text: text.clone(),
                    is_error: *is_error,
                },
            ),
            EventKind::Reset { parts, .. } => self.parts.clone_from(parts),
            EventKind::Accepted { .. }
            | EventKind::Context { .. }
            | EventKind::Held { .. }
            | EventKind::Attempt { .. }
            | EventKind::TextEnd { .. }
            | EventKind::ToolCallEnd { .. }
            | EventKind::Source { .. }
            | EventKind::Usage { .. }
            | EventKind::Ended { .. } => {}
        }
    }

    fn part_mut(&mut self, part: u32) -> Option<&mut ContentPart> {
        self.parts.get_mut(usize::try_from(part).ok()?)
    }

    fn start(&mut self, part: u32, empty: ContentPart) {
        if usize::try_from(part) == Ok(self.parts.len()) {
            self.parts.push(empty);
        }
    }
}

fn is_blank(part: &ContentPart) -> bool {
    match part {
        ContentPart::Text { text } => text.is_empty(),
        ContentPart::Reasoning { text, opaque } => text.is_empty() && opaque.is_none(),
        _ => false,
    }
}

/// What a whole run of events amounts to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// The message's parts.
    pub parts: Vec<ContentPart>,
    /// How the turn ended, if it did.
    pub outcome: Option<TurnState>,
}

impl Folded {
    /// Folds events in the order they were written.
    pub fn from_events<'e>(events: impl IntoIterator<Item = &'e TurnEvent>) -> Self {
        let mut assembler = PartAssembler::new();
        let mut outcome = None;
        for event in events {
            assembler.apply(&event.event);
            if let EventKind::Ended { outcome: ended, .. } = &event.event {
                outcome = Some(*ended);
            }
        }
        Self { parts: assembler.stored_parts(), outcome }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ResetReason;

    #[test]
    fn deltas_build_the_parts_they_name() {
        let mut assembler = PartAssembler::new();
        for event in [
            EventKind::ReasoningStart { part: 0 },
            EventKind::ReasoningDelta { part: 0, text: "hm".into() },
            EventKind::ReasoningEnd { part: 0, opaque: None },
            EventKind::TextStart { part: 1 },
            EventKind::TextDelta { part: 1, text: "Par".into() },
            EventKind::TextDelta { part: 1, text: "is".into() },
            EventKind::TextEnd { part: 1 },
            EventKind::TextStart { part: 2 },
        ] {
            assembler.apply(&event);
        }
        assert_eq!(
            assembler.stored_parts(),
            vec![
                ContentPart::Reasoning { text: "hm".into(), opaque: None },
                ContentPart::text("Paris"),
            ],
        );
    }

    #[test]
    fn a_reset_replaces_everything_shown_before() {
        let mut assembler = PartAssembler::new();
        assembler.apply(&EventKind::TextStart { part: 0 });
        assembler.apply(&EventKind::TextDelta { part: 0, text: "void".into() });
        let parts = vec![ContentPart::text("kept")];
        assembler.apply(&EventKind::Reset { reason: ResetReason::AttemptVoided, parts });
        assembler.apply(&EventKind::TextDelta { part: 0, text: " on".into() });
        assert_eq!(assembler.stored_parts(), vec![ContentPart::text("kept on")]);
    }

    #[test]
    fn a_delta_for_a_part_that_never_started_is_ignored() {
        let mut assembler = PartAssembler::new();
        assembler.apply(&EventKind::TextDelta { part: 7, text: "x".into() });
        assert!(assembler.parts().is_empty());
    }
}
