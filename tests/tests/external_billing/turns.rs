//! Whole turns that are paid in the service: fail closed, one payment, recovery after an outage.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_balance::{Account, HoldState, LedgerMaintenance};
use chat_runtime::provider::{ScriptedProvider, ScriptedReply};
use chat_runtime::{
    AccountsConfig, ExternalAccountsConfig, Extras, Money, Runtime, RuntimeConfig, RuntimeError,
    TurnOutcome, TurnRequest, TurnState,
};
use chat_tests::billing_service::{BillingService, Fault, Operation};

const PRICES: &str = r#"
book = "test"
source = "made up"
licence = "none"
[[price]]
model = "scripted/*"
valid_from = 1970-01-01
input = "1.00"
output = "2.00"
"#;

/// A variable that is always set where a test runs: what is in it is the service's secret.
const SECRET_ENV: &str = "CARGO_PKG_NAME";

/// A service, a store in a folder of its own, and a provider that counts its calls.
struct Scene {
    service: BillingService,
    provider: ScriptedProvider,
    config: RuntimeConfig,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new(opening_usd: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = std::env::var(SECRET_ENV).unwrap();
        let service = BillingService::start(&secret).await.unwrap();
        let config = configured(folder.path(), &service.base_url(), opening_usd);
        let provider = ScriptedProvider::new(vec![ScriptedReply::text(&["Hello", " there"])]);
        Self { service, provider: provider.unwrap(), config, _folder: folder }
    }

    async fn open(&self) -> Result<Runtime, RuntimeError> {
        let extras = Extras::new().provider(Arc::new(self.provider.clone()));
        Runtime::open_with(self.config.clone(), extras).await
    }

    async fn account(&self) -> Account {
        let mut accounts = self.service.ledger().scan_accounts(None, 10).await.unwrap();
        assert_eq!(accounts.len(), 1);
        accounts.remove(0).1
    }

    async fn open_holds(&self) -> usize {
        let holds = self.service.ledger().scan_holds(None, 1_000).await.unwrap();
        holds.iter().filter(|hold| hold.state == HoldState::Open).count()
    }
}

fn configured(folder: &Path, base_url: &str, opening_usd: &str) -> RuntimeConfig {
    let prices = folder.join("prices.toml");
    std::fs::write(&prices, PRICES).unwrap();
    let mut config = RuntimeConfig::new(format!("sqlite:{}", folder.join("chat.db").display()));
    let mut service = ExternalAccountsConfig::new(base_url, SECRET_ENV);
    service.opening_usd = Some(opening_usd.to_owned());
    config.prices = Some(prices);
    config.accounts = AccountsConfig::External(service);
    config.turns.lease_ms = 500;
    config
}

async fn say(runtime: &Runtime, text: &str) -> TurnOutcome {
    let scope = runtime.scope("ada").unwrap();
    let turn = runtime.client().send_message(&scope, TurnRequest::text(text)).await.unwrap();
    turn.outcome().await.unwrap()
}

