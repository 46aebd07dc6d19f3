//! Blobs in an object store: `blobs/ab/abcd…` and `derived/ab/abcd…/NAME` under a prefix.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chat_types::ContentHash;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _};

use futures::TryStreamExt as _;

use crate::blob::{BlobError, BlobErrorKind, BlobStore, EntryName, checked, digits};

/// Keeps blobs in an object store that the program has opened: a cloud's, a folder, memory. A put is
/// atomic there by itself. Retries and timeouts are the client's, set where it is opened.
#[derive(Debug)]
pub struct ObjectBlobs {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl ObjectBlobs {
    /// Keeps blobs under `prefix`, which may be empty; nothing else may live under it.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Self { store, prefix }
    }

    fn blob(&self, digits: &str) -> Path {
        self.under("blobs", digits)
    }

    fn derived_folder(&self, digits: &str) -> Path {
        self.under("derived", digits)
    }

    /// Stores split by the beginning of the key, so the first digits spread the load.
    fn under(&self, what: &str, digits: &str) -> Path {
        let shard = digits.get(..2).unwrap_or_default();
        self.prefix.clone().join(what).join(shard).join(digits)
    }

    async fn read(&self, path: &Path, operation: &'static str) -> Result<Option<Bytes>, BlobError> {
        let found = match self.store.get(path).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(operation, error)),
        };
        found.bytes().await.map(Some).map_err(|error| failed(operation, error))
    }

    async fn is_there(&self, path: &Path, operation: &'static str) -> Result<bool, BlobError> {
        match self.store.head(path).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed(operation, error)),
        }
    }

    async fn remove(&self, path: &Path) -> Result<(), BlobError> {
        match self.store.delete(path).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("delete", error)),
        }
    }
}

fn failed(operation: &'static str, error: Error) -> BlobError {
    let kind = match &error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => BlobErrorKind::Denied,
        _ => BlobErrorKind::Unavailable,
    };
    BlobError::caused_by(kind, operation, error)
}

#[async_trait]
impl BlobStore for ObjectBlobs {
    async fn put(&self, bytes: Bytes) -> Result<ContentHash, BlobError> {
        let hash = ContentHash::of([&bytes]);
        let to = self.blob(digits(&hash, "put")?);
        if !self.is_there(&to, "put").await? {
            self.store.put(&to, bytes.into()).await.map_err(|error| failed("put", error))?;
        }
        Ok(hash)
    }

    async fn get(&self, hash: &ContentHash) -> Result<Option<Bytes>, BlobError> {
        match self.read(&self.blob(digits(hash, "get")?), "get").await? {
            Some(bytes) => checked(hash, bytes).map(Some),
            None => Ok(None),
        }
    }

    async fn contains(&self, hash: &ContentHash) -> Result<bool, BlobError> {
        self.is_there(&self.blob(digits(hash, "contains")?), "contains").await
    }

    async fn delete(&self, hash: &ContentHash) -> Result<(), BlobError> {
        let digits = digits(hash, "delete")?;
        let mut entries = self.store.list(Some(&self.derived_folder(digits)));
        while let Some(entry) = entries.try_next().await.map_err(|error| failed("delete", error))? {
            self.remove(&entry.location).await?;
        }
        // The blob goes last: while it is there, a delete that broke off can be seen and repeated.
        self.remove(&self.blob(digits)).await
    }

    async fn put_derived(
        &self,
        hash: &ContentHash,
        name: &EntryName,
        bytes: Bytes,
    ) -> Result<(), BlobError> {
        let to = self.derived_folder(digits(hash, "put_derived")?).join(name.as_str());
        let put = self.store.put(&to, bytes.into()).await;
        put.map(|_| ()).map_err(|error| failed("put_derived", error))
    }

    async fn derived(
        &self,
        hash: &ContentHash,
        name: &EntryName,
    ) -> Result<Option<Bytes>, BlobError> {
        let path = self.derived_folder(digits(hash, "derived")?).join(name.as_str());
        self.read(&path, "derived").await
    }
}
