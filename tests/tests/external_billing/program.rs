//! The `chat` program whose ledger is a billing service: several budgets, refusals, a service that is down.

use std::process::Output;

use chat_balance::{
    Account, AccountKind, AccountSpec, BalanceAdapter, Hold, HoldRequest, HoldState,
    LedgerMaintenance, LegRequest,
};
use chat_tests::billing_service::{BillingService, Fault, Operation};
use chat_tests::scene::{price_book, told};
use chat_tests::{ChatHome, FakeProvider};
use chat_types::{Money, Scope, StepKey, Timestamp};

const SECRET: &str = "hunter2-of-the-program";

/// Two budgets pay for each call: dollars, and one call.
const BUDGETS: &str = r#"
[[accounts.budgets]]
name = "monthly"
per = "user"
opening = "10.00"

[[accounts.budgets]]
name = "calls"
per = "tenant"
unit = "requests"
opening = "1"
"#;

struct Scene {
    service: BillingService,
    provider: FakeProvider,
    home: ChatHome,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new(budgets: &str) -> Self {
        let service = BillingService::start(SECRET).await.unwrap();
        let provider = FakeProvider::spawn().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let prices = folder.path().join("prices.toml");
        std::fs::write(&prices, price_book()).unwrap();
        let config = format!(
            "store = \"sqlite:unused.db\"\nmodel = \"openai/fake\"\nprices = {prices:?}\n\n[providers.openai]\nkind = \"openai\"\n\
             base_url = \"{}\"\n\n[accounts]\nkind = \"external\"\nbase_url = \"{}\"\n\
             secret_env = \"BILLING_SECRET\"\n{budgets}",
            provider.base_url(),
            service.base_url(),
        );
        let home = ChatHome::new(folder.path(), &config).unwrap();
        let home = home.with_variable("BILLING_SECRET", SECRET);
        Self { service, provider, home, _folder: folder }
    }

    /// Runs a command while the service goes on answering.
    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.home.command(arguments);
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
    }

    async fn books(&self) -> (Vec<Account>, Vec<Hold>) {
        let accounts = self.service.ledger().scan_accounts(None, 10).await.unwrap();
        let holds = self.service.ledger().scan_holds(None, 10).await.unwrap();
        (accounts.into_iter().map(|(_, account)| account).collect(), holds)
    }
}

#[track_caller]
fn assert_ends(output: &Output, code: i32, says: &[&str]) {
    let told = told(output);
    assert_eq!(output.status.code(), Some(code), "{told}");
    for text in says {
        assert!(told.contains(text), "{text} is not in {told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_by_the_second_budget_leaves_the_first_as_it_was() {
    let scene = Scene::new(BUDGETS).await;
    assert_ends(&scene.run(&["send", "hello"]).await, 0, &[]);
    let (accounts, holds) = scene.books().await;
    assert_eq!((accounts.len(), holds.len()), (2, 1));
    assert!(accounts.iter().all(|account| account.held == Money::ZERO), "{accounts:?}");
    let calls = accounts.iter().find(|account| account.id.as_str().starts_with("calls")).unwrap();
    assert_eq!(calls.available().unwrap(), Money::ZERO, "the one call is made");
    let dollars = accounts.iter().find(|account| account.id != calls.id).unwrap();
    assert!(dollars.posted > Money::ZERO && dollars.available().unwrap() > Money::ZERO);

    let refused = scene.run(&["send", "hello again"]).await;
    let numbers = format!("the balance of {} is too low: 1 requests needed, 0 requests", calls.id);
    assert_ends(&refused, 4, &["error[insufficient_funds]", &numbers]);
    assert_eq!(scene.books().await, (accounts, holds), "nothing moved, nothing is held");
    assert_eq!(scene.provider.captured().unwrap().len(), 1);
    assert_ends(&scene.run(&["audit"]).await, 0, &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_down_refuses_before_any_call_and_the_doctor_names_it() {
    let mut scene = Scene::new(BUDGETS).await;
    let shown = format!("billing service {}", scene.service.base_url());
    assert_ends(&scene.run(&["doctor"]).await, 0, &[&format!("ok       {shown}\n")]);

    // It answers everything but holds.
    scene.service.fail(Some(Operation::Hold), Fault::Status(500), 1_000);
    assert_ends(&scene.run(&["send", "hello"]).await, 6, &["error[ledger_unavailable]"]);
    scene.service.heal();
    // It answers nothing.
    scene.service.go_away().await;
    assert_ends(&scene.run(&["send", "hello"]).await, 6, &["error[ledger_unavailable]"]);
    let missing = format!("MISSING  {shown}: ");
    let says = [missing.as_str(), "cannot be reached", "[accounts]", "provider openai"];
    assert_ends(&scene.run(&["doctor"]).await, 6, &says);
    assert_eq!(scene.provider.captured().unwrap().len(), 0, "no provider was called");

    scene.service.come_back().await.unwrap();
    let stranger = scene.home.clone().with_variable("BILLING_SECRET", "hunter2-but-wrong");
    let mut doctor = stranger.command(["doctor"]);
    let told = tokio::task::spawn_blocking(move || doctor.output()).await.unwrap().unwrap();
    assert_eq!(told.status.code(), Some(6));
    assert!(String::from_utf8_lossy(&told.stdout).contains("check BILLING_SECRET"), "{told:?}");
    assert_ends(&scene.run(&["send", "hello"]).await, 0, &[]);
    assert_eq!(scene.provider.captured().unwrap().len(), 1);
}

/// A store that is not there yet knows no turn: what others hold is none of its business.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_looks_gives_back_nothing_that_others_hold() {
    let scene = Scene::new(BUDGETS).await;
    let ledger = scene.service.ledger();
    let scope = Scope::new("default".parse().unwrap(), "eve".parse().unwrap());
    let (at, amount) = (Timestamp::from_unix_ms(1_000), Money::from_nano_usd(30));
    let opened = AccountSpec {
        opening: Money::from_nano_usd(100),
        ..AccountSpec::new("eve".parse().unwrap(), AccountKind::Limited)
    };
    ledger.open_account(&scope, &opened, at).await.unwrap();
    let leg = LegRequest::exactly(opened.id.clone(), amount);
    let key = StepKey { turn: "running-elsewhere".parse().unwrap(), step: 1 };
    ledger.hold(&scope, &HoldRequest { key, legs: vec![leg], at }).await.unwrap();
    for command in ["doctor", "list", "balance", "usage"] {
        let said = scene.run(&[command]).await;
        let (_, holds) = scene.books().await;
        let states: Vec<_> = holds.iter().map(|hold| hold.state).collect();
        assert_eq!(states, [HoldState::Open], "{command}: {}", told(&said));
    }
}
