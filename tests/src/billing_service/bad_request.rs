//! The refusal of a body or row that does not keep the contract.

/// What was sent is not what the contract says; names the member.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadRequest(pub(super) String);

impl From<serde_json::Error> for BadRequest {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

pub(super) fn unknown(member: &str) -> BadRequest {
    BadRequest(format!("{member} is none of the contract's"))
}
