//! What a failed call means: the vendor's codes and statuses as kinds, with the remedy in one line.
//!
//! A vendor's prose may quote the user or a piece of the key, so it is searched for known phrases and
//! never passed on; its codes are. Every error says what may have been consumed. Not here: whether to
//! try again (`chat_transport`'s retry table).

use chat_provider::{Exposure, ProviderError, ProviderErrorKind};
use chat_transport::{
    Failure, ResponseHints, Retryable, TransportError, TransportErrorKind, TransportPhase,
};

use crate::scalar::Scalar;
use crate::wire::{Completion, WireError};

/// The longest code that is passed on; real ones are below 40.
const CODE_CHARS_MAX: usize = 64;

/// How much of a vendor's prose is searched.
const MESSAGE_BYTES_MAX: usize = 4_096;

/// A vendor's error, reduced to what can be shown and decided on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VendorError {
    code: String,
    kind: String,
    param: String,
    is_about_length: bool,
    is_about_model: bool,
}

impl VendorError {
    pub(crate) fn from_wire(wire: &WireError<'_>) -> Self {
        let fields = &wire.0;
        let message: String =
            fields.message.0.chars().take(MESSAGE_BYTES_MAX).flat_map(char::to_lowercase).collect();
        let has = |phrase: &str| message.contains(phrase);
        Self {
            code: shown(&fields.code),
            kind: shown(&fields.kind),
            param: shown(&fields.param),
            is_about_length: has("context length")
                || has("context window")
                || has("context size")
                || has("maximum context")
                || has("prompt is too long"),
            is_about_model: has("model"),
        }
    }

    /// What a body says; nothing if it is not an error's JSON.
    fn from_body(body: &[u8]) -> Self {
        serde_json::from_slice::<Completion<'_>>(body)
            .ok()
            .and_then(|body| body.error)
            .map(|error| Self::from_wire(&error))
            .unwrap_or_default()
    }

    /// A reply that the server broke off.
    pub(crate) fn overloaded() -> Self {
        Self { kind: "server_error".to_owned(), ..Self::default() }
    }

    fn is(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.code == *name || self.kind == *name)
    }

    fn is_quota(&self) -> bool {
        self.is(&[
            "insufficient_quota",
            "billing_hard_limit_reached",
            "billing_not_active",
            "quota_exceeded",
        ])
    }

    /// The status an error inside a 200 stands for.
    fn status(&self) -> u16 {
        if let Ok(status @ 400..=599) = self.code.parse::<u16>() {
            return status;
        }
        if self.is_quota()
            || self.is(&["rate_limit_exceeded", "rate_limit_error", "requests", "tokens"])
        {
            return 429;
        }
        if self.is(&["overloaded", "overloaded_error"]) {
            return 529;
        }
        if self.is(&["authentication_error", "invalid_api_key"]) {
            return 401;
        }
        if self.is(&["model_not_found", "not_found_error"]) {
            return 404;
        }
        if self.is(&[
            "invalid_request_error",
            "context_length_exceeded",
            "exceed_context_size_error",
            "content_filter",
            "content_policy_violation",
        ]) {
            return 400;
        }
        500
    }

    fn kind(&self, status: u16) -> ProviderErrorKind {
        use ProviderErrorKind as Kind;
        let is_length = self.is(&["context_length_exceeded", "exceed_context_size_error"])
            || (self.is_about_length && matches!(status, 400 | 413 | 422));
        match status {
            _ if is_length => Kind::ContextTooLong,
            _ if self.is_quota() => Kind::QuotaExhausted,
            402 => Kind::QuotaExhausted,
            _ if self.is(&["content_filter", "content_policy_violation"]) => Kind::ContentFiltered,
            _ if self.is(&["model_not_found"]) => Kind::UnknownModel,
            404 if self.is_about_model => Kind::UnknownModel,
            401 | 403 => Kind::Unauthorized,
            429 => Kind::RateLimited,
            _ if self.is(&["rate_limit_exceeded"]) => Kind::RateLimited,
            408 => Kind::Timeout,
            409 | 500..=599 => Kind::Unavailable,
            400..=499 => Kind::InvalidRequest,
            _ => Kind::Protocol,
        }
    }

    /// `(401, invalid_api_key)`.
    fn label(&self, status: u16) -> String {
        let code = if self.code.is_empty() || self.code.parse::<u16>().is_ok() {
            &self.kind
        } else {
            &self.code
        };
        match (code.as_str(), self.param.as_str()) {
            ("", _) => format!("({status})"),
            (code, "") => format!("({status}, {code})"),
            (code, param) => format!("({status}, {code}, {param})"),
        }
    }
}

/// A code as it may be shown: a short name, or nothing.
fn shown(scalar: &Scalar<'_>) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_.-[]".contains(letter);
    let name = scalar.0.as_ref();
    if name.len() <= CODE_CHARS_MAX && name.chars().all(is_plain) {
        name.to_owned()
    } else {
        String::new()
    }
}

/// One failed attempt: the error to report and what the retry loop judges.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct CallError {
    pub(crate) error: Box<ProviderError>,
    pub(crate) failure: Failure,
}

impl Retryable for CallError {
    fn failure(&self) -> Failure {
        self.failure.clone()
    }
}

impl CallError {
    /// The same after the first delta: never repeated, and surely consumed something.
    pub(crate) fn committed(mut self) -> Self {
        self.failure.is_committed = true;
        self.error = Box::new((*self.error).with_exposure(Exposure::Unknown));
        self
    }
}

/// What error messages name.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) key_name: String,
    pub(crate) has_key: bool,
}

