//! The ledger under test, and the service it asks.

use std::sync::Arc;

use chat_balance_http::{HttpLedger, HttpLedgerConfig};
use chat_tests::billing_service::BillingService;
use chat_transport::{HttpTransport, HttpTransportConfig, TransportAdapter, TransportRequest};
use http::header::AUTHORIZATION;

pub(crate) const SECRET: &str = "hunter2-of-the-tests";

/// A patient client: what waits for a machine that measures something else is no fault.
pub(crate) fn config(base_url: &str, secret: &str) -> HttpLedgerConfig {
    HttpLedgerConfig {
        answer_ms: 20_000,
        whole_ms: 40_000,
        jitter_seed: Some(7),
        ..HttpLedgerConfig::new(base_url, secret.into())
    }
}

pub(crate) fn transport() -> Arc<HttpTransport> {
    Arc::new(HttpTransport::new(HttpTransportConfig::default()))
}

pub(crate) fn ledger_of(config: HttpLedgerConfig) -> HttpLedger {
    HttpLedger::new(config, transport()).unwrap()
}

/// A ledger over a fresh reference service.
pub(crate) async fn fresh() -> (HttpLedger, BillingService) {
    let service = BillingService::start(SECRET).await.unwrap();
    (ledger_of(config(&service.base_url(), SECRET)), service)
}

/// A ledger over the service that the environment names, its books emptied; none if it names none.
pub(crate) async fn of_your_own() -> Option<HttpLedger> {
    let base_url = std::env::var("CHAT_BILLING_URL").ok()?;
    let secret = std::env::var("CHAT_BILLING_SECRET").unwrap_or_default();
    let mut reset = TransportRequest::post(format!("{base_url}/test/reset"), "");
    let bearer = format!("Bearer {secret}").try_into().unwrap();
    reset.headers.insert(AUTHORIZATION, bearer);
    let answer = transport().send(reset).await.unwrap();
    assert!(answer.status.is_success(), "POST /test/reset answered {}", answer.status);
    Some(ledger_of(config(&base_url, &secret)))
}
