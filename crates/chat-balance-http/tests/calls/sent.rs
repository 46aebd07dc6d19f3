//! What is sent, and how often.

use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, BalanceAdapter, BalanceErrorKind, Credit, CreditKind,
    Extension, HoldState, Period, PeriodUnit, Refill, RefillMode,
};
use chat_transport::{
    ScriptedReply, ScriptedStep, TransportError, TransportErrorKind, TransportPhase,
};
use chat_types::{Money, Timestamp, Tokens};
use http::StatusCode;
use http::header::HeaderValue;
use serde_json::{Value, json};

use crate::{SECRET, hold_json, key, ledger, lost, ok, refusal, request, scope, settlement};

#[tokio::test]
async fn a_hold_is_sent_as_the_contract_says() {
    let (ledger, script) = ledger([ok(&hold_json("open"))]);
    let hold = ledger.hold(&scope(), &request()).await.unwrap();
    let covered = hold.covered(AccountUnit::Usd);
    assert_eq!((hold.state, covered), (HoldState::Open, Some(Money::from_nano_usd(30))));
    let sent = script.requests();
    let sent = &sent[0];
    assert_eq!(sent.method, "PUT");
    assert_eq!(sent.url, "https://billing.test/chat/v1/tenants/acme/users/ada/holds/t-1/1");
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    let leg = json!({"account": "main", "amount": 30, "floor": 10, "refill": null});
    assert_eq!(body, json!({"legs": [leg], "at_unix_ms": 2_000}));
    assert_eq!(sent.headers["authorization"], format!("Bearer {SECRET}"));
    let named = sent.headers["idempotency-key"].to_str().unwrap();
    let expected = "hold-";
    assert!(named.starts_with(expected) && named.len() == expected.len() + 64, "{named}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_asked_for_again_with_the_same_key_and_bytes() {
    let (ledger, script) = ledger([lost(), lost(), ok(&hold_json("posted"))]);
    let settled = ledger.settle(&scope(), &settlement(3_000)).await.unwrap();
    assert_eq!(settled.state, HoldState::Posted);
    let sent = script.requests();
    assert_eq!(sent.len(), 3);
    for again in &sent[1..] {
        assert_eq!((&again.headers, &again.body), (&sent[0].headers, &sent[0].body));
    }
}

#[tokio::test]
async fn a_key_depends_on_the_operation_alone() {
    let posted = || ok(&hold_json("posted"));
    let (ledger, script) = ledger([posted(), posted(), ok(&hold_json("released"))]);
    ledger.settle(&scope(), &settlement(3_000)).await.unwrap();
    // Another process, a day later.
    ledger.settle(&scope(), &settlement(86_403_000)).await.unwrap();
    ledger.release(&scope(), &key(), Timestamp::from_unix_ms(3_000)).await.unwrap();
    let keys: Vec<HeaderValue> =
        script.requests().iter().map(|sent| sent.headers["idempotency-key"].clone()).collect();
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[0], keys[2]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_answer_holds_nothing_and_says_so() {
    let hangs = || ScriptedReply::status(StatusCode::OK).before_head(ScriptedStep::Hang);
    let (ledger, script) = ledger([hangs(), hangs(), hangs()]);
    let started = tokio::time::Instant::now();
    let error = ledger.hold(&scope(), &request()).await.unwrap_err();
    assert_eq!(error.kind(), BalanceErrorKind::Unavailable);
    assert!(error.is_transient() && error.to_string().contains("in time"), "{error}");
    // The third attempt gets what is left of the whole call.
    assert_eq!(script.requests().len(), 3);
    assert_eq!(started.elapsed().as_secs(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_service_in_trouble_is_asked_three_times() {
    let trouble = |status: u16| ScriptedReply::status(StatusCode::from_u16(status).unwrap());
    for status in [500, 502, 503, 504, 408, 429] {
        let (ledger, script) = ledger([trouble(status), trouble(status), trouble(status)]);
        let error = ledger.hold(&scope(), &request()).await.unwrap_err();
        assert_eq!(error.kind(), BalanceErrorKind::Unavailable);
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        assert_eq!(script.requests().len(), 3, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_down_is_left_alone() {
    let down = || {
        let kind = TransportErrorKind::Connect;
        ScriptedReply::failure(TransportError::new(kind, TransportPhase::NothingSent))
    };
    let (ledger, script) = ledger((0..30).map(|_| down()));
    for _ in 0..12 {
        ledger.hold(&scope(), &request()).await.unwrap_err();
    }
    let error = ledger.hold(&scope(), &request()).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("left alone"), "{error}");
    assert!(script.requests().len() <= 21, "{} requests", script.requests().len());
}

#[tokio::test]
async fn every_credit_key_has_a_header() {
    let entry = |amount: i64| {
        json!({
            "tenant": "acme", "user": "ada", "debit": "source", "credit": "wallet:main",
            "amount": amount, "kind": "grant", "reference": "main/k", "at_unix_ms": 1,
        })
    };
    let credit = |key: &str| {
        let (at, amount) = (Timestamp::from_unix_ms(1), Money::from_nano_usd(5));
        Credit::new("main".parse().unwrap(), CreditKind::Grant, key, amount, at)
    };
    let (ledger, script) = ledger((0..3).map(|_| ok(&entry(5))).chain([ok(&entry(6))]));
    for key in ["same key", "ключ\r\n", &"long".repeat(1_000)] {
        ledger.credit(&scope(), &credit(key)).await.unwrap();
    }
    let error = ledger.credit(&scope(), &credit("k")).await.unwrap_err();
    assert_eq!(error.kind(), BalanceErrorKind::Corrupt, "another amount than was asked for");
    let mut keys: Vec<String> = script
        .requests()
        .iter()
        .map(|sent| sent.headers["idempotency-key"].to_str().unwrap().to_owned())
        .collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4);
}

#[tokio::test]
async fn units_plans_and_grants_are_sent_as_the_contract_says() {
    let period = Period::new(2, PeriodUnit::Week, "Europe/Berlin").unwrap();
    let refill = Refill { mode: RefillMode::Reset, amount: Money::from_nano_usd(100), period };
    let plan = json!({
        "mode": "reset", "amount": 100, "every": 2, "unit": "week", "time_zone": "Europe/Berlin",
    });
    let at = Timestamp::from_unix_ms(1_000);
    let nothing = || refusal(404, "not_found");
    let (ledger, script) = ledger((0..6).map(|_| nothing()));

    let spec = AccountSpec {
        unit: AccountUnit::Requests,
        opening: Money::from_nano_usd(100),
        refill: Some(refill.clone()),
        ..AccountSpec::new("main".parse().unwrap(), AccountKind::Limited)
    };
    ledger.open_account(&scope(), &spec, at).await.unwrap_err();
    let id = "main".parse().unwrap();
    assert_eq!(ledger.refresh(&scope(), &id, Some(&refill), at).await.unwrap(), None);
    let mut planned = request();
    planned.legs[0].refill = Some(refill);
    ledger.hold(&scope(), &planned).await.unwrap_err();
    let grant = Credit {
        priority: 10,
        expires_at: Some(Timestamp::from_unix_ms(9_000)),
        ..Credit::new(id, CreditKind::Grant, "gift", Money::from_nano_usd(5), at)
    };
    ledger.credit(&scope(), &grant).await.unwrap_err();
    let (amount, tokens) = (Money::from_nano_usd(5), Tokens::new(3));
    let extension = Extension { attempt: 2, amount, tokens, at };
    ledger.extend(&scope(), &key(), &extension).await.unwrap_err();
    ledger.settle(&scope(), &settlement(3_000)).await.unwrap_err();

    let sent = script.requests();
    let bodies: Vec<Value> =
        sent.iter().map(|sent| serde_json::from_slice(&sent.body).unwrap()).collect();
    assert_eq!(
        bodies,
        [
            json!({
                "owner": null, "kind": "limited", "unit": "requests", "opening": 100,
                "refill": plan, "at_unix_ms": 1_000,
            }),
            json!({"refill": plan, "at_unix_ms": 1_000}),
            json!({
                "legs": [{"account": "main", "amount": 30, "floor": 10, "refill": plan}],
                "at_unix_ms": 2_000,
            }),
            json!({
                "kind": "grant", "key": "gift", "amount": 5, "priority": 10,
                "expires_at_unix_ms": 9_000, "at_unix_ms": 1_000,
            }),
            json!({"attempt": 2, "amount_nano_usd": 5, "tokens": 3, "at_unix_ms": 1_000}),
            json!({
                "postings": [{"attempt": 1, "amount_nano_usd": 12, "tokens": 7}],
                "at_unix_ms": 3_000,
            }),
        ]
    );
    let refresh = &sent[1];
    assert_eq!(refresh.method, "POST");
    assert!(refresh.url.ends_with("/v1/tenants/acme/users/ada/accounts/main/refresh"));
    assert!(!refresh.headers.contains_key("idempotency-key"), "it is no operation of its own");
}
