//! What the recorder promises, over the ledger and the rows in memory.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, BalanceAdapter, BalanceErrorKind, EntryKind, HoldState,
    LedgerMaintenance, MemoryLedger,
};
use chat_types::{
    AccountId, AttemptKey, ConversationId, GrantTerms, ModelRef, Money, Purpose, Scope, StepKey,
    TenantId, Timestamp, Tokens, TurnId, Usage, UsageSource, UserId,
};
use chat_usage::{
    CallShape, Cost, GrantRequest, MemoryUsageStore, PriceBook, Quote, Result, SettledStep,
    UsageError, UsageQuery, UsageRecorder, UsageRow, UsageStore,
};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_unix_ms(1_795_305_600_000);

/// One token in is 1,000 nano-USD, one out 4,000.
const BOOK: &str = r#"
book = "b"
[[price]]
model = "a/x"
valid_from = 2026-01-01
input = "1"
output = "4"
[[price]]
model = "local/*"
valid_from = 2026-01-01
input = "0"
output = "0"
"#;

fn scope() -> Scope {
    Scope::new(TenantId::new("t").unwrap(), UserId::new("u").unwrap())
}

fn key(turn: &str) -> StepKey {
    StepKey { turn: TurnId::new(turn).unwrap(), step: 1 }
}

fn nano(amount: i64) -> Money {
    Money::from_nano_usd(amount)
}

fn model(name: &str) -> ModelRef {
    name.parse().unwrap()
}

/// Wants 100 tokens in (100,000 nano-USD) and 200 out (800,000).
fn request(turn: &str, accounts: &[&str]) -> GrantRequest {
    GrantRequest {
        key: key(turn),
        purpose: Purpose::Reply,
        model: model("a/x"),
        input_bound: Tokens::new(100),
        output_cap: Tokens::new(200),
        accounts: accounts
            .iter()
            .map(|name| AccountSpec::new(AccountId::new(name).unwrap(), AccountKind::Limited))
            .collect(),
        at: NOW,
        shape: CallShape::standard(),
    }
}

fn row(turn: &str, attempt: u32, amount: i64) -> UsageRow {
    UsageRow {
        key: AttemptKey { step: key(turn), attempt },
        conversation: ConversationId::new("c").unwrap(),
        purpose: Purpose::Reply,
        model: model("a/x"),
        usage: Usage::default(),
        source: UsageSource::Provider,
        amount: nano(amount),
        price_version: "b:a/x@2026-01-01".to_owned(),
        provider_request_id: None,
        at: NOW,
    }
}

fn settled(turn: &str, rows: Vec<UsageRow>) -> SettledStep {
    let conversation = ConversationId::new("c").unwrap();
    SettledStep { key: key(turn), conversation, rows, at: NOW }
}

struct Rig {
    ledger: MemoryLedger,
    recorder: UsageRecorder,
}

async fn rig_over(store: Arc<dyn UsageStore>, accounts: &[(&str, i64)]) -> Rig {
    let ledger = MemoryLedger::new();
    for (name, opening) in accounts {
        let spec = AccountSpec {
            id: AccountId::new(name).unwrap(),
            owner: None,
            kind: AccountKind::Limited,
            opening: nano(*opening),
            unit: AccountUnit::Usd,
            refill: None,
            warn_below: None,
        };
        ledger.open_account(&scope(), &spec, NOW).await.unwrap();
    }
    let prices = Arc::new(PriceBook::from_toml(BOOK).unwrap());
    let recorder = UsageRecorder::new(prices, Arc::new(ledger.clone()), store);
    Rig { ledger, recorder }
}

async fn rig(accounts: &[(&str, i64)]) -> Rig {
    rig_over(Arc::new(MemoryUsageStore::new()), accounts).await
}

impl Rig {
    async fn held(&self, account: &str) -> Money {
        let id = AccountId::new(account).unwrap();
        self.ledger.account(&scope(), &id).await.unwrap().unwrap().held
    }

    async fn grant(&self, request: &GrantRequest) -> Result<GrantTerms> {
        self.recorder.grant(&scope(), request).await.map(|grant| grant.terms().clone())
    }

    async fn rows(&self) -> Vec<UsageRow> {
        self.recorder.store().rows(&scope(), &UsageQuery::default()).await.unwrap()
    }
}

