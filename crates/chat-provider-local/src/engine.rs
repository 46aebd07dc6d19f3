//! Runs the model: loads it once, answers one prompt at a time, streams the text.
//!
//! Promises: opening checks the file and loads nothing; the first use loads, once, however many
//! callers wait. Each generation starts from an empty cache and runs on a blocking thread, one at a
//! time, behind a bounded line. Cancelling, or dropping [`Generating`], stops the work after the
//! token or the prompt chunk being computed. Text arrives as whole characters.
//! Not here: the network (`model`), our provider port (`provider`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use chat_types::FinishReason;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::error::{LocalError, LocalErrorKind};
use crate::load::{ProgressFn, load_model};
use crate::load_once::load_once;
use crate::model::Model;
use crate::sampler::{Sampler, Sampling};
use crate::template::ChatLine;
use crate::tokenizer::ChatTokenizer;
use crate::weights::check_weights;

/// Tokens of prompt and answer together.
pub(crate) const WINDOW_TOKENS: u32 = 8_192;

/// [`WINDOW_TOKENS`] as a length in memory.
pub(crate) const WINDOW_TOKENS_LEN: usize = 8_192;

/// Generations running or waiting. At some ten seconds each a longer line only hides that the
/// machine is too small; the caller hears `Busy` and can decide.
const LINE_LENGTH_MAX: usize = 16;

/// Prompt tokens computed between two looks at the cancel flag: a fraction of a second of work, and
/// enough rows at once to make full use of each weight read from memory.
const PROMPT_CHUNK_TOKENS: usize = 32;

/// What to generate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenerateOptions {
    /// The most tokens to produce, the end mark included; the window's rest caps it further.
    pub output_tokens_max: u32,
    /// How tokens are chosen.
    pub sampling: Sampling,
}

/// The end of a generation, with exact counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerationSummary {
    /// Tokens of the whole rendered prompt.
    pub input_tokens: u64,
    /// Tokens the model produced, the end mark included.
    pub output_tokens: u64,
    /// `Stop` (the model was done), `Length` (the cap or the window) or `Cancelled`.
    pub finish_reason: FinishReason,
}

/// What [`Generating::next`] yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GenerationEvent {
    /// One token the model produced, the end mark included: there are as many as the summary's
    /// `output_tokens`.
    Token {
        /// Its id in the model's vocabulary.
        token_id: u32,
        /// The text it completes: whole characters, empty for a mark or the first bytes of one.
        text: String,
    },
    /// The end; nothing follows.
    Finished(GenerationSummary),
}

/// The embedded model. Clones share one loaded model and one line.
#[derive(Clone)]
pub struct LocalEngine {
    shared: Arc<Shared>,
}

struct Shared {
    weights: PathBuf,
    on_progress: Box<ProgressFn>,
    tokenizer: Mutex<Option<Arc<ChatTokenizer>>>,
    model: Mutex<Option<Arc<Model>>>,
    line: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

impl LocalEngine {
    /// An engine for the weights at `path`, which is checked but not loaded.
    ///
    /// # Errors
    /// As [`check_weights`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, LocalError> {
        Self::open_with_progress(path, |_, _| {})
    }

    /// Like [`Self::open`]; `on_progress(done_bytes, total_bytes)` is called during the load, from
    /// the loading thread, first with nothing done and last with all of it.
    ///
    /// # Errors
    /// As [`check_weights`].
    pub fn open_with_progress(
        path: impl Into<PathBuf>,
        on_progress: impl Fn(u64, u64) + Send + Sync + 'static,
    ) -> Result<Self, LocalError> {
        let weights = path.into();
        check_weights(&weights)?;
        let shared = Shared {
            weights,
            on_progress: Box::new(on_progress),
            tokenizer: Mutex::new(None),
            model: Mutex::new(None),
            line: Arc::new(Semaphore::new(LINE_LENGTH_MAX)),
            turn: Arc::new(Semaphore::new(1)),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The file this engine runs.
    #[must_use]
    pub fn weights(&self) -> &Path {
        &self.shared.weights
    }

    /// The tokenizer, read at the first call (about a tenth of a second, on the calling thread).
    ///
    /// # Errors
    /// As [`ChatTokenizer::open`].
    pub fn tokenizer(&self) -> Result<Arc<ChatTokenizer>, LocalError> {
        self.shared.tokenizer()
    }

    /// Loads tokenizer and model now instead of at the first generation. A second call does nothing.
    ///
    /// # Errors
    /// `WeightsInvalid` and the like; a later call tries again.
    pub async fn load(&self) -> Result<(), LocalError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || shared.tokenizer().and(shared.model()).map(|_| ()))
            .await
            .unwrap_or_else(|error| {
                Err(LocalError::inference("loading was interrupted").with_source(error))
            })
    }

