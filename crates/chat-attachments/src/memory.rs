//! Blobs in memory: the reference for the port, and for tests.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chat_types::ContentHash;

use crate::blob::{BlobError, BlobStore, EntryName, digits};

#[derive(Debug, Default)]
struct Held {
    blobs: HashMap<ContentHash, Bytes>,
    derived: HashMap<ContentHash, BTreeMap<EntryName, Bytes>>,
}

/// Keeps blobs as long as it lives. It has no bound of its own: the caller bounds what it puts.
#[derive(Debug, Default)]
pub struct MemoryBlobs {
    held: Mutex<Held>,
}

impl MemoryBlobs {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl BlobStore for MemoryBlobs {
    async fn put(&self, bytes: Bytes) -> Result<ContentHash, BlobError> {
        let hash = ContentHash::of([&bytes]);
        self.held().blobs.entry(hash.clone()).or_insert(bytes);
        Ok(hash)
    }

    async fn get(&self, hash: &ContentHash) -> Result<Option<Bytes>, BlobError> {
        digits(hash, "get")?;
        Ok(self.held().blobs.get(hash).cloned())
    }

    async fn contains(&self, hash: &ContentHash) -> Result<bool, BlobError> {
        digits(hash, "contains")?;
        Ok(self.held().blobs.contains_key(hash))
    }

    async fn delete(&self, hash: &ContentHash) -> Result<(), BlobError> {
        digits(hash, "delete")?;
        let mut held = self.held();
        held.blobs.remove(hash);
        held.derived.remove(hash);
        Ok(())
    }

    async fn put_derived(
        &self,
        hash: &ContentHash,
        name: &EntryName,
        bytes: Bytes,
    ) -> Result<(), BlobError> {
        digits(hash, "put_derived")?;
        let mut held = self.held();
        held.derived.entry(hash.clone()).or_default().insert(name.clone(), bytes);
        Ok(())
    }

    async fn derived(
        &self,
        hash: &ContentHash,
        name: &EntryName,
    ) -> Result<Option<Bytes>, BlobError> {
        digits(hash, "derived")?;
        Ok(self.held().derived.get(hash).and_then(|entries| entries.get(name)).cloned())
    }
}
