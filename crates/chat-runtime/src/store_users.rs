//! Whose conversations are meant: a store that keeps a list of users is asked.
//!
//! Only a LibreChat database has one. Everywhere else a user is whoever says so: the program that
//! embeds this has authenticated him.

use chat_types::Scope;

use crate::store::Engine;
use crate::{RuntimeError, Store};

impl Store {
    /// The scope of who was named, by id or, where the store keeps users, by e-mail address. If
    /// nobody was: the only user the store keeps, else `otherwise`.
    ///
    /// # Errors
    /// `UnknownUser` if the store keeps users and none is named like that; `UserNotNamed` if
    /// several could be meant; `InvalidId`; `Store`.
    pub async fn scope(&self, named: Option<&str>, otherwise: &str) -> Result<Scope, RuntimeError> {
        match &self.engine {
            #[cfg(feature = "mongo")]
            Engine::Mongo(store) => match listed(store, named).await? {
                Some(scope) => Ok(scope),
                None => self.scope_of(named.unwrap_or(otherwise)),
            },
            Engine::Memory(..) => self.scope_of(named.unwrap_or(otherwise)),
            #[cfg(feature = "sqlite")]
            Engine::Sqlite(_) => self.scope_of(named.unwrap_or(otherwise)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => self.scope_of(named.unwrap_or(otherwise)),
        }
    }
}

/// Who is meant by the database's list; none if it has no list.
#[cfg(feature = "mongo")]
async fn listed(
    store: &chat_persist_mongo::MongoStore,
    named: Option<&str>,
) -> Result<Option<Scope>, RuntimeError> {
    use chat_persist_mongo::UserError;
    let found = match named {
        Some(named) => store.find_user(named).await,
        None => store.only_user().await,
    };
    match found {
        Ok(scope) => Ok(Some(scope)),
        Err(UserError::None) => Ok(None),
        Err(UserError::Unknown { wanted }) => match store.only_user().await {
            Err(UserError::None) => Ok(None),
            Err(UserError::Store(error)) => Err(error.into()),
            _ => Err(RuntimeError::UnknownUser { named: wanted }),
        },
        Err(UserError::Store(error)) => Err(error.into()),
        Err(error) => Err(RuntimeError::UserNotNamed { detail: error.to_string() }),
    }
}
