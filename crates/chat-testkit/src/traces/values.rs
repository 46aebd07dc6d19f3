//! Values of every kind for a trace: messages, options, events, amounts.

use chat_persist::{AttemptAmount, EventSegment};
use chat_types::{
    ContentHash, ContentPart, ConversationId, EVENT_VERSION, EventKind, FinishReason, Message,
    MessageId, MessageStatus, ModelOptions, ModelRef, Money, Opaque, Origin, Provenance, Role,
    Summary, Timestamp, TokenCount, TokenizerId, Tokens, TurnEvent, TurnFailure, TurnId, Usage,
    UsageSource,
};

use super::world::World;
use crate::fixtures::id;

const TEXTS: [&str; 7] = [
    "hello",
    "",
    "  naïve e\u{301} 日本語 \u{1f468}\u{200d}\u{1f469} \u{202e}x",
    "nul \0 and {\"$gt\": \"\"} '; -- %_\\",
    "a\r\nb\tc\u{85}",
    "Straße ΑΒΓ i\u{307}",
    "a longer text, so that a row is not always tiny: lorem ipsum dolor sit amet, consectetur",
];

impl World {
    pub(super) fn text(&mut self) -> String {
        let text = self.pick(&TEXTS);
        if self.chance(30) { format!("{text} {}", self.rng.u16(..)) } else { text.to_owned() }
    }

    pub(super) fn model(&mut self) -> ModelRef {
        id(self.pick(&["example/echo-1", "openai/gpt-5", "openrouter/meta-llama/Llama-3.1:free"]))
    }

    fn part(&mut self) -> ContentPart {
        match self.rng.u32(..15) {
            0 => ContentPart::Reasoning { text: self.text(), opaque: None },
            1 => {
                let origin = Origin { model: self.model(), api: "chat_completions".into() };
                let opaque = Some(Opaque { origin, data: "c2VhbGVk+/==".into() });
                ContentPart::Reasoning { text: self.text(), opaque }
            }
            2 => ContentPart::Image {
                file: id("f-1"),
                media_type: "image/png".into(),
                width_px: self.chance(50).then_some(640),
                height_px: self.chance(50).then_some(480),
            },
            3 => ContentPart::File {
                file: id("f-2"),
                name: self.text(),
                media_type: "application/pdf".into(),
            },
            4 => ContentPart::ToolCall {
                call_id: "call_1".into(),
                name: "search".into(),
                arguments: "{\"q\":  1.0}".into(),
            },
            5 => ContentPart::ToolResult {
                call_id: "call_1".into(),
                text: self.text(),
                is_error: self.chance(30),
            },
            6 => ContentPart::Summary { summary: self.summary(id("m-0")) },
            7 => ContentPart::quote(self.text()),
            _ => ContentPart::text(self.text()),
        }
    }

    pub(super) fn summary(&mut self, covers_to: MessageId) -> Summary {
        Summary {
            text: self.text(),
            covers_to,
            covered: ContentHash::of([self.pick(&["a", "b"])]),
            prompt_version: self.chance(50).then(|| self.rng.u32(..)),
        }
    }

    pub(super) fn parts(&mut self) -> Vec<ContentPart> {
        let count = self.pick(&[0, 1, 1, 1, 1, 2, 4]);
        (0..count).map(|_| self.part()).collect()
    }

    pub(super) fn message(
        &mut self,
        conversation: ConversationId,
        name: MessageId,
        parent: Option<MessageId>,
        role: Role,
        now: Timestamp,
    ) -> Message {
        let is_reply = role == Role::Assistant;
        let summary = self.chance(10).then(|| self.summary(name.clone()));
        Message {
            id: name,
            conversation,
            parent,
            role,
            parts: self.parts(),
            created_at: now,
            turn: None,
            model: (is_reply && self.chance(80)).then(|| self.model()),
            status: if self.chance(85) { MessageStatus::Complete } else { MessageStatus::Partial },
            finish_reason: (is_reply && self.chance(70)).then(|| {
                self.pick(&[
                    FinishReason::Stop,
                    FinishReason::Length,
                    FinishReason::ContentFilter,
                    FinishReason::ToolCalls,
                    FinishReason::Cancelled,
                ])
            }),
            token_counts: if self.chance(30) { vec![self.token_count()] } else { Vec::new() },
            summary,
        }
    }

    pub(super) fn token_count(&mut self) -> TokenCount {
        TokenCount {
            tokens: Tokens::new(self.rng.u64(..100_000)),
            tokenizer: TokenizerId::from_static(self.pick(&["o200k_base", "cl100k_base", "bytes"])),
            provenance: self.pick(&[
                Provenance::Reported,
                Provenance::Counted,
                Provenance::Calibrated,
                Provenance::Estimated,
            ]),
        }
    }

    pub(super) fn options(&mut self) -> ModelOptions {
        ModelOptions {
            temperature: self.chance(40).then_some(0.1 + 0.2),
            top_p: self.chance(20).then_some(1.0),
            output_tokens_max: self.chance(30).then(|| Tokens::new(4_096)),
            stop: if self.chance(20) { vec![self.text(), "END".into()] } else { Vec::new() },
            seed: self.chance(20).then_some(9_007_199_254_740_993),
            reasoning_effort: self.chance(20).then(|| "high".into()),
        }
    }

    /// Events `first` to `last` of a turn.
    pub(super) fn segment(
        &mut self,
        turn: &TurnId,
        epoch: u64,
        first: u64,
        last: u64,
    ) -> EventSegment {
        let events: Vec<TurnEvent> = (first..=last.max(first))
            .map(|seq| {
                let event = EventKind::TextDelta { part: 0, text: self.text() };
                TurnEvent { v: EVENT_VERSION, turn: turn.clone(), epoch, seq, event }
            })
            .collect();
        let mut segment = EventSegment::encode(&events).expect("events encode");
        segment.last_seq = last;
        segment
    }

    pub(super) fn usage(&mut self) -> Usage {
        let mut tokens = |most: u64| Tokens::new(self.rng.u64(..most));
        Usage {
            input_uncached: tokens(10_000),
            cache_read: tokens(1_000),
            cache_write: tokens(10),
            output: tokens(4_096),
            reasoning: tokens(2),
        }
    }

    pub(super) fn source(&mut self) -> UsageSource {
        self.pick(&[UsageSource::Provider, UsageSource::Estimated, UsageSource::Adjusted])
    }

    pub(super) fn amount(&mut self, attempt: u32) -> AttemptAmount {
        AttemptAmount {
            attempt,
            usage: self.usage(),
            source: self.source(),
            amount: self.money(),
            price_version: "2026-01".into(),
            provider_request_id: self.chance(60).then(|| format!("req-{}", self.rng.u16(..))),
        }
    }

    /// Zero or more; rarely so much that two of it do not fit.
    pub(super) fn money(&mut self) -> Money {
        let nano_usd = match self.rng.u32(..40) {
            0 => i64::MAX - 1,
            1..=4 => 0,
            _ => self.rng.i64(1..2_000_000),
        };
        Money::from_nano_usd(nano_usd)
    }

    /// A service tier, mostly none.
    pub(super) fn tier(&mut self) -> Option<String> {
        self.chance(30).then(|| self.pick(&["flex", "priority", ""]).to_owned())
    }

    pub(super) fn failure(&mut self) -> Option<TurnFailure> {
        self.chance(30).then(|| TurnFailure::new("provider_unavailable", self.text(), true))
    }
}
