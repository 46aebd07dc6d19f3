//! A request as it came in, kept for assertions on the wire. Secrets are masked before it is stored.

use bytes::Bytes;
use hyper::HeaderMap;
use serde::{Deserialize, Serialize};

/// Headers whose value is a secret.
const SECRET_HEADERS: [&str; 4] = ["authorization", "api-key", "x-api-key", "cookie"];

/// One captured request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// The ledger's id of the request.
    pub id: String,
    /// Path and query.
    pub path: String,
    /// Headers in wire order, names in lower case; secrets read `***`.
    pub headers: Vec<(String, String)>,
    /// The body's text (lossy if it was not UTF-8).
    pub body: String,
}

impl Captured {
    pub(crate) fn new(path: &str, headers: &HeaderMap, body: &Bytes) -> Self {
        let headers = headers.iter().map(|(name, value)| {
            let secret = SECRET_HEADERS.contains(&name.as_str());
            let value =
                if secret { "***".into() } else { String::from_utf8_lossy(value.as_bytes()) };
            (name.as_str().to_owned(), value.into_owned())
        });
        Self {
            id: String::new(),
            path: path.to_owned(),
            headers: headers.collect(),
            body: String::from_utf8_lossy(body).into_owned(),
        }
    }

    /// The first header with this lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// The body is not JSON.
    pub fn json(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::from_str(&self.body)
    }

    pub(crate) fn body_bytes(&self) -> usize {
        self.body.len()
    }
}
