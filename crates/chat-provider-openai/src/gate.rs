//! The retry loop's gate as the permit's: every attempt is journaled before its bytes leave.

use async_trait::async_trait;
use chat_provider::{CallPermit, Exposure};
use chat_transport::{GateRefused, RetryGate};

/// Passes each attempt on to the permit, with what the one before may have consumed.
#[derive(Debug)]
pub(crate) struct PermitGate<'a>(pub(crate) &'a CallPermit);

#[async_trait]
impl RetryGate for PermitGate<'_> {
    async fn admit(&self, attempt: u32, was_ambiguous: bool) -> Result<(), GateRefused> {
        let previous = match (attempt, was_ambiguous) {
            (0 | 1, _) => None,
            (_, true) => Some(Exposure::Unknown),
            (_, false) => Some(Exposure::None),
        };
        let admitted = self.0.admit(attempt, previous).await;
        admitted.map_err(|refused| GateRefused::new("not admitted").with_source(refused))
    }
}
