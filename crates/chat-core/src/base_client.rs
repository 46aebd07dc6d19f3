//! `BaseClient`: what a product calls. Conducts, does no work itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chat_balance::{BalanceAdapter, LedgerMaintenance};
use chat_context::ConversationContext;
use chat_context::InstructionBlock;
use chat_persist::{
    Fence, Maintenance, PersistErrorKind, PersistenceAdapter, StopAck, TurnClose, TurnRecord,
};
use chat_provider::ProviderRegistry;
use chat_types::{
    Clock, Conversation, ConversationId, ConversationPatch, Cursor, IdSource, OwnerId, Prompt,
    Scope, StepGrant, StepKey, TenantId, TurnId,
};
use chat_usage::{GrantRequest, UsageError, UsageRecorder};

use crate::accounts::AccountPolicy;
use crate::billing::ClosedStep;
use crate::config::TurnConfig;
use crate::hooks::{LifecycleEvent, LifecycleObserver, PromptGuard};
use crate::live::{LiveTurn, StopCause};
use crate::patience::persistently;
use crate::replay::{self, EventStream};
use crate::task_scope::TaskScope;
use crate::{Recovered, Result, Turn, TurnError, TurnRequest};

/// Conducts turns over the ports it was built from. A clone is the same client.
///
/// Made by [`crate::BaseClientBuilder`]. Drop does not wait for running turns; call
/// [`BaseClient::drain`] before the process ends.
#[derive(Clone, Debug)]
pub struct BaseClient {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn PersistenceAdapter>,
    pub(crate) maintenance: Arc<dyn Maintenance>,
    pub(crate) ledger: Arc<dyn BalanceAdapter>,
    pub(crate) ledger_maintenance: Arc<dyn LedgerMaintenance>,
    pub(crate) recorder: UsageRecorder,
    pub(crate) providers: ProviderRegistry,
    pub(crate) context: ConversationContext,
    pub(crate) accounts: Arc<dyn AccountPolicy>,
    pub(crate) instructions: Option<String>,
    pub(crate) guards: Vec<Arc<dyn PromptGuard>>,
    pub(crate) observers: Vec<Arc<dyn LifecycleObserver>>,
    pub(crate) config: TurnConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) owner: OwnerId,
    pub(crate) lease_until: AtomicI64,
    pub(crate) turns: Mutex<HashMap<TurnId, Arc<LiveTurn>>>,
    pub(crate) tasks: TaskScope,
    pub(crate) draining: AtomicBool,
    /// The process ends and the store is away: what is not durable is left to recovery.
    pub(crate) store_given_up: AtomicBool,
    /// Settled steps whose mark in the journal is not written yet; the mark waits for company.
    pub(crate) settled_marks: Mutex<Vec<(TenantId, StepKey)>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BaseClient")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl BaseClient {
    /// Makes the user's message durable and starts the turn; returns as soon as it is. Dropping
    /// the handle, or any reader of its events, does not stop the turn.
    ///
    /// With an idempotency key that was used before for the same request, the handle is the first
    /// call's turn, running or ended, and nothing is called again.
    ///
    /// # Errors
    /// `TurnError` if the turn was not accepted: then nothing was written. What goes wrong later
    /// is told by the turn's last event.
    pub async fn send_message(&self, scope: &Scope, request: TurnRequest) -> Result<Turn> {
        crate::intake::send_message(&self.inner, scope, request).await
    }

    /// The events of a turn after `cursor`, from the beginning with [`Cursor::START`]. Any number
    /// of readers, in any process; ends after the terminal event.
    ///
    /// # Errors
    /// `Store` with `NotFound` if the scope has no such turn.
    pub async fn events(
        &self,
        scope: &Scope,
        turn: &TurnId,
        cursor: Cursor,
    ) -> Result<EventStream> {
        replay::open(Arc::clone(&self.inner), scope.clone(), turn.clone(), cursor).await
    }

    /// Asks a turn to stop, whichever process runs it. The partial reply is kept and billed.
    ///
    /// # Errors
    /// `Store` with `NotFound` if the scope has no such turn.
    pub async fn stop(&self, scope: &Scope, turn: &TurnId) -> Result<StopAck> {
        let ack = self.inner.store.request_stop(scope, turn).await?;
        if ack == StopAck::Requested
            && let Some(live) = self.inner.live(turn)
        {
            live.request_stop(StopCause::User);
        }
        Ok(ack)
    }

    /// Reads a turn from the journal.
    ///
    /// # Errors
    /// `Store`.
    pub async fn turn(&self, scope: &Scope, turn: &TurnId) -> Result<Option<TurnRecord>> {
        Ok(self.inner.store.turn(scope, turn).await?)
    }

    /// Changes what is kept with a conversation: title, model, instructions, options.
    ///
    /// # Errors
    /// `UnknownModel` if the patch names one that nobody serves; `Store`.
    pub async fn set_options(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        patch: &ConversationPatch,
    ) -> Result<Conversation> {
        if let chat_types::Change::Set(model) = &patch.model {
            self.inner.providers.find(model)?;
        }
        let now = self.inner.clock.now();
        Ok(self
            .inner
            .store
            .patch_conversation(scope, conversation, patch, now)
            .await?)
    }

    /// The store, for reads that need no conductor.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn PersistenceAdapter> {
        &self.inner.store
    }

    /// The ledger.
    #[must_use]
    pub fn balance(&self) -> &Arc<dyn BalanceAdapter> {
        &self.inner.ledger
    }

    /// Prices, holds and usage rows.
    #[must_use]
    pub fn usage(&self) -> &UsageRecorder {
        &self.inner.recorder
    }

    /// The providers.
    #[must_use]
    pub fn providers(&self) -> &ProviderRegistry {
        &self.inner.providers
    }

    /// Finishes what crashed processes left behind, as far as their leases have lapsed. Runs by
    /// itself at start-up and from time to time; a second call finds nothing to do.
    ///
    /// # Errors
    /// `Store`, `Balance`: what was not finished is found again.
    pub async fn recover(&self) -> Result<Recovered> {
        crate::recovery::recover(&self.inner).await
    }

    /// Ends gracefully: takes no new turns, gives the running ones `drain_ms`, then interrupts
    /// them with what they have, and returns when everything is durable and settled.
    pub async fn drain(&self) {
        crate::owner::drain(&self.inner).await;
    }
}

