//! Every blob store keeps the same promises.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail the test"
)]

use std::sync::Arc;

use bytes::Bytes;
use chat_attachments::{
    BlobErrorKind, BlobStore, EntryName, FolderBlobs, MemoryBlobs, ObjectBlobs,
};
use chat_types::ContentHash;

fn entry(name: &str) -> EntryName {
    EntryName::new(name).unwrap()
}

async fn equal_bytes_are_stored_once(blobs: &dyn BlobStore) {
    let bytes = Bytes::from_static(b"some content");
    let hash = blobs.put(bytes.clone()).await.unwrap();
    assert_eq!(hash, ContentHash::of([&bytes]));
    assert_eq!(blobs.put(bytes.clone()).await.unwrap(), hash);
    assert_eq!(blobs.get(&hash).await.unwrap(), Some(bytes.clone()));
    assert!(blobs.contains(&hash).await.unwrap());
    if let Some(path) = blobs.path(&hash).await.unwrap() {
        assert_eq!(std::fs::read(path).unwrap(), bytes);
    }
}

async fn what_is_not_there_is_none(blobs: &dyn BlobStore) {
    let hash = ContentHash::of(["nobody put this"]);
    assert_eq!(blobs.get(&hash).await.unwrap(), None);
    assert_eq!(blobs.path(&hash).await.unwrap(), None);
    assert_eq!(blobs.derived(&hash, &entry("text-v1")).await.unwrap(), None);
    assert!(!blobs.contains(&hash).await.unwrap());
    blobs.delete(&hash).await.unwrap();
}

async fn delete_takes_what_was_derived_with_it(blobs: &dyn BlobStore) {
    let hash = blobs.put(Bytes::from_static(b"one")).await.unwrap();
    let other = blobs.put(Bytes::from_static(b"two")).await.unwrap();
    for hash in [&hash, &other] {
        blobs.put_derived(hash, &entry("text-v1"), Bytes::from_static(b"old")).await.unwrap();
        blobs.put_derived(hash, &entry("text-v1"), Bytes::from_static(b"new")).await.unwrap();
        let found = blobs.derived(hash, &entry("text-v1")).await.unwrap();
        assert_eq!(found, Some(Bytes::from_static(b"new")));
    }
    blobs.delete(&hash).await.unwrap();
    blobs.delete(&hash).await.unwrap();
    assert!(!blobs.contains(&hash).await.unwrap());
    assert_eq!(blobs.derived(&hash, &entry("text-v1")).await.unwrap(), None);
    assert!(blobs.contains(&other).await.unwrap());
    assert!(blobs.derived(&other, &entry("text-v1")).await.unwrap().is_some());
}

async fn a_forged_hash_is_refused(blobs: &dyn BlobStore) {
    for forged in ["", "../../etc/passwd", "ABC", &"g".repeat(64), &"A".repeat(64)] {
        let hash = ContentHash::from_stored(forged.to_owned());
        assert_eq!(blobs.get(&hash).await.unwrap_err().kind(), BlobErrorKind::InvalidName);
        assert_eq!(blobs.contains(&hash).await.unwrap_err().kind(), BlobErrorKind::InvalidName);
        assert_eq!(blobs.delete(&hash).await.unwrap_err().kind(), BlobErrorKind::InvalidName);
        let put = blobs.put_derived(&hash, &entry("a"), Bytes::new()).await;
        assert_eq!(put.unwrap_err().kind(), BlobErrorKind::InvalidName);
        let found = blobs.derived(&hash, &entry("a")).await;
        assert_eq!(found.unwrap_err().kind(), BlobErrorKind::InvalidName);
    }
}

async fn many_writers_of_one_content_agree(blobs: Arc<dyn BlobStore>) {
    let bytes = Bytes::from(vec![7_u8; 100_000]);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (blobs, bytes) = (Arc::clone(&blobs), bytes.clone());
        tasks.spawn(async move { blobs.put(bytes).await.unwrap() });
    }
    let hashes: Vec<ContentHash> = tasks.join_all().await;
    assert!(hashes.iter().all(|hash| hash == &hashes[0]));
    assert_eq!(blobs.get(&hashes[0]).await.unwrap(), Some(bytes));
}

async fn all(blobs: Arc<dyn BlobStore>) {
    equal_bytes_are_stored_once(&*blobs).await;
    what_is_not_there_is_none(&*blobs).await;
    delete_takes_what_was_derived_with_it(&*blobs).await;
    a_forged_hash_is_refused(&*blobs).await;
    many_writers_of_one_content_agree(blobs).await;
}

#[tokio::test]
async fn memory_keeps_the_promises() {
    all(Arc::new(MemoryBlobs::new())).await;
}

#[tokio::test]
async fn a_folder_keeps_the_promises() {
    let folder = tempfile::tempdir().unwrap();
    all(Arc::new(FolderBlobs::open(folder.path().join("files")).await.unwrap())).await;
}

#[tokio::test]
async fn an_object_store_in_memory_keeps_the_promises() {
    let store = object_store::memory::InMemory::new();
    all(Arc::new(ObjectBlobs::new(Arc::new(store), "chat/files".into()))).await;
}

#[tokio::test]
async fn an_object_store_in_a_folder_keeps_the_promises() {
    let folder = tempfile::tempdir().unwrap();
    let store = object_store::local::LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    all(Arc::new(ObjectBlobs::new(Arc::new(store), "".into()))).await;
}

#[cfg(unix)]
#[tokio::test]
async fn files_of_a_folder_are_private_and_nothing_is_left_over() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path()).await.unwrap();
    let hash = blobs.put(Bytes::from_static(b"secret")).await.unwrap();
    let path = blobs.path(&hash).await.unwrap().unwrap();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_damaged_file_is_told_and_healed_by_putting_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path()).await.unwrap();
    let bytes = Bytes::from_static(b"whole content");
    let hash = blobs.put(bytes.clone()).await.unwrap();
    let path = blobs.path(&hash).await.unwrap().unwrap();
    std::fs::write(&path, b"who").unwrap();
    assert_eq!(blobs.get(&hash).await.unwrap_err().kind(), BlobErrorKind::Corrupt);
    blobs.put(bytes.clone()).await.unwrap();
    assert_eq!(blobs.get(&hash).await.unwrap(), Some(bytes));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = FolderBlobs::open(file.path().join("files")).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("blobs_unavailable", true));
}

#[test]
fn names_of_entries_are_checked() {
    for name in ["", "..", "a/b", "A", "a.b", &"a".repeat(65)] {
        assert!(EntryName::new(name).is_err(), "{name}");
    }
    assert_eq!(entry("text-v1").as_str(), "text-v1");
}
