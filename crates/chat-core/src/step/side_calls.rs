//! What runs beside a turn's reply: the turn does not end before it has, and its close has the bill.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_persist::{AttemptAmount, Fence, PersistErrorKind, StepClose};
use chat_types::{ConversationId, ModelRef, Purpose, StepKey, TurnId};
use tokio::sync::watch;

use crate::inner::Inner;
use crate::money::billing::ClosedStep;
use crate::patience::persistently;
use crate::step::FencedOut;
use crate::task_scope::TaskScope;

/// A step whose amounts are decided.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) close: StepClose,
    pub(crate) purpose: Purpose,
    pub(crate) model: ModelRef,
}

impl Decided {
    /// The same as the ledger is told of it.
    pub(crate) fn of(&self, turn: &TurnId) -> ClosedStep<'_> {
        ClosedStep {
            key: StepKey { turn: turn.clone(), step: self.close.step },
            purpose: self.purpose,
            model: &self.model,
            amounts: &self.close.amounts,
        }
    }
}

/// The tasks of one turn besides its own, and the numbers of its steps.
#[derive(Debug)]
pub(crate) struct SideCalls {
    last_step: AtomicU32,
    tasks: TaskScope,
    /// The longest patience that any of the tasks asked for.
    patience_ms: AtomicU32,
    enough: watch::Sender<bool>,
    ended: Mutex<Ended>,
}

#[derive(Debug, Default)]
struct Ended {
    amounts: Vec<AttemptAmount>,
    unclosed: Vec<Decided>,
}

impl SideCalls {
    /// Nothing yet, beside a reply in step `reply_step`.
    pub(crate) fn new(reply_step: u32) -> Self {
        Self {
            last_step: AtomicU32::new(reply_step),
            tasks: TaskScope::default(),
            patience_ms: AtomicU32::new(0),
            enough: watch::Sender::new(false),
            ended: Mutex::default(),
        }
    }

    /// A number that no step of this turn has.
    pub(crate) fn next_step(&self) -> u32 {
        self.last_step.fetch_add(1, Ordering::SeqCst).saturating_add(1)
    }

    /// Runs `work` beside the turn; a turn that has its reply waits at most this long for it.
    pub(crate) fn spawn(&self, patience_ms: u32, work: impl Future<Output = ()> + Send + 'static) {
        self.patience_ms.fetch_max(patience_ms, Ordering::SeqCst);
        self.tasks.spawn(work);
    }

    /// Waits for everything beside the turn, as long as it is worth; then asks it to end, and waits.
    pub(crate) async fn finish(&self) {
        let patience = Duration::from_millis(self.patience_ms.load(Ordering::SeqCst).into());
        if tokio::time::timeout(patience, self.tasks.idle()).await.is_err() {
            self.end().await;
        }
    }

    /// Asks everything beside the turn to end, and waits for it.
    pub(crate) async fn end(&self) {
        self.enough.send_replace(true);
        self.tasks.idle().await;
    }

    /// Returns when the turn waits no longer.
    pub(crate) async fn enough(&self) {
        let mut enough = self.enough.subscribe();
        let _sender_is_self = enough.wait_for(|enough| *enough).await;
    }

    /// Makes the end of a step durable while its turn goes on, and settles it. What the journal does
    /// not take now goes with the turn's close.
    pub(crate) async fn close_step(
        &self,
        inner: &Inner,
        fence: &Fence,
        conversation: &ConversationId,
        step: Decided,
    ) -> Result<(), FencedOut> {
        match persistently(|| inner.store.close_step(fence, &step.close)).await {
            Ok(()) => {}
            // Whoever has the turn now decides what it cost.
            Err(error) if error.kind() == PersistErrorKind::Fenced => return Err(FencedOut),
            Err(error) => {
                tracing::warn!(turn = %fence.turn, code = error.code(), "a step is not closed yet");
                self.lock().unclosed.push(step);
                return Ok(());
            }
        }
        self.lock().amounts.extend_from_slice(&step.close.amounts);
        inner.settle(&fence.scope, conversation, step.of(&fence.turn)).await;
        Ok(())
    }

    /// What all closed steps cost.
    pub(crate) fn amounts(&self) -> Vec<AttemptAmount> {
        self.lock().amounts.clone()
    }

    /// Takes the steps that the turn's close must close.
    pub(crate) fn take_open(&self) -> Vec<Decided> {
        std::mem::take(&mut self.lock().unclosed)
    }

    fn lock(&self) -> MutexGuard<'_, Ended> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
