//! A fresh ledger, asked through its ports, with one account called what the test calls it.
//!
//! The books are audited after every visit. Not here: turns and providers (`scene`).

use std::sync::{Arc, Mutex};

use chat_balance::{
    Account, AccountKind, AccountSpec, AccountUnit, BalanceAdapter, BalanceErrorKind, Credit,
    CreditKind, Entry, Hold, HoldRequest, LedgerAudit, LedgerMaintenance, LegRequest, Posting,
    Settlement,
};
use chat_runtime::Store;
use chat_runtime::archive::Stores;
use chat_tests::scene::{Database, Engine};
use chat_types::{AccountId, Money, Scope, StepKey, TenantId, Timestamp, Tokens, TurnId, UserId};
use chat_usage::UsageStore;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

pub(crate) const NOW: Timestamp = Timestamp::from_unix_ms(1_000);
const ROWS: u32 = 1_000;

/// A store on an engine, or in memory; gone when dropped.
pub(crate) struct Bank {
    url: String,
    pub(crate) database: Option<Database>,
    runtime: Mutex<Runtime>,
    _folder: TempDir,
}

/// The ledger while it is open.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) stores: Stores,
    pub(crate) ledger: Arc<dyn BalanceAdapter>,
    pub(crate) books: Arc<dyn LedgerMaintenance>,
    pub(crate) usage: Arc<dyn UsageStore>,
}

impl Bank {
    pub(crate) fn on(engine: Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::fresh(engine, folder.path());
        Self::at(database.url.clone(), Some(database), folder)
    }

    pub(crate) fn in_memory() -> Self {
        Self::at("memory:".to_owned(), None, tempfile::tempdir().unwrap())
    }

    fn at(url: String, database: Option<Database>, folder: TempDir) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        Self { url, database, runtime: Mutex::new(runtime), _folder: folder }
    }

    /// Opens the ledger, works, audits the books, closes it.
    pub(crate) fn visit<T>(&self, work: impl AsyncFnOnce(&Desk) -> T) -> T {
        self.runtime.lock().unwrap().block_on(async {
            let store = Store::open(&self.url).await.unwrap();
            let stores = store.ports();
            let ledger = stores.ledger.clone().unwrap();
            let desk = Desk {
                ledger: ledger.balance,
                books: ledger.maintenance,
                usage: Arc::clone(&stores.usage),
                stores,
            };
            let done = work(&desk).await;
            desk.assert_sound().await;
            drop(desk);
            store.close().await;
            done
        })
    }
}

impl Desk {
    pub(crate) async fn open(&self, name: &str, opening: i64) -> Account {
        let spec = AccountSpec {
            id: id(name),
            owner: None,
            kind: AccountKind::Limited,
            opening: nano(opening),
            unit: AccountUnit::Usd,
            refill: None,
            warn_below: None,
        };
        self.ledger.open_account(&scope(), &spec, NOW).await.unwrap()
    }

    pub(crate) async fn account(&self, name: &str) -> Account {
        self.ledger.account(&scope(), &id(name)).await.unwrap().unwrap()
    }

    pub(crate) async fn available(&self, name: &str) -> i64 {
        self.account(name).await.available().unwrap().nano_usd()
    }

    pub(crate) async fn holds(&self) -> Vec<Hold> {
        self.books.scan_holds(None, ROWS).await.unwrap()
    }

    /// All entries.
    pub(crate) async fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        loop {
            let after = u64::try_from(entries.len()).unwrap();
            let page = self.books.scan_entries(after, ROWS).await.unwrap();
            if page.is_empty() {
                return entries;
            }
            entries.extend(page);
        }
    }

    /// Holds and settles at once.
    pub(crate) async fn spend(&self, turn: &str, account: &str, held: i64, cost: i64) {
        self.ledger.hold(&scope(), &hold_request(turn, &[(account, held)])).await.unwrap();
        self.ledger.settle(&scope(), &settlement(turn, &[cost])).await.unwrap();
    }

    pub(crate) async fn assert_sound(&self) {
        let mut audit = LedgerAudit::new();
        let mut after = None;
        loop {
            let page = self.books.scan_accounts(after.as_ref(), ROWS).await.unwrap();
            let Some((tenant, account)) = page.last() else {
                break;
            };
            after = Some((tenant.clone(), account.id.clone()));
            page.iter().for_each(|(tenant, account)| audit.account(tenant, account));
        }
        let mut after = None;
        loop {
            let page = self.books.scan_holds(after.as_ref(), ROWS).await.unwrap();
            let Some(last) = page.last() else {
                break;
            };
            after = Some((last.scope.tenant.clone(), last.key.clone()));
            page.iter().for_each(|hold| audit.hold(hold));
        }
        self.entries().await.iter().for_each(|entry| audit.entry(entry));
        let report = audit.finish();
        assert!(report.is_sound(), "{:#?}", report.breaks);
    }
}

pub(crate) fn scope() -> Scope {
    Scope::new(TenantId::new("money").unwrap(), UserId::new("ada").unwrap())
}

pub(crate) fn id(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

pub(crate) fn nano(amount: i64) -> Money {
    Money::from_nano_usd(amount)
}

pub(crate) fn key(turn: &str) -> StepKey {
    StepKey { turn: TurnId::new(turn).unwrap(), step: 1 }
}

/// Each account in full.
pub(crate) fn hold_request(turn: &str, legs: &[(&str, i64)]) -> HoldRequest {
    let leg = |(account, amount): &(&str, i64)| LegRequest {
        account: id(account),
        amount: nano(*amount),
        floor: nano(*amount),
        refill: None,
        warn_below: None,
    };
    HoldRequest { key: key(turn), legs: legs.iter().map(leg).collect(), at: NOW }
}

pub(crate) fn settlement(turn: &str, amounts: &[i64]) -> Settlement {
    let posting = |(attempt, amount): (u32, &i64)| Posting {
        attempt,
        amount: nano(*amount),
        tokens: Tokens::ZERO,
    };
    Settlement { key: key(turn), postings: (1..).zip(amounts).map(posting).collect(), at: NOW }
}

pub(crate) fn credit(kind: CreditKind, account: &str, name: &str, amount: i64) -> Credit {
    Credit::new(id(account), kind, name, nano(amount), NOW)
}

/// `count` calls at a time.
pub(crate) async fn in_parallel<T, F>(count: usize, call: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut calls = JoinSet::new();
    for number in 0..count {
        calls.spawn(call(number));
    }
    calls.join_all().await
}

/// What it was refused for.
pub(crate) fn kind_of<T: std::fmt::Debug>(answer: chat_balance::Result<T>) -> BalanceErrorKind {
    answer.unwrap_err().kind()
}
