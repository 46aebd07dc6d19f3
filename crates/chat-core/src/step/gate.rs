//! The gate of one step: every attempt is journaled, and paid for, before its bytes leave.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chat_persist::{Fence, PersistenceAdapter};
use chat_provider::{AttemptGate, Exposure, GateRefused};
use chat_types::{AttemptKey, Clock, Scope};
use chat_usage::{GrantRequest, UsageRecorder};

/// Joins the journal and the ledger for one step.
#[derive(Debug)]
pub(crate) struct JournalGate {
    store: Arc<dyn PersistenceAdapter>,
    recorder: UsageRecorder,
    clock: Arc<dyn Clock>,
    scope: Scope,
    fence: Fence,
    request: GrantRequest,
    attempts: Mutex<Attempts>,
}

#[derive(Clone, Debug, Default)]
struct Attempts {
    admitted: u32,
    exposed: Vec<u32>,
}

impl JournalGate {
    /// The gate of a step whose first attempt is journaled with the step itself.
    pub(crate) fn new(
        store: Arc<dyn PersistenceAdapter>,
        recorder: UsageRecorder,
        clock: Arc<dyn Clock>,
        fence: Fence,
        request: GrantRequest,
    ) -> Self {
        let attempts = Mutex::new(Attempts { admitted: 1, exposed: Vec::new() });
        Self { store, recorder, clock, scope: fence.scope.clone(), fence, request, attempts }
    }

    /// The newest attempt.
    pub(crate) fn admitted(&self) -> u32 {
        self.lock().admitted
    }

    /// Earlier attempts that failed without an answer and may have been charged.
    pub(crate) fn exposed(&self) -> Vec<u32> {
        self.lock().exposed.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl AttemptGate for JournalGate {
    async fn admit(&self, attempt: u32, previous: Option<Exposure>) -> Result<(), GateRefused> {
        if attempt <= self.admitted() {
            return Ok(());
        }
        if previous == Some(Exposure::Unknown) {
            self.recorder
                .extend(&self.scope, &self.request, attempt, self.clock.now())
                .await
                .map_err(|error| {
                    GateRefused::new(format!("the hold cannot be extended: {error}"))
                })?;
        }
        let key = AttemptKey { step: self.request.key.clone(), attempt };
        self.store.dispatch(&self.fence, &key).await.map_err(|error| {
            GateRefused::new(format!("the attempt cannot be journaled: {error}"))
        })?;
        let mut attempts = self.lock();
        if previous == Some(Exposure::Unknown) {
            attempts.exposed.push(attempt.saturating_sub(1));
        }
        attempts.admitted = attempt;
        Ok(())
    }
}
