//! A library reads each content once, and remembers what it could not read.

mod support;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use chat_attachments::{
    BlobStore, Delivery, Extractor, ExtractorConfig, FileError, FileKind, FileLibrary, FolderBlobs,
    MemoryBlobs, deliver,
};
use chat_types::{ContentHash, FileId, Modalities, Timestamp};
use support::{config, docx, library, library_over, pdf, picture, zip};

/// Starts the real program, and writes a line to `log` each time.
fn counted(log: &Path) -> Extractor {
    let script =
        format!("echo started >>{}; exec {} \"$1\"", log.display(), config().program.display());
    Extractor::new(ExtractorConfig::new("/bin/sh").argument("-c").argument(script).argument("sh"))
}

fn starts(log: &Path) -> usize {
    std::fs::read_to_string(log).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn a_record_says_what_came() {
    let bytes = Bytes::from(pdf(&["hello"]));
    let file = library().add("../up/My Report.PDF", bytes.clone()).await.unwrap();
    assert_eq!(file.id, FileId::new("file-1").unwrap());
    assert_eq!(
        (file.name.as_str(), file.media_type.as_str()),
        ("My Report.PDF", "application/pdf")
    );
    assert_eq!(file.size_bytes, u64::try_from(bytes.len()).unwrap());
    assert_eq!(file.content, ContentHash::of([&bytes]));
    assert_eq!(file.created_at, Timestamp::from_unix_ms(1_700_000_000_000));
}

#[tokio::test]
async fn content_is_read_once_for_all_records_and_processes() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let open = async || {
        let blobs = FolderBlobs::open(folder.path().join("files")).await.unwrap();
        library_over(Arc::new(blobs), counted(&log))
    };
    let library = open().await;
    let bytes = Bytes::from(docx("Title", &["body"], &["cell"]));
    let one = library.add("one.docx", bytes.clone()).await.unwrap();
    let two = library.add("two.docx", bytes.clone()).await.unwrap();
    assert_ne!(one.id, two.id);
    let read = library.text_of(&one).await.unwrap();
    assert!(read.text.contains("# Title"), "{}", read.text);
    assert_eq!(library.text_of(&two).await.unwrap(), read);
    assert_eq!(open().await.text_of(&two).await.unwrap(), read);
    assert_eq!(starts(&log), 1);
    assert_eq!(library.bytes_of(&two).await.unwrap(), bytes);
}

#[tokio::test]
async fn callers_at_the_same_time_share_one_reading() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let library = Arc::new(library_over(Arc::new(MemoryBlobs::new()), counted(&log)));
    let file = library.add("a.pdf", pdf(&["shared"]).into()).await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (library, file) = (Arc::clone(&library), file.clone());
        calls.spawn(async move { library.text_of(&file).await.unwrap().text.clone() });
    }
    for text in calls.join_all().await {
        assert!(text.contains("shared"), "{text}");
    }
    assert_eq!(starts(&log), 1);
}

#[tokio::test]
async fn a_refusal_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let library = library_over(Arc::new(MemoryBlobs::new()), counted(&log));
    let file = library.add("a.pdf", Bytes::from_static(b"%PDF-1.7\nnot really\0")).await.unwrap();
    for _ in 0..3 {
        let error = library.text_of(&file).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("damaged", false), "{error}");
    }
    assert_eq!(starts(&log), 1);
}

#[tokio::test]
async fn a_transient_failure_is_tried_again() {
    let blobs: Arc<dyn BlobStore> = Arc::new(MemoryBlobs::new());
    let missing = Extractor::new(ExtractorConfig::new("/nowhere/chat-extract"));
    let broken = library_over(Arc::clone(&blobs), missing);
    let file = broken.add("a.pdf", pdf(&["later"]).into()).await.unwrap();
    let error = broken.text_of(&file).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("extractor_missing", true));
    let mended = library_over(blobs, support::extractor());
    assert!(mended.text_of(&file).await.unwrap().text.contains("later"));
}