impl Server {
    /// An error of the transport, a refusal by status included.
    pub(crate) fn transport_error(&self, model: &str, error: &TransportError) -> CallError {
        use ProviderErrorKind as Kind;
        use TransportErrorKind as Cause;
        let hints = ResponseHints {
            retry_after_ms: error.retry_after_ms(),
            should_retry: error.should_retry(),
            request_id: error.request_id().map(str::to_owned),
        };
        if error.kind() == Cause::Status {
            let status = error.status().map_or(500, |status| status.as_u16());
            let vendor = VendorError::from_body(error.body());
            return self.refused(model, status, &vendor, Failure::refused(status), &hints);
        }
        let host = &self.host;
        let is_streaming =
            matches!(error.phase(), TransportPhase::Headers | TransportPhase::Streaming);
        let (kind, detail) = match error.kind() {
            Cause::InvalidRequest => (
                Kind::InvalidRequest,
                format!("a request to {host:?} cannot be made: check base_url"),
            ),
            Cause::Connect | Cause::ConnectTimeout => (
                Kind::Unavailable,
                format!("{host} cannot be reached: is it running, and is base_url right?"),
            ),
            Cause::Tls => (
                Kind::Unavailable,
                format!("no secure connection to {host}: check base_url and the certificates"),
            ),
            Cause::FirstByteTimeout => {
                (Kind::Timeout, format!("{host} took the request and did not answer in time"))
            }
            Cause::IdleTimeout | Cause::ProgressTimeout => {
                (Kind::Timeout, format!("{host} stopped talking in the middle of its reply"))
            }
            Cause::TotalTimeout => {
                (Kind::Timeout, format!("the call to {host} took longer than allowed"))
            }
            Cause::Reset | Cause::Closed if is_streaming => {
                (Kind::Protocol, format!("{host} cut the reply off"))
            }
            Cause::Reset | Cause::Closed => {
                (Kind::Unavailable, format!("{host} closed the connection without an answer"))
            }
            Cause::TooLarge => (Kind::Protocol, format!("{host} sent more than any reply can be")),
            Cause::BadContentType => (
                Kind::Protocol,
                format!(
                    "{host} answered with something that is no reply of a model, such as a web page: check base_url, it usually ends in /v1"
                ),
            ),
            Cause::Malformed => {
                (Kind::Protocol, format!("{host} sent bytes that cannot be decoded"))
            }
            _ => (Kind::Unavailable, format!("the call to {host} was stopped")),
        };
        let failure = error.failure();
        let error = provider_error(kind, detail, &failure, &hints).with_source(error.clone());
        CallError { error: Box::new(error), failure }
    }

    /// An error inside a 200.
    pub(crate) fn refused_in_stream(
        &self,
        model: &str,
        vendor: &VendorError,
        request_id: Option<&str>,
    ) -> CallError {
        let status = vendor.status();
        let hints =
            ResponseHints { request_id: request_id.map(str::to_owned), ..ResponseHints::default() };
        self.refused(model, status, vendor, Failure::refused_in_stream(status), &hints)
    }

    /// Bytes that are not the dialect.
    pub(crate) fn malformed(&self, what: &str) -> CallError {
        let failure = Failure::new(TransportErrorKind::Malformed, TransportPhase::Streaming);
        let detail = format!("{} does not speak Chat Completions: {what}", self.host);
        let error = provider_error(
            ProviderErrorKind::Protocol,
            detail,
            &failure,
            &ResponseHints::default(),
        );
        CallError { error: Box::new(error), failure }
    }

    fn refused(
        &self,
        model: &str,
        status: u16,
        vendor: &VendorError,
        mut failure: Failure,
        hints: &ResponseHints,
    ) -> CallError {
        use ProviderErrorKind as Kind;
        let kind = vendor.kind(status);
        let (host, key_name, label) = (&self.host, &self.key_name, vendor.label(status));
        let detail = match kind {
            Kind::Unauthorized if self.has_key => {
                format!("{host} refused the key {label}: check {key_name}")
            }
            Kind::Unauthorized => format!("{host} wants a key {label}: set {key_name}"),
            Kind::UnknownModel => format!("{host} has no model {model} {label}"),
            Kind::ContextTooLong => {
                format!(
                    "the prompt is longer than {host} takes for {model} {label}: set a smaller window for it"
                )
            }
            Kind::QuotaExhausted => format!("the account at {host} has no quota left {label}"),
            Kind::RateLimited => format!("{host} takes no more requests for now {label}"),
            Kind::ContentFiltered => format!("a content policy of {host} refused this {label}"),
            Kind::InvalidRequest if status == 404 => {
                format!(
                    "{host} has no such address {label}: check base_url, it usually ends in /v1"
                )
            }
            Kind::InvalidRequest => format!("{host} does not take this request {label}"),
            Kind::Timeout => format!("{host} gave up waiting {label}"),
            Kind::Protocol => {
                format!("{host} answered with an unexpected status {label}: check base_url")
            }
            _ => format!("{host} is not able to answer now {label}"),
        };
        failure.retry_after_ms = hints.retry_after_ms;
        failure.should_retry = hints.should_retry;
        failure.is_quota = kind == Kind::QuotaExhausted;
        let error = provider_error(kind, detail, &failure, hints).with_status(status);
        CallError { error: Box::new(error), failure }
    }
}

fn provider_error(
    kind: ProviderErrorKind,
    detail: String,
    failure: &Failure,
    hints: &ResponseHints,
) -> ProviderError {
    let exposure = if failure.may_have_cost() { Exposure::Unknown } else { Exposure::None };
    ProviderError::new(kind, detail)
        .with_exposure(exposure)
        .with_retry_after_ms(hints.retry_after_ms)
        .with_request_id(hints.request_id.clone())
}
