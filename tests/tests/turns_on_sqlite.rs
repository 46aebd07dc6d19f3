//! Promises of a turn that need a real database and two clients on one file: resuming from every
//! event, and two tabs in one conversation. The rest is in `chat-core` (in memory) and `crash`.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use std::path::Path;
use std::sync::Arc;

use chat_persist::{MessagePage, PersistenceAdapter};
use chat_persist_sqlite::{SqliteConfig, SqliteStore};
use chat_provider_example::ExampleProvider;
use chat_runtime::provider::{ProviderRegistry, ScriptedProvider, ScriptedReply, ScriptedStep};
use chat_runtime::usage::PriceBook;
use chat_runtime::{
    BaseClient, BaseClientBuilder, ContentPart, ConversationId, Cursor, Message, MessageId,
    Placement, Scope, StreamExt, Turn, TurnConfig, TurnEvent, TurnRequest, TurnState,
};
use chat_types::{FinishReason, Folded, Role, TenantId, UserId};
use chat_usage::UsageStore;

const PRICES: &str = r#"
book = "test"
source = "made up"
licence = "none"
[[price]]
model = "scripted/*"
valid_from = 1970-01-01
input = "1.00"
output = "2.00"
[[price]]
model = "example/*"
valid_from = 1970-01-01
input = "1.00"
output = "2.00"
"#;

struct Tab {
    client: BaseClient,
    store: Arc<SqliteStore>,
}

fn ada() -> Scope {
    Scope::new(TenantId::new("default").unwrap(), UserId::new("ada").unwrap())
}

/// A client of its own over the file: what another process would have.
async fn open(file: &Path, providers: ProviderRegistry) -> Tab {
    let store = Arc::new(SqliteStore::open(SqliteConfig::new(file)).await.unwrap());
    let prices = PriceBook::from_toml(PRICES).unwrap();
    let client = BaseClientBuilder::new(
        Arc::clone(&store),
        Arc::clone(&store),
        Arc::clone(&store),
        providers,
        prices,
    )
    .config(TurnConfig { stop_poll_ms: 20, checkpoint_ms: 20, ..TurnConfig::default() })
    .start()
    .await
    .unwrap();
    Tab { client, store }
}

fn echo(delay_ms: u64) -> ProviderRegistry {
    let provider = ExampleProvider::new().unwrap().with_delay_ms(delay_ms);
    ProviderRegistry::new().with(Arc::new(provider))
}

async fn read_from(tab: &Tab, turn: &chat_types::TurnId, cursor: Cursor) -> Vec<TurnEvent> {
    let events = tab.client.events(&ada(), turn, cursor).await.unwrap();
    events.map(|event| event.unwrap().as_ref().clone()).collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t4_resuming_after_any_event_gives_the_rest_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.db");
    let mut steps = Vec::new();
    for number in 0..200 {
        let text = format!("w{number} ");
        steps.push(ScriptedStep::Say(vec![chat_runtime::provider::ProviderEvent::Text(text)]));
        steps.push(ScriptedStep::Wait { ms: 1 });
    }
    let finish = chat_runtime::provider::ProviderEvent::Finished(FinishReason::Stop);
    steps.push(ScriptedStep::Say(vec![finish]));
    let scripted = ScriptedProvider::new(vec![ScriptedReply::new(steps)]).unwrap();
    let mine = open(&file, ProviderRegistry::new().with(Arc::new(scripted.clone()))).await;
    let other = open(&file, ProviderRegistry::new().with(Arc::new(scripted))).await;
    let turn = mine.client.send_message(&ada(), TurnRequest::text("count")).await.unwrap();
    // Three readers at once while it runs, one of them in another process.
    let (first, second, elsewhere) = futures::join!(
        read_from(&mine, turn.id(), Cursor::START),
        read_from(&mine, turn.id(), Cursor::START),
        read_from(&other, turn.id(), Cursor::START),
    );
    assert!(first.len() >= 200, "{} events", first.len());
    assert_eq!(first, second);
    assert_eq!(first, elsewhere);
    let outcome = turn.outcome().await.unwrap();
    assert_eq!(outcome.state, TurnState::Completed);
    assert_eq!(Folded::from_events(&first).parts, outcome.message.unwrap().parts);
    mine.client.drain().await;
    drop(mine);
    // After the end and after a restart, from every event.
    let restarted = open(&file, echo(0)).await;
    for (seen, event) in first.iter().enumerate() {
        let rest = read_from(&restarted, turn.id(), event.cursor()).await;
        assert_eq!(rest, first[seen + 1..], "after event {}", event.seq);
    }
    println!("{} events, resumed after each of them", first.len());
}