impl Inner {
    pub(crate) fn live(&self, turn: &TurnId) -> Option<Arc<LiveTurn>> {
        self.lock_turns().get(turn).cloned()
    }

    pub(crate) fn lock_turns(&self) -> MutexGuard<'_, HashMap<TurnId, Arc<LiveTurn>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn's task is over: readers use the log from now on.
    pub(crate) fn forget(&self, turn: &TurnId) {
        self.lock_turns().remove(turn);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    pub(crate) fn refuse_turns(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    pub(crate) fn give_up_on_store(&self) {
        self.store_given_up.store(true, Ordering::SeqCst);
    }

    pub(crate) fn observe(&self, event: &LifecycleEvent) {
        for observer in &self.observers {
            observer.observe(event);
        }
    }

    pub(crate) async fn guard(&self, scope: &Scope, prompt: &Prompt) -> Result<()> {
        for guard in &self.guards {
            guard
                .check(scope, prompt)
                .await
                .map_err(|refusal| TurnError::Guarded {
                    reason: refusal.reason,
                })?;
        }
        Ok(())
    }

    pub(crate) fn instructions(&self, conversation: Option<&str>) -> Vec<InstructionBlock> {
        let product = self.instructions.as_deref().map(|text| ("product", text));
        let conversation = conversation.map(|text| ("conversation", text));
        let blocks = product.into_iter().chain(conversation);
        blocks
            .map(|(name, text)| InstructionBlock::new(name, text))
            .collect()
    }

    /// Fills in who pays and takes the hold; accounts are opened when they are first needed.
    pub(crate) async fn grant(
        &self,
        scope: &Scope,
        mut request: GrantRequest,
    ) -> Result<(GrantRequest, StepGrant)> {
        let specs = self.accounts.accounts(scope)?;
        request.accounts = specs.iter().map(|spec| spec.id.clone()).collect();
        let first = persistently(|| self.recorder.grant(scope, &request)).await;
        let missing = matches!(&first, Err(UsageError::Balance(error)) if error.code() == "account_not_found");
        if !missing {
            return Ok((request, first?));
        }
        for spec in &specs {
            self.ledger.open_account(scope, spec, request.at).await?;
        }
        let grant = persistently(|| self.recorder.grant(scope, &request)).await?;
        Ok((request, grant))
    }

    /// Gives a hold back; what cannot be given back now is found by the reaper.
    pub(crate) async fn release(&self, scope: &Scope, key: &StepKey) {
        let now = self.clock.now();
        if let Err(error) = persistently(|| self.recorder.release(scope, key, now)).await {
            tracing::warn!(turn = %key.turn, code = error.code(), "a hold was not released yet");
        }
    }

    pub(crate) async fn has_step(&self, fence: &Fence, step: u32) -> bool {
        match persistently(|| self.store.turn(&fence.scope, &fence.turn)).await {
            Ok(Some(record)) => record.steps.iter().any(|row| row.key.step == step),
            _ => false,
        }
    }

    /// Writes a turn's end until it is durable or somebody else has taken the turn over. While
    /// the store is away this waits: giving up would leave the turn without an end.
    pub(crate) async fn close_turn(&self, fence: &Fence, close: &TurnClose) -> Result<()> {
        loop {
            let error = match persistently(|| self.store.close_turn(fence, close)).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let won_before = error.kind() == PersistErrorKind::IllegalState
                && matches!(
                    self.store.turn(&fence.scope, &fence.turn).await,
                    Ok(Some(record)) if record.epoch == fence.epoch && record.state == close.state
                );
            if won_before {
                return Ok(());
            }
            let retry = error.is_transient() || error.kind() == PersistErrorKind::Full;
            if !retry || self.store_given_up.load(Ordering::SeqCst) {
                return Err(error.into());
            }
            tracing::warn!(turn = %fence.turn, code = error.code(), "the end of a turn is not durable yet");
        }
    }

    /// Brings the ledger and the usage rows up to a closed step; idempotent, so that recovery may
    /// do it again. What does not go through now is found by the reaper.
    pub(crate) async fn settle(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        step: ClosedStep<'_>,
    ) {
        if step.amounts.is_empty() {
            self.release(scope, &step.key).await;
            return;
        }
        let settled = step.to_settled(conversation, self.clock.now());
        match persistently(|| self.recorder.settle(scope, &settled)).await {
            Ok(()) => self.lock_marks().push((scope.tenant.clone(), step.key)),
            Err(error) => {
                tracing::warn!(turn = %step.key.turn, code = error.code(), "a step is not settled yet");
            }
        }
    }

    pub(crate) fn lock_marks(&self) -> MutexGuard<'_, Vec<(TenantId, StepKey)>> {
        self.settled_marks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
