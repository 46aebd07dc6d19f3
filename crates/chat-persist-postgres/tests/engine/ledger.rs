//! Money under two stores on one database, lost connections, scans beside writers, and what the
//! schema itself refuses.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, BalanceAdapter as _, BalanceErrorKind, Credit,
    CreditKind, Extension, HoldRequest, LedgerAudit, LedgerMaintenance as _, LegRequest, PRIORITY,
    Posting, Settlement,
};
use chat_persist_postgres::PostgresStore;
use chat_types::{AccountId, Money, Scope, StepKey, Tokens, TurnId, UserId};
use futures::future::join_all;
use sqlx::PgConnection;

use crate::common::{at, number, run, scope};
use crate::database::{Database, shell_at};

fn account_id(name: &str) -> AccountId {
    AccountId::new(name).expect("valid")
}

fn money(nano_usd: i64) -> Money {
    Money::from_nano_usd(nano_usd)
}

fn key(turn: usize) -> StepKey {
    StepKey { turn: TurnId::new(format!("t-{turn}")).expect("valid"), step: 1 }
}

async fn open_account(store: &PostgresStore, name: &str, opening: i64) {
    let spec = AccountSpec {
        id: account_id(name),
        owner: None,
        kind: AccountKind::Limited,
        opening: money(opening),
        unit: AccountUnit::Usd,
        refill: None,
        warn_below: None,
    };
    store.open_account(&scope(), &spec, at(1)).await.expect("opens");
}

fn request(turn: usize, accounts: &[&str], amount: i64) -> HoldRequest {
    let leg = |name: &&str| LegRequest {
        account: account_id(name),
        amount: money(amount),
        floor: money(amount),
        refill: None,
        warn_below: None,
    };
    HoldRequest { key: key(turn), legs: accounts.iter().map(leg).collect(), at: at(2) }
}

fn settlement(turn: usize, amount: i64) -> Settlement {
    let postings = vec![Posting { attempt: 1, amount: money(amount), tokens: Tokens::ZERO }];
    Settlement { key: key(turn), postings, at: at(3) }
}