async fn messages_of(store: &SqliteStore, conversation: &ConversationId) -> Vec<Message> {
    let MessagePage { messages, next } =
        store.messages(&ada(), conversation, None, 1_000).await.unwrap();
    assert_eq!(next, None);
    messages
}

/// One move of a tab: sends, edits, regenerates, continues or deletes somewhere, and may stop it.
async fn make_a_move(
    tab: &Tab,
    conversation: &ConversationId,
    random: &mut fastrand::Rng,
) -> Option<Turn> {
    let messages = messages_of(&tab.store, conversation).await;
    let of = |role: Role| -> Vec<MessageId> {
        messages.iter().filter(|message| message.role == role).map(|one| one.id.clone()).collect()
    };
    let (users, replies) = (of(Role::User), of(Role::Assistant));
    let text = format!("question {}", random.u32(..));
    let parts = vec![ContentPart::text(text)];
    let placement = match (random.u8(0..6), random.choice(&users), random.choice(&replies)) {
        (0, Some(user), _) => Placement::Edit { message: user.clone(), parts },
        (1, _, Some(reply)) => Placement::Regenerate { message: reply.clone() },
        (2, Some(user), _) => Placement::Regenerate { message: user.clone() },
        (3, _, Some(reply)) => Placement::After { parent: reply.clone(), parts },
        (4, Some(user), _) if users.len() > 3 => {
            // Refused while a turn writes below it; then nothing is deleted.
            let _deleted = tab.store.delete_subtree(&ada(), conversation, user).await;
            return None;
        }
        _ => Placement::AfterHead { parts },
    };
    let request = TurnRequest::placed(placement).in_conversation(conversation.clone());
    match tab.client.send_message(&ada(), request).await {
        Ok(turn) => {
            if random.bool() {
                turn.stop().await.unwrap();
            }
            if random.bool() {
                turn.outcome().await.unwrap();
            }
            Some(turn)
        }
        Err(error) => {
            let code = error.code();
            let expected = ["parent_unfinished", "parent_missing", "unknown_message", "not_found"];
            assert!(expected.contains(&code), "{code}: {error}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t7_each_reply_answers_its_own_question_whatever_two_tabs_do() {
    let rounds = if std::env::var_os("CHAT_TEST_FULL").is_some() { 500 } else { 40 };
    let seed = std::env::var("CHAT_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("CHAT_TEST_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.db");
    let (left, right) = (open(&file, echo(1)).await, open(&file, echo(1)).await);
    let (mut replies, mut partial) = (0_u64, 0);
    for round in 0..rounds {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_add(round));
        let mut other = random.fork();
        let first =
            left.client.send_message(&ada(), TurnRequest::text("question 0")).await.unwrap();
        let conversation = first.conversation().clone();
        first.outcome().await.unwrap();
        let mut turns = Vec::new();
        for _ in 0..4 {
            let (one, two) = futures::join!(
                make_a_move(&left, &conversation, &mut random),
                make_a_move(&right, &conversation, &mut other),
            );
            turns.extend(one.into_iter().chain(two));
        }
        for turn in &turns {
            turn.outcome().await.unwrap();
        }
        let messages = messages_of(&left.store, &conversation).await;
        for reply in messages.iter().filter(|message| message.role == Role::Assistant) {
            let parent = messages.iter().find(|one| Some(&one.id) == reply.parent.as_ref());
            let question = parent.map(Message::text).unwrap_or_default();
            let whole = format!("You said: {question}");
            assert!(whole.starts_with(reply.text().trim_end()), "{question:?}: {reply:?}");
            replies += 1;
            partial += u32::from(reply.text().len() < whole.len());
        }
    }
    left.client.drain().await;
    right.client.drain().await;
    let audit = left.client.audit().run().await.unwrap();
    assert!(audit.is_sound(), "{audit:?}");
    assert_eq!(audit.ledger.holds_open, 0);
    assert!(!left.store.scan_rows(0, 10).await.unwrap().is_empty());
    println!("{rounds} rounds, {replies} replies, {partial} of them partial");
    assert!(replies > rounds, "{replies} replies in {rounds} rounds");
}