#[tokio::test]
async fn a_quote_says_what_would_be_held_and_holds_nothing() {
    let rig = rig(&[("w", 0)]).await;
    let quote = rig.recorder.quote(&request("t", &["w"])).unwrap();
    let expected = Quote {
        amount: nano(900_000),
        floor: nano(164_000),
        price_version: "b:a/x@2026-01-01".to_owned(),
    };
    assert_eq!(quote, expected);
    assert_eq!(rig.ledger.scan_holds(None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_grant_is_held_on_every_account() {
    let rig = rig(&[("w", 5_000_000), ("team", 5_000_000)]).await;
    let terms = rig.grant(&request("t", &["w", "team"])).await.unwrap();
    let expected = GrantTerms {
        key: key("t"),
        purpose: Purpose::Reply,
        output_cap: Tokens::new(200),
        input_bound: Tokens::new(100),
        held: nano(900_000),
        low: Vec::new(),
    };
    assert_eq!(terms, expected);
    assert_eq!((rig.held("w").await, rig.held("team").await), (nano(900_000), nano(900_000)));
}

#[tokio::test]
async fn short_funds_shrink_the_cap_to_what_the_smallest_account_covers() {
    // 100,000 for the input, 4,000 for each token out; 3,999 more buy nothing.
    let rig = rig(&[("w", 5_000_000), ("team", 100_000 + 50 * 4_000 + 3_999)]).await;
    let terms = rig.grant(&request("t", &["w", "team"])).await.unwrap();
    assert_eq!(terms.output_cap, Tokens::new(50));
}

#[tokio::test]
async fn funds_below_the_least_reply_are_refused_with_the_numbers() {
    let rig = rig(&[("w", 163_999)]).await;
    let error = rig.grant(&request("t", &["w"])).await.unwrap_err();
    let UsageError::Refused { refusal } = &error else { unreachable!("{error}") };
    assert_eq!((refusal.need, refusal.available), (nano(164_000), nano(163_999)));
    assert_eq!((error.code(), error.is_transient()), ("insufficient_funds", false));
    assert_eq!(rig.held("w").await, Money::ZERO);

    let mut small = request("t", &["w"]);
    small.output_cap = Tokens::new(3);
    let terms = rig.grant(&small).await.unwrap();
    assert_eq!(terms.output_cap, Tokens::new(3), "a small wish is no shrunken reply");
}

#[tokio::test]
async fn the_least_reply_can_be_set() {
    let rig = rig(&[("w", 104_000)]).await;
    let recorder = rig.recorder.clone().with_output_least(Tokens::new(1));
    let grant = recorder.grant(&scope(), &request("t", &["w"])).await.unwrap();
    assert_eq!(grant.terms().output_cap, Tokens::new(1));
}

#[tokio::test]
async fn what_has_no_price_or_no_output_is_refused_before_the_ledger() {
    let rig = rig(&[("w", 5_000_000)]).await;
    let mut unknown = request("t", &["w"]);
    unknown.model = model("a/y");
    assert_eq!(rig.grant(&unknown).await.unwrap_err().code(), "unknown_price");
    let mut too_early = request("t", &["w"]);
    too_early.at = Timestamp::default();
    assert_eq!(rig.grant(&too_early).await.unwrap_err().code(), "unknown_price");
    let mut mute = request("t", &["w"]);
    mute.output_cap = Tokens::ZERO;
    assert_eq!(rig.grant(&mute).await.unwrap_err().code(), "output_cap_too_small");
    let mut huge = request("t", &["w"]);
    huge.input_bound = Tokens::new(u64::MAX);
    assert_eq!(rig.grant(&huge).await.unwrap_err().code(), "invalid_amount");
    let nobody = request("t", &[]);
    assert_eq!(rig.grant(&nobody).await.unwrap_err().code(), "invalid_amount");
    assert_eq!(rig.ledger.scan_holds(None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_free_model_needs_no_money() {
    let rig = rig(&[("w", 0)]).await;
    let mut free = request("t", &["w"]);
    free.model = model("local/x");
    let terms = rig.grant(&free).await.unwrap();
    assert_eq!((terms.output_cap, terms.held), (Tokens::new(200), Money::ZERO));
}

#[tokio::test]
async fn a_repeated_grant_is_the_same_grant() {
    let rig = rig(&[("w", 500_000)]).await;
    let first = rig.grant(&request("t", &["w"])).await.unwrap();
    assert_eq!(first.output_cap, Tokens::new(100));
    assert_eq!(rig.grant(&request("t", &["w"])).await.unwrap(), first);
    assert_eq!(rig.held("w").await, nano(500_000));

    let mut larger = request("t", &["w"]);
    larger.input_bound = Tokens::new(499);
    let conflict = rig.grant(&larger).await.unwrap_err();
    assert_eq!(conflict.code(), "ledger_conflict", "the hold does not cover another request");
}

#[tokio::test]
async fn an_extension_pays_for_one_more_input_and_never_for_a_longer_reply() {
    let rig = rig(&[("w", 1_050_000)]).await;
    let mut wanted = request("t", &["w"]);
    wanted.output_cap = Tokens::new(150);
    let first = rig.grant(&wanted).await.unwrap();
    rig.recorder.extend(&scope(), &wanted, 2, NOW).await.unwrap();
    rig.recorder.extend(&scope(), &wanted, 2, NOW).await.unwrap();
    assert_eq!(rig.held("w").await, nano(800_000));
    assert_eq!(rig.grant(&wanted).await.unwrap().output_cap, first.output_cap);
    wanted.output_cap = Tokens::new(1_000);
    assert_eq!(rig.grant(&wanted).await.unwrap().output_cap, first.output_cap);

    rig.recorder.extend(&scope(), &wanted, 3, NOW).await.unwrap();
    rig.recorder.extend(&scope(), &wanted, 4, NOW).await.unwrap();
    let refused = rig.recorder.extend(&scope(), &wanted, 5, NOW).await.unwrap_err();
    assert_eq!(refused.code(), "insufficient_funds");
    assert_eq!(rig.held("w").await, nano(1_000_000));
}

#[tokio::test]
async fn a_resolved_step_gets_no_second_grant() {
    let rig = rig(&[("w", 5_000_000)]).await;
    for turn in ["posted", "released"] {
        rig.grant(&request(turn, &["w"])).await.unwrap();
    }
    let step = settled("posted", vec![row("posted", 1, 7)]);
    rig.recorder.settle(&scope(), &step).await.unwrap();
    rig.recorder.release(&scope(), &key("released"), NOW).await.unwrap();
    for turn in ["posted", "released"] {
        let refused = rig.grant(&request(turn, &["w"])).await.unwrap_err();
        assert_eq!(refused.code(), "ledger_conflict");
    }
    assert_eq!(rig.held("w").await, Money::ZERO);
}

#[tokio::test]
async fn a_cost_is_exact_and_names_its_prices() {
    let rig = rig(&[]).await;
    let usage =
        Usage { input_uncached: Tokens::new(3), output: Tokens::new(2), ..Usage::default() };
    let expected = Cost { amount: nano(11_000), price_version: "b:a/x@2026-01-01".to_owned() };
    assert_eq!(rig.recorder.cost(&model("a/x"), NOW, &usage).unwrap(), expected);
    let unknown = rig.recorder.cost(&model("a/y"), NOW, &usage).unwrap_err();
    assert_eq!(unknown.code(), "unknown_price");
}

#[tokio::test]
async fn settling_posts_every_attempt_once_and_writes_its_row() {
    let rig = rig(&[("w", 5_000_000)]).await;
    rig.grant(&request("t", &["w"])).await.unwrap();
    let step = settled("t", vec![row("t", 1, 100_000), row("t", 3, 250_000)]);
    for _ in 0..2 {
        rig.recorder.settle(&scope(), &step).await.unwrap();
        assert_eq!(rig.rows().await, step.rows);
        let entries = rig.ledger.scan_entries(1, 10).await.unwrap();
        let entries: Vec<(EntryKind, &str, i64)> = entries
            .iter()
            .map(|entry| (entry.kind, entry.reference.as_str(), entry.amount.nano_usd()))
            .collect();
        let usage = EntryKind::Usage;
        assert_eq!(entries, [(usage, "w/t/1/1", 100_000), (usage, "w/t/1/3", 250_000)]);
    }
    assert_eq!(rig.held("w").await, Money::ZERO);
}

#[tokio::test]
async fn senseless_steps_are_refused_before_anything_is_written() {
    let rig = rig(&[("w", 5_000_000)]).await;
    rig.grant(&request("t", &["w"])).await.unwrap();
    for rows in [vec![], vec![row("t", 1, 1), row("other", 2, 1)]] {
        let refused = rig.recorder.settle(&scope(), &settled("t", rows)).await.unwrap_err();
        assert_eq!(refused.code(), "invalid_amount");
    }
    assert_eq!(rig.rows().await, []);
    assert_eq!(rig.held("w").await, nano(900_000));
}

/// Refuses so many writes before it takes one.
#[derive(Debug)]
struct FailingStore {
    failures: AtomicU32,
    inner: MemoryUsageStore,
}

#[async_trait]
impl UsageStore for FailingStore {
    async fn record(&self, scope: &Scope, rows: &[UsageRow]) -> Result<()> {
        let left = self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            let detail = "the disk is full".to_owned();
            return Err(UsageError::Store { detail, transient: true, source: None });
        }
        self.inner.record(scope, rows).await
    }

    async fn rows(&self, scope: &Scope, query: &UsageQuery) -> Result<Vec<UsageRow>> {
        self.inner.rows(scope, query).await
    }

    async fn scan_rows(&self, after: u64, limit: u32) -> Result<Vec<(Scope, UsageRow)>> {
        self.inner.scan_rows(after, limit).await
    }
}

#[tokio::test]
async fn a_failed_half_of_settling_is_made_up_by_the_next_call() {
    let store = FailingStore { failures: AtomicU32::new(1), inner: MemoryUsageStore::new() };
    let rig = rig_over(Arc::new(store), &[("w", 5_000_000)]).await;
    rig.grant(&request("t", &["w"])).await.unwrap();
    let step = settled("t", vec![row("t", 1, 7)]);

    let error = rig.recorder.settle(&scope(), &step).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    let hold = rig.ledger.hold_of(&scope(), &key("t")).await.unwrap().unwrap();
    assert_eq!(hold.state, HoldState::Posted, "the ledger did not wait for the rows");
    rig.recorder.settle(&scope(), &step).await.unwrap();
    assert_eq!(rig.rows().await, step.rows);

    let unheld = settled("t2", vec![row("t2", 1, 7)]);
    let error = rig.recorder.settle(&scope(), &unheld).await.unwrap_err();
    assert_eq!(error.code(), "account_not_found");
    assert_eq!(rig.rows().await.len(), 2, "the rows did not wait for the ledger");
}

#[tokio::test]
async fn releasing_gives_back_and_nothing_held_is_fine() {
    let rig = rig(&[("w", 5_000_000)]).await;
    rig.recorder.release(&scope(), &key("t"), NOW).await.unwrap();
    rig.grant(&request("t", &["w"])).await.unwrap();
    rig.recorder.release(&scope(), &key("t"), NOW).await.unwrap();
    rig.recorder.release(&scope(), &key("t"), NOW).await.unwrap();
    assert_eq!(rig.held("w").await, Money::ZERO);

    rig.grant(&request("t2", &["w"])).await.unwrap();
    let step = settled("t2", vec![row("t2", 1, 7)]);
    rig.recorder.settle(&scope(), &step).await.unwrap();
    let late = rig.recorder.release(&scope(), &key("t2"), NOW).await.unwrap_err();
    let UsageError::Balance(late) = late else { unreachable!("{late}") };
    assert_eq!(late.kind(), BalanceErrorKind::Conflict);
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #[test]
    fn a_call_within_its_grant_never_overruns(
        balance in 0..2_000_000_i64,
        input_bound in 1..500_u64,
        wanted in 1..500_u64,
        used in (0..=100_u64, 0..=100_u64),
    ) {
        block_on(async {
            let rig = rig(&[("w", balance)]).await;
            let mut request = request("t", &["w"]);
            request.input_bound = Tokens::new(input_bound);
            request.output_cap = Tokens::new(wanted);
            let quote = rig.recorder.quote(&request).unwrap();
            let terms = match rig.grant(&request).await {
                Ok(terms) => terms,
                Err(error) => {
                    prop_assert!(nano(balance) < quote.floor, "{}", error);
                    return Ok(());
                }
            };
            prop_assert!(terms.output_cap <= request.output_cap);
            let usage = Usage {
                input_uncached: Tokens::new(input_bound * used.0 / 100),
                reasoning: Tokens::new(terms.output_cap.get() * used.1 / 100),
                ..Usage::default()
            };
            let cost = rig.recorder.cost(&request.model, NOW, &usage).unwrap();
            prop_assert!(cost.amount <= terms.held);
            let step = settled("t", vec![row("t", 1, cost.amount.nano_usd())]);
            rig.recorder.settle(&scope(), &step).await.unwrap();
            let entries = rig.ledger.scan_entries(0, 10).await.unwrap();
            prop_assert!(entries.iter().all(|entry| entry.kind != EntryKind::Overrun));
            Ok(())
        })?;
    }
}
