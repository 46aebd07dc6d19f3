//! Money under two stores on one database, transactions that are killed, scans beside writers, what
//! is stored, and a server without transactions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, BalanceAdapter as _, BalanceErrorKind, Credit,
    CreditKind, Extension, HoldRequest, LedgerAudit, LedgerMaintenance as _, LedgerRows,
    LegRequest, PRIORITY, Posting, Settlement,
};
use chat_persist_mongo::{MongoConfig, MongoStore};
use chat_types::{
    AccountId, AttemptKey, Money, Purpose, Scope, StepKey, TenantId, Timestamp, Tokens, TurnId,
    Usage, UsageSource, UserId,
};
use chat_usage::{UsageQuery, UsageRow, UsageStore as _};
use futures::TryStreamExt as _;
use futures::future::join_all;
use mongodb::bson::{Bson, Document, doc};

use crate::fresh::{Fresh, Server};

fn scope() -> Scope {
    Scope::new(TenantId::new("acme").expect("valid"), UserId::new("ada").expect("valid"))
}

fn at(unix_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(unix_ms)
}

fn account_id(name: &str) -> AccountId {
    AccountId::new(name).expect("valid")
}

fn money(nano_usd: i64) -> Money {
    Money::from_nano_usd(nano_usd)
}

fn key(turn: usize) -> StepKey {
    StepKey { turn: TurnId::new(format!("t-{turn}")).expect("valid"), step: 1 }
}

