//! What an engine says of itself, in one line for people.

use crate::store::Engine;
use crate::{RuntimeError, Store};

impl Store {
    /// The engine, its version and what was found of its settings; opening has checked them.
    ///
    /// # Errors
    /// `Store` if the server does not answer any more.
    pub async fn description(&self) -> Result<String, RuntimeError> {
        Ok(match &self.engine {
            Engine::Memory(..) => "in this process, gone when it ends".to_owned(),
            #[cfg(feature = "sqlite")]
            Engine::Sqlite(_) => "SQLite, write-ahead log, full synchronous commits".to_owned(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => {
                "PostgreSQL, version and encoding fine, schema up to date".to_owned()
            }
            #[cfg(feature = "mongo")]
            Engine::Mongo(store) if store.has_transactions() => {
                "MongoDB, version fine, a replica set or sharded cluster, indexes made".to_owned()
            }
            #[cfg(feature = "mongo")]
            Engine::Mongo(_) => "MongoDB, version fine, standalone, indexes made".to_owned(),
        })
    }
}