    /// Waits for earlier generations and then holds the engine until the reservation is dropped or
    /// the generation started from it ends.
    ///
    /// Dropping this future while it waits leaves the line.
    ///
    /// # Errors
    /// `Busy` when the line is full.
    pub async fn reserve(&self) -> Result<Reservation, LocalError> {
        let busy = || LocalError::new(LocalErrorKind::Busy, "the embedded model is busy");
        let place = Arc::clone(&self.shared.line).try_acquire_owned().map_err(|_| busy())?;
        let turn = Arc::clone(&self.shared.turn).acquire_owned().await.map_err(|_| busy())?;
        Ok(Reservation { shared: Arc::clone(&self.shared), permits: (place, turn) })
    }

    /// [`Self::reserve`] and [`Reservation::start`] in one.
    ///
    /// # Errors
    /// `Busy` when the line is full.
    pub async fn generate(
        &self,
        lines: Vec<ChatLine>,
        options: GenerateOptions,
    ) -> Result<Generating, LocalError> {
        Ok(self.reserve().await?.start(lines, options))
    }
}

/// The engine, held for one generation.
pub struct Reservation {
    shared: Arc<Shared>,
    permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl fmt::Debug for Reservation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reservation").finish_non_exhaustive()
    }
}

impl Reservation {
    /// Starts answering `lines` on a blocking thread of the current runtime.
    ///
    /// What fails later (loading, a prompt that is too long) is yielded by [`Generating::next`].
    #[must_use]
    pub fn start(self, lines: Vec<ChatLine>, options: GenerateOptions) -> Generating {
        let cancel = Arc::new(AtomicBool::new(false));
        // Room for all events there can be, so that a slow reader never holds up the engine.
        let output_tokens_max = options.output_tokens_max.min(WINDOW_TOKENS);
        let capacity = usize::try_from(output_tokens_max).unwrap_or(usize::MAX).saturating_add(2);
        let (sender, events) = mpsc::channel(capacity);
        let job = Job {
            shared: self.shared,
            options: GenerateOptions { output_tokens_max, ..options },
            cancel: Arc::clone(&cancel),
            sender,
            _permits: self.permits,
        };
        // Ends by itself soon after `cancel`, which `Generating` raises when dropped.
        tokio::task::spawn_blocking(move || job.run(&lines));
        Generating { events, cancel, is_finished: false }
    }
}

impl fmt::Debug for LocalEngine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LocalEngine")
            .field("weights", &self.shared.weights)
            .finish_non_exhaustive()
    }
}

/// An answer being generated. Dropping it cancels the work.
#[derive(Debug)]
pub struct Generating {
    events: mpsc::Receiver<Result<GenerationEvent, LocalError>>,
    cancel: Arc<AtomicBool>,
    is_finished: bool,
}

impl Generating {
    /// The next event; `None` after [`GenerationEvent::Finished`] or an error. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<GenerationEvent, LocalError>> {
        if self.is_finished {
            return None;
        }
        let event =
            self.events.recv().await.unwrap_or_else(|| {
                Err(LocalError::inference("the generation ended without a result"))
            });
        self.is_finished = !matches!(event, Ok(GenerationEvent::Token { .. }));
        Some(event)
    }

    /// Asks the work to stop; what was generated until then still arrives, then the end with
    /// [`FinishReason::Cancelled`]. A second call changes nothing.
    pub fn cancel(&self) {
        self.cancel.store(true, Ordering::Relaxed);
    }
}

