//! The child is confined, and the host survives whatever it does.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;

use std::time::{Duration, Instant};

use chat_attachments::{
    ExtractError, ExtractErrorKind, ExtractLimits, Extractor, ExtractorConfig, FileKind, Source,
};
use support::{config, extractor, pdf};

/// A program of another mind than `chat-extract`.
fn shell(script: &str, change: impl FnOnce(&mut ExtractLimits)) -> Extractor {
    let mut config = ExtractorConfig::new("/bin/sh").argument("-c").argument(script);
    change(&mut config.limits);
    Extractor::new(config)
}

async fn error_of(extractor: &Extractor) -> ExtractError {
    let source = Source::Bytes("some text".into());
    extractor.text(source, FileKind::Text).await.unwrap_err()
}

/// Processes whose parent is this one.
fn children() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let lists = tasks
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let error = error_of(&Extractor::new(ExtractorConfig::new("/nowhere/chat-extract"))).await;
    assert_eq!((error.code(), error.is_transient()), ("extractor_missing", true));
    assert!(error.to_string().contains("/nowhere/chat-extract"), "{error}");
}

#[tokio::test]
async fn a_child_that_hangs_is_killed_at_the_deadline() {
    let started = Instant::now();
    let error = error_of(&shell("sleep 100 & wait", |limits| limits.deadline_ms = 300)).await;
    assert_eq!((error.code(), error.is_transient()), ("took_too_long", true));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn endless_output_is_read_no_further() {
    let started = Instant::now();
    let error = error_of(&shell("yes", |limits| limits.deadline_ms = 500)).await;
    assert!(error.is_transient(), "{error}");
    let noisy = shell("yes >&2", |limits| limits.deadline_ms = 500);
    assert_eq!(error_of(&noisy).await.code(), "took_too_long");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_child_that_answers_nonsense_is_not_believed() {
    for script in [
        "exit 0",
        "exit 3",
        "echo hello",
        r#"printf '{"text":{"facts":{},"payload_bytes":99999999999}}\n'"#,
        r#"printf '{"text":{"facts":{"version":1,"kind":"text","text":"","is_truncated":false},"payload_bytes":5}}\nab'"#,
        r#"printf '{"text":{"facts":{"version":1,"kind":"text","text":"","is_truncated":false},"payload_bytes":1}}\nab'"#,
        r#"printf '{"image":{"media_type":"a","width_px":1,"height_px":1,"payload_bytes":1}}\na'"#,
        r#"printf '{"refused":{"error":{"kind":"no such","sentence":"","is_transient":false}}}\n'"#,
    ] {
        let error = error_of(&shell(script, |limits| limits.deadline_ms = 3_000)).await;
        assert_eq!((error.code(), error.is_transient()), ("child_failed", true), "{script}");
    }
}

#[tokio::test]
async fn signals_become_verdicts() {
    let cases = [
        ("kill -XCPU $$", ExtractErrorKind::TookTooLong, false),
        (
            "echo 'memory allocation of 99 bytes failed' >&2; kill -ABRT $$",
            ExtractErrorKind::UsedTooMuchMemory,
            false,
        ),
        (
            "echo \"thread 'x' has overflowed its stack\" >&2; kill -ABRT $$",
            ExtractErrorKind::Bomb,
            false,
        ),
        ("kill -SEGV $$", ExtractErrorKind::Damaged, false),
        ("kill -KILL $$", ExtractErrorKind::ChildFailed, true),
    ];
    for (script, kind, is_transient) in cases {
        let error = error_of(&shell(script, |_| {})).await;
        assert_eq!((error.kind(), error.is_transient()), (kind, is_transient), "{script}");
    }
}

#[tokio::test]
async fn environment_and_folder_of_the_child_are_empty() {
    let script = r#"cat >/dev/null; printf '{"refused":{"error":{"kind":"damaged","sentence":"%s|%s","is_transient":false}}}\n' "$(/usr/bin/env | /bin/grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= | /usr/bin/wc -l)" "$(/bin/ls -A | /usr/bin/wc -l)""#;
    assert_eq!(error_of(&shell(script, |_| {})).await.to_string(), "0|0");
}

#[tokio::test]
async fn memory_is_capped() {
    let mut config = config();
    // A limit below what the request needs by itself: the file of 32 MiB alone is above it.
    config.limits.memory_bytes_max = 150 * 1_024 * 1_024;
    let big = vec![b'a'; 60 * 1_024 * 1_024];
    let error = Extractor::new(config).text(Source::Bytes(big.into()), FileKind::Text).await;
    assert_eq!(error.unwrap_err().kind(), ExtractErrorKind::UsedTooMuchMemory);
}

#[tokio::test]
async fn a_file_above_the_limit_is_refused_by_the_child_too() {
    let mut config = config();
    config.limits.input_bytes_max = 3;
    let extractor = Extractor::new(config);
    let error = extractor.text(Source::Bytes("four".into()), FileKind::Text).await.unwrap_err();
    assert_eq!(error.code(), "too_large");
    assert!(extractor.text(Source::Bytes("two".into()), FileKind::Text).await.is_ok());
}

#[tokio::test]
async fn a_file_is_handed_over_as_an_open_descriptor() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pdf(&["from a path"])).unwrap();
    let read = extractor().text(Source::Path(file.path().into()), FileKind::Pdf).await.unwrap();
    assert!(read.text.contains("from a path"), "{}", read.text);
    let gone = extractor().text(Source::Path("/nowhere/a.pdf".into()), FileKind::Pdf).await;
    assert_eq!(gone.unwrap_err().code(), "child_failed");
}

#[tokio::test]
async fn a_dropped_call_kills_its_child() {
    let extractor = shell("sleep 100", |_| {});
    {
        let call = error_of(&extractor);
        let cut = tokio::time::timeout(Duration::from_millis(300), call).await;
        assert!(cut.is_err());
    }
    for _ in 0..100 {
        if children().is_empty() {
            return;
        }
        // Reaping is the runtime's, between its other work.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(children(), [""; 0]);
}

#[tokio::test]
async fn no_more_children_run_than_are_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let script = format!("echo + >>{0}; sleep 0.1; echo - >>{0}; exit 1", log.display());
    let mut config = ExtractorConfig::new("/bin/sh").argument("-c").argument(script);
    config.children_max = 2;
    let extractor = std::sync::Arc::new(Extractor::new(config));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let extractor = std::sync::Arc::clone(&extractor);
        calls.spawn(async move { error_of(&extractor).await });
    }
    calls.join_all().await;
    let (mut running, mut most, mut started) = (0_i32, 0, 0);
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let is_start = line == "+";
        running += if is_start { 1 } else { -1 };
        started += i32::from(is_start);
        most = most.max(running);
    }
    assert_eq!((started, most), (8, 2));
}

#[test]
fn unknown_keys_of_the_configuration_are_refused() {
    let read = serde_json::from_str::<ExtractorConfig>;
    assert!(read(r#"{"program": "a", "limits": {"pages_max": 3}}"#).is_ok());
    assert!(read(r#"{"program": "a", "limits": {"page_max": 3}}"#).is_err());
    assert!(read(r#"{"program": "a", "children": 3}"#).is_err());
}
