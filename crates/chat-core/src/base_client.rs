//! `BaseClient`: what a product calls. Conducts, does no work itself.

use std::sync::Arc;

use chat_balance::{AccountSpec, BalanceAdapter, Notice};
use chat_context::ConversationContext;
use chat_persist::{PersistenceAdapter, StopAck, TurnRecord};
use chat_provider::ProviderRegistry;
use chat_types::{Change, Conversation, ConversationId, ConversationPatch, Cursor, Scope, TurnId};
use chat_usage::UsageRecorder;

use crate::inner::Inner;
use crate::{EventStream, PaidCall, Recovered, Result, Turn, TurnRequest};

/// Conducts turns over the ports it was built from. A clone is the same client.
///
/// Made by [`crate::BaseClientBuilder`]. Drop does not wait for running turns; call
/// [`BaseClient::drain`] before the process ends.
#[derive(Clone, Debug)]
pub struct BaseClient {
    pub(crate) inner: Arc<Inner>,
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
        let taken = crate::turn::intake::take(&self.inner, scope, &request).await?;
        let turn = taken.turn;
        Ok(Turn {
            inner: Arc::clone(&self.inner),
            scope: scope.clone(),
            id: turn.id,
            conversation: turn.conversation,
            user_message: turn.user_message,
            reply: turn.reply,
            attached: taken.attached,
        })
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
        self.inner.events(scope, turn, cursor).await
    }

    /// Asks a turn to stop, whichever process runs it. The partial reply is kept and billed.
    ///
    /// # Errors
    /// `Store` with `NotFound` if the scope has no such turn.
    pub async fn stop(&self, scope: &Scope, turn: &TurnId) -> Result<StopAck> {
        self.inner.stop(scope, turn).await
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
        if let Change::Set(model) = &patch.model {
            self.inner.providers.find(model)?;
        }
        let now = self.inner.clock.now();
        Ok(self.inner.store.patch_conversation(scope, conversation, patch, now).await?)
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

    /// The accounts that would pay for a call: see [`AccountPolicy`](crate::AccountPolicy).
    ///
    /// # Errors
    /// `InvalidId` if the call makes no valid account id.
    pub fn paying_accounts(&self, call: &PaidCall<'_>) -> Result<Vec<AccountSpec>> {
        Ok(self.inner.accounts.accounts(call)?)
    }

    /// Up to `limit` notices of the ledger that nobody has delivered yet, oldest first.
    ///
    /// # Errors
    /// `Balance`.
    pub async fn notices(&self, limit: u32) -> Result<Vec<Notice>> {
        Ok(self.inner.ledger_maintenance.notices(limit).await?)
    }

    /// Forgets notices that were delivered; those that are forgotten already change nothing.
    ///
    /// # Errors
    /// `Balance`: they come again.
    pub async fn forget_notices(&self, notices: &[Notice]) -> Result<()> {
        let key = |notice: &Notice| (notice.scope.tenant.clone(), notice.key.clone());
        let keys: Vec<_> = notices.iter().map(key).collect();
        Ok(self.inner.ledger_maintenance.delivered(&keys).await?)
    }

    /// Prices, holds and usage rows.
    #[must_use]
    pub fn usage(&self) -> &UsageRecorder {
        &self.inner.recorder
    }

    /// How prompts are built.
    #[must_use]
    pub fn context(&self) -> &ConversationContext {
        &self.inner.context
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
        crate::process::recovery::recover(&self.inner).await
    }

    /// Ends gracefully: takes no new turns, gives the running ones `drain_ms`, then interrupts
    /// them with what they have, and returns when everything is durable and settled, and the notices
    /// that the sink takes are delivered.
    pub async fn drain(&self) {
        crate::process::owner::drain(&self.inner).await;
    }
}
