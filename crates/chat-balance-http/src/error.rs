//! What a missing answer, a refusal and an answer that makes no sense mean to a caller.
//!
//! Who does not answer in the contract's words has not answered: `Unavailable`, safe to repeat. An
//! answer in its words that contradicts them or the question is `Corrupt`: nothing is concluded
//! from it. No body is ever part of an error, and no secret.
//! Not here: whether a call is sent again (`chat-transport`), how an answer is read (`answer`).

use chat_balance::{BalanceError, BalanceErrorKind};
use chat_transport::{RetryError, TransportError, TransportErrorKind};

/// A configuration that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {rule}")]
pub struct InvalidHttpLedgerConfig {
    pub(crate) key: &'static str,
    pub(crate) rule: &'static str,
}

impl InvalidHttpLedgerConfig {
    /// The field that is wrong.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.key
    }
}

/// A call without an answer.
pub(crate) fn unanswered(
    operation: &'static str,
    host: &str,
    error: RetryError<TransportError>,
) -> BalanceError {
    match error {
        RetryError::GaveUp { error, attempts, .. } => {
            let kind = match error.kind() {
                TransportErrorKind::TooLarge => BalanceErrorKind::Corrupt,
                _ => BalanceErrorKind::Unavailable,
            };
            let times = if attempts == 1 { "once" } else { "several times" };
            let what = what_went_wrong(&error);
            let detail = format!("{host} {what}; asked {times} ({attempts})");
            BalanceError::new(kind, operation, detail).with_source(error)
        }
        RetryError::BreakerOpen(open) => {
            let detail = format!("{host} failed too often lately and is left alone for a while");
            BalanceError::new(BalanceErrorKind::Unavailable, operation, detail).with_source(open)
        }
        RetryError::Refused { refused, .. } => {
            let detail = "the attempt was not admitted";
            BalanceError::new(BalanceErrorKind::Unavailable, operation, detail).with_source(refused)
        }
    }
}

fn what_went_wrong(error: &TransportError) -> String {
    use TransportErrorKind as Kind;
    match error.kind() {
        Kind::Connect => "cannot be reached",
        Kind::ConnectTimeout => "did not accept a connection in time",
        Kind::Tls => "could not be trusted: the TLS handshake failed",
        Kind::FirstByteTimeout | Kind::IdleTimeout | Kind::TotalTimeout => "did not answer in time",
        Kind::Reset | Kind::Closed => "closed the connection before its answer was whole",
        Kind::TooLarge => "answered with more than the configured bytes",
        Kind::Status => {
            let status = error.status().map_or(0, |status| status.as_u16());
            return format!("answered with status {status}");
        }
        _ => "gave no usable answer",
    }
    .to_owned()
}

/// An answer that is none of the contract's.
pub(crate) fn no_answer(operation: &'static str, detail: impl Into<String>) -> BalanceError {
    BalanceError::new(BalanceErrorKind::Unavailable, operation, detail)
}

/// An answer in the contract's words that contradicts them, or the question.
pub(crate) fn nonsense(operation: &'static str, detail: impl Into<String>) -> BalanceError {
    BalanceError::new(BalanceErrorKind::Corrupt, operation, detail)
}
