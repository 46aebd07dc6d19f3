//! Finding, checking and refusing weights files.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test helpers")]

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chat_provider_local::{
    ChatTokenizer, LocalEngine, LocalError, LocalErrorKind, WEIGHTS_FILE_NAME, check_weights,
    find_weights,
};
use tempfile::TempDir;

/// The real weights; without them these tests fail with the error a user would read.
fn real_weights() -> PathBuf {
    find_weights(None).unwrap_or_else(|error| panic!("{error}"))
}

fn file_with(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// The first `length` bytes of the real weights.
fn start_of_weights(length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    File::open(real_weights()).unwrap().take(length).read_to_end(&mut bytes).unwrap();
    bytes
}

fn check_invalid(path: &Path, error: &LocalError) {
    let message = error.to_string();
    assert_eq!(error.kind(), LocalErrorKind::WeightsInvalid, "{message}");
    assert!(message.contains(&path.display().to_string()), "{message}");
    assert!(message.contains("cargo xtask weights"), "{message}");
    assert!(!error.is_transient());
}

async fn load_error(path: &Path) -> LocalError {
    match LocalEngine::open(path) {
        Ok(engine) => engine.load().await.expect_err("the file is damaged"),
        Err(error) => error,
    }
}

#[test]
fn missing_weights_are_one_error_that_says_how_to_get_them() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("nowhere.gguf");
    let error = find_weights(Some(&path)).unwrap_err();
    assert_eq!(error.kind(), LocalErrorKind::WeightsMissing);
    assert_eq!(
        error.to_string(),
        format!(
            "no model weights at {}; fetch them with `cargo xtask weights`, or see `chat doctor`",
            path.display()
        )
    );
    assert_eq!(LocalEngine::open(&path).unwrap_err().kind(), LocalErrorKind::WeightsMissing);
}

#[test]
fn explicit_path_wins_over_the_cache_folder() {
    let folder = TempDir::new().unwrap();
    let path = file_with(&folder, "own.gguf", b"GGUF");
    assert_eq!(find_weights(Some(&path)).unwrap(), path);
}

#[test]
fn foreign_files_are_refused_before_loading() {
    let folder = TempDir::new().unwrap();
    for bytes in [b"".as_slice(), b"GG", b"<!DOCTYPE html>"] {
        let path = file_with(&folder, "other.gguf", bytes);
        check_invalid(&path, &check_weights(&path).unwrap_err());
    }
    check_invalid(folder.path(), &check_weights(folder.path()).unwrap_err());
}

#[test]
fn known_file_of_another_length_is_refused_before_loading() {
    let folder = TempDir::new().unwrap();
    let path = file_with(&folder, WEIGHTS_FILE_NAME, b"GGUF and then the connection broke");
    let error = LocalEngine::open(&path).unwrap_err();
    check_invalid(&path, &error);
    assert!(error.to_string().contains("34 bytes instead of 98362432"), "{error}");
}

#[tokio::test]
async fn truncated_weights_are_refused_wherever_they_end() {
    let folder = TempDir::new().unwrap();
    for length in [4, 8, 23, 24, 700, 1_000_000, 1_780_000, 3_000_000, 60_000_000] {
        let path = file_with(&folder, "cut.gguf", &start_of_weights(length));
        check_invalid(&path, &load_error(&path).await);
    }
}

/// The header is altered at many places; the tensors are zeros, which is a valid model.
#[tokio::test]
async fn damaged_header_never_panics() {
    let folder = TempDir::new().unwrap();
    let header = start_of_weights(1_800_000);
    let mut refused = 0;
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = header.clone();
        for _ in 0..3 {
            let place = random.usize(4..1_400);
            bytes[place] = random.u8(..);
        }
        let path = file_with(&folder, "damaged.gguf", &bytes);
        File::options().write(true).open(&path).unwrap().set_len(98_362_432).unwrap();
        let tokenizer = ChatTokenizer::open(&path);
        let loaded = LocalEngine::open(&path).unwrap().load().await;
        for error in [tokenizer.err(), loaded.err()].into_iter().flatten() {
            check_invalid(&path, &error);
            refused += 1;
        }
    }
    assert!(refused >= 10, "only {refused} refusals: the damage was not where it matters");
}

#[tokio::test]
async fn weights_are_loaded_once_and_progress_is_told() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let engine = {
        let seen = Arc::clone(&seen);
        LocalEngine::open_with_progress(real_weights(), move |done_bytes, total_bytes| {
            seen.lock().unwrap().push((done_bytes, total_bytes));
        })
        .unwrap()
    };
    assert_eq!(*seen.lock().unwrap(), []);
    let (first, second) = tokio::join!(engine.load(), engine.load());
    first.unwrap();
    second.unwrap();
    engine.load().await.unwrap();
    let seen = seen.lock().unwrap();
    let total_bytes = seen[0].1;
    assert_eq!(seen.iter().filter(|(done_bytes, _)| *done_bytes == 0).count(), 1);
    assert!(seen.is_sorted());
    assert!(seen.iter().all(|(_, total)| *total == total_bytes));
    assert_eq!(seen.last().unwrap().0, total_bytes);
    assert!(seen.len() > 100);
}

#[tokio::test]
async fn failed_load_is_tried_again() {
    let folder = TempDir::new().unwrap();
    let path = file_with(&folder, "late.gguf", b"GGUF");
    let engine = LocalEngine::open(&path).unwrap();
    check_invalid(&path, &engine.load().await.unwrap_err());
    fs::copy(real_weights(), &path).unwrap();
    engine.load().await.unwrap();
}
