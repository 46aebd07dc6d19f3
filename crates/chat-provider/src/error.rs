//! What a provider refuses or fails at, and whether it may charge for it.

use std::error::Error as StdError;

/// What may have been consumed by an attempt that failed before its first delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exposure {
    /// Nothing was sent, or the provider refused it: nothing is owed.
    None,
    /// It was sent and the outcome is not known: its input may be charged.
    Unknown,
}

/// What the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProviderErrorKind {
    /// The key is missing, wrong or not allowed to do this.
    Unauthorized,
    /// The provider has no such model.
    UnknownModel,
    /// The provider does not take this request.
    InvalidRequest,
    /// The prompt is longer than the model's window.
    ContextTooLong,
    /// Too many requests; see [`ProviderError::retry_after_ms`].
    RateLimited,
    /// The provider's own quota or billing refuses.
    QuotaExhausted,
    /// The provider cannot be reached, or says it is overloaded.
    Unavailable,
    /// It took too long.
    Timeout,
    /// What came back is not the dialect: HTML, a cut stream, malformed events.
    Protocol,
    /// A content policy of the provider refuses.
    ContentFiltered,
    /// The provider is not set up here, for example its weights are missing.
    NotReady,
    /// The journal or the ledger refused another attempt.
    GateRefused,
}

impl ProviderErrorKind {
    /// A stable code for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unauthorized => "provider_unauthorized",
            Self::UnknownModel => "unknown_model",
            Self::InvalidRequest => "provider_invalid_request",
            Self::ContextTooLong => "context_too_long",
            Self::RateLimited => "provider_rate_limited",
            Self::QuotaExhausted => "provider_quota_exhausted",
            Self::Unavailable => "provider_unavailable",
            Self::Timeout => "provider_timeout",
            Self::Protocol => "provider_protocol",
            Self::ContentFiltered => "content_filtered",
            Self::NotReady => "provider_not_ready",
            Self::GateRefused => "attempt_refused",
        }
    }
}

/// A refused or failed call. `detail` is one line for people: no message text, no secrets.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct ProviderError {
    kind: ProviderErrorKind,
    detail: String,
    exposure: Exposure,
    status: Option<u16>,
    retry_after_ms: Option<u64>,
    request_id: Option<String>,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl ProviderError {
    /// A failure that owes nothing; say otherwise with [`ProviderError::with_exposure`].
    pub fn new(kind: ProviderErrorKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            exposure: Exposure::None,
            status: None,
            retry_after_ms: None,
            request_id: None,
            source: None,
        }
    }

    /// Says what may have been consumed.
    #[must_use]
    pub fn with_exposure(mut self, exposure: Exposure) -> Self {
        self.exposure = exposure;
        self
    }

    /// Keeps the HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Keeps how long the provider asks to wait.
    #[must_use]
    pub fn with_retry_after_ms(mut self, retry_after_ms: Option<u64>) -> Self {
        self.retry_after_ms = retry_after_ms;
        self
    }

    /// Keeps the provider's own name of the call.
    #[must_use]
    pub fn with_request_id(mut self, request_id: Option<String>) -> Self {
        self.request_id = request_id;
        self
    }

    /// Keeps the error underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ProviderErrorKind {
        self.kind
    }

    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// What may have been consumed if no delta was seen.
    #[must_use]
    pub fn exposure(&self) -> Exposure {
        self.exposure
    }

    /// The HTTP status, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// How long the provider asks to wait.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after_ms
    }

    /// The provider's own name of the call.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// Another model or provider may take the same prompt: what went wrong is this one's own.
    #[must_use]
    pub fn another_may_answer(&self) -> bool {
        match self.kind {
            ProviderErrorKind::Unauthorized
            | ProviderErrorKind::UnknownModel
            | ProviderErrorKind::ContextTooLong
            | ProviderErrorKind::RateLimited
            | ProviderErrorKind::QuotaExhausted
            | ProviderErrorKind::Unavailable
            | ProviderErrorKind::Timeout
            | ProviderErrorKind::Protocol
            | ProviderErrorKind::NotReady => true,
            ProviderErrorKind::InvalidRequest
            | ProviderErrorKind::ContentFiltered
            | ProviderErrorKind::GateRefused => false,
        }
    }

    /// A new turn may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            ProviderErrorKind::RateLimited
                | ProviderErrorKind::Unavailable
                | ProviderErrorKind::Timeout
                | ProviderErrorKind::Protocol
        )
    }
}
