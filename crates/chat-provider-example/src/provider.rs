//! The port, implemented: what every provider has to do, with nothing in the way.
//!
//! Promises: the same request always gets the same answer; the gate is passed before anything
//! happens; the cap is the permit's; usage is exact; nothing is kept between calls and no task is
//! spawned, so dropping the stream is all it takes to stop. Not here: the dialect (`wire`), the
//! answer (`reply`), HTTP and retries, which an in-process model does not have.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chat_provider::{
    CallPermit, CompletionStream, ModelProvider, ModelRequest, Prepared, ProviderError,
    ProviderErrorKind, ProviderEvent,
};
use chat_tokens::TokenCounter;
use chat_types::{
    CacheStyle, Modalities, ModelId, ModelInfo, ModelRef, ProviderId, SystemRole, Tokens,
};
use futures::stream;

use crate::counter::WordCounter;
use crate::reply::Reply;
use crate::wire::EchoRequest;

/// The provider's id.
pub const EXAMPLE_PROVIDER: &str = "example";

/// The model's name.
pub const EXAMPLE_MODEL: &str = "echo-1";

/// Small enough that a test can fill it.
const WINDOW_TOKENS: Tokens = Tokens::new(8_192);

/// A quarter of the window.
const OUTPUT_TOKENS_MAX: Tokens = Tokens::new(2_048);

/// Answers `You said: …`, one word at a time.
#[derive(Clone, Debug)]
pub struct ExampleProvider {
    id: ProviderId,
    info: ModelInfo,
    counter: Arc<WordCounter>,
    delay_ms: u64,
}

impl ExampleProvider {
    /// The provider `example` with its one model `echo-1`, which answers at once.
    ///
    /// # Errors
    /// None in practice: both names are valid.
    pub fn new() -> Result<Self, ProviderError> {
        let id = ProviderId::new(EXAMPLE_PROVIDER).map_err(not_ready)?;
        let model = ModelId::new(EXAMPLE_MODEL).map_err(not_ready)?;
        let info = ModelInfo {
            model: ModelRef::new(id.clone(), model),
            context_window: WINDOW_TOKENS,
            output_max: OUTPUT_TOKENS_MAX,
            modalities: Modalities::default(),
            system_role: SystemRole::Native,
            tools: false,
            cache: CacheStyle::None,
            prefill: true,
            tokenizer: WordCounter::TOKENIZER,
        };
        Ok(Self { id, info, counter: Arc::new(WordCounter::new()), delay_ms: 0 })
    }

    /// Waits `delay_ms` before each word, in the runtime's time, so that tests can pause it.
    #[must_use]
    pub fn with_delay_ms(mut self, delay_ms: u64) -> Self {
        self.delay_ms = delay_ms;
        self
    }
}

#[async_trait]
impl ModelProvider for ExampleProvider {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn model_id(&self) -> &ModelId {
        &self.info.model.model
    }

    fn models(&self) -> Vec<ModelInfo> {
        vec![self.info.clone()]
    }

    fn model_info(&self, model: &ModelId) -> Option<ModelInfo> {
        (*model == self.info.model.model).then(|| self.info.clone())
    }

    fn counter(&self, _model: &ModelInfo) -> Arc<dyn TokenCounter> {
        Arc::clone(&self.counter) as Arc<dyn TokenCounter>
    }

    fn prepare(&self, request: &ModelRequest) -> Result<Prepared, ProviderError> {
        if request.model != self.info.model.model {
            return Err(ProviderError::new(
                ProviderErrorKind::UnknownModel,
                format!("the example model is {EXAMPLE_MODEL}"),
            ));
        }
        let echo = EchoRequest::from_request(request)?;
        let mut prepared = Prepared::new(request, echo.to_body()?);
        // This vocabulary is our own, so what the provider will charge is known to the word.
        let input: Tokens = echo.lines.iter().map(|line| self.counter.count_text(&line.text)).sum();
        prepared.input_bound = input;
        prepared.input_estimate = input;
        Ok(prepared)
    }

    async fn send_completion(
        &self,
        prepared: &Prepared,
        permit: &CallPermit,
    ) -> Result<CompletionStream, ProviderError> {
        let request = EchoRequest::from_body(&prepared.body)?;
        permit.admit(1, None).await?;
        let answering = Answering {
            reply: Reply::new(&request, permit.output_cap()),
            delay_ms: self.delay_ms,
            is_whole: !request.stream,
            stage: Stage::Starting,
        };
        Ok(Box::pin(stream::unfold(answering, Answering::next)))
    }
}

fn not_ready(error: impl std::error::Error + Send + Sync + 'static) -> ProviderError {
    ProviderError::new(ProviderErrorKind::NotReady, "the example has a bad name").with_source(error)
}

/// How far an answer has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    Saying,
    Over,
}

/// An answer on its way out.
struct Answering {
    reply: Reply,
    delay_ms: u64,
    /// Everything in one read.
    is_whole: bool,
    stage: Stage,
}

type Read = Result<Vec<ProviderEvent>, ProviderError>;

impl Answering {
    /// The next read: the start, a word, or the end.
    async fn next(mut self) -> Option<(Read, Self)> {
        if self.stage == Stage::Starting {
            self.stage = Stage::Saying;
            let mut events = vec![ProviderEvent::Started { request_id: None }];
            if self.is_whole {
                events.extend(self.rest().await);
            }
            return Some((Ok(events), self));
        }
        if self.stage == Stage::Over {
            return None;
        }
        let events = match self.reply.words.pop_front() {
            Some(word) => {
                self.pause().await;
                vec![ProviderEvent::Text(word)]
            }
            None => self.end(),
        };
        Some((Ok(events), self))
    }

    async fn rest(&mut self) -> Vec<ProviderEvent> {
        let mut text = String::new();
        while let Some(word) = self.reply.words.pop_front() {
            self.pause().await;
            text.push_str(&word);
        }
        let mut events = vec![ProviderEvent::Text(text)];
        events.extend(self.end());
        events
    }

    fn end(&mut self) -> Vec<ProviderEvent> {
        self.stage = Stage::Over;
        vec![
            ProviderEvent::Finished(self.reply.finish_reason),
            ProviderEvent::Usage(self.reply.usage),
        ]
    }

    async fn pause(&self) {
        if self.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.delay_ms)).await;
        }
    }
}
