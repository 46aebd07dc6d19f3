//! LibreChat's acceptance cases of prices and counts: met, or made stricter where their behaviour loses money.
//! Each test says which.
//!
//! Not here: cases of the ledger (`librechat`).

use std::time::Duration;

use chat_runtime::usage::{PriceBook, cost};
use chat_runtime::{Cursor, EventKind, Runtime, StreamExt, TurnOutcome};
use chat_tests::fake_provider::plain_text;
use chat_tests::scene::{Engine, Scene, SceneOptions, request};
use chat_types::{
    Message, MessageStatus, Money, Provenance, Tokens, TurnState, Usage, UsageSource,
};

use crate::attempts::on_a_runtime;
use crate::bank::NOW;

const PATIENCE: Duration = Duration::from_secs(30);

/// USD per million tokens are nano-USD per thousand; the threshold is 100 tokens of input.
const BOOK: &str = r#"
book = "b"
[[price]]
model = "a/x"
valid_from = 1970-01-01
input = "2"
output = "12"
cache_read = "0.5"
cache_write = "2.5"
[price.long]
above = 100
input = "4"
output = "18"
[[price]]
model = "a/no-cache"
valid_from = 1970-01-01
input = "3"
output = "15"
"#;

fn usage(input: u64, cache_read: u64, cache_write: u64, output: u64) -> Usage {
    Usage {
        input_uncached: Tokens::new(input),
        cache_read: Tokens::new(cache_read),
        cache_write: Tokens::new(cache_write),
        output: Tokens::new(output),
        ..Usage::default()
    }
}

fn nano_of(model: &str, usage: &Usage) -> i64 {
    let book = PriceBook::from_toml(BOOK).unwrap();
    let entry = book.lookup(&model.parse().unwrap(), NOW).unwrap();
    cost(entry, usage).unwrap().nano_usd()
}

/// Met, without the weighted rate: each of the fields has its own price, and one that has none costs what input
/// costs.
#[test]
fn l04_each_kind_of_input_has_its_price_and_a_missing_one_is_that_of_input() {
    assert_eq!(nano_of("a/x", &usage(10, 20, 40, 5)), 20_000 + 10_000 + 100_000 + 60_000);
    assert_eq!(nano_of("a/no-cache", &usage(10, 20, 40, 5)), 70 * 3_000 + 75_000);
}

/// Theirs: an amount that is no number is skipped in silence, a negative count becomes zero. Ours: neither can
/// be said; whoever says it in a row or in a reply is refused.
#[test]
fn l06_what_is_no_number_of_tokens_cannot_be_read() {
    for text in ["-1", "1.5", "NaN", "null", "\"7\"", "1e400", "18446744073709551616"] {
        let read: Result<Tokens, _> = serde_json::from_str(text);
        assert!(read.is_err(), "{text} was read as {read:?}");
        let money: Result<Money, _> = serde_json::from_str(text);
        assert!(money.is_err() || text == "-1", "{text} was read as {money:?}");
    }
}

/// Met: equal to the threshold is standard, one more is premium for the whole call, and all input counts.
#[test]
fn l07_one_token_above_the_threshold_makes_the_whole_call_premium() {
    assert_eq!(nano_of("a/x", &usage(100, 0, 0, 10)), 100 * 2_000 + 10 * 12_000);
    assert_eq!(nano_of("a/x", &usage(101, 0, 0, 10)), 101 * 4_000 + 10 * 18_000);
    assert_eq!(nano_of("a/x", &usage(20, 80, 0, 10)), 40_000 + 40_000 + 120_000);
    // Cached input counts too, and costs what long input costs where nothing else is said.
    assert_eq!(nano_of("a/x", &usage(20, 80, 1, 10)), 101 * 4_000 + 10 * 18_000);
}

