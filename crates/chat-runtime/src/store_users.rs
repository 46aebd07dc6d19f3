//! Whose conversations are meant: a store that keeps a list of users is asked.
//!
//! Only a LibreChat database has one. Everywhere else a user is whoever says so: the program that
//! embeds this has authenticated him.

use chat_types::Scope;

use crate::{RuntimeError, Store};

impl Store {
    /// The scope of who was named, by id or, where the store keeps users, by e-mail address. If
    /// nobody was: the only user the store keeps, else `otherwise`.
    ///
    /// # Errors
    /// `UnknownUser` if the store keeps users and none is named like that; `UserNotNamed` if it
    /// keeps several; `InvalidId`; `Store`.
    pub async fn scope(&self, named: Option<&str>, otherwise: &str) -> Result<Scope, RuntimeError> {
        self.scope_of(named.unwrap_or(otherwise))
    }
}