async fn open_account(store: &MongoStore, name: &str, opening: i64) {
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
async fn assert_sound(store: &MongoStore) -> u64 {
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
    let fresh = Fresh::on(Server::ReplicaSet).await;
    let stores = [fresh.open().await, fresh.open().await];
    open_account(&stores[0], "team", 1_000).await;
    open_account(&stores[0], "ada", 105).await;
    let answers = join_all((0..256).map(|n| {
        let store = Arc::clone(&stores[n % 2]);
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
    let fresh = Fresh::on(Server::ReplicaSet).await;
    let stores = [fresh.open().await, fresh.open().await];
    open_account(&stores[0], "hot", 1_000_000).await;
    join_all((0..128).map(|n| {
        let store = Arc::clone(&stores[n % 2]);
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
async fn a_scan_beside_writers_sees_each_row_once() {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    let store = fresh.open().await;
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
    let other = fresh.open().await;
    let tail = store.scan_entries(100, 1_000).await.expect("scans");
    assert_eq!(other.scan_entries(100, 1_000).await.expect("scans"), tail);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_survives_killed_transactions() {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    // Nobody else's transactions have this name.
    let url = format!("{}&appName={}", fresh.url, fresh.name);
    let store = Arc::new(MongoStore::open(MongoConfig::new(url)).await.expect("opens"));
    for n in 0..4 {
        open_account(&store, &format!("a{n}"), 1_000_000).await;
    }
    let work = join_all((0..4).map(|worker| {
        let store = Arc::clone(&store);
        async move {
            let account = format!("a{worker}");
            for n in 0..40 {
                let turn = worker * 1_000 + n;
                let wanted = request(turn, &[&account], 10);
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
    let mut killed = 0;
    loop {
        tokio::select! {
            _ = &mut work => break,
            () = tokio::time::sleep(Duration::from_millis(5)) => {
                killed += kill_transactions_on(&fresh).await;
            }
        }
    }
    assert!(killed > 0, "no transaction was killed");
    assert_eq!(assert_sound(&store).await, 4 + 4 * 40);
}

/// Kills the sessions of this test's store that are in a transaction; returns how many.
async fn kill_transactions_on(fresh: &Fresh) -> usize {
    let admin = fresh.client.database("admin");
    let stages = [
        doc! { "$currentOp": { "idleSessions": true } },
        doc! { "$match": {
            "lsid.id": { "$exists": true },
            "transaction.parameters.txnNumber": { "$exists": true },
            "appName": &fresh.name,
        } },
    ];
    let found: Vec<Document> =
        admin.aggregate(stages).await.expect("lists").try_collect().await.expect("lists");
    let sessions: Vec<Document> = found
        .iter()
        .filter_map(|operation| operation.get_document("lsid").ok()?.get("id").cloned())
        .map(|id| doc! { "id": id })
        .collect();
    if !sessions.is_empty() {
        admin.run_command(doc! { "killSessions": sessions.clone() }).await.expect("kills");
    }
    sessions.len()
}

fn usage_row(attempt: u32) -> UsageRow {
    UsageRow {
        key: AttemptKey { step: key(1), attempt },
        conversation: "c-1".parse().expect("valid"),
        purpose: Purpose::Reply,
        model: "example/echo".parse().expect("valid"),
        usage: Usage { input_uncached: Tokens::new(9_007_199_254_740_993), ..Usage::default() },
        source: UsageSource::Provider,
        amount: money(5),
        price_version: "2026-01".to_owned(),
        provider_request_id: None,
        at: at(3),
    }
}

fn assert_no_float(place: &str, value: &Bson) {
    match value {
        Bson::String(_)
        | Bson::Int64(_)
        | Bson::Boolean(_)
        | Bson::Null
        | Bson::Timestamp(_)
        | Bson::ObjectId(_) => {}
        Bson::Array(list) => list.iter().for_each(|value| assert_no_float(place, value)),
        Bson::Document(document) => {
            for (name, value) in document {
                assert_no_float(&format!("{place}.{name}"), value);
            }
        }
        other => panic!("{place} is stored as {:?}", other.element_type()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_stored_as_integers_of_64_bits() {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    let store = fresh.open().await;
    open_account(&store, "main", 1_000).await;
    store.hold(&scope(), &request(1, &["main"], 10)).await.expect("holds");
    store.settle(&scope(), &settlement(1, 12)).await.expect("settles");
    store.hold(&scope(), &request(2, &["main"], 10)).await.expect("holds");
    store.settle(&scope(), &settlement(2, 12)).await.expect("settles");
    store.record(&scope(), &[usage_row(1), usage_row(2)]).await.expect("records");
    let restored = LedgerRows {
        accounts: vec![(
            TenantId::new("umbrella").expect("valid"),
            store.account(&scope(), &account_id("main")).await.expect("reads").expect("is there"),
        )],
        ..LedgerRows::default()
    };
    store.restore(&restored).await.expect("restores");
    let money =
        ["accounts", "holds", "entries", "usage", "notices"].map(|of| format!("runtime_{of}"));
    for name in &money {
        let cursor = fresh.database().collection::<Document>(name).find(doc! {}).await;
        let stored: Vec<Document> = cursor.expect("reads").try_collect().await.expect("reads");
        assert!(stored.len() >= 2, "{name}");
        for document in stored {
            assert_no_float(name, &Bson::Document(document));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_double_in_the_books_is_corrupt() {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    let store = fresh.open().await;
    open_account(&store, "main", 1_000).await;
    let accounts = fresh.database().collection::<Document>("runtime_accounts");
    accounts.update_one(doc! {}, doc! { "$set": { "held": 0.0 } }).await.expect("updates");
    let error = store.hold(&scope(), &request(1, &["main"], 10)).await.expect_err("is refused");
    assert_eq!(error.kind(), BalanceErrorKind::Corrupt, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_alone_keeps_no_money_and_says_how_it_would() {
    let fresh = Fresh::on(Server::Standalone).await;
    let store = fresh.open().await;
    let says_how = |error: String| assert!(error.contains("rs.initiate()"), "{error}");
    let held = store.hold(&scope(), &request(1, &["main"], 10)).await;
    says_how(held.expect_err("is refused").to_string());
    let settled = store.settle(&scope(), &settlement(1, 10)).await;
    says_how(settled.expect_err("is refused").to_string());
    says_how(store.account(&scope(), &account_id("a")).await.expect_err("refused").to_string());
    says_how(store.open_holds(at(9), 1).await.expect_err("is refused").to_string());
    says_how(store.scan_entries(0, 1).await.expect_err("is refused").to_string());
    says_how(store.record(&scope(), &[usage_row(1)]).await.expect_err("refused").to_string());
    let rows = store.rows(&scope(), &UsageQuery::default()).await;
    says_how(rows.expect_err("is refused").to_string());
}
