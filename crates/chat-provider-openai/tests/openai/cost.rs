//! What the server says of money: its own cost where that is in US dollars, and its service tier.

use std::sync::Arc;

use chat_provider::{ModelProvider, ProviderEvent};
use chat_provider_openai::{OpenAiConfig, OpenAiProvider};
use chat_transport::ScriptedTransport;
use chat_types::{FinishReason, Money};

use crate::support::{
    DONE, Outcome, WatchingGate, call, call_with, chunk, finish, hi, local_config, openai_config,
    sse, started, status, text, usage,
};

const OPENROUTER_COST: &str = include_str!("../recordings/openrouter-cost.sse");
const OPENAI_FLEX: &str = include_str!("../recordings/openai-flex.sse");

fn in_usd() -> OpenAiConfig {
    OpenAiConfig { cost_in_usd: true, ..local_config() }
}

async fn hear(config: OpenAiConfig, body: String) -> Outcome {
    call_with(config, &hi("smollm2"), WatchingGate::default(), vec![sse(body)]).await
}

/// A whole stream whose last chunk has this in its usage.
fn reply_with(cost: &str) -> String {
    let usage = format!(
        "data: {{\"id\":\"c1\",\"choices\":[],\"usage\":{{\"prompt_tokens\":9,\
         \"completion_tokens\":1{cost}}}}}\n\n"
    );
    [&chunk("{\"content\":\"Yes.\"}"), &finish("stop"), usage.as_str(), DONE].concat()
}

fn costs(outcome: &Outcome) -> Vec<i64> {
    let events = outcome.batches.iter().flatten();
    let costs = events.filter_map(|event| match event {
        ProviderEvent::Cost(cost) => Some(cost.nano_usd()),
        _ => None,
    });
    costs.collect()
}

#[tokio::test]
async fn a_cost_in_us_dollars_is_told_exactly() {
    let outcome = hear(in_usd(), OPENROUTER_COST.to_owned()).await;
    let expected = vec![
        ProviderEvent::Started { request_id: Some("gen-1763900002-xYz".to_owned()) },
        text("Yes."),
        ProviderEvent::Finished(FinishReason::Stop),
        ProviderEvent::Usage(usage(12, 0, 2, 0)),
        // 5,062.5 nano-USD, rounded up once.
        ProviderEvent::Cost(Money::from_nano_usd(5_063)),
    ];
    assert_eq!(outcome.events(), expected);
    assert!(outcome.error.is_none());
}

#[tokio::test]
async fn a_cost_in_an_unknown_currency_is_not_told() {
    let outcome = call(vec![sse(OPENROUTER_COST)]).await;
    assert_eq!(costs(&outcome), Vec::<i64>::new());
    assert_eq!(outcome.usage(), Some(usage(12, 0, 2, 0)));
}

#[tokio::test]
async fn a_cost_that_cannot_be_charged_is_ignored_and_the_usage_is_told_all_the_same() {
    for (cost, expected) in [
        (",\"cost\":0", vec![0]),
        (",\"cost\":\"0.25\"", vec![250_000_000]),
        (",\"cost\":1e-12", vec![1]),
        ("", vec![]),
        (",\"cost\":null", vec![]),
        (",\"cost\":-0.5", vec![]),
        (",\"cost\":\"NaN\"", vec![]),
        (",\"cost\":1e300", vec![]),
        (",\"cost\":1000.01", vec![]),
        (",\"cost\":{\"total\":1}", vec![]),
        (",\"cost\":[0.1]", vec![]),
        (",\"cost\":true", vec![]),
    ] {
        let outcome = hear(in_usd(), reply_with(cost)).await;
        assert_eq!(costs(&outcome), expected, "{cost}");
        assert_eq!(outcome.usage(), Some(usage(9, 0, 1, 0)), "{cost}");
        assert_eq!(outcome.finished(), Some(FinishReason::Stop), "{cost}");
    }
}

#[tokio::test]
async fn a_reply_in_one_piece_tells_its_cost_too() {
    let body = "{\"id\":\"c1\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"Yes.\"},\
                \"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\
                \"completion_tokens\":1,\"cost\":0.00012}}";
    let replies = vec![status(200, body)];
    let outcome = call_with(in_usd(), &hi("smollm2"), WatchingGate::default(), replies).await;
    assert_eq!(costs(&outcome), [120_000]);
}

#[tokio::test]
async fn a_tier_is_told_once_and_the_usual_one_not_at_all() {
    let outcome = call(vec![sse(OPENAI_FLEX)]).await;
    let expected = vec![
        ProviderEvent::Started { request_id: Some("chatcmpl-AbC124".to_owned()) },
        ProviderEvent::Tier { name: Some("flex".to_owned()) },
        text("Yes."),
        ProviderEvent::Finished(FinishReason::Stop),
        ProviderEvent::Usage(usage(12, 0, 2, 0)),
    ];
    assert_eq!(outcome.events(), expected);

    let usual = OPENAI_FLEX.replace("\"flex\"", "\"default\"");
    let outcome = call(vec![sse(usual)]).await;
    assert!(!outcome.events().iter().any(|event| matches!(event, ProviderEvent::Tier { .. })));
}

#[tokio::test]
async fn the_last_tier_holds() {
    let tiers = ["\"priority\"", "\"default\"", "null", "7"].map(|tier| {
        format!(
            "data: {{\"id\":\"c1\",\"service_tier\":{tier},\"choices\":[{{\"index\":0,\
             \"delta\":{{\"content\":\"x\"}}}}]}}\n\n"
        )
    });
    let outcome = call(vec![sse([tiers.concat(), finish("stop")].concat())]).await;
    let tier = |name: Option<&str>| ProviderEvent::Tier { name: name.map(str::to_owned) };
    let expected = vec![
        started(),
        tier(Some("priority")),
        text("x"),
        tier(None),
        text("xx"),
        tier(Some("7")),
        text("x"),
        ProviderEvent::Finished(FinishReason::Stop),
    ];
    assert_eq!(outcome.events(), expected);
}

#[test]
fn a_tier_that_is_asked_for_is_in_the_body_and_in_what_is_held_for() {
    let prepared = |config: OpenAiConfig| {
        let transport = Arc::new(ScriptedTransport::new(vec![]));
        let provider = OpenAiProvider::new(config, transport).unwrap();
        provider.prepare(&hi("gpt-4o-mini")).unwrap()
    };
    let flex = OpenAiConfig { service_tier: Some("flex".to_owned()), ..openai_config() };
    let asked = prepared(flex);
    assert_eq!(asked.tier.as_deref(), Some("flex"));
    assert!(String::from_utf8(asked.body).unwrap().contains("\"service_tier\":\"flex\""));
    let plain = prepared(openai_config());
    assert_eq!(plain.tier, None);
    assert!(!String::from_utf8(plain.body).unwrap().contains("service_tier"));
}
