//! What gets lost on the way: answers, requests, time. The books say that nothing was done twice.

use std::time::{Duration, Instant};

use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, BalanceAdapter, BalanceErrorKind, Credit, CreditKind,
    EntryKind, Extension, HoldRequest, HoldState, LedgerMaintenance, LegRequest, Period,
    PeriodUnit, Posting, Refill, RefillMode, Settlement,
};
use chat_balance_http::{HttpLedger, HttpLedgerConfig};
use chat_tests::billing_service::{Fault, Operation};
use chat_types::{Money, Scope, StepKey, Timestamp, Tokens};

use crate::ledgers::{SECRET, config, fresh, ledger_of};

fn scope() -> Scope {
    Scope::new("acme".parse().unwrap(), "ada".parse().unwrap())
}

fn at(unix_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(unix_ms)
}

fn key(turn: &str) -> StepKey {
    StepKey { turn: turn.parse().unwrap(), step: 1 }
}

fn request(turn: &str) -> HoldRequest {
    let amount = Money::from_nano_usd(30);
    let account = "main".parse().unwrap();
    let leg = LegRequest { account, amount, floor: amount, refill: None, warn_below: None };
    HoldRequest { key: key(turn), legs: vec![leg], at: at(2_000) }
}

fn settlement(turn: &str, nano_usd: i64) -> Settlement {
    let (amount, tokens) = (Money::from_nano_usd(nano_usd), Tokens::new(3));
    let postings = vec![Posting { attempt: 1, amount, tokens }];
    Settlement { key: key(turn), postings, at: at(3_000) }
}

async fn open(ledger: &HttpLedger, nano_usd: i64) {
    let spec = AccountSpec {
        owner: Some(scope().user),
        opening: Money::from_nano_usd(nano_usd),
        ..AccountSpec::new("main".parse().unwrap(), AccountKind::Limited)
    };
    ledger.open_account(&scope(), &spec, at(1_000)).await.unwrap();
}

/// Every write once, for one turn.
async fn one_turn(ledger: &HttpLedger, turn: &str) {
    let (account, amount) = ("main".parse().unwrap(), Money::from_nano_usd(5));
    let credit = Credit {
        expires_at: Some(at(2_800)),
        ..Credit::new(account, CreditKind::Grant, format!("for {turn}"), amount, at(1_500))
    };
    ledger.credit(&scope(), &credit).await.unwrap();
    ledger.hold(&scope(), &request(turn)).await.unwrap();
    let (amount, tokens) = (Money::from_nano_usd(2), Tokens::new(1));
    let extension = Extension { attempt: 2, amount, tokens, at: at(2_500) };
    ledger.extend(&scope(), &key(turn), &extension).await.unwrap();
    ledger.settle(&scope(), &settlement(turn, 12)).await.unwrap();
    let unused = format!("{turn}-unused");
    ledger.hold(&scope(), &request(&unused)).await.unwrap();
    ledger.release(&scope(), &key(&unused), at(3_000)).await.unwrap();
}

