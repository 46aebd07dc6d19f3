//! `LocalEmbedder`: the embedding model behind the port of `chat-rag`.
//!
//! Promises: opening checks the files and loads nothing; the first use loads, once, however many
//! callers wait. One thread works, one call at a time, behind a bounded line; a call that nobody
//! waits for any more still runs to its end, which is a second or two. Equal texts give equal
//! vectors, whatever stands beside them in a call.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chat_rag::{Embedder, RagError, RagErrorKind, VectorSpace};
use chat_types::Tokens;
use tokio::sync::Semaphore;

use crate::bert::{Bert, WIDTH};
use crate::embedding_weights::EmbeddingFiles;
use crate::error::{LocalError, LocalErrorKind};
use crate::load_once::load_once;
use crate::safetensors::TensorFile;
use crate::word_pieces::WordPieces;

/// The model's name, as stored with vectors.
pub const EMBEDDING_MODEL: &str = "all-MiniLM-L6-v2";

/// Calls running or waiting. Each takes a second or two; a longer line only hides that the machine
/// is too small.
const LINE_LENGTH_MAX: usize = 64;

/// The embedding model all-MiniLM-L6-v2. Clones share one loaded model and one line.
#[derive(Clone)]
pub struct LocalEmbedder {
    shared: Arc<Shared>,
}

struct Shared {
    space: VectorSpace,
    files: EmbeddingFiles,
    pieces: Mutex<Option<Arc<WordPieces>>>,
    network: Mutex<Option<Arc<Network>>>,
    line: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

/// The network and its one thread. The matrix products divide themselves among the threads of the
/// pool they are called in: in a pool of one they stay on it, and a busy machine slows them only by
/// its share.
struct Network {
    bert: Bert,
    thread: rayon::ThreadPool,
}

impl LocalEmbedder {
    /// An embedder for these files, as [`crate::find_embedding_weights`] finds them; nothing is
    /// loaded yet.
    #[must_use]
    pub fn new(files: EmbeddingFiles) -> Self {
        let space = VectorSpace { model: EMBEDDING_MODEL.to_owned(), dimensions: WIDTH };
        let shared = Shared {
            space,
            files,
            pieces: Mutex::new(None),
            network: Mutex::new(None),
            line: Arc::new(Semaphore::new(LINE_LENGTH_MAX)),
            turn: Arc::new(Semaphore::new(1)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Loads tokenizer and model now instead of at the first use: a quarter of a second. A second
    /// call does nothing.
    ///
    /// # Errors
    /// `WeightsInvalid` and the like; a later call tries again.
    pub async fn load(&self) -> Result<(), LocalError> {
        let shared = Arc::clone(&self.shared);
        aside(move || shared.pieces().and(shared.network()).map(|_| ())).await
    }
}

impl fmt::Debug for LocalEmbedder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = &self.shared.files;
        formatter.debug_struct("LocalEmbedder").field("files", files).finish_non_exhaustive()
    }
}

/// Runs `work` on a thread that may block.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LocalError> + Send + 'static,
) -> Result<T, LocalError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(LocalError::inference("the embedding was broken off").with_source(error))
    })
}

impl Shared {
    fn pieces(&self) -> Result<Arc<WordPieces>, LocalError> {
        load_once(&self.pieces, || WordPieces::open(&self.files.tokenizer))
    }

    fn network(&self) -> Result<Arc<Network>, LocalError> {
        load_once(&self.network, || {
            let bert = Bert::load(&mut TensorFile::open(&self.files.weights)?)?;
            let name = |_| "embedding".to_owned();
            let thread = rayon::ThreadPoolBuilder::new().num_threads(1).thread_name(name).build();
            let thread = thread.map_err(|error| {
                LocalError::inference("the system gave no thread").with_source(error)
            })?;
            Ok(Network { bert, thread })
        })
    }

    fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, LocalError> {
        let pieces = self.pieces()?;
        let network = self.network()?;
        let ids = texts.iter().map(|text| pieces.ids(text)).collect::<Result<Vec<_>, _>>()?;
        network.thread.install(|| network.bert.embed(&ids))
    }
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn space(&self) -> &VectorSpace {
        &self.shared.space
    }

    fn tokens_max(&self) -> Tokens {
        Tokens::from_len(WordPieces::text_tokens_max())
    }

    fn count_tokens(&self, text: &str) -> Result<Tokens, RagError> {
        let count = self.shared.pieces().and_then(|pieces| pieces.count(text));
        count.map(Tokens::from_len).map_err(rag_error)
    }

    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, RagError> {
        let busy = || LocalError::new(LocalErrorKind::Busy, "the embedding model is busy");
        let place = Arc::clone(&self.shared.line).try_acquire_owned();
        let place = place.map_err(|_| rag_error(busy()))?;
        let turn = Arc::clone(&self.shared.turn).acquire_owned().await;
        let turn = turn.map_err(|_| rag_error(busy()))?;
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let shared = Arc::clone(&self.shared);
        let work = move || {
            let vectors = shared.embed(&texts);
            drop((place, turn));
            vectors
        };
        aside(work).await.map_err(rag_error)
    }
}

/// The same in the words of the port.
fn rag_error(error: LocalError) -> RagError {
    let kind = match error.kind() {
        LocalErrorKind::Busy => RagErrorKind::Busy,
        LocalErrorKind::WeightsMissing
        | LocalErrorKind::WeightsUnreadable
        | LocalErrorKind::WeightsInvalid
        | LocalErrorKind::PromptTooLong
        | LocalErrorKind::Inference => RagErrorKind::Embedding,
    };
    let port_error = RagError::new(kind, "embed", error.to_string());
    match error.into_source() {
        Some(source) => port_error.with_source(source),
        None => port_error,
    }
}
