//! Summaries by a model: any provider's, asked through the metered caller, so that each call is
//! held, journaled and billed.
//!
//! What does not fit into one call is folded: the notes of the first part go into the call about
//! the next. Each fold is a summary that holds by itself, so what was reached when a later call
//! fails is not lost. Not here: when a summary is due, and keeping it.

use std::sync::Arc;

use async_trait::async_trait;
use chat_provider::{MeteredCaller, MeteredError};
use chat_tokens::TokenCounter;
use chat_types::{FinishReason, ModelRef, Summary, Tokens};

use crate::prompt::{self, SUMMARY_PROMPT_VERSION};
use crate::{Summarizer, SummaryError, SummaryErrorKind, SummaryRequest};

/// Calls for one request. What they do not reach is left to the next request; 8 windows are more
/// than a conversation grows by between two summaries.
const CALLS_MAX: usize = 8;

/// Stands where a message too long for a call was cut.
const CUT: &str = "\n[...]\n";

/// Writes summaries with a model.
#[derive(Clone, Debug)]
pub struct ModelSummarizer {
    caller: Arc<dyn MeteredCaller>,
    counter: Arc<dyn TokenCounter>,
    input_tokens_max: Tokens,
    model: Option<ModelRef>,
}

impl ModelSummarizer {
    /// Asks through `caller`; `counter` counts in the model's vocabulary, and no call has more
    /// than `input_tokens_max` (the model's window minus the summary's own length).
    #[must_use]
    pub fn new(
        caller: Arc<dyn MeteredCaller>,
        counter: Arc<dyn TokenCounter>,
        input_tokens_max: Tokens,
    ) -> Self {
        Self { caller, counter, input_tokens_max, model: None }
    }

    /// Asks this model; otherwise the caller's own.
    #[must_use]
    pub fn by(self, model: ModelRef) -> Self {
        Self { model: Some(model), ..self }
    }

    /// The first of `request`'s messages that fit into one call, as a text, and how many they are.
    /// At least one: a longer one loses its middle. None if not even the frame of a call fits.
    fn first_call(&self, request: &SummaryRequest) -> Option<(String, usize)> {
        let overhead = prompt::overhead(self.counter.as_ref(), request.previous.as_ref());
        let mut left = self.input_tokens_max.checked_minus(overhead)?;
        let mut talk = String::new();
        let mut taken = 0_usize;
        for message in &request.messages {
            let said = prompt::said(message);
            match left.checked_minus(self.counter.count_text(&said)) {
                Some(rest) => left = rest,
                None if taken > 0 => break,
                None => {
                    talk = cut_to(self.counter.as_ref(), &said, left)?;
                    return Some((talk, 1));
                }
            }
            talk.push_str(&said);
            taken = taken.saturating_add(1);
        }
        Some((talk, taken))
    }

    async fn ask(&self, request: &SummaryRequest, talk: &str) -> Result<Summary, SummaryError> {
        let call = prompt::metered(
            request.previous.as_ref(),
            talk,
            self.model.clone(),
            request.tokens_max,
        );
        let reply = self.caller.call(call).await.map_err(not_made)?;
        let text = match reply.finish {
            FinishReason::Length => whole_sentences(&reply.text),
            FinishReason::ContentFilter => {
                return Err(SummaryError::new(SummaryErrorKind::Refused));
            }
            _ => reply.text.as_str(),
        };
        let summary = request.summary_of(text)?;
        Ok(Summary { prompt_version: Some(SUMMARY_PROMPT_VERSION), ..summary })
    }
}

#[async_trait]
impl Summarizer for ModelSummarizer {
    async fn summarize(&self, request: SummaryRequest) -> Result<Summary, SummaryError> {
        let SummaryRequest { mut previous, mut messages, tokens_max } = request;
        let mut reached = None;
        for _ in 0..CALLS_MAX {
            let mut part = SummaryRequest { previous: previous.take(), messages, tokens_max };
            let Some((talk, taken)) = self.first_call(&part) else {
                return reached.ok_or(SummaryError::new(SummaryErrorKind::NoRoom));
            };
            let later = part.messages.split_off(taken);
            match self.ask(&part, &talk).await {
                Ok(summary) => reached = Some(summary),
                Err(error) => return reached.ok_or(error),
            }
            if later.is_empty() {
                break;
            }
            messages = later;
            previous.clone_from(&reached);
        }
        reached.ok_or(SummaryError::new(SummaryErrorKind::NothingToCover))
    }
}

/// The head and the tail of `text`, together at most `max`; none if that leaves nothing to read.
fn cut_to(counter: &dyn TokenCounter, text: &str, max: Tokens) -> Option<String> {
    // A token is at least a byte, so this many characters on each side are sure to fit; more is
    // tried by halves, so that a text is cut in a few counts.
    let mut side = text.chars().count() / 2;
    while side > 0 {
        let head: String = text.chars().take(side).collect();
        let skipped = text.chars().count().saturating_sub(side);
        let tail: String = text.chars().skip(skipped).collect();
        let cut = format!("{head}{CUT}{tail}");
        if counter.count_text(&cut) <= max {
            return Some(cut);
        }
        side /= 2;
    }
    None
}

/// What stands before the last end of a sentence or line; all of it if there is none.
fn whole_sentences(text: &str) -> &str {
    let end = text.rfind(['.', '!', '?', '\n', '。']);
    end.and_then(|end| {
        let after = text.get(end..)?.chars().next()?.len_utf8();
        text.get(..end.saturating_add(after))
    })
    .unwrap_or(text)
}

fn not_made(error: MeteredError) -> SummaryError {
    let kind = match error.code {
        "insufficient_funds"
        | "output_cap_too_small"
        | "unknown_price"
        | "content_refused"
        | "content_filtered" => SummaryErrorKind::Refused,
        _ => SummaryErrorKind::Unavailable,
    };
    SummaryError::caused_by(kind, error)
}
