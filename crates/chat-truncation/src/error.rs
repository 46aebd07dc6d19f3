//! What is wrong with a policy.

/// A value of a policy that breaks a rule. Nothing of the policy is used then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value}: {rule}")]
pub struct PolicyError {
    key: String,
    value: String,
    rule: &'static str,
}

impl PolicyError {
    pub(crate) fn new(key: impl Into<String>, value: &impl ToString, rule: &'static str) -> Self {
        Self { key: key.into(), value: value.to_string(), rule }
    }

    /// Where the value stands, for example `rungs[1].head_percent`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value that was refused.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The rule it breaks, and so what to write instead.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        self.rule
    }

    /// Stable, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "invalid_policy"
    }

    /// Never: the same policy is refused every time.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        false
    }
}
