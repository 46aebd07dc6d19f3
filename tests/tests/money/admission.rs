//! M1: concurrent turns never admit more than the balance covers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chat_balance::Account;
use chat_runtime::Store;
use chat_tests::fake_provider::LedgerSummary;
use chat_tests::on_every_engine;
use chat_tests::scene::{Engine, Scene, SceneOptions, Worker};
use chat_types::{AccountId, Money, Timestamp};
use chat_usage::UsageQuery;
use serde_json::Value;

use crate::counted;

/// All sends of a round are decided long before.
const PATIENCE: Duration = Duration::from_secs(150);
/// Every hold was taken before.
const FAR_FUTURE: Timestamp = Timestamp::from_unix_ms(32_503_680_000_000);
/// How often `available` is read; a read takes longer on a server.
const SAMPLE_EVERY: Duration = Duration::from_millis(1);
/// The ten that are paid for wait for the provider, so that nothing is given back meanwhile.
const MODEL: &str = "fake:stall_after-0";
/// The least output worth a call: a hold of this cap is taken whole or not at all.
const CAP: u64 = 16;
const HOLDS: u64 = 10;
const LEASE_MS: u64 = 60_000;
const SENDS_EACH: u64 = 128;

on_every_engine! {
    m1_a_balance_of_ten_holds_pays_ten_of_256_calls,
}

fn m1_a_balance_of_ten_holds_pays_ten_of_256_calls(engine: Engine) {
    let rounds = match engine {
        Engine::Sqlite | Engine::Postgres => counted(1, 50),
        Engine::Mongo => counted(1, 10),
    };
    // Nobody dies here, and a busy machine must not make it look so.
    let options = SceneOptions::of_the_living().with_lease_ms(LEASE_MS);
    let one = options.hold_of(MODEL, "hello", CAP).nano_usd();
    let opening = Money::from_nano_usd(one * i64::try_from(HOLDS).unwrap());
    let scene = Scene::with(engine, &options.with_opening(opening));
    for round in 1..=rounds {
        admit_ten(&scene, round, opening);
    }
    println!("{rounds} rounds of 256 sends, 10 calls each, one hold is {one} nano-USD");

    let charged = scene.provider.ledger().unwrap();
    assert_eq!(charged.totals.requests, rounds * HOLDS, "nothing is sent again");
    let visit = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    visit.block_on(async {
        let store = Store::open(&scene.database.url).await.unwrap();
        for round in 1..=rounds {
            let account = account_of(&store, round).await.unwrap();
            assert_eq!(account.held, Money::ZERO, "{account:?}");
            assert!(account.posted > Money::ZERO && account.posted <= opening, "{account:?}");
            let scope = store.scope_of(&user(round)).unwrap();
            let rows = store.ports().usage.rows(&scope, &UsageQuery::default()).await.unwrap();
            assert_eq!(rows.len(), 10);
        }
        store.close().await;
    });
    println!("{}", scene.audit());
}

/// One user's balance, spent by two processes at once; the ten calls are stopped at the end.
fn admit_ten(scene: &Scene, round: u64, opening: Money) {
    let (user, sends, cap) = (user(round), SENDS_EACH.to_string(), CAP.to_string());
    let model = format!("openai/{MODEL}");
    let arguments = [user.as_str(), &sends, &model, &cap, "hello"];
    let mut workers = [0, 1].map(|_| Worker::start(&scene.home.config(), &arguments));
    let sampler = Sampler::start(&scene.database.url, round);
    for worker in &mut workers {
        worker.go();
    }
    let mut refused = Vec::new();
    let give_up = Instant::now() + PATIENCE;
    while refused.len() < 246 {
        for worker in &workers {
            refused.extend(worker.lines.recv_timeout(Duration::from_millis(20)));
        }
        assert!(Instant::now() < give_up, "{} refused in round {round}", refused.len());
    }
    let unsure = refused.iter().filter(|answer| answer["failure"] != "insufficient_funds");
    let unsure: BTreeSet<String> = unsure.map(ToString::to_string).collect();
    assert!(unsure.is_empty(), "{} were refused for another reason: {unsure:#?}", unsure.len());
    assert_eq!(of(&refused, "outcome"), BTreeSet::from(["rejected"]));
    let calls = |books: &LedgerSummary| books.totals.requests == round * HOLDS;
    scene.provider.wait_until(PATIENCE, calls).unwrap();
    let (samples, last) = sampler.stop();
    assert!(samples > 0, "nobody looked at the balance of round {round}");
    assert_eq!((last.held, last.available()), (opening, Ok(Money::ZERO)));
    println!("round {round}: {} refused, {samples} balances seen, none below zero", refused.len());
    stop_all(&scene.database.url, round);
    let mut stopped = Vec::new();
    while stopped.len() < 10 {
        for worker in &workers {
            stopped.extend(worker.lines.recv_timeout(Duration::from_millis(20)));
        }
        assert!(Instant::now() < give_up, "{} stopped in round {round}", stopped.len());
    }
    assert_eq!(of(&stopped, "outcome"), BTreeSet::from(["aborted"]));
    for worker in &mut workers {
        assert!(worker.child.wait().unwrap().success());
    }
    // Nobody has called since.
    let charged = scene.provider.ledger().unwrap();
    assert_eq!(charged.totals.requests, round * HOLDS);
}

/// Asks for the end of every turn of this round that holds something.
fn stop_all(url: &str, round: u64) {
    let visit = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    visit.block_on(async {
        let store = Store::open(url).await.unwrap();
        let (stores, scope) = (store.ports(), store.scope_of(&user(round)).unwrap());
        let books = stores.ledger.unwrap().maintenance;
        for hold in books.open_holds(FAR_FUTURE, 100).await.unwrap() {
            stores.persistence.request_stop(&scope, &hold.key.turn).await.unwrap();
        }
        store.close().await;
    });
}

/// An account of its own each round.
fn user(round: u64) -> String {
    format!("ada-{round}")
}

async fn account_of(store: &Store, round: u64) -> Option<Account> {
    let scope = store.scope_of(&user(round)).unwrap();
    let id = AccountId::new(scope.user.as_str()).unwrap();
    store.ports().ledger.unwrap().balance.account(&scope, &id).await.unwrap()
}

/// Reads the balance over and over while others spend it.
struct Sampler {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<(u64, Option<Account>)>,
}

impl Sampler {
    fn start(url: &str, round: u64) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (url, over) = (url.to_owned(), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let store = Store::open(&url).await.unwrap();
                let (mut samples, mut last) = (0, None);
                loop {
                    // Asked before the read, so that the last read sees what had been done by then.
                    let is_last = over.load(Ordering::SeqCst);
                    if let Some(account) = account_of(&store, round).await {
                        let available = account.available().unwrap();
                        assert!(!available.is_negative(), "sample {samples}: {account:?}");
                        samples += 1;
                        last = Some(account);
                    }
                    if is_last {
                        break;
                    }
                    tokio::time::sleep(SAMPLE_EVERY).await;
                }
                store.close().await;
                (samples, last)
            })
        });
        Self { is_over, thread }
    }

    /// How often it looked, and what it saw last.
    fn stop(self) -> (u64, Account) {
        self.is_over.store(true, Ordering::SeqCst);
        let (samples, last) = self.thread.join().unwrap();
        (samples, last.unwrap())
    }
}

fn of<'a>(answers: &'a [Value], key: &str) -> BTreeSet<&'a str> {
    answers.iter().filter_map(|answer| answer.get(key)?.as_str()).collect()
}
