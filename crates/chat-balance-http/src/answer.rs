//! Reads an answer: the contract's words, or an error that says what came instead.
//!
//! Status and code must agree. A plain 404 of a proxy is not "no such hold", or a wrong address
//! would look like an empty ledger.

use bytes::Bytes;
use chat_balance::{BalanceError, BalanceErrorKind, Result};
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use crate::error::{no_answer, nonsense};
use crate::wire::{ErrorAnswer, ErrorBody};

/// How much of a service's own words an error shows, in characters.
const MESSAGE_CHARS_MAX: usize = 200;

/// A whole answer that is not worth another attempt.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The content type without its parameters; empty if there is none.
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// What error texts need to know and to hide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) operation: &'static str,
    pub(crate) host: &'a str,
    pub(crate) secret: &'a SecretString,
    pub(crate) secret_name: &'a str,
}

impl Reader<'_> {
    /// The value of a success; what a refusal means otherwise.
    pub(crate) fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T> {
        if !answer.status.is_success() {
            return Err(self.refusal(answer));
        }
        if !is_json(&answer.content_type) {
            return Err(no_answer(self.operation, self.not_json(answer)));
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            let what = self.shown(&error.to_string());
            nonsense(self.operation, format!("the answer cannot be read: {what}"))
        })
    }

    fn refusal(&self, answer: &Answer) -> BalanceError {
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let (host, status) = (self.host, answer.status.as_u16());
            let name = self.secret_name;
            let detail = format!("{host} does not accept the secret ({status}): check {name}");
            return no_answer(self.operation, detail);
        }
        if answer.status.is_redirection() {
            let detail = format!("{} sends us elsewhere; redirects are not followed", self.host);
            return no_answer(self.operation, detail);
        }
        if !is_json(&answer.content_type) {
            return no_answer(self.operation, self.not_json(answer));
        }
        match serde_json::from_slice::<ErrorAnswer>(&answer.body) {
            Ok(answered) => self.by_code(answer.status, &answered.error),
            Err(error) => {
                let (host, what) = (self.host, self.shown(&error.to_string()));
                let status = answer.status.as_u16();
                let detail = format!("{host} answered {status} without an error code: {what}");
                no_answer(self.operation, detail)
            }
        }
    }

    fn by_code(&self, status: StatusCode, error: &ErrorBody) -> BalanceError {
        let said = error.message.as_deref().map(|message| self.shown(message));
        let because = |otherwise: &str| said.clone().unwrap_or_else(|| otherwise.to_owned());
        let of_kind = |kind, otherwise| BalanceError::new(kind, self.operation, because(otherwise));
        match (status.as_u16(), error.code.as_str()) {
            (402, "insufficient_funds") => match error.refusal() {
                Some(refusal) => BalanceError::refused(self.operation, refusal),
                None => {
                    let detail = "a refusal came without account, unit, need, available and held";
                    nonsense(self.operation, detail)
                }
            },
            (404, "not_found") => of_kind(BalanceErrorKind::NotFound, "there is none"),
            (409, "conflict") => of_kind(BalanceErrorKind::Conflict, "the key was used otherwise"),
            (400, "invalid_amount") => {
                of_kind(BalanceErrorKind::InvalidAmount, "an amount was not accepted")
            }
            (501, "unsupported") => {
                let detail = format!("{} does not offer this; look at its own books", self.host);
                no_answer(self.operation, detail)
            }
            (status, code) => {
                let code = self.shown(code);
                let why = said.map(|said| format!(": {said}")).unwrap_or_default();
                let detail = format!("{} answered {status} `{code}`{why}", self.host);
                no_answer(self.operation, detail)
            }
        }
    }

    fn not_json(&self, answer: &Answer) -> String {
        let (host, status) = (self.host, answer.status.as_u16());
        let kind = match answer.content_type.as_str() {
            "" => "no content type".to_owned(),
            kind => self.shown(kind),
        };
        let bytes = answer.body.len();
        format!("{host} answered {status} with {kind} instead of JSON ({bytes} bytes)")
    }

    /// A few words of the service's, on one line, without our secret.
    fn shown(&self, text: &str) -> String {
        let text = text.replace(self.secret.expose_secret(), "…");
        let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        line.take(MESSAGE_CHARS_MAX).collect()
    }
}

fn is_json(content_type: &str) -> bool {
    content_type.eq_ignore_ascii_case("application/json")
}
