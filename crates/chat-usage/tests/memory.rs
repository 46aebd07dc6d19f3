//! What a usage store promises, through `MemoryUsageStore`.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use chat_types::{
    AttemptKey, ConversationId, Money, Purpose, Scope, StepKey, TenantId, Timestamp, TurnId, Usage,
    UsageSource, UserId,
};
use chat_usage::{MemoryUsageStore, UsageQuery, UsageRow, UsageStore};

fn scope(user: &str) -> Scope {
    Scope::new(TenantId::new("t").unwrap(), UserId::new(user).unwrap())
}

fn key(turn: &str, attempt: u32) -> AttemptKey {
    AttemptKey { step: StepKey { turn: TurnId::new(turn).unwrap(), step: 1 }, attempt }
}

fn row(turn: &str, attempt: u32, conversation: &str, at: i64) -> UsageRow {
    UsageRow {
        key: key(turn, attempt),
        conversation: ConversationId::new(conversation).unwrap(),
        purpose: Purpose::Reply,
        model: "a/x".parse().unwrap(),
        usage: Usage::default(),
        source: UsageSource::Provider,
        amount: Money::from_nano_usd(at),
        price_version: "b".to_owned(),
        provider_request_id: Some("r".to_owned()),
        at: Timestamp::from_unix_ms(at),
    }
}

#[tokio::test]
async fn a_row_is_written_once_and_left_as_it_is() {
    let store = MemoryUsageStore::new();
    let first = row("t1", 1, "c", 1);
    store.record(&scope("u"), std::slice::from_ref(&first)).await.unwrap();
    let second = row("t1", 2, "c", 2);
    store.record(&scope("u"), &[row("t1", 1, "c", 9), second.clone()]).await.unwrap();
    let rows = store.clone().rows(&scope("u"), &UsageQuery::default()).await.unwrap();
    assert_eq!(rows, [first, second]);
}

#[tokio::test]
async fn rows_are_found_by_their_scope_only() {
    let store = MemoryUsageStore::new();
    store.record(&scope("u"), &[row("t1", 1, "c", 1)]).await.unwrap();
    store.record(&scope("v"), &[row("t2", 1, "c", 2)]).await.unwrap();
    let rows = store.rows(&scope("v"), &UsageQuery::default()).await.unwrap();
    assert_eq!(rows, [row("t2", 1, "c", 2)]);
    let all = store.scan_rows(0, 10).await.unwrap();
    assert_eq!(all, [(scope("u"), row("t1", 1, "c", 1)), (scope("v"), row("t2", 1, "c", 2))]);
    assert_eq!(store.scan_rows(1, 10).await.unwrap(), [(scope("v"), row("t2", 1, "c", 2))]);
}

#[tokio::test]
async fn queries_filter_and_page_in_the_order_written() {
    let store = MemoryUsageStore::new();
    let rows =
        [row("t9", 1, "c", 5), row("t1", 1, "d", 1), row("t1", 2, "c", 3), row("t2", 1, "c", 9)];
    store.record(&scope("u"), &rows).await.unwrap();
    let all = UsageQuery::default();
    let c = Some(ConversationId::new("c").unwrap());
    let ms = |ms| Some(Timestamp::from_unix_ms(ms));
    for (query, found) in [
        (UsageQuery { conversation: c.clone(), ..all.clone() }, vec![0, 2, 3]),
        (UsageQuery { from: ms(3), until: ms(9), ..all.clone() }, vec![0, 2]),
        (UsageQuery { after: Some(key("t1", 1)), ..all.clone() }, vec![2, 3]),
        (UsageQuery { after: Some(key("t1", 1)), limit: 1, ..all.clone() }, vec![2]),
        (UsageQuery { conversation: c, after: Some(key("t1", 1)), ..all.clone() }, vec![2, 3]),
        (UsageQuery { after: Some(key("t1", 7)), ..all.clone() }, vec![]),
        (UsageQuery { limit: 3, ..all }, vec![0, 1, 2]),
    ] {
        let found: Vec<UsageRow> =
            found.into_iter().map(|place: usize| rows[place].clone()).collect();
        assert_eq!(store.rows(&scope("u"), &query).await.unwrap(), found, "{query:?}");
    }
}

#[tokio::test]
async fn a_page_has_at_most_a_thousand_rows() {
    let store = MemoryUsageStore::new();
    let rows: Vec<UsageRow> = (1..=1_500).map(|attempt| row("t", attempt, "c", 1)).collect();
    store.record(&scope("u"), &rows).await.unwrap();
    for limit in [0, 1_000, 5_000] {
        let query = UsageQuery { limit, ..UsageQuery::default() };
        assert_eq!(store.rows(&scope("u"), &query).await.unwrap().len(), 1_000);
    }
}
