//! What an answer means.

use std::sync::Arc;

use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, BalanceAdapter, BalanceErrorKind, Extension,
    LedgerMaintenance,
};
use chat_balance_http::{HttpLedger, HttpLedgerConfig};
use chat_transport::{ScriptedReply, ScriptedTransport};
use chat_types::{Money, Timestamp, Tokens};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use crate::{SECRET, hold_error, hold_json, key, ledger, ok, refusal, request, scope, settlement};

#[tokio::test]
async fn a_refusal_keeps_its_numbers() {
    let body = json!({"error": {
        "code": "insufficient_funds", "message": "top up", "account": "main",
        "unit": "requests", "need": 10, "available": -3, "held": 5,
        "refill_at_unix_ms": 86_400_000,
    }});
    let reply = ScriptedReply::json(StatusCode::PAYMENT_REQUIRED, body.to_string());
    let error = hold_error(reply).await;
    assert_eq!(error.kind(), BalanceErrorKind::InsufficientFunds);
    let refusal = error.refusal().unwrap();
    let numbers = [refusal.need, refusal.available, refusal.held].map(Money::nano_usd);
    assert_eq!((refusal.account.as_str(), numbers), ("main", [10, -3, 5]));
    assert_eq!(refusal.unit, AccountUnit::Requests);
    assert_eq!(refusal.refill_at, Some(Timestamp::from_unix_ms(86_400_000)));
}

#[tokio::test]
async fn statuses_and_codes_mean_what_the_contract_says() {
    use BalanceErrorKind as Kind;
    for (status, code, kind) in [
        (404, "not_found", Kind::NotFound),
        (400, "invalid_amount", Kind::InvalidAmount),
        // Status and code must agree, and only the contract's codes count.
        (200, "not_found", Kind::Corrupt),
        (400, "not_found", Kind::Unavailable),
        (404, "no_route", Kind::Unavailable),
        (402, "insufficient_funds", Kind::Corrupt),
        (400, "invalid_request", Kind::Unavailable),
        (401, "unauthorized", Kind::Unavailable),
        (403, "forbidden", Kind::Unavailable),
        (501, "unsupported", Kind::Unavailable),
        (302, "elsewhere", Kind::Unavailable),
    ] {
        assert_eq!(hold_error(refusal(status, code)).await.kind(), kind, "{status} {code}");
    }
    let error = hold_error(refusal(401, "unauthorized")).await;
    assert!(error.to_string().contains("check BILLING_SECRET"), "{error}");
}

#[tokio::test]
async fn a_proxys_404_is_not_an_empty_ledger() {
    let page = ScriptedReply::status(StatusCode::NOT_FOUND)
        .header(CONTENT_TYPE, HeaderValue::from_static("text/html"))
        .read("<html>nothing here</html>");
    let (ledger, _) = ledger([page]);
    let error = ledger.hold_of(&scope(), &key()).await.unwrap_err();
    assert_eq!(error.kind(), BalanceErrorKind::Unavailable);
    assert!(error.to_string().contains("404 with text/html instead of JSON"), "{error}");
    let (ledger, _) = crate::ledger([refusal(404, "not_found")]);
    assert_eq!(ledger.hold_of(&scope(), &key()).await.unwrap(), None);
}

#[tokio::test]
async fn garbage_is_an_error_that_says_what_was_wrong() {
    let changed = |member: &str, value: Value| {
        let mut hold = hold_json("open");
        hold[member] = value;
        hold.to_string()
    };
    let mut short = hold_json("open");
    short.as_object_mut().unwrap().remove("extended_to");
    let leg = |amount: Value, account: &str| json!([{"account": account, "unit": "usd", "amount": amount, "posted": 0, "lots": []}]);
    let with = |member: &str, value: Value| {
        let mut legs = leg(json!(30), "main");
        legs[0][member] = value;
        legs
    };
    let owed = json!([{"key": "k", "amount": -1, "priority": 1, "granted_at_unix_ms": 1}]);
    for (body, said) in [
        (short.to_string(), "missing field `extended_to`"),
        ("{\"tenant\":".to_owned(), "EOF"),
        (changed("state", json!("frozen")), "state has a value"),
        (changed("turn", json!("t 1")), "invalid turn id"),
        (changed("turn", json!("t-2")), "another hold than was asked for"),
        (changed("user", json!("bob")), "another hold than was asked for"),
        (changed("legs", json!([])), "no account"),
        (changed("legs", leg(json!(-1), "main")), "negative amount"),
        (changed("legs", leg(json!(30.5), "main")), "floating point"),
        (changed("legs", leg(json!("30"), "main")), "expected i64"),
        (changed("legs", leg(json!(30), "other")), "other accounts"),
        (changed("legs", with("unit", json!("euro"))), "unit has a value"),
        (changed("legs", with("lots", Value::Null)), "invalid type: null"),
        (changed("legs", with("lots", owed)), "negative amount"),
    ] {
        let error = hold_error(ScriptedReply::json(StatusCode::OK, body)).await;
        assert_eq!(error.kind(), BalanceErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(said), "{error}: {said}");
    }
}