/// The end of a turn is seen before it is settled: waits until no hold is open.
async fn settled(scene: &Scene) {
    let until = Instant::now() + Duration::from_secs(60);
    while scene.open_holds().await > 0 {
        assert!(Instant::now() < until, "a hold stays open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn assert_sound(runtime: &Runtime) {
    let summary = runtime.client().audit().run().await.unwrap();
    assert!(summary.is_sound(), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_is_paid_in_the_service_and_kept_in_the_store() {
    let scene = Scene::new("1.00").await;
    let runtime = scene.open().await.unwrap();
    let outcome = say(&runtime, "hello").await;
    assert_eq!(outcome.state, TurnState::Completed);
    settled(&scene).await;
    let account = scene.account().await;
    assert!(outcome.cost > Money::ZERO);
    assert_eq!((account.posted, account.held), (outcome.cost, Money::ZERO));
    runtime.close().await;

    let runtime = scene.open().await.unwrap();
    let summary = runtime.client().audit().run().await.unwrap();
    assert!(summary.is_sound(), "{summary:?}");
    let counted = (summary.ledger.accounts, summary.ledger.holds_closed, summary.usage_rows);
    assert_eq!(counted, (1, 1, 1), "the audit reads the service's books");
    let own = runtime.store().ports().ledger.unwrap();
    let own = own.maintenance.scan_accounts(None, 10).await.unwrap();
    assert_eq!(own, [], "the store's own ledger stays empty");
    runtime.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_provider_is_called_while_the_service_is_away() {
    let mut scene = Scene::new("1.00").await;
    let runtime = scene.open().await.unwrap();
    scene.service.go_away().await;
    let outcome = say(&runtime, "hello").await;
    let failure = outcome.failure.unwrap();
    assert_eq!(outcome.state, TurnState::Failed);
    assert_eq!((failure.code.as_str(), failure.retryable), ("ledger_unavailable", true));
    assert_eq!(outcome.cost, Money::ZERO);
    assert_eq!(scene.provider.calls(), []);

    scene.service.come_back().await.unwrap();
    // The breaker may still leave it alone for a while.
    let until = Instant::now() + Duration::from_secs(60);
    while say(&runtime, "hello again").await.state != TurnState::Completed {
        assert!(Instant::now() < until, "it does not come back");
    }
    assert_eq!(scene.provider.calls().len(), 1);
    settled(&scene).await;
    runtime.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_provider_is_called_on_an_answer_that_is_none() {
    let scene = Scene::new("1.00").await;
    let runtime = scene.open().await.unwrap();
    let paid = say(&runtime, "hello").await.cost;
    settled(&scene).await;
    for fault in [Fault::Page, Fault::Body("{}"), Fault::Status(500), Fault::LoseAnswer] {
        scene.service.fail(Some(Operation::Hold), fault.clone(), 1_000);
        let outcome = say(&runtime, "hello").await;
        assert_eq!(outcome.state, TurnState::Failed, "{fault:?}");
        scene.service.heal();
    }
    assert_eq!(scene.provider.calls().len(), 1, "the first one");
    // Holds that were taken and not heard of are given back.
    settled(&scene).await;
    assert_eq!(scene.account().await.posted, paid);
    runtime.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_short_is_refused_before_any_call() {
    let scene = Scene::new("0").await;
    let runtime = scene.open().await.unwrap();
    let outcome = say(&runtime, "hello").await;
    let failure = outcome.failure.unwrap();
    assert_eq!((outcome.state, failure.code.as_str()), (TurnState::Rejected, "insufficient_funds"));
    assert_eq!(scene.provider.calls(), []);
    runtime.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_are_paid_once_whatever_answers_are_lost() {
    let scene = Scene::new("1.00").await;
    let runtime = scene.open().await.unwrap();
    scene.service.lose_every(3);
    let mut cost = Money::ZERO;
    for n in 0..12 {
        let outcome = say(&runtime, &format!("message {n}")).await;
        assert_eq!(outcome.state, TurnState::Completed);
        cost = cost.plus(outcome.cost).unwrap();
    }
    settled(&scene).await;
    assert_eq!(scene.account().await.posted, cost);
    assert_eq!(scene.provider.calls().len(), 12);
    runtime.close().await;
    let runtime = scene.open().await.unwrap();
    assert_sound(&runtime).await;
    runtime.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settle_that_an_outage_swallowed_is_made_by_the_next_process() {
    let scene = Scene::new("1.00").await;
    let runtime = scene.open().await.unwrap();
    scene.service.fail(Some(Operation::Settle), Fault::LoseRequest, 1_000);
    let outcome = say(&runtime, "hello").await;
    assert_eq!(outcome.state, TurnState::Completed, "the reply is there all the same");
    runtime.close().await;
    assert_eq!(scene.open_holds().await, 1);
    assert_eq!(scene.account().await.posted, Money::ZERO);

    scene.service.heal();
    let runtime = scene.open().await.unwrap();
    settled(&scene).await;
    assert_eq!(scene.account().await.posted, outcome.cost);
    assert_sound(&runtime).await;
    runtime.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_does_not_start_without_the_service() {
    let mut scene = Scene::new("1.00").await;
    scene.service.go_away().await;
    let error = scene.open().await.unwrap_err();
    assert_eq!(error.code(), "ledger_unavailable");
    scene.service.come_back().await.unwrap();
    scene.open().await.unwrap().close().await;
}
