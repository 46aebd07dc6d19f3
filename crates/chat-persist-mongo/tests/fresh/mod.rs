//! A fresh database on a server that the environment names, dropped at the end.

use std::sync::Arc;

use chat_persist_mongo::{MongoConfig, MongoStore};
use mongodb::Client;

/// Which server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Server {
    ReplicaSet,
    Standalone,
}

/// Drops its database when the test is over.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) url: String,
    pub(crate) client: Client,
    pub(crate) name: String,
}

impl Fresh {
    /// A database of a new name; nothing is in it.
    pub(crate) async fn on(server: Server) -> Self {
        let variable = match server {
            Server::ReplicaSet => "CHAT_TEST_MONGO_URL",
            Server::Standalone => "CHAT_TEST_MONGO_STANDALONE_URL",
        };
        let base = std::env::var(variable)
            .unwrap_or_else(|_| panic!("{variable} is not set; run `cargo xtask services up`"));
        // Unique among processes too: five of its bytes are random for each.
        let name = format!("test_{}", mongodb::bson::oid::ObjectId::new());
        let (address, query) = base.split_once('?').unwrap_or((&base, ""));
        let url = format!("{}/{name}?{query}", address.trim_end_matches('/'));
        let client = Client::with_uri_str(&url).await.expect("a URL of MongoDB");
        Self { url, client, name }
    }

    /// Opens a store on it.
    pub(crate) async fn open(&self) -> Arc<MongoStore> {
        let store = MongoStore::open(MongoConfig::new(&self.url)).await;
        Arc::new(store.expect("the server answers and takes our indexes"))
    }

    /// The database itself, as another program sees it.
    pub(crate) fn database(&self) -> mongodb::Database {
        self.client.database(&self.name)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let database = self.client.database(&self.name);
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                if let Err(error) = database.drop().await {
                    eprintln!("database {} stays behind: {error}", self.name);
                }
            });
        });
    }
}
