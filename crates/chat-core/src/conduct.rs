//! One turn, from its accepted message to its settled reply.
//!
//! Runs in a task of its own: no reader and no caller can drop it. Before bytes leave, hold and
//! attempt are durable; the reply, the amounts and the terminal event are durable in one commit
//! before anybody sees the end; the ledger follows. What a crash leaves is `recovery`'s.

use std::sync::Arc;

use chat_context::{BuiltContext, ContextRequest};
use chat_persist::{
    AttemptAmount, EventSegment, Fence, NewStep, NewTurn, PersistErrorKind, StepClose, TurnClose,
};
use chat_provider::{
    CallPermit, CompletionStream, Exposure, ModelProvider, ModelRequest, Prepared, ProviderError,
    ProviderErrorKind,
};
use chat_tokens::TokenCounter;
use chat_types::{
    ContentPart, EventKind, FinishReason, Message, MessageId, MessageStatus, ModelInfo,
    ModelOptions, Provenance, Purpose, Role, StepGrant, StepKey, TokenCount, TurnFailure,
    TurnState, Usage,
};
use chat_usage::{GrantRequest, UsageError};
use tokio::time::{Duration, Instant};

use crate::TurnError;
use crate::base_client::Inner;
use crate::billing::{self, AttemptEnd, ClosedStep, StepBill};
use crate::gate::JournalGate;
use crate::hooks::LifecycleEvent;
use crate::listen::{Heard, listen};
use crate::live::{LiveTurn, StopCause};
use crate::narrate::Narrator;
use crate::patience::persistently;
use crate::replay::StoredBranch;
use crate::turn_log::{Pace, TurnLog};

/// A turn's reply is its first step.
const REPLY_STEP: u32 = 1;

/// Everything the task needs, resolved before the turn was accepted.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) fence: Fence,
    pub(crate) turn: NewTurn,
    pub(crate) provider: Arc<dyn ModelProvider>,
    pub(crate) info: ModelInfo,
    pub(crate) instructions: Option<String>,
    pub(crate) options: ModelOptions,
    pub(crate) stream: bool,
    /// The newest messages, in memory already: the user's, and a kept reply to go on from.
    pub(crate) tail: Vec<Message>,
    /// Where older history starts.
    pub(crate) below: Option<MessageId>,
    /// The parts a continued reply starts with.
    pub(crate) kept: Vec<ContentPart>,
}

/// Whether the reply's step is in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StepRow {
    None,
    Unknown,
    Open,
}

/// How the turn will be closed.
struct End {
    state: TurnState,
    failure: Option<TurnFailure>,
    finish_reason: Option<FinishReason>,
    step: StepRow,
    amounts: Vec<AttemptAmount>,
}

impl End {
    fn unbilled(state: TurnState, failure: TurnFailure, step: StepRow) -> Self {
        Self {
            state,
            failure: Some(failure),
            finish_reason: None,
            step,
            amounts: Vec::new(),
        }
    }

    /// No call was made: refused for good is `rejected`, the rest `failed`.
    fn before_call(error: &TurnError, step: StepRow) -> Self {
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
        Self::unbilled(state, error.to_failure(), step)
    }
}

/// The turn belongs to another process now: nothing more may be written.
struct FencedOut;

/// A prompt that is ready to be sent.
struct Ready {
    counter: Arc<dyn TokenCounter>,
    context: BuiltContext,
    prepared: Prepared,
}

/// A step whose hold and first attempt are durable.
struct Opened {
    grant: StepGrant,
    gate: Arc<JournalGate>,
    request: GrantRequest,
}

/// Conducts a turn to its end. Never fails: every way out closes the turn, or leaves it to the
/// owner that took it over.
pub(crate) async fn conduct(inner: Arc<Inner>, live: Arc<LiveTurn>, plan: Plan) {
    let pace = Pace {
        interval: Duration::from_millis(inner.config.checkpoint_ms.into()),
        bytes: inner.config.checkpoint_bytes,
    };
    let log = TurnLog::new(
        Arc::clone(&live),
        Arc::clone(&inner.store),
        plan.fence.clone(),
        pace,
    );
    let deadline = Instant::now() + Duration::from_millis(inner.config.turn_deadline_ms.into());
    let narrator = Narrator::new(REPLY_STEP);
    let mut conductor = Conductor {
        inner: &inner,
        live: &live,
        plan: &plan,
        log,
        narrator,
        deadline,
        counter: None,
    };
    let settled = match conductor.make_reply().await {
        Ok(end) => conductor.close(end).await,
        Err(FencedOut) => Err(FencedOut),
    };
    if settled.is_err() {
        tracing::warn!(turn = %plan.fence.turn, epoch = plan.fence.epoch, "another owner took the turn over");
        live.feed.end();
    }
    inner.forget(&plan.fence.turn);
    live.mark_settled();
}

