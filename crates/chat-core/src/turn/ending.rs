//! How a turn ends: its outcome, what it costs, and the commit that makes both durable.

use std::sync::Arc;

use chat_persist::{AttemptAmount, EventSegment, PersistErrorKind, StepClose, TurnClose};
use chat_provider::{ProviderError, ProviderErrorKind};
use chat_tokens::TokenCounter;
use chat_types::{
    ContentPart, EventKind, FinishReason, Message, MessageStatus, Provenance, Role, TokenCount,
    TurnFailure, TurnState, Usage,
};
use chat_usage::UsageError;

use crate::TurnError;
use crate::events::listen::Heard;
use crate::events::live::StopCause;
use crate::hooks::LifecycleEvent;
use crate::money::billing;
use crate::step::side_calls::Decided;
use crate::step::{FencedOut, Opened, StepRow};
use crate::turn::conductor::Conductor;

/// How the turn will be closed.
pub(crate) struct End {
    pub(crate) state: TurnState,
    pub(crate) failure: Option<TurnFailure>,
    pub(crate) finish_reason: Option<FinishReason>,
    pub(crate) step: StepRow,
    pub(crate) amounts: Vec<AttemptAmount>,
    /// Nothing was shown, and what went wrong is this model's own.
    pub(crate) another_may_answer: bool,
}

impl End {
    fn unbilled(state: TurnState, failure: TurnFailure, step: StepRow) -> Self {
        Self {
            state,
            failure: Some(failure),
            finish_reason: None,
            step,
            amounts: Vec::new(),
            another_may_answer: false,
        }
    }

    /// Somebody asked for a stop while the prompt was got ready: nothing is owed.
    pub(crate) fn stopped_before_call(cause: StopCause) -> Self {
        let (state, failure) = stopped(cause);
        Self {
            state,
            failure,
            finish_reason: (cause == StopCause::User).then_some(FinishReason::Cancelled),
            step: StepRow::None,
            amounts: Vec::new(),
            another_may_answer: false,
        }
    }

    /// Getting the prompt ready took longer than a turn may: nothing is owed.
    pub(crate) fn too_late_for_a_call() -> Self {
        Self::unbilled(TurnState::Failed, too_late(), StepRow::None)
    }

    /// A turn that was to have no reply; what it called beside is billed by itself.
    pub(crate) const fn without_reply(state: TurnState, failure: Option<TurnFailure>) -> Self {
        Self {
            state,
            failure,
            finish_reason: None,
            step: StepRow::None,
            amounts: Vec::new(),
            another_may_answer: false,
        }
    }

    /// No call was made: refused for good is `rejected`, the rest `failed`.
    pub(crate) fn before_call(error: &TurnError, step: StepRow) -> Self {
        let state = match error {
            TurnError::Usage(
                UsageError::Refused { .. }
                | UsageError::UnknownPrice { .. }
                | UsageError::CapTooSmall { .. },
            )
            | TurnError::Guarded { .. } => TurnState::Rejected,
            TurnError::Context(error) if !error.is_transient() => TurnState::Rejected,
            _ => TurnState::Failed,
        };
        let another_may_answer =
            matches!(error, TurnError::Provider(error) if error.another_may_answer());
        Self { another_may_answer, ..Self::unbilled(state, error.to_failure(), step) }
    }
}