/// The ledger's own audit finds nothing; returns how many entries there are.
async fn assert_sound(store: &PostgresStore) -> u64 {
    let mut audit = LedgerAudit::new();
    for (tenant, account) in store.scan_accounts(None, 1_000).await.expect("scans") {
        audit.account(&tenant, &account);
    }
    let mut after = None;
    loop {
        let holds = store.scan_holds(after.as_ref(), 1_000).await.expect("scans");
        let Some(last) = holds.last() else { break };
        after = Some((last.scope.tenant.clone(), last.key.clone()));
        holds.iter().for_each(|hold| audit.hold(hold));
    }
    let mut entries = 0;
    loop {
        let page = store.scan_entries(entries, 1_000).await.expect("scans");
        if page.is_empty() {
            break;
        }
        entries += u64::try_from(page.len()).expect("small");
        page.iter().for_each(|entry| audit.entry(entry));
    }
    let report = audit.finish();
    assert!(report.is_sound(), "{:?}", report.breaks);
    entries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_admit_what_the_balance_covers() {
    let database = Database::create().await;
    let stores = [database.store().await, database.store().await];
    open_account(&stores[0], "team", 1_000).await;
    open_account(&stores[0], "ada", 105).await;
    let answers = join_all((0..256).map(|n| {
        let store = stores[n % 2].clone();
        let legs = if n % 3 == 0 { ["team", "ada"] } else { ["ada", "team"] };
        async move { store.hold(&scope(), &request(n, &legs, 10)).await }
    }))
    .await;
    let mut given = Vec::new();
    for (n, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(_) => given.push(n),
            Err(error) => assert_eq!(error.kind(), BalanceErrorKind::InsufficientFunds, "{error}"),
        }
    }
    assert_eq!(given.len(), 10);
    // Each is settled in both stores at once, to different amounts: one is the first.
    let settled = join_all(given.into_iter().flat_map(|n| {
        stores.iter().zip([7, 12]).map(move |(store, amount)| async move {
            store.settle(&scope(), &settlement(n, amount)).await.expect("settles")
        })
    }))
    .await;
    for pair in settled.chunks(2) {
        assert_eq!(pair[0], pair[1]);
    }
    assert_sound(&stores[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_two_stores_on_one_account_all_get_through() {
    let database = Database::create().await;
    let stores = [database.store().await, database.store().await];
    open_account(&stores[0], "hot", 1_000_000).await;
    join_all((0..128).map(|n| {
        let store = stores[n % 2].clone();
        async move {
            store.hold(&scope(), &request(n, &["hot"], 10)).await.expect("holds");
            let extension =
                Extension { attempt: 2, amount: money(5), tokens: Tokens::ZERO, at: at(3) };
            let extended = store.extend(&scope(), &key(n), &extension).await.expect("extends");
            assert_eq!(extended.covered(AccountUnit::Usd), Some(money(15)));
            store.settle(&scope(), &settlement(n, 9)).await.expect("settles");
            let credit = Credit {
                account: account_id("hot"),
                kind: CreditKind::Refund,
                key: format!("back-{n}"),
                amount: money(9),
                at: at(4),
                priority: PRIORITY,
                expires_at: None,
            };
            store.credit(&scope(), &credit).await.expect("credits");
        }
    }))
    .await;
    assert_eq!(assert_sound(&stores[0]).await, 1 + 2 * 128);
    let account = stores[1].account(&scope(), &account_id("hot")).await.expect("reads");
    assert_eq!(account.expect("is there").available(), Ok(money(1_000_000)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_survives_lost_connections() {
    const CLOSE_OTHERS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
          AND backend_type = 'client backend'";
    let database = Database::create().await;
    let store = database.store().await;
    for n in 0..8 {
        open_account(&store, &format!("a{n}"), 1_000_000).await;
    }
    let mut shell = shell_at(&database.url()).await;
    let work = join_all((0..8).map(|worker| {
        let store = store.clone();
        async move {
            let account = format!("a{worker}");
            for n in 0..25 {
                let turn = worker * 1_000 + n;
                let wanted = request(turn, &[&account], 10);
                // Whoever lost too many connections in a row is told that he may call again.
                while let Err(error) = store.hold(&scope(), &wanted).await {
                    assert!(error.is_transient(), "{error}");
                }
                while let Err(error) = store.settle(&scope(), &settlement(turn, 7)).await {
                    assert!(error.is_transient(), "{error}");
                }
            }
        }
    }));
    let mut work = std::pin::pin!(work);
    let mut lost = 0;
    loop {
        tokio::select! {
            _ = &mut work => break,
            () = tokio::time::sleep(Duration::from_millis(40)) => {
                lost += number(&mut shell, CLOSE_OTHERS).await;
            }
        }
    }
    assert!(lost > 0, "no connection was lost");
    assert_eq!(assert_sound(&store).await, 8 + 8 * 25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_beside_writers_sees_each_row_once() {
    let database = Database::create().await;
    let store = Arc::new(database.store().await);
    open_account(&store, "main", 1_000_000).await;
    let write = async |from: usize| {
        for n in from..from + 60 {
            store.hold(&scope(), &request(n, &["main"], 10)).await.expect("holds");
            store.settle(&scope(), &settlement(n, 1)).await.expect("settles");
        }
    };
    write(0).await;
    let before: BTreeSet<String> = store
        .scan_entries(0, 1_000)
        .await
        .expect("scans")
        .into_iter()
        .map(|e| e.reference)
        .collect();
    let scan = async {
        let mut seen = Vec::new();
        loop {
            let skip = u64::try_from(seen.len()).expect("small");
            let page = store.scan_entries(skip, 7).await.expect("scans");
            if page.is_empty() {
                return seen;
            }
            seen.extend(page.into_iter().map(|entry| entry.reference));
        }
    };
    let (seen, (), ()) = tokio::join!(scan, write(1_000), write(2_000));
    let distinct: BTreeSet<String> = seen.iter().cloned().collect();
    assert_eq!(distinct.len(), seen.len(), "a row was seen twice");
    assert!(distinct.is_superset(&before), "a row was missed");
    // Another store knows no page's end and finds the same rows by counting.
    let other = database.store().await;
    let tail = store.scan_entries(100, 1_000).await.expect("scans");
    assert_eq!(other.scan_entries(100, 1_000).await.expect("scans"), tail);
}

async fn refused(shell: &mut PgConnection, statement: &'static str) -> String {
    let outcome = sqlx::raw_sql(statement).execute(shell).await;
    outcome.expect_err("the schema refuses it").to_string()
}

#[tokio::test]
async fn entries_are_never_changed_deleted_or_doubled() {
    let database = Database::create().await;
    let store = database.store().await;
    open_account(&store, "main", 100).await;
    let mut shell = shell_at(&database.url()).await;
    for statement in [
        "UPDATE chat.entries SET amount = amount + 1",
        "DELETE FROM chat.entries",
        "TRUNCATE chat.entries",
    ] {
        let error = refused(&mut shell, statement).await;
        assert!(error.contains("append-only"), "{statement}: {error}");
    }
    let doubled = "INSERT INTO chat.entries SELECT * FROM chat.entries";
    let error = refused(&mut shell, doubled).await;
    assert!(error.contains("unique"), "{error}");
    assert_eq!(assert_sound(&store).await, 1);
}

#[tokio::test]
async fn the_server_refuses_to_book_when_it_may_forget() {
    let database = Database::create().await;
    let mut shell = shell_at(&database.url()).await;
    run(
        &mut shell,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off',
            current_database()); END $$",
    )
    .await;
    let store = database.store().await;
    let spec = AccountSpec {
        id: account_id("main"),
        owner: Some(UserId::new("ada").expect("valid")),
        kind: AccountKind::Limited,
        opening: money(1),
        unit: AccountUnit::Usd,
        refill: None,
        warn_below: None,
    };
    let ada = Scope::new(scope().tenant, UserId::new("ada").expect("valid"));
    let error = store.open_account(&ada, &spec, at(1)).await.expect_err("is refused");
    assert!(error.to_string().contains("synchronous_commit"), "{error}");
    assert_eq!(store.account(&ada, &spec.id).await.expect("reads"), None);
}
