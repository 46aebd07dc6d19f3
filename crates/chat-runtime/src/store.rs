//! The store of a URL, among those compiled in.

use std::path::PathBuf;
use std::sync::Arc;

use chat_balance::MemoryLedger;
use chat_core::BaseClientBuilder;
use chat_persist::MemoryStore;
use chat_provider::ProviderRegistry;
use chat_usage::{MemoryUsageStore, PriceBook};

use crate::RuntimeError;

/// Which store a URL means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreKind {
    /// This process's memory: gone when it ends.
    Memory,
    /// One SQLite file.
    Sqlite {
        /// The file; relative to the working folder.
        path: PathBuf,
    },
}

/// Reads a store URL: `sqlite:FILE`, `sqlite://FILE` or `memory:`.
///
/// # Errors
/// `FeatureOff` naming the feature that has this scheme; `UnknownStore`; `InvalidConfig` if empty.
pub fn store_kind(url: &str) -> Result<StoreKind, RuntimeError> {
    if url.is_empty() {
        return Err(RuntimeError::InvalidConfig { detail: "store: is not set".to_owned() });
    }
    let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
    let off = |feature| {
        Err(RuntimeError::FeatureOff {
            wanted: format!("a store of the scheme `{scheme}:`"),
            feature,
        })
    };
    match scheme {
        "memory" if rest.is_empty() => Ok(StoreKind::Memory),
        "sqlite" if !rest.trim_start_matches("//").is_empty() => {
            if cfg!(feature = "sqlite") {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                Ok(StoreKind::Sqlite { path: path.into() })
            } else {
                off("sqlite")
            }
        }
        "postgres" | "postgresql" => off("postgres"),
        "mongodb" | "mongodb+srv" => off("mongo"),
        _ => Err(RuntimeError::UnknownStore {
            // What follows may hold a password.
            url: if scheme.is_empty() {
                url.chars().take(80).collect()
            } else {
                format!("{scheme}:…")
            },
        }),
    }
}

/// A store that is open.
#[derive(Debug)]
pub(crate) enum OpenStore {
    Memory,
    #[cfg(feature = "sqlite")]
    Sqlite(chat_persist_sqlite::SqliteStore),
}

impl OpenStore {
    /// Opens what `url` means and starts a client's builder on it.
    pub(crate) async fn open(
        url: &str,
        providers: ProviderRegistry,
        prices: PriceBook,
    ) -> Result<(Self, BaseClientBuilder), RuntimeError> {
        match store_kind(url)? {
            StoreKind::Memory => {
                let builder = BaseClientBuilder::new(
                    Arc::new(MemoryStore::new()),
                    Arc::new(MemoryLedger::new()),
                    Arc::new(MemoryUsageStore::new()),
                    providers,
                    prices,
                );
                Ok((Self::Memory, builder))
            }
            #[cfg(feature = "sqlite")]
            StoreKind::Sqlite { path } => {
                let config = chat_persist_sqlite::SqliteConfig::new(path);
                let store = chat_persist_sqlite::SqliteStore::open(config).await?;
                let shared = Arc::new(store.clone());
                let builder = BaseClientBuilder::new(
                    Arc::clone(&shared),
                    Arc::clone(&shared),
                    shared,
                    providers,
                    prices,
                );
                Ok((Self::Sqlite(store), builder))
            }
            #[cfg(not(feature = "sqlite"))]
            StoreKind::Sqlite { .. } => Err(RuntimeError::FeatureOff {
                wanted: "a SQLite file".to_owned(),
                feature: "sqlite",
            }),
        }
    }

    /// Waits until everything is written.
    pub(crate) async fn close(&self) {
        match self {
            Self::Memory => {}
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store) => store.close().await,
        }
    }
}