struct Conductor<'a> {
    inner: &'a Arc<Inner>,
    live: &'a Arc<LiveTurn>,
    plan: &'a Plan,
    log: TurnLog,
    narrator: Narrator,
    deadline: Instant,
    counter: Option<Arc<dyn TokenCounter>>,
}

impl Conductor<'_> {
    async fn make_reply(&mut self) -> Result<End, FencedOut> {
        let ready = match self.get_ready().await {
            Ok(ready) => ready,
            Err(error) => return Ok(End::before_call(&error, StepRow::None)),
        };
        self.counter = Some(Arc::clone(&ready.counter));
        if let Some(cause) = self.live.stop_requested() {
            let (state, failure) = stopped(cause);
            let finish_reason = (cause == StopCause::User).then_some(FinishReason::Cancelled);
            return Ok(End {
                state,
                failure,
                finish_reason,
                step: StepRow::None,
                amounts: Vec::new(),
            });
        }
        let opened = match self.open_step(&ready).await? {
            Ok(opened) => opened,
            Err(end) => return Ok(end),
        };
        let heard = match self.call(&ready.prepared, &opened).await? {
            Ok(stream) => self.listen(stream).await,
            Err(heard) => heard,
        };
        self.finish(heard, &ready.prepared, &opened).await
    }

    /// Gets the prompt ready; touches no money and calls nobody.
    async fn get_ready(&mut self) -> Result<Ready, TurnError> {
        let (counter, context, prepared) = build_prompt(self.inner, self.plan).await?;
        let turn = self.plan.fence.turn.clone();
        self.inner.observe(&LifecycleEvent::PromptBuilt {
            turn,
            report: context.report.clone(),
        });
        self.inner
            .guard(&self.plan.fence.scope, &context.prompt)
            .await?;
        self.log.append(vec![EventKind::Context {
            report: context.report.without_items(),
        }]);
        Ok(Ready {
            counter,
            context,
            prepared,
        })
    }

    /// Holds the credit and journals the first attempt, issued together: bytes leave only when
    /// both are durable.
    async fn open_step(&mut self, ready: &Ready) -> Result<Result<Opened, End>, FencedOut> {
        let plan = self.plan;
        let scope = &plan.fence.scope;
        let now = self.inner.clock.now();
        let key = StepKey {
            turn: plan.fence.turn.clone(),
            step: REPLY_STEP,
        };
        let step = NewStep {
            step: REPLY_STEP,
            purpose: Purpose::Reply,
            model: plan.info.model.clone(),
            input_bound: ready.prepared.input_bound,
            input_estimate: ready.prepared.input_estimate,
            opened_at: now,
            dispatched: true,
        };
        let request = GrantRequest {
            key: key.clone(),
            purpose: Purpose::Reply,
            model: plan.info.model.clone(),
            input_bound: ready.prepared.input_bound,
            output_cap: ready.context.output_cap,
            accounts: Vec::new(),
            at: now,
        };
        let counts = &ready.context.fresh_counts;
        let keep_counts = async {
            if !counts.is_empty() {
                let kept = self
                    .inner
                    .store
                    .keep_token_counts(scope, &plan.turn.conversation, counts)
                    .await;
                if let Err(error) = kept {
                    tracing::warn!(code = error.code(), "token counts were not kept");
                }
            }
        };
        let (granted, journaled, ()) = futures::join!(
            self.inner.grant(scope, request),
            persistently(|| self.inner.store.open_step(&plan.fence, &step)),
            keep_counts,
        );
        if let Err(error) = journaled {
            if granted.is_ok() {
                self.inner.release(scope, &key).await;
            }
            if error.kind() == PersistErrorKind::Fenced {
                return Err(FencedOut);
            }
            return Ok(Err(End::before_call(&error.into(), StepRow::Unknown)));
        }
        let (request, grant) = match granted {
            Ok(granted) => granted,
            Err(error) => return Ok(Err(End::before_call(&error, StepRow::Open))),
        };
        let terms = grant.terms();
        self.log.append(vec![
            EventKind::Held {
                step: REPLY_STEP,
                purpose: Purpose::Reply,
                amount: terms.held,
                output_cap: terms.output_cap,
            },
            EventKind::Attempt {
                step: REPLY_STEP,
                attempt: 1,
            },
        ]);
        self.inner
            .observe(&LifecycleEvent::Dispatched { step: key });
        let gate = Arc::new(JournalGate::new(
            Arc::clone(&self.inner.store),
            self.inner.recorder.clone(),
            Arc::clone(&self.inner.clock),
            plan.fence.clone(),
            request.clone(),
        ));
        Ok(Ok(Opened {
            grant,
            gate,
            request,
        }))
    }

    /// Makes the call and waits for its first event, for a stop or for the deadline.
    async fn call(
        &mut self,
        prepared: &Prepared,
        opened: &Opened,
    ) -> Result<Result<CompletionStream, Heard>, FencedOut> {
        let mut told = Vec::new();
        self.narrator.resume(&self.plan.kept, &mut told);
        self.log.append(told);
        let gate = Arc::clone(&opened.gate);
        let permit = CallPermit::new(opened.grant.clone(), gate);
        let sending = self.plan.provider.send_completion(prepared, &permit);
        tokio::pin!(sending);
        loop {
            tokio::select! {
                biased;
                sent = &mut sending => return Ok(sent.map_err(Heard::Broken)),
                cause = self.live.stopped() => return Ok(Err(Heard::Stopped(cause))),
                () = tokio::time::sleep_until(self.deadline) => return Ok(Err(Heard::DeadlineExceeded)),
                logged = self.log.advance() => match logged {
                    Ok(false) => {}
                    Ok(true) => self.live.request_stop(StopCause::User),
                    Err(error) if error.kind() == PersistErrorKind::Fenced => return Err(FencedOut),
                    Err(error) => return Ok(Err(Heard::StoreFailed(error))),
                },
            }
        }
    }

    async fn listen(&mut self, stream: CompletionStream) -> Heard {
        let turn = self.plan.fence.turn.clone();
        let inner = self.inner;
        listen(
            stream,
            REPLY_STEP,
            &mut self.narrator,
            &mut self.log,
            self.live,
            self.deadline,
            || inner.observe(&LifecycleEvent::FirstDelta { turn: turn.clone() }),
        )
        .await
    }

    /// Decides how the turn ended and what it costs.
    async fn finish(
        &mut self,
        heard: Heard,
        prepared: &Prepared,
        opened: &Opened,
    ) -> Result<End, FencedOut> {
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
        let owes = match &heard {
            Heard::Broken(error) => {
                self.narrator.said_something()
                    || self.narrator.usage().is_some()
                    || error.exposure() == Exposure::Unknown
            }
            _ => true,
        };
        let amounts = self.amounts(owes, prepared, opened);
        let (state, failure) = self.outcome(heard);
        let finish_reason = match state {
            TurnState::Aborted => Some(FinishReason::Cancelled),
            _ => self.narrator.finish(),
        };
        Ok(End {
            state,
            failure,
            finish_reason,
            step: StepRow::Open,
            amounts,
        })
    }

    fn outcome(&self, heard: Heard) -> (TurnState, Option<TurnFailure>) {
        let finish = self.narrator.finish();
        let nothing = self.log.parts().is_empty();
        match (heard, finish) {
            (Heard::End | Heard::Broken(_), Some(FinishReason::ContentFilter)) if nothing => {
                let message = "the provider's content filter left nothing of the reply";
                (
                    TurnState::Failed,
                    Some(TurnFailure::new("content_filtered", message, false)),
                )
            }
            (
                Heard::End | Heard::Broken(_),
                Some(FinishReason::Length | FinishReason::ContentFilter),
            ) => (TurnState::Truncated, None),
            (Heard::End | Heard::Broken(_), Some(_)) if nothing => {
                let message = "the model ended without saying anything; send again or rephrase";
                (
                    TurnState::Failed,
                    Some(TurnFailure::new("empty_reply", message, true)),
                )
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
            (Heard::DeadlineExceeded, _) => {
                let message = "the turn took longer than its deadline";
                (
                    self.broken(),
                    Some(TurnFailure::new("deadline_exceeded", message, true)),
                )
            }
            (Heard::StoreFailed(error), _) => {
                (self.broken(), Some(TurnError::from(error).to_failure()))
            }
            (Heard::Fenced, _) => (TurnState::Interrupted, None),
        }
    }

    fn broken(&self) -> TurnState {
        if self.narrator.said_something() {
            TurnState::Interrupted
        } else {
            TurnState::Failed
        }
    }

    fn amounts(&self, owes: bool, prepared: &Prepared, opened: &Opened) -> Vec<AttemptAmount> {
        let bill = StepBill {
            recorder: &self.inner.recorder,
            model: &self.plan.info.model,
            opened_at: opened.request.at,
            input_estimate: prepared.input_estimate,
            fallback: billing::held(Some(&opened.grant)),
        };
        let mut amounts: Vec<AttemptAmount> = opened
            .gate
            .exposed()
            .into_iter()
            .map(|attempt| bill.unanswered(attempt))
            .collect();
        if owes {
            amounts.push(bill.amount(&AttemptEnd {
                attempt: opened.gate.admitted(),
                reported: self.narrator.usage(),
                output_seen: self.output_seen(),
                provider_request_id: self.narrator.request_id().map(str::to_owned),
            }));
        }
        amounts
    }

    /// What was surely produced in this turn, by our count; only needed without a report.
    fn output_seen(&self) -> Usage {
        match (self.narrator.usage(), &self.counter) {
            (None, Some(counter)) => {
                billing::output_seen(counter.as_ref(), &self.log.parts(), &self.plan.kept)
            }
            _ => Usage::default(),
        }
    }

    /// Makes the end durable in one commit, shows it, and brings the ledger up to date.
    async fn close(mut self, end: End) -> Result<(), FencedOut> {
        let plan = self.plan;
        let now = self.inner.clock.now();
        let message = self.reply(&end, now);
        let (usage, cost) = billing::total(&end.amounts);
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
        let in_journal = match end.step {
            StepRow::None => false,
            StepRow::Open => true,
            StepRow::Unknown => self.inner.has_step(&plan.fence, REPLY_STEP).await,
        };
        let step = StepClose {
            step: REPLY_STEP,
            amounts: end.amounts,
        };
        let steps = if in_journal { vec![step] } else { Vec::new() };
        let close = TurnClose {
            state: end.state,
            message,
            steps,
            segment,
            failure: end.failure,
            closed_at: now,
        };
        self.inner
            .close_turn(&plan.fence, &close)
            .await
            .map_err(|_fenced| FencedOut)?;
        self.live.feed.show(&[ended]);
        self.live.feed.end();
        let turn = plan.fence.turn.clone();
        self.inner.observe(&LifecycleEvent::Closed {
            turn: turn.clone(),
            outcome: close.state,
        });
        for step in &close.steps {
            let closed = ClosedStep {
                key: StepKey {
                    turn: turn.clone(),
                    step: step.step,
                },
                purpose: Purpose::Reply,
                model: &plan.info.model,
                amounts: &step.amounts,
            };
            self.inner
                .settle(&plan.fence.scope, &plan.turn.conversation, closed)
                .await;
        }
        self.inner.observe(&LifecycleEvent::Settled { turn });
        Ok(())
    }

    fn reply(&self, end: &End, now: chat_types::Timestamp) -> Option<Message> {
        let parts = self.log.parts();
        let whole = matches!(end.state, TurnState::Completed | TurnState::Truncated);
        if parts.is_empty() || !(whole || self.narrator.said_something()) {
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
            model: Some(self.plan.info.model.clone()),
            status: if whole {
                MessageStatus::Complete
            } else {
                MessageStatus::Partial
            },
            finish_reason: end.finish_reason,
            token_counts,
        })
    }

    /// The provider's own count where the reply is all its work, ours elsewhere.
    fn reply_count(&self, counter: &dyn TokenCounter, parts: &[ContentPart]) -> TokenCount {
        match self.narrator.usage() {
            Some(usage) if self.plan.kept.is_empty() => TokenCount {
                tokens: usage
                    .output
                    .plus(counter.count_message(Role::Assistant, &[])),
                tokenizer: counter.tokenizer().clone(),
                provenance: Provenance::Reported,
            },
            _ => counter.token_count(counter.count_message(Role::Assistant, parts)),
        }
    }
}

