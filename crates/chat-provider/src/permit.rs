//! The right to make one call: what was held, and the gate every attempt passes.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chat_types::{StepGrant, Tokens};

use crate::{Exposure, ProviderError, ProviderErrorKind};

/// The journal or the ledger does not allow another attempt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct GateRefused {
    reason: String,
}

impl GateRefused {
    /// Says why, in one line.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl From<GateRefused> for ProviderError {
    fn from(refused: GateRefused) -> Self {
        Self::new(ProviderErrorKind::GateRefused, "another attempt is not allowed")
            .with_source(refused)
    }
}

/// Journals attempts. Bytes may leave only after `admit` has returned `Ok` for their attempt.
#[async_trait]
pub trait AttemptGate: fmt::Debug + Send + Sync {
    /// Makes attempt number `attempt` (from 1, no gaps) durable and extends the hold if the one
    /// before may have consumed something. The same attempt again changes nothing.
    ///
    /// # Errors
    /// `GateRefused` if the turn was taken over, stopped, or the hold cannot be extended.
    async fn admit(&self, attempt: u32, previous: Option<Exposure>) -> Result<(), GateRefused>;
}

/// What a provider needs to make a call: only the conductor joins a grant with a gate.
#[derive(Clone, Debug)]
pub struct CallPermit {
    grant: StepGrant,
    gate: Arc<dyn AttemptGate>,
}

impl CallPermit {
    /// Joins a grant with the gate of its step.
    #[must_use]
    pub fn new(grant: StepGrant, gate: Arc<dyn AttemptGate>) -> Self {
        Self { grant, gate }
    }

    /// The output cap that goes on the wire, reasoning included.
    #[must_use]
    pub fn output_cap(&self) -> Tokens {
        self.grant.terms().output_cap
    }

    /// What was granted.
    #[must_use]
    pub fn grant(&self) -> &StepGrant {
        &self.grant
    }

    /// See [`AttemptGate::admit`].
    ///
    /// # Errors
    /// As for [`AttemptGate::admit`].
    pub async fn admit(&self, attempt: u32, previous: Option<Exposure>) -> Result<(), GateRefused> {
        self.gate.admit(attempt, previous).await
    }
}

/// A gate that admits everything: for trying a provider by itself, without a journal.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenGate;

#[async_trait]
impl AttemptGate for OpenGate {
    async fn admit(&self, _attempt: u32, _previous: Option<Exposure>) -> Result<(), GateRefused> {
        Ok(())
    }
}
