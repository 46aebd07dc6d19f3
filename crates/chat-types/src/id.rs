//! Opaque, validated identifiers, one type per thing they name.
//!
//! Every id is 1 to 128 characters of `[A-Za-z0-9:_-]`. A wrong mix (a turn where a message is
//! meant) does not compile. Not here: making new ones (`IdSource`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest id we accept: what the reference systems allow, and short enough to index.
const ID_CHARS_MAX: usize = 128;

/// A string that is not a valid id, with the place and the rule it broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what}: {rule}")]
pub struct InvalidId {
    what: &'static str,
    rule: &'static str,
}

impl InvalidId {
    /// Which kind of id was refused, for example `message id`.
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }
}

fn check(what: &'static str, text: &str) -> Result<(), InvalidId> {
    let rule = if text.is_empty() {
        "it is empty"
    } else if text.len() > ID_CHARS_MAX {
        "it is longer than 128 characters"
    } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'_' | b'-')) {
        "only letters, digits, ':', '_' and '-' are allowed"
    } else {
        return Ok(());
    };
    Err(InvalidId { what, rule })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and wraps it.
            ///
            /// # Errors
            /// `InvalidId` if it is empty, longer than 128 characters or has any character
            /// outside `[A-Za-z0-9:_-]`.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                check($what, text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }
    };
}

id!(/** A tenant: the outer half of a `Scope`. */ TenantId, "tenant id");
id!(/** A user: the inner half of a `Scope`. */ UserId, "user id");
id!(/** A conversation. */ ConversationId, "conversation id");
id!(/** A message, a node of the conversation's tree. */ MessageId, "message id");
id!(/** A turn: one user message in, one reply out. */ TurnId, "turn id");
id!(/** A stored file. */ FileId, "file id");
id!(/** A named group of documents of one owner. */ CollectionId, "collection id");
id!(/** A ledger account within a tenant. */ AccountId, "account id");
id!(/** A process that owns running turns. */ OwnerId, "owner id");
id!(/** A model provider as configured, for example `openai` or `local`. */ ProviderId, "provider id");
id!(/** What the caller names a send by, so that a repeat re-attaches. */ IdempotencyKey, "idempotency key");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_accept_uuids_object_ids_and_namespaced_names() {
        for text in ["0198b0a0-0000-7000-8000-000000000000", "66f0c1d2e3a4b5c6d7e8f901", "a:b_c-1"]
        {
            assert_eq!(MessageId::new(text).map(String::from), Ok(text.to_owned()));
        }
    }

    #[test]
    fn ids_refuse_empty_long_and_foreign_characters() {
        for text in ["", " ", "a b", "a/b", "$ne", "é", "a\0", &"x".repeat(129)] {
            assert!(MessageId::new(text).is_err(), "{text:?} was accepted");
        }
        assert!(MessageId::new("x".repeat(128)).is_ok());
    }

    #[test]
    fn a_stored_id_is_checked_when_it_is_read() {
        assert!(serde_json::from_str::<TurnId>("\"a b\"").is_err());
        assert_eq!(serde_json::from_str::<TurnId>("\"t-1\"").ok(), TurnId::new("t-1").ok());
    }
}
