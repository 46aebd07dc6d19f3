//! 30 turns with the embedded model in a window of 1,024 tokens, its summaries written by itself; 14 turns unless
//! `CHAT_TEST_FULL` is set.
//! What a model of this size says is not judged; that nothing fails and that summaries are made is.

use std::sync::Arc;

use chat_persist::PersistenceAdapter;
use chat_persist_sqlite::{SqliteConfig, SqliteStore};
use chat_provider_local::LocalProvider;
use chat_runtime::context::{ContextLimits, ConversationContext};
use chat_runtime::provider::ProviderRegistry;
use chat_runtime::types::{ModelOptions, Purpose, Tokens};
use chat_runtime::usage::PriceBook;
use chat_runtime::{BaseClientBuilder, Summaries, TurnConfig, TurnRequest, TurnState};

use crate::scene::{LADDER, ada, conversation, policy};

const WINDOW: Tokens = Tokens::new(1_024);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_in_1024_tokens_make_summaries_and_none_fails() {
    let is_full = std::env::var_os("CHAT_TEST_FULL").is_some();
    let (turns, summaries_least) = if is_full { (30, 3) } else { (14, 1) };
    let folder = tempfile::tempdir().unwrap();
    let local = LocalProvider::open(None, |_, _| {}).unwrap_or_else(|error| panic!("{error}"));
    let file = folder.path().join("chat.db");
    let store = Arc::new(SqliteStore::open(SqliteConfig::new(file)).await.unwrap());
    let ports = || Arc::clone(&store);
    let providers = ProviderRegistry::new().with(Arc::new(local));
    let prices = PriceBook::shipped().unwrap();
    let client = BaseClientBuilder::new(ports(), ports(), ports(), providers, prices)
        .context(
            ConversationContext::new()
                .with_limits(ContextLimits::default().with_window_max(WINDOW))
                .with_policy(policy(LADDER)),
        )
        .summaries(Summaries::default().of_at_most(Tokens::new(96)))
        // The model reads and writes in this process, one call after the other.
        .config(TurnConfig { summary_ms: 120_000, ..TurnConfig::default() })
        .start()
        .await
        .unwrap();
    let (scope, talk) = (ada(), conversation("talk"));
    let (mut summaries, mut tokens_most) = (0_usize, Tokens::ZERO);
    for turn in 1..=turns {
        let text = format!("Message {turn}. Tell me something about the number {turn}, please.");
        let options = ModelOptions {
            temperature: Some(0.0),
            output_tokens_max: Some(Tokens::new(40)),
            ..ModelOptions::default()
        };
        let request = TurnRequest::text(text)
            .in_conversation_named(talk.clone())
            .with_options(options)
            .with_instructions("You are a helpful assistant.");
        let sent = client.send_message(&scope, request).await.unwrap();
        let outcome = sent.outcome().await.unwrap();
        assert!(
            matches!(outcome.state, TurnState::Completed | TurnState::Truncated),
            "turn {turn}: {:?} {:?}",
            outcome.state,
            outcome.failure
        );
        let record = store.turn(&scope, sent.id()).await.unwrap().unwrap();
        let made = record.steps.iter().filter(|step| step.purpose == Purpose::Summary).count();
        summaries += made;
        let input = outcome.usage.input_total();
        if made == 0 {
            tokens_most = tokens_most.max(input);
        }
    }
    println!("{turns} turns, {summaries} summaries, at most {tokens_most} tokens of input");
    assert!(tokens_most <= WINDOW, "{tokens_most}");
    let page = store.messages(&scope, &talk, None, 1_000).await.unwrap();
    let kept: Vec<_> = page.messages.iter().filter_map(|m| m.summary.as_ref()).collect();
    assert!(kept.len() >= summaries_least, "{} summaries were kept", kept.len());
    assert!(kept.iter().all(|summary| !summary.text.trim().is_empty()));
    client.drain().await;
}
