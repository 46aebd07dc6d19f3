//! What an answer, or the lack of one, means to the caller.

use chat_rag::{RagError, RagErrorKind};
use chat_transport::{TransportError, TransportErrorKind};
use http::StatusCode;

/// No answer came, or not a whole one.
pub(crate) fn unanswered(operation: &'static str, error: TransportError) -> RagError {
    let (kind, detail) = match error.kind() {
        TransportErrorKind::ConnectTimeout
        | TransportErrorKind::FirstByteTimeout
        | TransportErrorKind::IdleTimeout
        | TransportErrorKind::ProgressTimeout
        | TransportErrorKind::TotalTimeout => {
            (RagErrorKind::Timeout, "the retrieval service did not answer in time")
        }
        TransportErrorKind::TooLarge => {
            (RagErrorKind::TooLarge, "the retrieval service's answer is larger than allowed")
        }
        TransportErrorKind::InvalidRequest => {
            (RagErrorKind::Invalid, "the request to the retrieval service cannot be sent")
        }
        TransportErrorKind::BadContentType | TransportErrorKind::Malformed => {
            (RagErrorKind::Malformed, "the retrieval service's answer cannot be decoded")
        }
        _ => (RagErrorKind::Unavailable, "the retrieval service cannot be reached"),
    };
    RagError::new(kind, operation, detail).with_source(error)
}

/// The service answered that it will not or cannot. What it says is shown up to a line's length:
/// it is a stranger's text.
pub(crate) fn refused(operation: &'static str, status: StatusCode, body: &[u8]) -> RagError {
    const SHOWN_CHARS: usize = 200;
    let kind = match status.as_u16() {
        401 | 403 => RagErrorKind::Unauthorized,
        413 => RagErrorKind::TooLarge,
        429 | 500.. => RagErrorKind::Unavailable,
        _ => RagErrorKind::Invalid,
    };
    let said = serde_json::from_slice::<serde_json::Value>(body).ok();
    let said =
        said.and_then(|body| body.get("detail").map(ToString::to_string)).unwrap_or_default();
    let said: String =
        said.chars().filter(|character| !character.is_control()).take(SHOWN_CHARS).collect();
    let detail = format!("the retrieval service answered {} {said}", status.as_u16());
    RagError::new(kind, operation, detail.trim_end())
}

/// The service answered 200 with something that is not in the contract.
pub(crate) fn malformed(operation: &'static str, what: &str) -> RagError {
    let detail = format!("the retrieval service's answer is not {what}; is it a rag_api?");
    RagError::new(RagErrorKind::Malformed, operation, detail)
}
