//! A client over a SQLite file, a scripted model that answers by its prompt, and a second one that
//! writes summaries by copying the lines that must not be forgotten.

use std::path::Path;
use std::sync::Arc;

use chat_persist::{PersistenceAdapter, TurnRecord};
use chat_persist_sqlite::{SqliteConfig, SqliteStore};
use chat_runtime::context::attachments::{FileCaps, FileLibrary};
use chat_runtime::context::truncation::TruncationPolicy;
use chat_runtime::context::{ContextLimits, ConversationContext};
use chat_runtime::provider::{
    ModelRequest, ProviderRegistry, ScriptedCall, ScriptedProvider, ScriptedReply,
};
use chat_runtime::types::{
    ContextReport, ProviderId, Purpose, TenantId, Tokens, TurnFailure, UserId,
};
use chat_runtime::usage::PriceBook;
use chat_runtime::{
    BaseClient, BaseClientBuilder, ConversationId, Cursor, EventKind, Message, MessageId,
    Placement, Scope, StreamExt, Summaries, TurnConfig, TurnId, TurnOutcome, TurnRequest,
    TurnState,
};
use chat_types::text_of;

const PRICES: &str = r#"
book = "test"
source = "made up"
licence = "none"
[[price]]
model = "scripted/*"
valid_from = 1970-01-01
input = "1.00"
cache_read = "0.10"
output = "2.00"
[[price]]
model = "notes/*"
valid_from = 1970-01-01
input = "0.10"
output = "0.20"
"#;

/// Summaries ahead of need, then whole blocks.
pub(crate) const LADDER: &str = r#"
[[rungs]]
kind = "summarise"
at_percent = 70
keep_percent = 35
[[rungs]]
kind = "drop_blocks"
block_percent = 25
"#;

pub(crate) struct Scene {
    pub(crate) client: BaseClient,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) model: ScriptedProvider,
    pub(crate) notes: ScriptedProvider,
    pub(crate) scope: Scope,
}

/// A turn that is over.
pub(crate) struct Ended {
    pub(crate) turn: TurnId,
    pub(crate) state: TurnState,
    pub(crate) message: Option<Message>,
    pub(crate) failure: Option<TurnFailure>,
}

pub(crate) fn ada() -> Scope {
    Scope::new(TenantId::new("default").unwrap(), UserId::new("ada").unwrap())
}

/// Copies every line that begins with `FACT:`.
pub(crate) fn copies_facts(request: &ModelRequest) -> ScriptedReply {
    let text = text_of(&request.prompt.items.last().unwrap().parts);
    let facts: Vec<&str> = text.lines().filter(|line| line.starts_with("FACT:")).collect();
    if facts.is_empty() {
        return ScriptedReply::text(&["nothing yet"]);
    }
    ScriptedReply::text(&[&facts.join("\n")])
}

pub(crate) fn policy(text: &str) -> TruncationPolicy {
    toml::from_str(text).unwrap()
}

impl Scene {
    /// A window of 8,192 tokens, a reply of about `reply_words` words to everything.
    pub(crate) async fn open(
        file: &Path,
        policy: TruncationPolicy,
        reply_words: usize,
        writes_summary: fn(&ModelRequest) -> ScriptedReply,
    ) -> Self {
        Self::open_with(file, policy, reply_words, writes_summary, None).await
    }

