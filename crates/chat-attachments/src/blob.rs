//! The port: bytes kept under the hash of their content, with what was read from them beside.
//!
//! A store knows no owners: who may see a file is decided by its record. Two records of equal bytes
//! share one blob, so that [`delete`](BlobStore::delete) is for a blob that no record names any more, in
//! any scope. Tenants that must share nothing get a store (a folder) each.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use chat_types::ContentHash;

/// The longest name of a derived entry.
const ENTRY_CHARS_MAX: usize = 64;

/// Names what was derived from a blob, for example `text-v1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryName(String);

impl EntryName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// `InvalidName` unless it is 1 to 64 of `[a-z0-9-]`.
    pub fn new(name: impl Into<String>) -> Result<Self, BlobError> {
        let name = name.into();
        let is_valid = (1..=ENTRY_CHARS_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if is_valid {
            Ok(Self(name))
        } else {
            Err(BlobError::new(BlobErrorKind::InvalidName, "name"))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Keeps blobs and what was derived from them.
#[async_trait]
pub trait BlobStore: Debug + Send + Sync + 'static {
    /// Keeps `bytes` and gives their hash, [`ContentHash::of`] them as one part. When it returns they
    /// are durable. A second call with equal bytes changes nothing and gives the same hash.
    ///
    /// # Errors
    /// As the kinds say; what was there before is untouched.
    async fn put(&self, bytes: Bytes) -> Result<ContentHash, BlobError>;

    /// The bytes of `hash`; `None` if they are not here.
    ///
    /// # Errors
    /// `Corrupt` if what is stored has another hash; `Unavailable`.
    async fn get(&self, hash: &ContentHash) -> Result<Option<Bytes>, BlobError>;

    /// Whether the bytes of `hash` are here.
    ///
    /// # Errors
    /// As the kinds say.
    async fn contains(&self, hash: &ContentHash) -> Result<bool, BlobError>;

    /// Forgets the bytes of `hash` and everything derived from them. A second call changes nothing.
    ///
    /// # Errors
    /// As the kinds say; a part may be gone already, and a second call does the rest.
    async fn delete(&self, hash: &ContentHash) -> Result<(), BlobError>;

    /// Keeps what was derived from `hash` under `name`, replacing what was there. A cache: it may be
    /// lost with a crash, but is never read half-written.
    ///
    /// # Errors
    /// As the kinds say.
    async fn put_derived(
        &self,
        hash: &ContentHash,
        name: &EntryName,
        bytes: Bytes,
    ) -> Result<(), BlobError>;

    /// What was derived from `hash` under `name`; `None` if it is not here.
    ///
    /// # Errors
    /// As the kinds say.
    async fn derived(
        &self,
        hash: &ContentHash,
        name: &EntryName,
    ) -> Result<Option<Bytes>, BlobError>;

    /// A file on this machine that holds the bytes of `hash`, so that they can be handed on without
    /// being read; `None` if they are not here, or not in a file.
    ///
    /// # Errors
    /// As the kinds say.
    async fn path(&self, hash: &ContentHash) -> Result<Option<PathBuf>, BlobError> {
        let _no_files = hash;
        Ok(None)
    }
}

/// What the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlobErrorKind {
    /// A hash that is not 64 lower-case hex digits, or a name that is none: nothing was touched.
    InvalidName,
    /// The store did not answer; safe to repeat.
    Unavailable,
    /// The disk or a quota is full; nothing was kept.
    Full,
    /// What is stored is not what was put.
    Corrupt,
    /// The store refuses this program (permissions).
    Denied,
}

/// A refused or failed operation of a blob store.
#[derive(Debug, thiserror::Error)]
#[error("{operation} of a blob failed ({kind:?})")]
pub struct BlobError {
    kind: BlobErrorKind,
    operation: &'static str,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl BlobError {
    /// An error without a cause of its own.
    #[must_use]
    pub const fn new(kind: BlobErrorKind, operation: &'static str) -> Self {
        Self { kind, operation, source: None }
    }

    /// An error caused by `source`.
    pub fn caused_by(
        kind: BlobErrorKind,
        operation: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { kind, operation, source: Some(source.into()) }
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> BlobErrorKind {
        self.kind
    }

    /// Stable, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.kind {
            BlobErrorKind::InvalidName => "blob_invalid_name",
            BlobErrorKind::Unavailable => "blobs_unavailable",
            BlobErrorKind::Full => "blobs_full",
            BlobErrorKind::Corrupt => "blob_corrupt",
            BlobErrorKind::Denied => "blobs_denied",
        }
    }

    /// The same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.kind, BlobErrorKind::Unavailable)
    }
}

/// The digits of `hash`, if they can name a file: a hash read back from a record is not trusted.
pub(crate) fn digits<'h>(
    hash: &'h ContentHash,
    operation: &'static str,
) -> Result<&'h str, BlobError> {
    let digits = hash.as_str();
    let is_hash =
        digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if is_hash { Ok(digits) } else { Err(BlobError::new(BlobErrorKind::InvalidName, operation)) }
}

/// `bytes`, if they are what `hash` says.
pub(crate) fn checked(hash: &ContentHash, bytes: Bytes) -> Result<Bytes, BlobError> {
    if &ContentHash::of([&bytes]) == hash {
        Ok(bytes)
    } else {
        Err(BlobError::new(BlobErrorKind::Corrupt, "get"))
    }
}
