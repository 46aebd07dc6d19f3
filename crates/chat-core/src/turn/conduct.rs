//! One turn, from its accepted message to its settled reply.
//!
//! Runs in a task of its own: no reader and no caller can drop it. Before bytes leave, hold and
//! attempt are durable; the reply, the amounts and the terminal event are durable in one commit
//! before anybody sees the end; the ledger follows. What a crash leaves is `recovery`'s.

use std::sync::Arc;

use chat_context::SummaryDue;
use chat_provider::{CompletionStream, Prepared};
use chat_types::{EventKind, Purpose, TurnKind, TurnState};
use tokio::time::{Duration, Instant};

use crate::TurnError;
use crate::events::listen::{Heard, listen, wait_for};
use crate::events::live::LiveTurn;
use crate::events::narrate::Narrator;
use crate::events::turn_log::{Pace, TurnLog};
use crate::hooks::LifecycleEvent;
use crate::inner::Inner;
use crate::step::metered::TurnCaller;
use crate::step::side_calls::SideCalls;
use crate::step::{self, FencedOut, NotOpened, Opened, StepPlan, StepRow};
use crate::titles::Untitled;
use crate::turn::conductor::{Conductor, REPLY_STEP};
use crate::turn::ending::End;
use crate::turn::plan::{Answerer, Plan};
use crate::turn::prompt::{BuiltPrompt, build_prompt};
use crate::turn::summarise::SummaryJob;

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
        answerer: plan.answerer.clone(),
        step: REPLY_STEP,
        purpose: Purpose::Reply,
        before: plan.kept.clone(),
        side: Arc::new(SideCalls::new(if plan.has_reply() { REPLY_STEP } else { 0 })),
        untitled: plan.first_title.clone(),
        log,
        narrator,
        deadline,
        counter: None,
        report: None,
        fresh_counts: Vec::new(),
    };
    let side = Arc::clone(&conductor.side);
    let end = match &plan.turn.kind {
        TurnKind::Compact { message, anew } => Ok(conductor.compact(message, *anew).await),
        _ => conductor.make_reply(prompt).await,
    };
    let settled = match end {
        Ok(end) => conductor.close(end).await,
        Err(FencedOut) => Err(FencedOut),
    };
    if settled.is_err() {
        tracing::warn!(turn = %plan.fence.turn, epoch = plan.fence.epoch, "another owner took the turn over");
        // The turn's task outlives its calls, also where nothing more may be written.
        side.end().await;
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
        let end = self.ask_or_fall_back(prompt).await?;
        self.go_rounds(end).await
    }

    /// Asks the turn's model; one that cannot answer is replaced by the next that may stand in.
    async fn ask_or_fall_back(
        &mut self,
        prompt: impl Future<Output = Result<BuiltPrompt, TurnError>>,
    ) -> Result<End, FencedOut> {
        let stand_ins = self.inner.providers.fallbacks(&self.answerer.info.model);
        let mut end = self.ask(prompt).await?;
        for model in stand_ins {
            if !end.another_may_answer {
                break;
            }
            let Ok((provider, info)) = self.inner.providers.find(&model) else {
                tracing::warn!(%model, "there is no such model to fall back to");
                continue;
            };
            tracing::info!(turn = %self.plan.fence.turn, %model, "falls back to another model");
            let reason = end.failure.take();
            self.leave_step(end).await?;
            let answerer = Answerer { provider, info };
            self.answerer = answerer.clone();
            end = self.ask(build_prompt(self.inner, self.plan, &answerer)).await?;
            if end.state == TurnState::Rejected {
                // The stand-in was not called; what went wrong is what the turn's own model said.
                end.state = TurnState::Failed;
                end.failure = reason;
                end.another_may_answer = true;
            }
        }
        Ok(end)
    }

    /// One call: prompt, hold, all the model says.
    pub(crate) async fn ask(
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
        self.report = Some(ready.context.report.without_items());
        let reply = &self.plan.turn.reply;
        let counts = ready.context.fresh_counts.iter().filter(|(message, _)| message != reply);
        self.fresh_counts = counts.cloned().collect();
        let opened = match self.open_step(&ready).await {
            Ok(opened) => opened,
            Err(NotOpened::FencedOut) => return Err(FencedOut),
            Err(NotOpened::Refused { error, row }) => return Ok(End::before_call(&error, row)),
        };
        if let Some(cause) = self.live.stop_requested() {
            // No byte has left: the step is released.
            return Ok(End { step: StepRow::Open, ..End::stopped_before_call(cause) });
        }
        self.ask_for_a_title();
        self.ask_for_a_summary(ready.context.summary_due.as_ref());
        let heard = match self.call(&ready.prepared, &opened).await {
            Ok(stream) => self.listen(stream).await,
            Err(heard) => heard,
        };
        self.finish(heard, &opened).await
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
        let mut told = vec![EventKind::Context { report: report.without_items() }];
        told.extend(prompt.citations.iter().map(|source| EventKind::Source {
            id: source.id.clone(),
            title: source.title.clone(),
        }));
        self.log.append(told);
        Ok(prompt)
    }

    async fn open_step(&mut self, ready: &BuiltPrompt) -> Result<Opened, NotOpened> {
        let step = StepPlan {
            step: self.step,
            purpose: self.purpose,
            model: &self.answerer.info.model,
            prepared: &ready.prepared,
            output_cap: ready.context.output_cap,
        };
        let plan = self.plan;
        let opened = step::open(self.inner, &plan.fence, &plan.turn.conversation, step).await?;
        self.log.append(opened.events());
        Ok(opened)
    }

    /// A step that another one follows: closed and settled now, so that its hold is free for the next.
    pub(crate) async fn leave_step(&mut self, end: End) -> Result<(), FencedOut> {
        let plan = self.plan;
        if let Some(step) = self.decided(end.step, end.amounts).await {
            self.side.close_step(self.inner, &plan.fence, &plan.turn.conversation, step).await?;
            self.step = self.side.next_step();
        }
        self.narrator.next_step(self.step);
        Ok(())
    }

    /// Once per new conversation, and only if its reply is paid for.
    fn ask_for_a_title(&mut self) {
        let plan = self.plan;
        let (Some(titles), Some(first_line)) = (&self.inner.titles, self.untitled.take()) else {
            return;
        };
        let Some(message) = plan.tail.first() else { return };
        let request = titles.request(&message.parts);
        let untitled = Untitled {
            scope: plan.fence.scope.clone(),
            conversation: plan.turn.conversation.clone(),
            first_line,
        };
        let caller = self.caller();
        let now = self.inner.clock.now();
        self.side.spawn(self.inner.config.side_calls_ms, async move {
            let store = Arc::clone(&caller.inner.store);
            untitled.name(&caller, store.as_ref(), request, now).await;
        });
    }

    /// Ahead of need, and only beside a reply that is paid for: it delays no delta.
    fn ask_for_a_summary(&self, due: Option<&SummaryDue>) {
        let conversation = &self.plan.turn.conversation;
        let Some(due) = due.filter(|_| self.step == REPLY_STEP) else { return };
        if !self.inner.summary_failures.may_try(conversation) {
            return;
        }
        let job = SummaryJob {
            scope: self.plan.fence.scope.clone(),
            conversation: conversation.clone(),
            covers_to: due.covers_to.clone(),
            model: due.model.clone(),
            anew: false,
        };
        let caller = self.caller();
        self.side.spawn(self.inner.config.summary_ms, async move {
            let _failures_are_remembered = job.run(caller).await;
        });
    }

    /// Makes calls in the turn's name.
    pub(crate) fn caller(&self) -> TurnCaller {
        TurnCaller {
            inner: Arc::clone(self.inner),
            live: Arc::clone(self.live),
            side: Arc::clone(&self.side),
            fence: self.plan.fence.clone(),
            conversation: self.plan.turn.conversation.clone(),
            model: self.plan.answerer.info.model.clone(),
            deadline: self.deadline,
        }
    }

    /// Makes the call and waits for its first event, for a stop or for the deadline.
    async fn call(
        &mut self,
        prepared: &Prepared,
        opened: &Opened,
    ) -> Result<CompletionStream, Heard> {
        if self.log.parts().is_empty() {
            self.narrator.resume(&self.plan.kept);
        } else {
            self.before = self.log.parts();
        }
        let permit = opened.permit();
        let provider = Arc::clone(&self.answerer.provider);
        let sending = provider.send_completion(prepared, &permit);
        let sent = wait_for(sending, &mut self.log, self.live, self.deadline).await?;
        sent.map_err(Heard::Broken)
    }

    async fn listen(&mut self, stream: CompletionStream) -> Heard {
        let turn = self.plan.fence.turn.clone();
        let inner = self.inner;
        listen(
            stream,
            self.step,
            &mut self.narrator,
            &mut self.log,
            self.live,
            self.deadline,
            || inner.observe(&LifecycleEvent::FirstDelta { turn: turn.clone() }),
        )
        .await
    }
}
