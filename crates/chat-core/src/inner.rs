//! What all of a client's tasks share: the ports, the limits, the running turns, and the few calls
//! that join two ports.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chat_balance::{BalanceAdapter, LedgerMaintenance};
use chat_context::rag::Retrieval;
use chat_context::{ConversationContext, InstructionBlock};
use chat_persist::{Fence, Maintenance, PersistErrorKind, PersistenceAdapter, StopAck, TurnClose};
use chat_provider::ProviderRegistry;
use chat_types::{
    Clock, ConversationId, Cursor, IdSource, MessageId, OwnerId, Prompt, Scope, StepGrant, StepKey,
    TenantId, TokenCount, TurnId,
};
use chat_usage::{GrantRequest, UsageError, UsageRecorder};

use crate::calibrations::Calibrations;
use crate::config::TurnConfig;
use crate::events::live::{LiveTurn, StopCause};
use crate::events::replay::{self, EventStream};
use crate::files::Files;
use crate::hooks::{LifecycleEvent, LifecycleObserver, PromptGuard};
use crate::money::accounts::{AccountPolicy, PaidCall};
use crate::money::billing::ClosedStep;
use crate::money::notices::Notices;
use crate::patience::persistently;
use crate::summaries::{Summaries, SummaryFailures};
use crate::task_scope::TaskScope;
use crate::titles::Titles;
use crate::tools::Toolbox;
use crate::{Result, TurnError};

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
    pub(crate) titles: Option<Titles>,
    pub(crate) calibrations: Calibrations,
    pub(crate) files: Option<Files>,
    pub(crate) retrieval: Option<Retrieval>,
    pub(crate) summaries: Summaries,
    pub(crate) summary_failures: SummaryFailures,
    pub(crate) toolbox: Option<Arc<dyn Toolbox>>,
    pub(crate) guards: Vec<Arc<dyn PromptGuard>>,
    pub(crate) observers: Vec<Arc<dyn LifecycleObserver>>,
    /// Whether what crashed processes left behind is put right by itself.
    pub(crate) recovers: bool,
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
    pub(crate) notices: Arc<Notices>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BaseClient").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn live(&self, turn: &TurnId) -> Option<Arc<LiveTurn>> {
        self.lock_turns().get(turn).cloned()
    }

    pub(crate) async fn events(
        &self,
        scope: &Scope,
        turn: &TurnId,
        cursor: Cursor,
    ) -> Result<EventStream> {
        let (store, live) = (Arc::clone(&self.store), self.live(turn));
        replay::open(store, live, scope.clone(), turn.clone(), cursor).await
    }

    pub(crate) async fn stop(&self, scope: &Scope, turn: &TurnId) -> Result<StopAck> {
        let ack = self.store.request_stop(scope, turn).await?;
        if ack == StopAck::Requested
            && let Some(live) = self.live(turn)
        {
            live.request_stop(StopCause::User);
        }
        Ok(ack)
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
                .map_err(|refusal| TurnError::Guarded { reason: refusal.reason })?;
        }
        Ok(())
    }

    pub(crate) fn instructions(&self, conversation: Option<&str>) -> Vec<InstructionBlock> {
        let product = self.instructions.as_deref().map(|text| ("product", text));
        let conversation = conversation.map(|text| ("conversation", text));
        let blocks = product.into_iter().chain(conversation);
        blocks.map(|(name, text)| InstructionBlock::new(name, text)).collect()
    }

    /// Fills in who pays and takes the hold; accounts are opened when they are first needed.
    pub(crate) async fn grant(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        mut request: GrantRequest,
    ) -> Result<(GrantRequest, StepGrant)> {
        let (model, purpose) = (&request.model, request.purpose);
        let call = PaidCall { scope, conversation: Some(conversation), model, purpose };
        request.accounts = self.accounts.accounts(&call)?;
        let first = persistently(|| self.recorder.grant(scope, &request)).await;
        self.notices.may_have_some();
        let missing = matches!(&first, Err(UsageError::Balance(error)) if error.code() == "account_not_found");
        if !missing {
            return Ok((request, first?));
        }
        for spec in &request.accounts {
            persistently(|| self.ledger.open_account(scope, spec, request.at)).await?;
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
        let posted = persistently(|| self.recorder.settle(scope, &settled)).await;
        self.notices.may_have_some();
        match posted {
            Ok(()) => self.lock_marks().push((scope.tenant.clone(), step.key)),
            Err(error) => {
                tracing::warn!(turn = %step.key.turn, code = error.code(), "a step is not settled yet");
            }
        }
    }

    /// Keeps counts with their messages. Losing them costs a recount.
    pub(crate) async fn keep_counts(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        counts: &[(MessageId, TokenCount)],
    ) {
        if counts.is_empty() {
            return;
        }
        let kept = self.store.keep_token_counts(scope, conversation, counts).await;
        if let Err(error) = kept {
            tracing::warn!(code = error.code(), "token counts were not kept");
        }
    }

    pub(crate) fn lock_marks(&self) -> MutexGuard<'_, Vec<(TenantId, StepKey)>> {
        self.settled_marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