#[tokio::test]
async fn the_books_are_the_same_whatever_answers_are_lost() {
    let (plain, quiet) = fresh().await;
    open(&plain, 1_000).await;
    for n in 0..5 {
        one_turn(&plain, &format!("t-{n}")).await;
    }
    let expected = (
        quiet.ledger().scan_accounts(None, 1_000).await.unwrap(),
        quiet.ledger().scan_holds(None, 1_000).await.unwrap(),
        quiet.ledger().scan_entries(0, 1_000).await.unwrap(),
    );
    // Every second answer would open the breaker, as it should.
    for every in 3..=7 {
        let (ledger, service) = fresh().await;
        service.lose_every(every);
        open(&ledger, 1_000).await;
        for n in 0..5 {
            one_turn(&ledger, &format!("t-{n}")).await;
        }
        let books = (
            ledger.scan_accounts(None, 1_000).await.unwrap(),
            ledger.scan_holds(None, 1_000).await.unwrap(),
            ledger.scan_entries(0, 1_000).await.unwrap(),
        );
        assert_eq!(books, expected, "every {every}th answer lost");
        let writes = service.received().len();
        assert!(writes > 31, "{writes} requests: nothing was sent again");
    }
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_with_the_same_key_and_body() {
    let (ledger, service) = fresh().await;
    open(&ledger, 100).await;
    service.fail(Some(Operation::Hold), Fault::LoseAnswer, 1);
    service.fail(Some(Operation::Hold), Fault::LoseRequest, 1);
    let hold = ledger.hold(&scope(), &request("t-1")).await.unwrap();
    assert_eq!(hold.covered(AccountUnit::Usd), Some(Money::from_nano_usd(30)));
    let holds: Vec<_> =
        service.received().into_iter().filter(|r| r.operation == Operation::Hold).collect();
    assert_eq!(holds.len(), 3);
    assert!(holds.iter().all(|again| *again == holds[0] && again.key.is_some()), "{holds:?}");
    let account = ledger.account(&scope(), &"main".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(account.held, Money::from_nano_usd(30));
}

#[tokio::test]
async fn a_slow_answer_is_given_up_in_time_and_found_again() {
    let (patient, service) = fresh().await;
    open(&patient, 100).await;
    let hasty =
        HttpLedgerConfig { answer_ms: 200, whole_ms: 1_000, ..config(&service.base_url(), SECRET) };
    let ledger = ledger_of(hasty);
    service.fail(Some(Operation::Hold), Fault::Delay(Duration::from_secs(60)), 9);
    let started = Instant::now();
    let error = ledger.hold(&scope(), &request("t-1")).await.unwrap_err();
    let took = started.elapsed();
    assert_eq!(error.kind(), BalanceErrorKind::Unavailable, "{error}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    service.heal();
    // It was done all the same: the repeat finds it and holds nothing more.
    patient.hold(&scope(), &request("t-1")).await.unwrap();
    let account = patient.account(&scope(), &"main".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(account.held, Money::from_nano_usd(30));
}

#[tokio::test]
async fn a_settle_is_repeated_after_an_outage() {
    let (ledger, mut service) = fresh().await;
    open(&ledger, 100).await;
    ledger.hold(&scope(), &request("t-1")).await.unwrap();
    service.go_away().await;
    let error = ledger.settle(&scope(), &settlement("t-1", 12)).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    service.come_back().await.unwrap();
    let settled = ledger.settle(&scope(), &settlement("t-1", 12)).await.unwrap();
    assert_eq!(settled.state, HoldState::Posted);
    let entries = ledger.scan_entries(0, 10).await.unwrap();
    let posted: Vec<_> = entries.iter().filter(|entry| entry.kind == EntryKind::Usage).collect();
    assert_eq!(posted.len(), 1);
}

#[tokio::test]
async fn answers_that_are_none_are_errors_that_say_what_came() {
    let (ledger, service) = fresh().await;
    open(&ledger, 100).await;
    use BalanceErrorKind::{Corrupt, Unavailable};
    for (fault, kind, said) in [
        (Fault::Page, Unavailable, "200 with text/html instead of JSON"),
        (Fault::Status(500), Unavailable, "status 500"),
        (Fault::Status(404), Unavailable, "404 with text/plain instead of JSON"),
        (Fault::Body("{\"tenant\":"), Corrupt, "EOF"),
        (Fault::Body("{}"), Corrupt, "missing field `tenant`"),
        (Fault::Body("[]"), Corrupt, "cannot be read"),
    ] {
        service.fail(Some(Operation::Hold), fault.clone(), 3);
        let error = ledger.hold(&scope(), &request("t-1")).await.unwrap_err();
        service.heal();
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
        assert!(error.to_string().contains(said), "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn a_wrong_secret_reads_and_writes_nothing() {
    let (ledger, service) = fresh().await;
    open(&ledger, 100).await;
    let stranger = HttpLedgerConfig {
        secret_name: "BILLING_SECRET".to_owned(),
        ..config(&service.base_url(), "hunter3")
    };
    let stranger = ledger_of(stranger);
    let before = service.received().len();
    let error = stranger.hold(&scope(), &request("t-1")).await.unwrap_err();
    let shown = format!("{stranger:?} {error} {error:?}");
    assert!(shown.contains("check BILLING_SECRET") && !shown.contains("hunter"), "{shown}");
    stranger.scan_accounts(None, 10).await.unwrap_err();
    assert_eq!(service.received().len(), before);
}

#[tokio::test]
async fn a_strict_service_conflicts_and_the_port_still_keeps_its_promise() {
    let (ledger, service) = fresh().await;
    open(&ledger, 100).await;
    ledger.hold(&scope(), &request("t-1")).await.unwrap();
    let first = ledger.settle(&scope(), &settlement("t-1", 12)).await.unwrap();
    // Another amount under the same key: the service says 409, the first result stands.
    let again = ledger.settle(&scope(), &settlement("t-1", 29)).await.unwrap();
    assert_eq!(again, first);
    let last = service.received().pop().unwrap();
    assert_eq!(last.operation, Operation::ReadHold, "what is there was read");
}

#[tokio::test]
async fn a_refill_is_given_once_whatever_answers_are_lost() {
    let (ledger, service) = fresh().await;
    open(&ledger, 100).await;
    let period = Period::new(1, PeriodUnit::Minute, "Europe/Berlin").unwrap();
    let refill = Refill { mode: RefillMode::Add, amount: Money::from_nano_usd(7), period };
    service.fail(Some(Operation::Refresh), Fault::LoseAnswer, 1);
    service.fail(Some(Operation::Refresh), Fault::LoseRequest, 1);
    let main = "main".parse().unwrap();
    let seen = ledger.refresh(&scope(), &main, Some(&refill), at(60_000)).await.unwrap().unwrap();
    assert_eq!(seen.granted, Money::from_nano_usd(107));
    assert_eq!(service.received().iter().filter(|r| r.operation == Operation::Refresh).count(), 3);
    let nobodys = "other".parse().unwrap();
    assert_eq!(ledger.refresh(&scope(), &nobodys, None, at(60_000)).await.unwrap(), None);
}

#[tokio::test]
async fn a_grant_that_is_given_again_keeps_its_first_expiry() {
    let (ledger, _service) = fresh().await;
    open(&ledger, 0).await;
    let grant = |expires_at: i64, now: i64| Credit {
        expires_at: Some(at(expires_at)),
        ..Credit::new(
            "main".parse().unwrap(),
            CreditKind::Grant,
            "gift",
            Money::from_nano_usd(5),
            at(now),
        )
    };
    // As `--expires-in-days` has it: reckoned from the moment of each call.
    let first = ledger.credit(&scope(), &grant(9_000, 1_000)).await.unwrap();
    let again = ledger.credit(&scope(), &grant(9_500, 1_500)).await.unwrap();
    assert_eq!(again, first);
    let account = ledger.account(&scope(), &"main".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(account.state.lots[0].expires_at, Some(at(9_000)));
    assert_eq!(account.granted, Money::from_nano_usd(5));
}
