//! Why a runtime could not be opened, and what to do about it.

use std::path::PathBuf;

use chat_core::TurnError;
use chat_persist::PersistError;
use chat_provider::{ProviderError, UnknownModel};
use chat_types::{InvalidId, InvalidModel};
use chat_usage::UsageError;

use crate::InvalidAmount;

/// A runtime that could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The configuration cannot be read, or says something impossible.
    #[error("the configuration is invalid: {detail}")]
    InvalidConfig {
        /// Which key or line, and what is wrong with it.
        detail: String,
    },
    /// The configuration needs a part that was not compiled in.
    #[error("{wanted} needs the feature `{feature}`, which is not compiled in")]
    FeatureOff {
        /// What was asked for.
        wanted: String,
        /// The feature of this crate to switch on.
        feature: &'static str,
    },
    /// The store's URL has a scheme that no store has.
    #[error("no store has the URL scheme of {url:?}")]
    UnknownStore {
        /// The URL, without what it may hide.
        url: String,
    },
    /// The store keeps a list of users, and this one is not on it.
    #[error("this database has no user {named:?}")]
    UnknownUser {
        /// The id or e-mail address that was named.
        named: String,
    },
    /// The store keeps a list of users, and several could be meant.
    #[error("this database keeps several users: {detail}")]
    UserNotNamed {
        /// How many could be meant.
        detail: String,
    },
    /// The store cannot bill, so that no turn may start on it.
    #[error("this store cannot bill: {reason}")]
    CannotBill {
        /// What it lacks.
        reason: String,
        /// How it is put right.
        remedy: String,
    },
    /// A file that the configuration names cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An id is invalid.
    #[error(transparent)]
    InvalidId(#[from] InvalidId),
    /// A model's name is invalid.
    #[error(transparent)]
    InvalidModel(#[from] InvalidModel),
    /// An amount of money is invalid.
    #[error(transparent)]
    InvalidAmount(#[from] InvalidAmount),
    /// The default model, or what an alias means, is not there.
    #[error(transparent)]
    UnknownModel(#[from] UnknownModel),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] PersistError),
    /// The price book is invalid.
    #[error(transparent)]
    Prices(#[from] UsageError),
    /// A provider cannot be made.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The client did not start.
    #[error(transparent)]
    Start(#[from] TurnError),
}

impl RuntimeError {
    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidConfig { .. } | Self::InvalidModel(_) | Self::InvalidAmount(_) => {
                "invalid_config"
            }
            Self::FeatureOff { .. } => "feature_off",
            Self::UnknownStore { .. } => "unknown_store",
            Self::UnknownUser { .. } => "unknown_user",
            Self::UserNotNamed { .. } => "user_not_named",
            Self::CannotBill { .. } => "cannot_bill",
            Self::Unreadable { .. } => "file_unreadable",
            Self::InvalidId(_) => "invalid_id",
            Self::UnknownModel(_) => "unknown_model",
            Self::Store(error) => error.code(),
            Self::Prices(error) => error.code(),
            Self::Provider(error) => error.code(),
            Self::Start(error) => error.code(),
        }
    }

    /// What to do about it, one line; none where the cause says it all.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::InvalidConfig { .. } | Self::InvalidModel(_) | Self::InvalidAmount(_) => {
                "correct the configuration; the keys are in chat-runtime's README".to_owned()
            }
            Self::FeatureOff { feature, .. } => {
                format!("build with `--features {feature}`, or configure something else")
            }
            Self::UnknownStore { .. } => {
                "write `sqlite:FILE`, `postgres://…`, `mongodb://…` or `memory:`".to_owned()
            }
            Self::CannotBill { remedy, .. } => remedy.clone(),
            Self::Unreadable { .. } => "check the path and its permissions".to_owned(),
            _ => return None,
        })
    }
}
