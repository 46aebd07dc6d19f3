//! Blobs in a folder: `ab/abcd….blob`, and `ab/abcd….d/NAME` for what was derived.
//!
//! A file appears by a rename, so that a reader sees all of it or nothing; bytes are flushed before it,
//! the folder after it. Any number of processes may share a folder. What a crash leaves is a file under
//! `tmp/`, swept when the folder is opened and older than a day.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chat_types::ContentHash;

use crate::blob::{BlobError, BlobErrorKind, BlobStore, EntryName, checked, digits};

/// Older than any write that is still going on.
const SWEPT_AFTER: Duration = Duration::from_hours(24);

/// Keeps blobs in a folder of this machine; files are readable by their owner only (0600).
#[derive(Debug)]
pub struct FolderBlobs {
    root: PathBuf,
}

impl FolderBlobs {
    /// Opens `root`, making it if need be. Nothing else may live in it.
    ///
    /// # Errors
    /// `Denied` or `Unavailable` if it cannot be made or written to.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self, BlobError> {
        let root = root.into();
        let folder = root.join("tmp");
        blocking("open", move || {
            make_folder(&folder)?;
            sweep(&folder)
        })
        .await?;
        Ok(Self { root })
    }

    fn staging(&self) -> PathBuf {
        self.root.join("tmp")
    }

    fn shard(&self, digits: &str) -> PathBuf {
        self.root.join(digits.get(..2).unwrap_or_default())
    }

    fn blob(&self, digits: &str) -> PathBuf {
        self.shard(digits).join(format!("{digits}.blob"))
    }

    fn derived_folder(&self, digits: &str) -> PathBuf {
        self.shard(digits).join(format!("{digits}.d"))
    }
}

#[async_trait]
impl BlobStore for FolderBlobs {
    async fn put(&self, bytes: Bytes) -> Result<ContentHash, BlobError> {
        let (bytes, hash) = blocking("put", move || {
            let hash = ContentHash::of([&bytes]);
            Ok((bytes, hash))
        })
        .await?;
        let (staging, to) = (self.staging(), self.blob(digits(&hash, "put")?));
        blocking("put", move || {
            // A blob that is there with another length was damaged from outside; putting it again
            // heals it.
            let found = absent_is_none(fs::metadata(&to).map(|file| file.len()))?;
            if found == u64::try_from(bytes.len()).ok() {
                return Ok(());
            }
            place(&staging, &to, &bytes, true)
        })
        .await?;
        Ok(hash)
    }

    async fn get(&self, hash: &ContentHash) -> Result<Option<Bytes>, BlobError> {
        let (path, hash) = (self.blob(digits(hash, "get")?), hash.clone());
        let found = blocking("get", move || {
            let found = absent_is_none(fs::read(&path))?.map(Bytes::from);
            Ok(found.map(|bytes| checked(&hash, bytes)))
        });
        found.await?.transpose()
    }

    async fn contains(&self, hash: &ContentHash) -> Result<bool, BlobError> {
        let path = self.blob(digits(hash, "contains")?);
        Ok(size(path, "contains").await?.is_some())
    }

    async fn delete(&self, hash: &ContentHash) -> Result<(), BlobError> {
        let digits = digits(hash, "delete")?;
        let (blob, derived) = (self.blob(digits), self.derived_folder(digits));
        // The blob goes last: while it is there, a delete that broke off can be seen and repeated.
        blocking("delete", move || {
            missing_is_fine(fs::remove_dir_all(&derived))?;
            missing_is_fine(fs::remove_file(&blob))
        })
        .await
    }

    async fn put_derived(
        &self,
        hash: &ContentHash,
        name: &EntryName,
        bytes: Bytes,
    ) -> Result<(), BlobError> {
        let to = self.derived_folder(digits(hash, "put_derived")?).join(name.as_str());
        let staging = self.staging();
        blocking("put_derived", move || place(&staging, &to, &bytes, false)).await
    }

    async fn derived(
        &self,
        hash: &ContentHash,
        name: &EntryName,
    ) -> Result<Option<Bytes>, BlobError> {
        let path = self.derived_folder(digits(hash, "derived")?).join(name.as_str());
        blocking("derived", move || absent_is_none(fs::read(&path)).map(|b| b.map(Bytes::from)))
            .await
    }

    async fn path(&self, hash: &ContentHash) -> Result<Option<PathBuf>, BlobError> {
        let path = self.blob(digits(hash, "path")?);
        Ok(size(path.clone(), "path").await?.map(|_| path))
    }
}

/// Runs file calls on a thread that may block. Dropping the future does not stop them.
async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, BlobError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done =
        done.map_err(|error| BlobError::caused_by(BlobErrorKind::Unavailable, operation, error))?;
    done.map_err(|error| BlobError::caused_by(kind_of(&error), operation, error))
}

async fn size(path: PathBuf, operation: &'static str) -> Result<Option<u64>, BlobError> {
    blocking(operation, move || absent_is_none(fs::metadata(&path).map(|file| file.len()))).await
}

fn kind_of(error: &io::Error) -> BlobErrorKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BlobErrorKind::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            BlobErrorKind::Denied
        }
        _ => BlobErrorKind::Unavailable,
    }
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    absent_is_none(result).map(|_| ())
}

fn place(staging: &Path, to: &Path, bytes: &[u8], is_durable: bool) -> io::Result<()> {
    let folder = to.parent().ok_or(io::ErrorKind::InvalidInput)?;
    make_folder(folder)?;
    // 0600 by itself; removed again if anything below fails.
    let mut file = tempfile::NamedTempFile::new_in(staging)?;
    file.write_all(bytes)?;
    if is_durable {
        file.as_file().sync_all()?;
    }
    file.persist(to).map_err(|error| error.error)?;
    if is_durable {
        sync_folder(folder)?;
    }
    Ok(())
}

#[cfg(unix)]
fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if folder.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    folder.parent().map_or(Ok(()), sync_folder)
}

#[cfg(not(unix))]
fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

/// A rename is durable when its folder is flushed; systems that cannot open folders need no flush.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn sweep(staging: &Path) -> io::Result<()> {
    // The age is measured against a file made now, by the same file system's clock.
    let probe = tempfile::NamedTempFile::new_in(staging)?;
    let now = probe.as_file().metadata()?.modified()?;
    for entry in fs::read_dir(staging)? {
        let entry = entry?;
        let Some(found) = absent_is_none(entry.metadata())? else { continue };
        let age = now.duration_since(found.modified()?).unwrap_or_default();
        if found.is_file() && age > SWEPT_AFTER {
            missing_is_fine(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}
