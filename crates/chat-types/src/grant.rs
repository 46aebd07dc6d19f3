//! The right to make one step's model call, with the cap that was paid for.

use crate::{LowAccount, Money, Purpose, StepKey, Tokens};

/// What a grant says; see [`StepGrant`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantTerms {
    /// The step it pays for.
    pub key: StepKey,
    /// What the call is for.
    pub purpose: Purpose,
    /// The output cap that was held, reasoning included; it goes on the wire.
    pub output_cap: Tokens,
    /// The input bound that was held.
    pub input_bound: Tokens,
    /// The least that any of the paying accounts holds: what the step may cost.
    pub held: Money,
    /// Paying accounts that are low.
    pub low: Vec<LowAccount>,
}

/// Proof that a hold was taken: nobody can call a provider without one.
///
/// Only `UsageRecorder` makes grants; `clippy.toml` refuses [`StepGrant::issue`] elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepGrant(GrantTerms);

impl StepGrant {
    /// Makes a grant once its hold is durable.
    #[must_use]
    pub fn issue(terms: GrantTerms) -> Self {
        Self(terms)
    }

    /// What was granted.
    #[must_use]
    pub fn terms(&self) -> &GrantTerms {
        &self.0
    }
}
