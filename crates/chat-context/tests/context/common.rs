//! A counter of words, a reader that keeps a record, and short forms.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use chat_context::{
    BuiltContext, ContextError, ContextLimits, ContextRequest, ConversationContext,
};
use chat_instructions::InstructionBlock;
use chat_thread::{BranchError, BranchReader, MemoryBranch};
use chat_tokens::TokenCounter;
use chat_types::{
    BranchPage, CacheStyle, ContentPart, ConversationId, Message, MessageId, MessageStatus,
    Modalities, ModelInfo, Provenance, Role, SystemRole, Timestamp, TokenCount, TokenizerId,
    Tokens, ToolSpec,
};

pub(crate) static WORDS: TokenizerId = TokenizerId::from_static("words");

/// One token per word, 3 for priming, nothing per message; counts how often it is asked.
#[derive(Debug, Default)]
pub(crate) struct WordCounter {
    pub(crate) messages_counted: AtomicUsize,
}

impl TokenCounter for WordCounter {
    fn tokenizer(&self) -> &TokenizerId {
        &WORDS
    }
    fn provenance(&self) -> Provenance {
        Provenance::Counted
    }
    fn count_text(&self, text: &str) -> Tokens {
        Tokens::from_len(text.split_whitespace().count())
    }
    fn count_message(&self, _role: Role, parts: &[ContentPart]) -> Tokens {
        self.messages_counted.fetch_add(1, Ordering::Relaxed);
        chat_tokens::count_parts(self, parts)
    }
    fn priming(&self) -> Tokens {
        Tokens::new(3)
    }
    fn count_tools(&self, tools: &[ToolSpec]) -> Tokens {
        tools.iter().map(|tool| self.count_text(&tool.description)).sum()
    }
}

/// Records how much was read.
#[derive(Debug)]
pub(crate) struct RecordingReader {
    inner: MemoryBranch,
    pub(crate) pages: AtomicUsize,
    pub(crate) messages: AtomicUsize,
}

impl RecordingReader {
    pub(crate) fn new(messages: Vec<Message>) -> Self {
        Self {
            inner: MemoryBranch::new(messages),
            pages: AtomicUsize::new(0),
            messages: AtomicUsize::new(0),
        }
    }

    pub(crate) fn read(&self) -> (usize, usize) {
        (self.pages.load(Ordering::Relaxed), self.messages.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl BranchReader for RecordingReader {
    async fn page(&self, head: &MessageId, limit: usize) -> Result<BranchPage, BranchError> {
        let page = self.inner.page(head, limit).await?;
        self.pages.fetch_add(1, Ordering::Relaxed);
        self.messages.fetch_add(page.messages.len(), Ordering::Relaxed);
        Ok(page)
    }
}

pub(crate) fn id(text: &str) -> MessageId {
    MessageId::new(text).expect("valid id")
}

pub(crate) fn message(name: &str, parent: Option<&str>, role: Role, text: &str) -> Message {
    Message {
        id: id(name),
        conversation: ConversationId::new("talk").expect("valid id"),
        parent: parent.map(id),
        role,
        parts: vec![ContentPart::text(text)],
        created_at: Timestamp::from_unix_ms(0),
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: Vec::new(),
        summary: None,
    }
}

/// The same message with a stored count.
pub(crate) fn counted(message: Message, tokens: u64) -> Message {
    let count = TokenCount {
        tokens: Tokens::new(tokens),
        tokenizer: WORDS.clone(),
        provenance: Provenance::Reported,
    };
    Message { token_counts: vec![count], ..message }
}

/// `m-0` to `m-(n-1)`, user and assistant in turn, each of a stored count.
pub(crate) fn chain(counts: &[u64]) -> Vec<Message> {
    let mut parent: Option<String> = None;
    let mut messages = Vec::new();
    for (number, tokens) in counts.iter().enumerate() {
        let name = format!("m-{number}");
        let role = if number % 2 == 0 { Role::User } else { Role::Assistant };
        let text = format!("text of {name}");
        messages.push(counted(message(&name, parent.as_deref(), role, &text), *tokens));
        parent = Some(name);
    }
    messages
}

pub(crate) fn model(window: u64) -> ModelInfo {
    ModelInfo {
        model: "p/m".parse().expect("valid"),
        context_window: Tokens::new(window),
        output_max: Tokens::new(window),
        modalities: Modalities::default(),
        system_role: SystemRole::Native,
        tools: true,
        cache: CacheStyle::Automatic,
        prefill: true,
        tokenizer: WORDS.clone(),
    }
}

/// A request in parts that live long enough.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) reader: RecordingReader,
    pub(crate) tail: Vec<Message>,
    pub(crate) instructions: Vec<InstructionBlock>,
    pub(crate) tools: Vec<ToolSpec>,
    pub(crate) model: ModelInfo,
    pub(crate) counter: WordCounter,
    pub(crate) output_cap: Option<Tokens>,
    pub(crate) context: ConversationContext,
}

impl Case {
    /// `messages` of one branch, the last of which is the tail; no margin and no output cap, so
    /// that the window is the budget.
    pub(crate) fn new(mut messages: Vec<Message>, window: u64) -> Self {
        let tail = messages.pop().into_iter().collect();
        Self {
            reader: RecordingReader::new(messages),
            tail,
            instructions: Vec::new(),
            tools: Vec::new(),
            model: model(window),
            counter: WordCounter::default(),
            output_cap: Some(Tokens::ZERO),
            context: ConversationContext::new()
                .with_limits(ContextLimits::default().without_margin()),
        }
    }

    /// With instructions of so many words.
    pub(crate) fn instructed(mut self, words: usize) -> Self {
        self.instructions = vec![InstructionBlock::new("persona", vec!["word"; words].join(" "))];
        self
    }

    pub(crate) async fn try_build(&self) -> Result<BuiltContext, ContextError> {
        self.context.build(self.request()).await
    }

    pub(crate) fn request(&self) -> ContextRequest<'_> {
        ContextRequest {
            instructions: &self.instructions,
            tools: &self.tools,
            output_cap: self.output_cap,
            ..ContextRequest::new(&self.reader, &self.tail, &self.model, &self.counter)
        }
    }

    pub(crate) async fn build(&self) -> BuiltContext {
        self.try_build().await.expect("it fits")
    }
}

/// The stored messages that are sent, in order.
pub(crate) fn sent(built: &BuiltContext) -> Vec<&str> {
    built.prompt.items.iter().filter_map(|item| Some(item.source.as_ref()?.as_str())).collect()
}