impl Drop for Generating {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl Shared {
    fn tokenizer(&self) -> Result<Arc<ChatTokenizer>, LocalError> {
        load_once(&self.tokenizer, || ChatTokenizer::open(&self.weights))
    }

    fn model(&self) -> Result<Arc<Model>, LocalError> {
        load_once(&self.model, || load_model(&self.weights, &self.on_progress))
    }
}

/// One token of the window must be left for the answer.
fn check_window(input_tokens: usize, window_tokens: usize) -> Result<(), LocalError> {
    if input_tokens < window_tokens {
        return Ok(());
    }
    Err(LocalError::new(
        LocalErrorKind::PromptTooLong,
        format!("the prompt has {input_tokens} tokens or more and the window {window_tokens}"),
    ))
}

/// One generation on its blocking thread.
struct Job {
    shared: Arc<Shared>,
    options: GenerateOptions,
    cancel: Arc<AtomicBool>,
    sender: mpsc::Sender<Result<GenerationEvent, LocalError>>,
    /// The place in the line and the turn, given back at the end.
    _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Job {
    fn run(self, lines: &[ChatLine]) {
        let end = self.generate(lines).map(GenerationEvent::Finished);
        self.send(end);
    }

    /// The channel has room for every event; sending fails only when nobody listens any more.
    fn send(&self, event: Result<GenerationEvent, LocalError>) {
        if self.sender.try_send(event).is_err() {
            self.cancel.store(true, Ordering::Relaxed);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    fn generate(&self, lines: &[ChatLine]) -> Result<GenerationSummary, LocalError> {
        let tokenizer = self.shared.tokenizer()?;
        check_window(tokenizer.count_chat_at_least(lines), WINDOW_TOKENS_LEN)?;
        let prompt = tokenizer.encode_chat(lines)?;
        let input_tokens = prompt.len();
        check_window(input_tokens, WINDOW_TOKENS_LEN)?;
        let model = self.shared.model()?;
        let window_tokens = model.shape.window_tokens.min(WINDOW_TOKENS_LEN);
        check_window(input_tokens, window_tokens)?;
        let summary = |output_tokens: u32, finish_reason| GenerationSummary {
            input_tokens: u64::try_from(input_tokens).unwrap_or(u64::MAX),
            output_tokens: u64::from(output_tokens),
            finish_reason,
        };
        if self.options.output_tokens_max == 0 {
            return Ok(summary(0, FinishReason::Length));
        }

        let mut cache = model.new_cache();
        let mut scores = Vec::new();
        for chunk in prompt.chunks(PROMPT_CHUNK_TOKENS) {
            if self.is_cancelled() {
                return Ok(summary(0, FinishReason::Cancelled));
            }
            scores = model.forward(&mut cache, chunk)?;
        }

        let mut sampler = Sampler::new(self.options.sampling);
        let skip_special_tokens = true;
        let mut decoder = tokenizer.inner().decode_stream(skip_special_tokens);
        let mut output_tokens = 0_u32;
        loop {
            if self.is_cancelled() {
                return Ok(summary(output_tokens, FinishReason::Cancelled));
            }
            let token_id =
                sampler.choose(scores).ok_or_else(|| LocalError::inference("it gave no scores"))?;
            output_tokens = output_tokens.saturating_add(1);
            let text = decoder.step(token_id).map_err(|error| {
                LocalError::inference("its tokens are not text").with_source(error)
            })?;
            self.send(Ok(GenerationEvent::Token { token_id, text: text.unwrap_or_default() }));
            if tokenizer.is_end(token_id) {
                return Ok(summary(output_tokens, FinishReason::Stop));
            }
            let is_window_full = cache.position_count() >= window_tokens;
            if output_tokens >= self.options.output_tokens_max || is_window_full {
                return Ok(summary(output_tokens, FinishReason::Length));
            }
            scores = model.forward(&mut cache, &[token_id])?;
        }
    }
}
