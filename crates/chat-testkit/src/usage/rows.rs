//! Usage rows: one per attempt, whole, in the order written.

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use chat_types::{AttemptKey, Money, Purpose, Scope, StepKey, Tokens, Usage, UsageSource};
use chat_usage::{UsageQuery, UsageRow, UsageStore};

use crate::fixtures::{at, c, id, in_parallel, model, scope, scope_of, strangers};

fn row(turn: &str, attempt: u32, at_ms: i64) -> UsageRow {
    UsageRow {
        key: AttemptKey { step: StepKey { turn: id(turn), step: 1 }, attempt },
        conversation: c(),
        purpose: Purpose::Reply,
        model: model(),
        usage: Usage {
            input_uncached: Tokens::new(100),
            cache_read: Tokens::new(20),
            cache_write: Tokens::new(3),
            output: Tokens::new(40),
            reasoning: Tokens::new(5),
        },
        source: UsageSource::Provider,
        amount: Money::from_nano_usd(123_456),
        price_version: "2026-01".into(),
        provider_request_id: Some("req-1".into()),
        at: at(at_ms),
    }
}

async fn record(store: &Arc<dyn UsageStore>, rows: &[UsageRow]) {
    store.record(&scope(), rows).await.expect("records");
}

async fn read(store: &Arc<dyn UsageStore>, scope: &Scope, query: &UsageQuery) -> Vec<UsageRow> {
    store.rows(scope, query).await.expect("reads")
}

async fn all(store: &Arc<dyn UsageStore>) -> Vec<UsageRow> {
    read(store, &scope(), &UsageQuery::default()).await
}

/// Every field of a row comes back, whatever its source, purpose and size.
pub async fn every_field_round_trips(store: &Arc<dyn UsageStore>) {
    let large = Tokens::new(9_007_199_254_740_993);
    let rows = [
        row("t-1", 1, 1_000),
        UsageRow {
            source: UsageSource::Estimated,
            purpose: Purpose::Summary,
            provider_request_id: None,
            usage: Usage::default(),
            amount: Money::ZERO,
            price_version: String::new(),
            ..row("t-1", 2, 1_001)
        },
        UsageRow {
            source: UsageSource::Adjusted,
            purpose: Purpose::Title,
            amount: Money::from_nano_usd(-7),
            ..row("t-1", 3, -1)
        },
        UsageRow {
            purpose: Purpose::ToolRound,
            usage: Usage { input_uncached: large, reasoning: large, ..Usage::default() },
            amount: Money::MAX,
            model: id("openrouter/meta-llama/Llama-3.1-8B:free"),
            provider_request_id: Some("ü '\"\\ \u{1f600}".into()),
            ..row("t-1", 4, 1_002)
        },
    ];
    record(store, &rows).await;
    assert_eq!(all(store).await, rows);
}

/// A row that is there stays as it is; new ones beside it are written.
pub async fn a_row_is_written_once(store: &Arc<dyn UsageStore>) {
    let first = row("t-1", 1, 1_000);
    record(store, std::slice::from_ref(&first)).await;
    let other = UsageRow { amount: Money::from_nano_usd(9), ..row("t-1", 1, 2_000) };
    let new = row("t-1", 2, 2_000);
    record(store, &[other, new.clone()]).await;
    assert_eq!(all(store).await, [first, new]);
}

/// Steps and attempts of one turn are rows of their own.
pub async fn steps_and_attempts_are_apart(store: &Arc<dyn UsageStore>) {
    let mut rows = Vec::new();
    for (step, attempt) in [(1, 1), (1, 2), (2, 1), (11, 1), (1, 11)] {
        let key = AttemptKey { step: StepKey { turn: id("t-1"), step }, attempt };
        rows.push(UsageRow { key, ..row("t-1", 1, 1_000) });
    }
    record(store, &rows).await;
    record(store, &rows).await;
    assert_eq!(all(store).await, rows);
}

/// Nothing to write writes nothing.
pub async fn no_rows_write_nothing(store: &Arc<dyn UsageStore>) {
    record(store, &[]).await;
    assert_eq!(all(store).await, []);
}

/// Rows come in the order they were written, not by time or name.
pub async fn rows_come_in_the_order_written(store: &Arc<dyn UsageStore>) {
    let rows = [row("b", 1, 3_000), row("a", 1, 1_000), row("c", 1, 2_000)];
    for row in &rows {
        record(store, std::slice::from_ref(row)).await;
    }
    assert_eq!(all(store).await, rows);
}