    /// The same with a library of files.
    pub(crate) async fn open_with(
        file: &Path,
        policy: TruncationPolicy,
        reply_words: usize,
        writes_summary: fn(&ModelRequest) -> ScriptedReply,
        files: Option<(Arc<FileLibrary>, FileCaps)>,
    ) -> Self {
        let reply = "word ".repeat(reply_words);
        let model = ScriptedProvider::new(Vec::new()).unwrap();
        let model = model.answering(move |_| ScriptedReply::text(&[&reply]));
        let notes = ScriptedProvider::new(Vec::new()).unwrap();
        let notes = notes.with_id(ProviderId::new("notes").unwrap()).answering(writes_summary);
        let providers =
            ProviderRegistry::new().with(Arc::new(model.clone())).with(Arc::new(notes.clone()));
        let store = Arc::new(SqliteStore::open(SqliteConfig::new(file)).await.unwrap());
        let summaries = Summaries::by("notes/scripted-1".parse().unwrap());
        let context =
            ConversationContext::new().with_limits(ContextLimits::default()).with_policy(policy);
        let mut builder = BaseClientBuilder::new(
            Arc::clone(&store),
            Arc::clone(&store),
            Arc::clone(&store),
            providers,
            PriceBook::from_toml(PRICES).unwrap(),
        )
        .instructions("You are a helpful assistant.")
        .context(context)
        .summaries(summaries)
        .config(TurnConfig { checkpoint_ms: 1_000, ..TurnConfig::default() });
        if let Some((library, caps)) = files {
            builder = builder.files(library, caps);
        }
        let client = builder.start().await.unwrap();
        Self { client, store, model, notes, scope: ada() }
    }

    pub(crate) async fn send(&self, request: TurnRequest) -> Ended {
        let turn = self.client.send_message(&self.scope, request).await.unwrap();
        let TurnOutcome { state, message, failure, .. } = turn.outcome().await.unwrap();
        turn.settled().await;
        Ended { turn: turn.id().clone(), state, message, failure }
    }

    /// One more message after the conversation's head; the turn must complete.
    pub(crate) async fn say(&self, conversation: &ConversationId, text: &str) -> Ended {
        let request = TurnRequest::text(text).in_conversation_named(conversation.clone());
        let outcome = self.send(request).await;
        assert_eq!(outcome.state, TurnState::Completed, "{:?}", outcome.failure);
        outcome
    }

    pub(crate) async fn record(&self, outcome: &Ended) -> TurnRecord {
        self.store.turn(&self.scope, &outcome.turn).await.unwrap().unwrap()
    }

    /// The report that the turn told its readers.
    pub(crate) async fn report(&self, outcome: &Ended) -> ContextReport {
        let events = self.client.events(&self.scope, &outcome.turn, Cursor::START).await.unwrap();
        let events: Vec<_> = events.collect().await;
        let report = events.into_iter().find_map(|event| match &event.unwrap().event {
            EventKind::Context { report } => Some(report.clone()),
            _ => None,
        });
        report.expect("every turn tells its context")
    }

    pub(crate) fn last_call(&self) -> ScriptedCall {
        self.model.calls().pop().unwrap()
    }

    /// Everything that the newest call sent, as one text.
    pub(crate) fn last_prompt(&self) -> String {
        let call = self.last_call();
        let texts = call.request.prompt.items.iter().map(|item| text_of(&item.parts));
        texts.collect::<Vec<_>>().join("\n")
    }

    pub(crate) async fn head(&self, conversation: &ConversationId) -> MessageId {
        let found = self.store.conversation(&self.scope, conversation).await.unwrap().unwrap();
        found.head.unwrap()
    }

    pub(crate) async fn compact(&self, conversation: &ConversationId, anew: bool) -> Ended {
        let placement = Placement::Compact { message: None, anew };
        self.send(TurnRequest::placed(placement).in_conversation(conversation.clone())).await
    }
}

pub(crate) fn summary_steps(record: &TurnRecord) -> usize {
    record.steps.iter().filter(|step| step.purpose == Purpose::Summary).count()
}

pub(crate) fn conversation(name: &str) -> ConversationId {
    ConversationId::new(name).unwrap()
}

/// A message of about `tokens` tokens that names its turn.
pub(crate) fn filler(turn: usize, tokens: u64) -> String {
    let words = usize::try_from(Tokens::new(tokens).get() / 2).unwrap();
    format!("turn {turn} {}", "abcde ".repeat(words))
}
