//! Opening a database: everything a store needs is there, and what a crash cut off is finished.

use crate::client::in_task;
use crate::connect::connect_and_look;
use crate::error::PortError;
use crate::{MongoConfig, MongoStore, indexes};

impl MongoStore {
    /// Connects and makes the collections and indexes that are missing.
    ///
    /// # Errors
    /// `Unsupported` if the URL is none or names no database, the server is older than 6.0, an
    /// index of another kind is in the way, or the credentials are refused; `Unavailable` if no
    /// primary answers.
    pub async fn open(config: MongoConfig) -> chat_persist::Result<Self> {
        let failed = |failure| chat_persist::PersistError::of(failure, "open");
        let store = in_task(async move {
            let connected = connect_and_look(&config).await?;
            indexes::create_all(&connected.database).await?;
            Ok(Self::over(connected, &config))
        });
        let store = store.await.and_then(std::convert::identity).map_err(failed)?;
        store.finish_pending().await?;
        Ok(store)
    }
}