/// Rows are read by conversation and by time, from a moment on and up to another.
pub async fn rows_are_read_by_conversation_and_time(store: &Arc<dyn UsageStore>) {
    let rows: Vec<UsageRow> = (0..6)
        .map(|n| UsageRow {
            conversation: id(if n % 2 == 0 { "even" } else { "odd" }),
            ..row(&format!("t-{n}"), 1, 1_000 * n)
        })
        .collect();
    record(store, &rows).await;
    let turns = async |conversation: Option<&str>, from: Option<i64>, until: Option<i64>| {
        let query = UsageQuery {
            conversation: conversation.map(id),
            from: from.map(at),
            until: until.map(at),
            ..UsageQuery::default()
        };
        let found = read(store, &scope(), &query).await;
        found.into_iter().map(|row| row.key.step.turn.into()).collect::<Vec<String>>()
    };
    assert_eq!(turns(Some("odd"), None, None).await, ["t-1", "t-3", "t-5"]);
    assert_eq!(turns(None, Some(4_000), None).await, ["t-4", "t-5"]);
    assert_eq!(turns(None, None, Some(2_000)).await, ["t-0", "t-1"]);
    assert_eq!(turns(Some("even"), Some(1_000), Some(4_000)).await, ["t-2"]);
    assert_eq!(turns(Some("none"), None, None).await, Vec::<String>::new());
}

/// Pages follow each other without a gap or a repeat, also through a filter.
pub async fn pages_follow_each_other(store: &Arc<dyn UsageStore>) {
    let rows: Vec<UsageRow> = (0..10)
        .map(|n| UsageRow {
            conversation: id(if n % 3 == 0 { "other" } else { "c" }),
            ..row(&format!("t-{}", 9 - n), 1, 1_000)
        })
        .collect();
    record(store, &rows).await;
    for conversation in [None, Some(c())] {
        let mut joined: Vec<UsageRow> = Vec::new();
        loop {
            let query = UsageQuery {
                conversation: conversation.clone(),
                after: joined.last().map(|row| row.key.clone()),
                limit: 2,
                ..UsageQuery::default()
            };
            let page = read(store, &scope(), &query).await;
            assert!(page.len() <= 2, "{page:?}");
            if page.is_empty() {
                break;
            }
            joined.extend(page);
        }
        let is_wanted =
            |row: &&UsageRow| conversation.as_ref().is_none_or(|c| row.conversation == *c);
        assert_eq!(joined, rows.iter().filter(is_wanted).cloned().collect::<Vec<_>>());
    }
}

/// A page never holds more than a thousand rows.
pub async fn pages_are_bounded(store: &Arc<dyn UsageStore>) {
    let rows: Vec<UsageRow> = (1..=1_001).map(|n| row("t-1", n, 1_000)).collect();
    record(store, &rows).await;
    for limit in [0, 1_000, u32::MAX] {
        let query = UsageQuery { limit, ..UsageQuery::default() };
        let page = read(store, &scope(), &query).await;
        assert_eq!(page.len(), 1_000, "limit {limit}");
    }
}

/// Reading on after a row that the scope does not have gives nothing, whoever has it.
pub async fn reading_after_an_unknown_row_reads_nothing(store: &Arc<dyn UsageStore>) {
    record(store, &[row("t-1", 1, 1_000), row("t-2", 1, 1_000)]).await;
    let umbrella = scope_of("umbrella", "ada");
    store.record(&umbrella, &[row("t-9", 1, 1_000)]).await.expect("records");
    for turn in ["none", "t-9"] {
        let after = Some(row(turn, 1, 0).key);
        let query = UsageQuery { after, ..UsageQuery::default() };
        assert_eq!(read(store, &scope(), &query).await, [], "after {turn}");
    }
}

/// History of another system is kept like any other row, and says what it is.
pub async fn imported_rows_say_so(store: &Arc<dyn UsageStore>) {
    let rows = [
        UsageRow { source: UsageSource::Imported, ..row("t-1", 1, 1_000) },
        row("t-2", 1, 1_000),
        UsageRow { source: UsageSource::Imported, amount: Money::ZERO, ..row("t-3", 7, 1_000) },
    ];
    record(store, &rows).await;
    record(store, &rows).await;
    assert_eq!(all(store).await, rows);
}

