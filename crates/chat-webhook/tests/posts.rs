//! What is posted, and what its answers mean.
#![expect(clippy::expect_used, reason = "test helpers fail loudly")]

use std::sync::Arc;

use chat_balance::{AccountUnit, Notice, NoticeKind, NoticeSink};
use chat_transport::{ScriptedReply, ScriptedTransport};
use chat_types::{Money, Scope, StepKey, Timestamp};
use chat_webhook::{Webhook, WebhookConfig};
use http::StatusCode;

fn notice() -> Notice {
    Notice {
        scope: Scope::new("acme".parse().expect("valid"), "ada".parse().expect("valid")),
        key: "calls:ada/refused/t-1/2".to_owned(),
        kind: NoticeKind::Refused,
        account: "calls:ada".parse().expect("valid"),
        unit: AccountUnit::Requests,
        step: StepKey { turn: "t-1".parse().expect("valid"), step: 2 },
        amount: Money::from_nano_usd(1),
        limit: Money::ZERO,
        at: Timestamp::from_unix_ms(7_000),
    }
}

fn webhook(secret: Option<&str>, statuses: &[StatusCode]) -> (Webhook, ScriptedTransport) {
    let replies = statuses.iter().map(|status| ScriptedReply::json(*status, "{}"));
    let receiver = ScriptedTransport::new(replies);
    let mut config = WebhookConfig::new("https://hooks.example/room/hunter1");
    config.secret = secret.map(Into::into);
    let webhook = Webhook::new(config, Arc::new(receiver.clone())).expect("valid");
    (webhook, receiver)
}

#[tokio::test]
async fn a_notice_is_posted_like_this() {
    let (webhook, receiver) = webhook(Some("hunter2"), &[StatusCode::NO_CONTENT]);
    webhook.deliver(&notice()).await.expect("is taken");
    let sent = &receiver.requests()[0];
    assert_eq!(
        (sent.method.as_str(), sent.url.as_str()),
        ("POST", "https://hooks.example/room/hunter1")
    );
    assert_eq!(sent.headers["idempotency-key"], "acme/calls:ada/refused/t-1/2");
    assert_eq!(sent.headers["authorization"], "Bearer hunter2");
    let body = String::from_utf8(sent.body.to_vec()).expect("is text");
    let expected = concat!(
        r#"{"v":1,"id":"acme/calls:ada/refused/t-1/2","kind":"refused","#,
        r#""text":"calls:ada: refused, 1 requests needed and 0 requests available","#,
        r#""tenant":"acme","user":"ada","account":"calls:ada","unit":"requests","#,
        r#""amount":1,"limit":0,"turn":"t-1","step":2,"at_unix_ms":7000}"#,
    );
    assert_eq!(body, expected);
}

#[tokio::test]
async fn only_a_success_is_delivered() {
    for status in [200, 201, 202, 204] {
        let (webhook, _) = webhook(None, &[StatusCode::from_u16(status).expect("a status")]);
        webhook.deliver(&notice()).await.expect("is taken");
    }
    for status in [301, 400, 401, 404, 409, 429, 500, 503] {
        let (webhook, receiver) = webhook(None, &[StatusCode::from_u16(status).expect("a status")]);
        let error = webhook.deliver(&notice()).await.expect_err("comes again").to_string();
        assert!(error.contains(&status.to_string()) && error.contains("hooks.example"), "{error}");
        assert!(!error.contains("hunter"), "{error}");
        assert_eq!(receiver.requests().len(), 1, "one attempt each");
    }
}