/// Builds and translates the prompt of a plan: what a turn sends, and what `explain` shows.
pub(crate) async fn build_prompt(
    inner: &Inner,
    plan: &Plan,
) -> Result<(Arc<dyn TokenCounter>, BuiltContext, Prepared), TurnError> {
    plan.provider.warm_up().await?;
    let counter = plan.provider.counter(&plan.info);
    let scope = plan.fence.scope.clone();
    let reader = StoredBranch::new(
        Arc::clone(&inner.store),
        scope,
        plan.turn.conversation.clone(),
    );
    let instructions = inner.instructions(plan.instructions.as_deref());
    let context = inner
        .context
        .build(ContextRequest {
            reader: &reader,
            tail: &plan.tail,
            below: plan.below.as_ref(),
            instructions: &instructions,
            tools: &[],
            model: &plan.info,
            counter: counter.as_ref(),
            output_cap: plan.options.output_tokens_max,
        })
        .await?;
    let prepared = plan.provider.prepare(&ModelRequest {
        model: plan.info.model.model.clone(),
        prompt: context.prompt.clone(),
        options: plan.options.clone(),
        stream: plan.stream,
        input_tokens: context.report.input_tokens,
    })?;
    Ok((counter, context, prepared))
}

fn stopped(cause: StopCause) -> (TurnState, Option<TurnFailure>) {
    match cause {
        StopCause::User => (TurnState::Aborted, None),
        StopCause::Shutdown => {
            let message = "the process that ran this turn was shut down; continue or regenerate";
            (
                TurnState::Interrupted,
                Some(TurnFailure::new("server_draining", message, true)),
            )
        }
    }
}
