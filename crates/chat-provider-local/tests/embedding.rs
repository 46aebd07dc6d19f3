//! The embedding model: right to four nines, the same whatever stands beside a text, and bounded.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test helpers")]

use std::fs;
use std::sync::Arc;

use chat_provider_local::{
    EMBEDDING_TOKENIZER_FILE_NAME, EMBEDDING_WEIGHTS_FILE_NAME, EmbeddingFiles, LocalEmbedder,
    LocalErrorKind, find_embedding_weights,
};
use chat_rag::{Embedder, RagErrorKind, cosine};
use chat_types::Tokens;
use serde::Deserialize;

/// Computed by `tests/peers/minilm_reference.py`, which shares no code with us.
#[derive(Deserialize)]
struct Reference {
    text: String,
    tokens: u64,
    vector: Vec<f32>,
}

fn references() -> Vec<Reference> {
    serde_json::from_str(include_str!("fixtures/minilm.json")).unwrap()
}

/// The real files; without them these tests fail with the error a user would read.
fn files() -> EmbeddingFiles {
    find_embedding_weights(None).unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test]
async fn vectors_are_those_of_an_independent_computation() {
    let embedder = LocalEmbedder::new(files());
    let references = references();
    assert_eq!(references.len(), 8);
    for reference in &references {
        let vectors = embedder.embed(&[&reference.text]).await.unwrap();
        assert_eq!(vectors.len(), 1);
        let agreement = cosine(&vectors[0], &reference.vector);
        let start: String = reference.text.chars().take(40).collect();
        println!("{agreement:.7} {:3} tokens {start:?}", reference.tokens);
        assert!(agreement > 0.999_99, "{agreement}: {}", reference.text);
        let length: f32 = vectors[0].iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
}

#[tokio::test]
async fn a_vector_does_not_depend_on_its_neighbours() {
    let embedder = LocalEmbedder::new(files());
    let references = references();
    let texts: Vec<&str> = references.iter().map(|reference| reference.text.as_str()).collect();
    let together = embedder.embed(&texts).await.unwrap();
    assert_eq!(together.len(), texts.len());
    for (vector, reference) in together.iter().zip(&references) {
        let agreement = cosine(vector, &reference.vector);
        assert!(agreement > 0.999_99, "{agreement}: {}", reference.text);
    }
    assert_eq!(embedder.embed(&texts).await.unwrap(), together);
    assert_eq!(embedder.embed(&[]).await.unwrap(), Vec::<Vec<f32>>::new());
}

#[tokio::test]
async fn what_means_the_same_is_near() {
    let embedder = LocalEmbedder::new(files());
    let texts = ["How do I descale a kettle?", "removing limescale from a water boiler", "tax law"];
    let [question, answer, other] = embedder.embed(&texts).await.unwrap().try_into().unwrap();
    let (near, far) = (cosine(&question, &answer), cosine(&question, &other));
    assert!(near > far + 0.3, "{near} {far}");
}

#[test]
fn tokens_are_counted_as_the_model_reads_them() {
    let embedder = LocalEmbedder::new(files());
    assert_eq!(embedder.tokens_max(), Tokens::new(254));
    for reference in references() {
        let counted = embedder.count_tokens(&reference.text).unwrap();
        assert_eq!(counted.min(Tokens::new(254)).get() + 2, reference.tokens, "{}", reference.text);
    }
}

#[tokio::test]
async fn a_longer_text_is_cut_and_not_refused() {
    let embedder = LocalEmbedder::new(files());
    let long = "word ".repeat(200_000);
    let start = "word ".repeat(254);
    let vectors = embedder.embed(&[&long, &start]).await.unwrap();
    assert_eq!(vectors[0], vectors[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_is_bounded() {
    let embedder = Arc::new(LocalEmbedder::new(files()));
    embedder.load().await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..80 {
        let embedder = Arc::clone(&embedder);
        calls.spawn(async move { embedder.embed(&["The kettle."]).await });
    }
    let mut refused = 0;
    while let Some(call) = calls.join_next().await {
        if let Err(error) = call.unwrap() {
            assert_eq!((error.kind(), error.is_transient()), (RagErrorKind::Busy, true));
            refused += 1;
        }
    }
    println!("{refused} of 80 calls were refused");
    assert!(refused <= 16, "{refused}");
    embedder.embed(&["It works again."]).await.unwrap();
}

#[test]
fn missing_and_short_files_are_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let error = find_embedding_weights(Some(folder.path())).unwrap_err();
    assert_eq!(error.kind(), LocalErrorKind::WeightsMissing);
    assert!(error.to_string().contains(EMBEDDING_WEIGHTS_FILE_NAME), "{error}");
    assert!(error.to_string().contains("cargo xtask weights"), "{error}");
    fs::write(folder.path().join(EMBEDDING_WEIGHTS_FILE_NAME), "short").unwrap();
    let error = find_embedding_weights(Some(folder.path())).unwrap_err();
    assert_eq!(error.kind(), LocalErrorKind::WeightsInvalid);
    assert!(error.to_string().contains("5 bytes instead of 90868376"), "{error}");
}

/// The table is altered at many places, the file cut at many lengths.
#[tokio::test]
async fn damaged_files_are_errors_and_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let files = files();
    let broken = EmbeddingFiles {
        weights: folder.path().join(EMBEDDING_WEIGHTS_FILE_NAME),
        tokenizer: folder.path().join(EMBEDDING_TOKENIZER_FILE_NAME),
    };
    fs::copy(&files.tokenizer, &broken.tokenizer).unwrap();
    let whole = fs::read(&files.weights).unwrap();
    let mut refused = 0;
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = whole.get(..random.usize(0..40_000)).unwrap().to_vec();
        if seed % 2 == 0 {
            for _ in 0..4 {
                let place = random.usize(0..bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = random.u8(..);
                }
            }
        }
        fs::write(&broken.weights, &bytes).unwrap();
        let error = LocalEmbedder::new(broken.clone()).load().await.unwrap_err();
        assert_eq!(error.kind(), LocalErrorKind::WeightsInvalid, "{error}");
        refused += 1;
    }
    assert_eq!(refused, 60);
    fs::write(&broken.weights, &whole).unwrap();
    for text in ["", "{}", "null", "{\"model\":{\"type\":\"WordPiece\"}}"] {
        fs::write(&broken.tokenizer, text).unwrap();
        let error = LocalEmbedder::new(broken.clone()).load().await.unwrap_err();
        assert_eq!(error.kind(), LocalErrorKind::WeightsInvalid, "{error}");
        let error = LocalEmbedder::new(broken.clone()).count_tokens("text").unwrap_err();
        assert_eq!(error.kind(), RagErrorKind::Embedding);
    }
}
