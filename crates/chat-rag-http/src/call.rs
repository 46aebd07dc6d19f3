//! One call: its address, its token, its answer within bounds.

use bytes::Bytes;
use chat_rag::{RagError, RagErrorKind, Result};
use chat_transport::{Timeouts, TransportRequest};
use chat_types::{FileId, Scope};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::HttpRag;
use crate::error::{malformed, refused, unanswered};
use crate::token::token;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A call to be made.
pub(crate) struct Call {
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: Bytes,
    /// From the start to the end of the answer.
    pub(crate) whole_ms: u64,
}

impl Call {
    pub(crate) fn get(operation: &'static str, path: impl Into<String>, whole_ms: u64) -> Self {
        let (path, body) = (path.into(), Bytes::new());
        Self { operation, method: Method::GET, path, content_type: None, body, whole_ms }
    }

    pub(crate) fn json(
        operation: &'static str,
        (method, path): (Method, &str),
        body: &impl Serialize,
        whole_ms: u64,
    ) -> Result<Self> {
        let body = serde_json::to_vec(body).map_err(|error| {
            RagError::new(RagErrorKind::Invalid, operation, "it has no JSON").with_source(error)
        })?;
        let (path, body) = (path.to_owned(), body.into());
        Ok(Self { operation, method, path, content_type: Some(JSON), body, whole_ms })
    }
}

/// A whole answer.
pub(crate) struct Answer {
    operation: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Reads a 200 as `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self, what: &str) -> Result<T> {
        self.check()?;
        serde_json::from_slice(&self.body)
            .map_err(|error| malformed(self.operation, what).with_source(error))
    }

    /// Any status but 2xx is an error.
    pub(crate) fn check(&self) -> Result<()> {
        if self.status.is_success() {
            return Ok(());
        }
        Err(refused(self.operation, self.status, &self.body))
    }
}

impl HttpRag {
    /// Makes a call in the name of the scope's user.
    pub(crate) async fn call(&self, scope: &Scope, call: Call) -> Result<Answer> {
        let Call { operation, method, path, content_type, body, whole_ms } = call;
        let mut headers = HeaderMap::from_iter([(ACCEPT, JSON)]);
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        if let Some(secret) = &self.config.secret {
            let token = token(secret, &scope.user, self.clock.now(), self.config.token_seconds)?;
            let bearer = HeaderValue::try_from(format!("Bearer {token}"));
            let mut bearer = bearer.map_err(|error| {
                RagError::new(RagErrorKind::Invalid, operation, "no token").with_source(error)
            })?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let timeouts = Timeouts {
            connect_ms: self.config.connect_ms.min(whole_ms),
            first_byte_ms: whole_ms,
            idle_ms: whole_ms,
            progress_ms: whole_ms,
            total_ms: whole_ms,
        };
        let url = format!("{}{path}", self.config.base_url.trim_end_matches('/'));
        let request = TransportRequest { method, url, headers, body, timeouts };
        let unanswered = |error| unanswered(operation, error);
        let response = self.transport.send(request).await.map_err(unanswered)?;
        let status = response.status;
        let body = response.read_full(self.config.answer_bytes_max).await.map_err(unanswered)?;
        Ok(Answer { operation, status, body })
    }
}

/// An id as a part of a path. Ids have no character that must be spelled out but `:`, which may
/// stand there.
pub(crate) fn document_path(id: &FileId, tail: &str) -> String {
    format!("/documents/{id}{tail}")
}