/// Of two rows with one key in one call the first is kept.
pub async fn one_key_twice_in_one_call_is_one_row(store: &Arc<dyn UsageStore>) {
    let other = UsageRow { amount: Money::from_nano_usd(9), ..row("t-1", 1, 2_000) };
    record(store, &[row("t-1", 1, 1_000), other, row("t-2", 1, 1_000)]).await;
    assert_eq!(all(store).await, [row("t-1", 1, 1_000), row("t-2", 1, 1_000)]);
}

/// What was scanned once stays in its place: rows are only ever appended.
pub async fn rows_are_only_appended(store: &Arc<dyn UsageStore>) {
    let mut before = Vec::new();
    for n in 0..4 {
        let owner = if n % 2 == 0 { scope() } else { scope_of("acme", "bob") };
        let rows = [row(&format!("z-{}", 9 - n), 1, 1_000 - n), row("t-1", 1, 1_000)];
        store.record(&owner, &rows).await.expect("records");
        let after = store.scan_rows(0, 1_000).await.expect("scans");
        assert_eq!(after[..before.len()], before[..]);
        before = after;
    }
    assert_eq!(before.len(), 5, "the tenant's row of one key is there once");
}

/// Another user, and another tenant, reads none of it.
pub async fn strangers_read_nothing(store: &Arc<dyn UsageStore>) {
    record(store, &[row("t-1", 1, 1_000)]).await;
    for stranger in strangers() {
        assert_eq!(read(store, &stranger, &UsageQuery::default()).await, []);
        let after = UsageQuery { conversation: Some(c()), ..UsageQuery::default() };
        assert_eq!(read(store, &stranger, &after).await, []);
    }
}

/// Rows of the same name in two tenants are two rows.
pub async fn tenants_are_apart(store: &Arc<dyn UsageStore>) {
    record(store, &[row("t-1", 1, 1_000)]).await;
    let umbrella = scope_of("umbrella", "ada");
    let theirs = [UsageRow { amount: Money::ZERO, ..row("t-1", 1, 2_000) }];
    store.record(&umbrella, &theirs).await.expect("records");
    assert_eq!(all(store).await, [row("t-1", 1, 1_000)]);
    assert_eq!(read(store, &umbrella, &UsageQuery::default()).await, theirs);
}

/// A scan pages through the rows of all scopes in the order written, each with its scope.
pub async fn scan_pages_through_all_scopes(store: &Arc<dyn UsageStore>) {
    let mut expected = Vec::new();
    for n in 0..7 {
        let owner = if n % 2 == 0 { scope() } else { scope_of("umbrella", "bob") };
        let row = row(&format!("t-{n}"), 1, 1_000);
        store.record(&owner, std::slice::from_ref(&row)).await.expect("records");
        expected.push((owner, row));
    }
    let mut joined = Vec::new();
    loop {
        let skip = u64::try_from(joined.len()).expect("few");
        let page = store.scan_rows(skip, 3).await.expect("scans");
        assert!(page.len() <= 3, "{page:?}");
        if page.is_empty() {
            break;
        }
        joined.extend(page);
    }
    assert_eq!(joined, expected);
}

/// The same rows recorded 32 times at once are there once.
pub async fn parallel_repeats_are_one_write(store: &Arc<dyn UsageStore>) {
    in_parallel(32, |_| {
        let store = Arc::clone(store);
        async move { record(&store, &[row("t-1", 1, 1_000), row("t-1", 2, 1_000)]).await }
    })
    .await;
    assert_eq!(all(store).await, [row("t-1", 1, 1_000), row("t-1", 2, 1_000)]);
}

/// 100 calls dropped after their first poll leave all or none of their rows, and the next 100
/// succeed.
pub async fn dropped_call_leaves_store_healthy(store: &Arc<dyn UsageStore>) {
    let both = |turn: &str| [row(turn, 1, 1_000), row(turn, 2, 1_000)];
    for n in 0..100 {
        let (scope, rows) = (scope(), both(&format!("dropped-{n}")));
        let call = pin!(store.record(&scope, &rows));
        let _dropped_here = call.poll(&mut Context::from_waker(Waker::noop()));
    }
    for n in 0..100 {
        record(store, &both(&format!("t-{n}"))).await;
    }
    for n in 0..100 {
        record(store, &both(&format!("dropped-{n}"))).await;
    }
    let rows = all(store).await;
    assert_eq!(rows.len(), 400);
    let pairs = rows.chunks(2).filter(|pair| pair[0].key.step == pair[1].key.step);
    assert_eq!(pairs.count(), 200, "what was recorded together stands together");
}