async fn run(runtime: &Runtime, model: &str, stop_after: Option<usize>) -> (TurnOutcome, Message) {
    let scope = runtime.scope("ada").unwrap();
    let turn =
        runtime.client().send_message(&scope, request(model, "say one two", 64)).await.unwrap();
    if let Some(words) = stop_after {
        let mut events = turn.events(Cursor::START).await.unwrap();
        let mut text = String::new();
        while text.split_whitespace().count() < words {
            if let EventKind::TextDelta { text: more, .. } =
                &events.next().await.unwrap().unwrap().event
            {
                text.push_str(more);
            }
        }
        turn.stop().await.unwrap();
    }
    let outcome = turn.outcome().await.unwrap();
    turn.settled().await;
    let store = runtime.store().ports().persistence;
    let asked = store.message(&scope, turn.conversation(), turn.user_message()).await.unwrap();
    (outcome, asked.unwrap())
}

/// Theirs: the output of a reply that was stopped costs 1.15 times as much. Ours: what was said costs what it
/// costs, to the token.
#[test]
fn l08_a_stopped_reply_costs_what_was_said_and_nothing_on_top() {
    const MODEL: &str = "fake:out-plain:chunks-30:stall_after-20";
    let options = SceneOptions::of_the_living().with_plain_models([MODEL.to_owned()]);
    let scene = Scene::with(Engine::Sqlite, &options);
    let (outcome, _) = on_a_runtime(&scene, async |runtime| run(runtime, MODEL, Some(20)).await);
    assert_eq!(outcome.state, TurnState::Aborted);
    let reply = outcome.message.unwrap();
    assert_eq!((reply.text(), reply.status), (plain_text(20), MessageStatus::Partial));
    let charged = scene.provider.wait_until(PATIENCE, |books| books.totals.open == 0).unwrap();
    assert_eq!(charged.totals.tokens_out, 20);
    assert_eq!(u64::try_from(outcome.cost.nano_usd()), Ok(charged.totals.charge_nano_usd));
    let books = scene.journal.books();
    assert_eq!(books.usage[0].amount, outcome.cost);
}

/// Theirs: the prompt total that a provider reports is spread over the messages again (70 less the others' 30
/// is 40). Ours: a message's count is its own, by its tokenizer, and never what is left of somebody else's sum;
/// the bill is the provider's, field by field; without its word, ours, and marked as an estimate.
#[test]
fn l13_counts_stay_with_their_messages_and_the_bill_with_the_provider() {
    const CACHED: &str = "fake:out-plain:chunks-6:cached-5";
    const SILENT: &str = "fake:out-plain:chunks-6:no_usage";
    let models = [CACHED.to_owned(), SILENT.to_owned()];
    let scene =
        Scene::with(Engine::Sqlite, &SceneOptions::of_the_living().with_plain_models(models));
    let ((cached, asked), (silent, asked_again)) = on_a_runtime(&scene, async |runtime| {
        (run(runtime, CACHED, None).await, run(runtime, SILENT, None).await)
    });
    // Three words, four of framing; priming belongs to no message.
    for asked in [asked, asked_again] {
        let counts: Vec<_> =
            asked.token_counts.iter().map(|count| (count.tokens, count.provenance)).collect();
        assert_eq!(counts, [(Tokens::new(7), Provenance::Counted)]);
    }
    assert_eq!((cached.usage, silent.usage), (usage(5, 5, 0, 6), usage(10, 0, 0, 6)));
    let reply = cached.message.unwrap();
    assert_eq!(reply.token_counts[0].provenance, Provenance::Reported);
    let books = scene.journal.books();
    let charged = scene.provider.ledger().unwrap();
    let sources: Vec<_> = books.usage.iter().map(|row| row.source).collect();
    assert_eq!(sources, [UsageSource::Provider, UsageSource::Estimated]);
    for (row, call) in books.usage.iter().zip(&charged.requests) {
        assert_eq!(u64::try_from(row.amount.nano_usd()), Ok(call.charge_nano_usd));
    }
}