#[tokio::test]
async fn an_answer_that_did_not_do_the_work_is_not_believed() {
    let at = Timestamp::from_unix_ms(3_000);
    let (ledger, _) = ledger((0..3).map(|_| ok(&hold_json("open"))));
    let settled = ledger.settle(&scope(), &settlement(3_000)).await.unwrap_err();
    let released = ledger.release(&scope(), &key(), at).await.unwrap_err();
    let (amount, tokens) = (Money::from_nano_usd(5), Tokens::new(3));
    let extension = Extension { attempt: 2, amount, tokens, at };
    let extended = ledger.extend(&scope(), &key(), &extension).await.unwrap_err();
    for error in [settled, released, extended] {
        assert_eq!(error.kind(), BalanceErrorKind::Corrupt, "{error}");
    }
}

#[tokio::test]
async fn a_conflict_is_judged_by_what_is_there() {
    let conflict = || refusal(409, "conflict");
    let there = |state: &str| ok(&hold_json(state));
    // Settling again gives the first result, whatever the amounts.
    let (ledger, _) = ledger([conflict(), there("posted")]);
    let settled = ledger.settle(&scope(), &settlement(3_000)).await.unwrap();
    assert_eq!(settled.legs[0].posted, Money::from_nano_usd(12));
    // What was released stays so.
    let (ledger, _) = crate::ledger([conflict(), there("released")]);
    let error = ledger.settle(&scope(), &settlement(3_000)).await.unwrap_err();
    assert_eq!(error.kind(), BalanceErrorKind::Conflict);
    // A hold of somebody else is not there for us.
    let (ledger, _) = crate::ledger([conflict(), refusal(404, "not_found")]);
    let error = ledger.hold(&scope(), &request()).await.unwrap_err();
    assert_eq!(error.kind(), BalanceErrorKind::Conflict);
    // And if it cannot be read, nothing is concluded.
    let (ledger, _) = crate::ledger([conflict(), refusal(401, "unauthorized")]);
    let error = ledger.settle(&scope(), &settlement(3_000)).await.unwrap_err();
    assert_eq!(error.kind(), BalanceErrorKind::Unavailable);
}

#[tokio::test]
async fn answers_are_bounded() {
    let script = ScriptedTransport::new([ok(&json!({"holds": [], "padding": "x".repeat(4_096)}))]);
    let config = HttpLedgerConfig {
        answer_bytes_max: 1_024,
        ..HttpLedgerConfig::new("https://billing.test", SECRET.into())
    };
    let ledger = HttpLedger::new(config, Arc::new(script)).unwrap();
    let error = ledger.scan_holds(None, 10).await.unwrap_err();
    assert!(error.to_string().contains("more than the configured bytes"), "{error}");

    let two = json!({"holds": [hold_json("open"), hold_json("open")]});
    let (ledger, script) = crate::ledger([ok(&two), ok(&json!({"holds": []}))]);
    let error = ledger.scan_holds(None, 1).await.unwrap_err();
    assert!(error.to_string().contains("more than 1 rows"), "{error}");
    ledger.scan_holds(None, u32::MAX).await.unwrap();
    assert!(script.requests()[1].url.ends_with("/v1/holds?limit=1000"));
}

#[tokio::test]
async fn the_secret_is_shown_nowhere() {
    let echo = json!({"error": {"code": SECRET, "message": format!("bad Bearer {SECRET}")}});
    let echo = || ScriptedReply::json(StatusCode::BAD_REQUEST, echo.to_string());
    let kind = HeaderValue::from_static("hunter2-of-the-billing-service");
    let typed = ScriptedReply::status(StatusCode::OK).header(CONTENT_TYPE, kind);
    let value = json!({"tenant": SECRET, "user": 1}).to_string();
    let (ledger, _) = ledger([echo(), typed, ScriptedReply::json(StatusCode::OK, value)]);
    let mut shown = format!("{ledger:?}");
    for _ in 0..3 {
        let error = ledger.hold(&scope(), &request()).await.unwrap_err();
        shown.push_str(&format!("{error} {error:?}"));
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("billing.test"), "{shown}");
}

#[tokio::test]
async fn another_account_than_was_asked_for_is_not_believed() {
    let row = |account: &str, owner: Value| {
        json!({
            "tenant": "acme", "account": account, "owner": owner, "kind": "limited",
            "unit": "usd", "granted": 1, "refunded": 0, "held": 0, "posted": 0, "expired": 0,
            "as_of_unix_ms": 1, "refilled_at_unix_ms": null, "lots": [], "available": 1,
        })
    };
    let spec = AccountSpec {
        owner: Some(scope().user),
        ..AccountSpec::new("main".parse().unwrap(), AccountKind::Limited)
    };
    let at = Timestamp::from_unix_ms(1);
    for (account, owner, is_believed) in [
        ("main", json!("ada"), true),
        ("main", Value::Null, true),
        ("other", json!("ada"), false),
        ("main", json!("bob"), false),
    ] {
        let (ledger, _) = ledger([ok(&row(account, owner))]);
        let opened = ledger.open_account(&scope(), &spec, at).await;
        assert_eq!(opened.is_ok(), is_believed, "{account}: {opened:?}");
    }
}
