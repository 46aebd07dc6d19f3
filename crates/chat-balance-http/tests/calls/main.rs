//! What is sent, how often, and what an answer means: against a script, without a network.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod answers;
mod sent;

use std::sync::Arc;

use chat_balance::{BalanceAdapter, BalanceError, HoldRequest, LegRequest, Posting, Settlement};
use chat_balance_http::{HttpLedger, HttpLedgerConfig};
use chat_transport::{
    ScriptedReply, ScriptedTransport, TransportError, TransportErrorKind, TransportPhase,
};
use chat_types::{Money, Scope, StepKey, Timestamp, Tokens};
use http::StatusCode;
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "hunter2-of-the-billing-service";

pub(crate) fn scope() -> Scope {
    Scope::new("acme".parse().unwrap(), "ada".parse().unwrap())
}

pub(crate) fn key() -> StepKey {
    StepKey { turn: "t-1".parse().unwrap(), step: 1 }
}

pub(crate) fn request() -> HoldRequest {
    let money = Money::from_nano_usd;
    let account = "main".parse().unwrap();
    let leg =
        LegRequest { account, amount: money(30), floor: money(10), refill: None, warn_below: None };
    HoldRequest { key: key(), legs: vec![leg], at: Timestamp::from_unix_ms(2_000) }
}

pub(crate) fn settlement(at_ms: i64) -> Settlement {
    let (amount, tokens) = (Money::from_nano_usd(12), Tokens::new(7));
    let postings = vec![Posting { attempt: 1, amount, tokens }];
    Settlement { key: key(), postings, at: Timestamp::from_unix_ms(at_ms) }
}

pub(crate) fn hold_json(state: &str) -> Value {
    let (posted, closed) = match state {
        "open" => (0, Value::Null),
        "posted" => (12, json!(3_000)),
        _ => (0, json!(3_000)),
    };
    json!({
        "tenant": "acme", "user": "ada", "turn": "t-1", "step": 1, "state": state,
        "legs": [{"account": "main", "unit": "usd", "amount": 30, "posted": posted, "lots": []}],
        "extended_to": 1, "opened_at_unix_ms": 2_000, "closed_at_unix_ms": closed,
        "a_member_of_tomorrow": {"any": ["thing"]},
    })
}

pub(crate) fn ok(body: &Value) -> ScriptedReply {
    ScriptedReply::json(StatusCode::OK, body.to_string())
}

pub(crate) fn refusal(status: u16, code: &str) -> ScriptedReply {
    let body = json!({"error": {"code": code, "message": "because"}});
    ScriptedReply::json(StatusCode::from_u16(status).unwrap(), body.to_string())
}

pub(crate) fn lost() -> ScriptedReply {
    let error = TransportError::new(TransportErrorKind::Closed, TransportPhase::Ambiguous);
    ScriptedReply::failure(error)
}

pub(crate) fn ledger(
    replies: impl IntoIterator<Item = ScriptedReply>,
) -> (HttpLedger, ScriptedTransport) {
    let script = ScriptedTransport::new(replies);
    let config = HttpLedgerConfig {
        secret_name: "BILLING_SECRET".to_owned(),
        jitter_seed: Some(7),
        ..HttpLedgerConfig::new("https://billing.test/chat/", SECRET.into())
    };
    (HttpLedger::new(config, Arc::new(script.clone())).unwrap(), script)
}

pub(crate) async fn hold_error(reply: ScriptedReply) -> BalanceError {
    let (ledger, _) = ledger([reply]);
    ledger.hold(&scope(), &request()).await.unwrap_err()
}
