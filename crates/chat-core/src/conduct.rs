//! One turn, from its accepted message to its settled reply.
//!
//! Runs in a task of its own: no reader and no caller can drop it. Before bytes leave, hold and
//! attempt are durable; the reply, the amounts and the terminal event are durable in one commit
//! before anybody sees the end; the ledger follows. What a crash leaves is `recovery`'s.

use std::sync::Arc;

use chat_persist::{Fence, NewStep, PersistError, PersistErrorKind};
use chat_provider::{CallPermit, CompletionStream, Prepared};
use chat_types::{AttemptKey, EventKind, Purpose, StepKey, Timestamp};
use chat_usage::GrantRequest;
use tokio::time::{Duration, Instant};

use crate::conductor::{Conductor, Opened, REPLY_STEP};
use crate::ending::{End, FencedOut, StepRow};
use crate::gate::JournalGate;
use crate::hooks::LifecycleEvent;
use crate::inner::Inner;
use crate::listen::{Heard, listen};
use crate::live::{LiveTurn, StopCause};
use crate::narrate::Narrator;
use crate::patience::persistently;
use crate::plan::{BuiltPrompt, Plan};
use crate::turn_log::{Pace, TurnLog};
use crate::{TurnError, lease};

/// Conducts a turn to its end. Never fails: every way out closes the turn, or leaves it to the
/// owner that took it over.
pub(crate) async fn conduct(
    inner: &Arc<Inner>,
    live: Arc<LiveTurn>,
    plan: &Plan,
    prompt: impl Future<Output = Result<BuiltPrompt, TurnError>>,
) {
    let pace = Pace {
        interval: Duration::from_millis(inner.config.checkpoint_ms.into()),
        bytes: inner.config.checkpoint_bytes,
    };
    let log = TurnLog::new(Arc::clone(&live), Arc::clone(&inner.store), plan.fence.clone(), pace);
    let deadline = Instant::now() + Duration::from_millis(inner.config.turn_deadline_ms.into());
    let narrator = Narrator::new(REPLY_STEP);
    let mut conductor = Conductor {
        inner,
        live: &live,
        plan,
        log,
        narrator,
        deadline,
        counter: None,
        fresh_counts: Vec::new(),
    };
    let settled = match conductor.make_reply(prompt).await {
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

impl Conductor<'_> {
    async fn make_reply(
        &mut self,
        prompt: impl Future<Output = Result<BuiltPrompt, TurnError>>,
    ) -> Result<End, FencedOut> {
        let (live, deadline) = (self.live, self.deadline);
        let ready = tokio::select! {
            biased;
            cause = live.stopped() => return Ok(End::stopped_before_call(cause)),
            () = tokio::time::sleep_until(deadline) => return Ok(End::too_late_for_a_call()),
            ready = self.check(prompt) => match ready {
                Ok(ready) => ready,
                Err(error) => return Ok(End::before_call(&error, StepRow::None)),
            },
        };
        self.counter = Some(Arc::clone(&ready.counter));
        self.fresh_counts.clone_from(&ready.context.fresh_counts);
        let opened = match self.open_step(&ready).await? {
            Ok(opened) => opened,
            Err(end) => return Ok(end),
        };
        if let Some(cause) = self.live.stop_requested() {
            // No byte has left: the step is released.
            return Ok(End { step: StepRow::Open, ..End::stopped_before_call(cause) });
        }
        let heard = match self.call(&ready.prepared, &opened).await? {
            Ok(stream) => self.listen(stream).await,
            Err(heard) => heard,
        };
        self.finish(heard, &ready.prepared, &opened).await
    }

    /// Waits for the prompt, lets the guards see it and tells what it is made of.
    async fn check(
        &mut self,
        prompt: impl Future<Output = Result<BuiltPrompt, TurnError>>,
    ) -> Result<BuiltPrompt, TurnError> {
        let prompt = prompt.await?;
        let report = &prompt.context.report;
        let turn = self.plan.fence.turn.clone();
        self.inner.observe(&LifecycleEvent::PromptBuilt { turn, report: report.clone() });
        self.inner.guard(&self.plan.fence.scope, &prompt.context.prompt).await?;
        self.log.append(vec![EventKind::Context { report: report.without_items() }]);
        Ok(prompt)
    }

    /// Holds the credit and journals the first attempt, issued together: bytes leave only when
    /// both are durable.
    async fn open_step(&mut self, ready: &BuiltPrompt) -> Result<Result<Opened, End>, FencedOut> {
        let plan = self.plan;
        let scope = &plan.fence.scope;
        let now = self.inner.clock.now();
        let key = StepKey { turn: plan.fence.turn.clone(), step: REPLY_STEP };
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
            shape: ready.shape(),
        };
        let leased_until = lease::held_until(self.inner);
        let (granted, journaled) = futures::join!(
            self.inner.grant(scope, &plan.turn.conversation, request),
            persistently(|| self.inner.store.open_step(&plan.fence, &step)),
        );
        if let Err(error) = journaled {
            // Whoever took the turn over decides on the hold: it may be settling it right now.
            if error.kind() == PersistErrorKind::Fenced {
                return Err(FencedOut);
            }
            if granted.is_ok() {
                self.inner.release(scope, &key).await;
            }
            return Ok(Err(End::before_call(&error.into(), StepRow::Unknown)));
        }
        let (request, grant) = match granted {
            Ok(granted) => granted,
            Err(error) => return Ok(Err(End::before_call(&error, StepRow::Open))),
        };
        if let Some(error) = fence_broken(self.inner, leased_until, &plan.fence, &key).await {
            if error.kind() == PersistErrorKind::Fenced {
                return Err(FencedOut);
            }
            self.inner.release(scope, &key).await;
            return Ok(Err(End::before_call(&error.into(), StepRow::Open)));
        }
        let terms = grant.terms();
        self.log.append(vec![
            EventKind::Held {
                step: REPLY_STEP,
                purpose: Purpose::Reply,
                amount: terms.held,
                output_cap: terms.output_cap,
            },
            EventKind::Attempt { step: REPLY_STEP, attempt: 1 },
        ]);
        self.inner.observe(&LifecycleEvent::Dispatched { step: key });
        let gate = Arc::new(JournalGate::new(
            Arc::clone(&self.inner.store),
            self.inner.recorder.clone(),
            Arc::clone(&self.inner.clock),
            plan.fence.clone(),
            request.clone(),
        ));
        Ok(Ok(Opened { grant, gate, request }))
    }

    /// Makes the call and waits for its first event, for a stop or for the deadline.
    async fn call(
        &mut self,
        prepared: &Prepared,
        opened: &Opened,
    ) -> Result<Result<CompletionStream, Heard>, FencedOut> {
        self.narrator.resume(&self.plan.kept);
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
}

/// Asks the journal again if the lease that held when the attempt was journaled may have lapsed.
/// Who took the turn over before the hold was there has concluded that no byte left, so none may.
async fn fence_broken(
    inner: &Inner,
    leased_until: Timestamp,
    fence: &Fence,
    key: &StepKey,
) -> Option<PersistError> {
    if inner.clock.now() < leased_until {
        return None;
    }
    let attempt = AttemptKey { step: key.clone(), attempt: 1 };
    persistently(|| inner.store.dispatch(fence, &attempt)).await.err()
}