impl Conductor<'_> {
    /// Decides how the turn ended and what it costs.
    pub(crate) async fn finish(&mut self, heard: Heard, opened: &Opened) -> Result<End, FencedOut> {
        if matches!(heard, Heard::Fenced) {
            return Err(FencedOut);
        }
        let mut told = Vec::new();
        self.narrator.close_part(&mut told);
        self.log.append(told);
        if let Err(error) = self.log.finish_writing().await {
            if error.kind() == PersistErrorKind::Fenced {
                return Err(FencedOut);
            }
            tracing::warn!(
                code = error.code(),
                "a checkpoint failed; its events go with the close"
            );
        }
        let amounts = opened.amounts(self.inner, &heard, &self.narrator, self.output_seen());
        let another_may_answer = matches!(
            &heard,
            Heard::Broken(error) if error.another_may_answer() && !self.narrator.ever_said_something()
        );
        if let (Some(report), Some(usage)) = (&self.report, self.narrator.usage()) {
            let model = &self.answerer.info.model;
            self.inner.calibrations.observe(model, report, usage.input_total());
        }
        let (state, failure) = self.outcome(heard);
        let finish_reason = match state {
            TurnState::Aborted => Some(FinishReason::Cancelled),
            _ => self.narrator.finish(),
        };
        let step = StepRow::Open;
        Ok(End { state, failure, finish_reason, step, amounts, another_may_answer })
    }

    /// Decides how a turn ended that was cut short between two calls: what was said before is kept, and
    /// nothing more is owed.
    pub(crate) fn between_calls(&self, heard: Heard) -> Result<End, FencedOut> {
        if matches!(heard, Heard::Fenced) {
            return Err(FencedOut);
        }
        let (state, failure) = self.outcome(heard);
        let finish_reason = (state == TurnState::Aborted).then_some(FinishReason::Cancelled);
        Ok(End { finish_reason, ..End::without_reply(state, failure) })
    }

    fn outcome(&self, heard: Heard) -> (TurnState, Option<TurnFailure>) {
        let finish = self.narrator.finish();
        let nothing = self.log.parts().is_empty();
        match (heard, finish) {
            (Heard::End | Heard::Broken(_), Some(FinishReason::ContentFilter)) if nothing => {
                let message = "the provider's content filter left nothing of the reply";
                (TurnState::Failed, Some(TurnFailure::new("content_filtered", message, false)))
            }
            (
                Heard::End | Heard::Broken(_),
                Some(FinishReason::Length | FinishReason::ContentFilter),
            ) => (TurnState::Truncated, None),
            (Heard::End | Heard::Broken(_), Some(_)) if nothing => {
                let message = "the model ended without saying anything; send again or rephrase";
                (TurnState::Failed, Some(TurnFailure::new("empty_reply", message, true)))
            }
            (Heard::End | Heard::Broken(_), Some(_)) => (TurnState::Completed, None),
            (Heard::End, None) => {
                let error = ProviderError::new(
                    ProviderErrorKind::Protocol,
                    "the provider's stream ended before the reply was whole",
                );
                (self.broken(), Some(TurnError::from(error).to_failure()))
            }
            (Heard::Broken(error), None) => {
                (self.broken(), Some(TurnError::from(error).to_failure()))
            }
            (Heard::Stopped(cause), _) => stopped(cause),
            (Heard::DeadlineExceeded, _) => (self.broken(), Some(too_late())),
            (Heard::StoreFailed(error), _) => {
                (self.broken(), Some(TurnError::from(error).to_failure()))
            }
            (Heard::Fenced, _) => (TurnState::Interrupted, None),
        }
    }

    pub(crate) fn broken(&self) -> TurnState {
        if self.narrator.ever_said_something() { TurnState::Interrupted } else { TurnState::Failed }
    }

    /// What was surely produced in this turn, by our count; not needed with a last word.
    fn output_seen(&self) -> Usage {
        let has_last_word = self.narrator.usage().is_some() && self.narrator.finish().is_some();
        match &self.counter {
            Some(counter) if !has_last_word => {
                billing::output_seen(counter.as_ref(), &self.log.parts(), &self.before)
            }
            _ => Usage::default(),
        }
    }

    /// The step of a call under way and what it costs, if it is in the journal.
    pub(crate) async fn decided(
        &mut self,
        row: StepRow,
        amounts: Vec<AttemptAmount>,
    ) -> Option<Decided> {
        let in_journal = row.is_there(self.inner, &self.plan.fence, self.step).await;
        in_journal.then(|| Decided {
            close: StepClose { step: self.step, amounts },
            purpose: self.purpose,
            model: self.answerer.info.model.clone(),
        })
    }

    /// Makes the end durable in one commit, shows it, and brings the ledger up to date.
    pub(crate) async fn close(mut self, end: End) -> Result<(), FencedOut> {
        let plan = self.plan;
        self.side.finish().await;
        let now = self.inner.clock.now();
        let message = self.reply(&end, now);
        let mut steps = self.side.take_open();
        steps.extend(self.decided(end.step, end.amounts).await);
        let closed_before = self.side.amounts();
        let amounts = steps.iter().flat_map(|step| &step.close.amounts);
        let (usage, cost) = billing::total(amounts.chain(&closed_before));
        let ended = self.live.feed.number(
            0,
            EventKind::Ended {
                outcome: end.state,
                message: message.as_ref().map(|message| message.id.clone()),
                usage,
                cost,
                finish_reason: end.finish_reason,
                failure: end.failure.clone(),
            },
        );
        let mut events = self.log.take_pending();
        events.push(Arc::clone(&ended));
        let segment = match EventSegment::encode(&events) {
            Ok(segment) => segment,
            Err(error) => {
                tracing::error!(code = error.code(), "the last events cannot be encoded");
                return Err(FencedOut);
            }
        };
        let close = TurnClose {
            state: end.state,
            message,
            steps: steps.iter().map(|step| step.close.clone()).collect(),
            segment,
            failure: end.failure,
            closed_at: now,
        };
        self.inner.close_turn(&plan.fence, &close).await.map_err(|_fenced| FencedOut)?;
        self.live.feed.show(&[ended]);
        self.live.feed.end();
        let turn = plan.fence.turn.clone();
        self.inner.observe(&LifecycleEvent::Closed { turn: turn.clone(), outcome: close.state });
        let scope = &plan.fence.scope;
        let settling = async {
            for step in &steps {
                self.inner.settle(scope, &plan.turn.conversation, step.of(&turn)).await;
            }
        };
        let counts = &self.fresh_counts;
        let keeping = self.inner.keep_counts(scope, &plan.turn.conversation, counts);
        futures::join!(settling, keeping);
        self.inner.observe(&LifecycleEvent::Settled { turn });
        Ok(())
    }

    fn reply(&self, end: &End, now: chat_types::Timestamp) -> Option<Message> {
        let parts = self.log.parts();
        let whole = matches!(end.state, TurnState::Completed | TurnState::Truncated);
        if parts.is_empty() || !(whole || self.narrator.ever_said_something()) {
            return None;
        }
        let mut token_counts = Vec::new();
        if let Some(counter) = &self.counter {
            token_counts.push(self.reply_count(counter.as_ref(), &parts));
        }
        Some(Message {
            id: self.plan.turn.reply.clone(),
            conversation: self.plan.turn.conversation.clone(),
            parent: Some(self.plan.turn.user_message.clone()),
            role: Role::Assistant,
            parts,
            created_at: now,
            turn: Some(self.plan.fence.turn.clone()),
            model: Some(self.answerer.info.model.clone()),
            status: if whole { MessageStatus::Complete } else { MessageStatus::Partial },
            finish_reason: end.finish_reason,
            token_counts,
            summary: None,
        })
    }

    /// The provider's own count where the reply is all its work, ours elsewhere.
    fn reply_count(&self, counter: &dyn TokenCounter, parts: &[ContentPart]) -> TokenCount {
        match self.narrator.usage() {
            Some(usage) if self.before.is_empty() => TokenCount {
                tokens: usage.output.plus(counter.count_message(Role::Assistant, &[])),
                tokenizer: counter.tokenizer().clone(),
                provenance: Provenance::Reported,
            },
            _ => counter.token_count(counter.count_message(Role::Assistant, parts)),
        }
    }
}

fn too_late() -> TurnFailure {
    let message = "the turn took longer than its deadline";
    TurnFailure::new("deadline_exceeded", message, true)
}

fn stopped(cause: StopCause) -> (TurnState, Option<TurnFailure>) {
    match cause {
        StopCause::User => (TurnState::Aborted, None),
        StopCause::Shutdown => {
            let message = "the process that ran this turn was shut down; continue or regenerate";
            (TurnState::Interrupted, Some(TurnFailure::new("server_draining", message, true)))
        }
    }
}