#[tokio::test]
async fn a_spoilt_cache_is_read_anew() {
    let blobs: Arc<dyn BlobStore> = Arc::new(MemoryBlobs::new());
    let library = library_over(Arc::clone(&blobs), support::extractor());
    let file = library.add("a.txt", Bytes::from_static(b"text")).await.unwrap();
    library.text_of(&file).await.unwrap();
    let entry = chat_attachments::EntryName::new("text-v1-text").unwrap();
    assert!(blobs.derived(&file.content, &entry).await.unwrap().is_some());
    for spoilt in [&b""[..], b"{}\n", b"no line"] {
        blobs.put_derived(&file.content, &entry, Bytes::from_static(spoilt)).await.unwrap();
        assert_eq!(library.text_of(&file).await.unwrap().text, "text");
    }
}

#[tokio::test]
async fn images_are_prepared_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let library = library_over(Arc::new(MemoryBlobs::new()), counted(&log));
    let bytes = picture(3_000, 30, image::ImageFormat::Png);
    let file = library.add("wide.png", bytes.into()).await.unwrap();
    let sent = library.image_of(&file).await.unwrap();
    assert_eq!((sent.media_type.as_str(), sent.width_px), ("image/png", 2_048));
    assert_eq!(library.image_of(&file).await.unwrap(), sent);
    assert_eq!(starts(&log), 1);
    let facts = library.text_of(&file).await.unwrap();
    assert_eq!((facts.width_px, facts.height_px), (Some(3_000), Some(30)));
    let text = library.add("a.txt", Bytes::from_static(b"text")).await.unwrap();
    assert_eq!(library.image_of(&text).await.unwrap_err().code(), "unsupported");
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_and_refused_without_a_child() {
    let missing = Extractor::new(ExtractorConfig::new("/nowhere/chat-extract"));
    let library = library_over(Arc::new(MemoryBlobs::new()), missing);
    let cases = [
        (zip(&[("a.txt", b"text")]), "unsupported", "archives are not opened"),
        (vec![0; 100], "unsupported", "application/octet-stream"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old".to_vec(), "unsupported", ".docx"),
    ];
    for (bytes, code, words) in cases {
        let file = library.add("a", bytes.into()).await.unwrap();
        let error = library.text_of(&file).await.unwrap_err();
        assert_eq!((error.code(), error.to_string().contains(words)), (code, true), "{error}");
        assert!(library.bytes_of(&file).await.is_ok());
    }
}

#[tokio::test]
async fn a_file_above_the_limit_is_not_stored() {
    let mut config = config();
    config.limits.input_bytes_max = 3;
    let blobs: Arc<dyn BlobStore> = Arc::new(MemoryBlobs::new());
    let library = library_over(Arc::clone(&blobs), Extractor::new(config));
    let error = library.add("a.txt", Bytes::from_static(b"four")).await.unwrap_err();
    assert_eq!(error.code(), "too_large");
    assert!(!blobs.contains(&ContentHash::of([b"four"])).await.unwrap());
}

#[tokio::test]
async fn lost_content_is_told() {
    let library: FileLibrary = library();
    let file = library.add("a.txt", Bytes::from_static(b"text")).await.unwrap();
    library.delete(&file.content).await.unwrap();
    library.delete(&file.content).await.unwrap();
    assert!(matches!(library.text_of(&file).await, Err(FileError::Missing)));
    assert!(matches!(library.bytes_of(&file).await, Err(FileError::Missing)));
}

#[tokio::test]
async fn an_empty_file_is_empty_text() {
    let library = library();
    let file = library.add("", Bytes::new()).await.unwrap();
    assert_eq!((file.name.as_str(), file.size_bytes), ("file", 0));
    let read = library.text_of(&file).await.unwrap();
    assert_eq!((read.text.as_str(), read.kind), ("", FileKind::Text));
    let delivered = deliver(FileKind::Text, Modalities::default(), None, Some(true));
    assert_eq!(delivered.how, Delivery::Text);
}
