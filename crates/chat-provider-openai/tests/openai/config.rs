//! What is known about servers and models, and what is never shown.

use std::sync::Arc;

use chat_provider::{ModelProvider, ProviderErrorKind};
use chat_provider_openai::{CapField, ModelOverride, OpenAiConfig, OpenAiProvider};
use chat_transport::ScriptedTransport;
use chat_types::{SystemRole, TokenizerId, Tokens};

use crate::support::{KEY, hi, id, local_config, model, openai_config, status};

fn provider(config: OpenAiConfig) -> OpenAiProvider {
    OpenAiProvider::new(config, Arc::new(ScriptedTransport::new([]))).unwrap()
}

#[test]
fn the_key_is_never_shown() {
    let mut config = openai_config();
    config.base_url = "https://user:sk-in-url@api.openai.com/v1".to_owned();
    config.extra_headers.insert("x-extra".to_owned(), "sk-extra".to_owned());
    let shown = format!("{config:?} {:#?} {:?}", config, provider(config.clone()));
    assert!(!shown.contains("sk-"), "{shown}");
    assert!(!shown.contains(KEY));
    assert!(shown.contains("has_api_key: true"));
}

#[test]
fn the_table_knows_openais_models_by_their_families() {
    let provider = provider(openai_config());
    let check = |name: &str, window: u64, output_max: u64, tokenizer: &str| {
        let info = provider.model_info(&model(name)).unwrap();
        assert_eq!(
            (info.context_window.get(), info.output_max.get(), info.tokenizer.as_str()),
            (window, output_max, tokenizer),
            "{name}"
        );
        assert_eq!(provider.counter(&info).tokenizer(), &info.tokenizer);
        assert!(!info.prefill);
    };
    check("gpt-4o", 128_000, 16_384, "o200k_base");
    check("gpt-4o-mini-2024-07-18", 128_000, 16_384, "o200k_base");
    check("ft:gpt-4o-mini-2024-07-18:org::abc", 128_000, 16_384, "o200k_base");
    check("gpt-4.1-nano", 1_047_576, 32_768, "o200k_base");
    check("gpt-5", 400_000, 128_000, "o200k_base");
    check("gpt-5.1-2025-11-13", 400_000, 128_000, "o200k_base");
    check("gpt-5-chat-latest", 128_000, 16_384, "o200k_base");
    check("o4-mini", 200_000, 100_000, "o200k_base");
    check("gpt-4-0613", 8_192, 4_096, "cl100k_base");
    check("gpt-3.5-turbo", 16_385, 4_096, "cl100k_base");
    for name in ["gpt-9000", "gpt-50", "llama3", "o3-pro", "gpt-4o-realtime-preview", "gpt-5-codex"]
    {
        assert_eq!(provider.model_info(&model(name)), None, "{name}");
    }
    let refused = provider.prepare(&hi("gpt-9000")).unwrap_err();
    assert_eq!(refused.kind(), ProviderErrorKind::UnknownModel);
    let merged = provider.model_info(&model("o1-mini")).unwrap();
    assert_eq!(merged.system_role, SystemRole::MergedIntoUser);
    assert_eq!(provider.models()[0].model.to_string(), "openai/gpt-4o-mini");
}

#[test]
fn other_servers_serve_any_name_with_a_careful_window() {
    let mut config = local_config();
    config.models.insert(
        "qwen3:8b".to_owned(),
        ModelOverride {
            context_window: Some(Tokens::new(32_768)),
            output_max: Some(Tokens::new(4_096)),
            tokenizer: Some(TokenizerId::from_static("o200k_base")),
            tools: Some(false),
            prefill: Some(true),
            developer_role: None,
            ..ModelOverride::default()
        },
    );
    let provider = provider(config);
    let unknown = provider.model_info(&model("smollm2")).unwrap();
    assert_eq!(
        (unknown.context_window.get(), unknown.tokenizer.as_str(), unknown.tools),
        (8_192, "estimate", true)
    );
    let known = provider.model_info(&model("qwen3:8b")).unwrap();
    assert_eq!(
        (known.context_window.get(), known.output_max.get(), known.tools, known.prefill),
        (32_768, 4_096, false, true)
    );
    let routed = provider.model_info(&model("openai/gpt-4o")).unwrap();
    assert_eq!((routed.context_window.get(), routed.tokenizer.as_str()), (128_000, "o200k_base"));
    let names: Vec<String> = provider.models().iter().map(|info| info.model.to_string()).collect();
    assert_eq!(names, ["local/smollm2", "local/qwen3:8b"]);
}

#[test]
fn a_base_url_or_key_that_cannot_be_used_is_refused_at_once() {
    let refused = |config| {
        let error =
            OpenAiProvider::new(config, Arc::new(ScriptedTransport::new([]))).err().unwrap();
        assert_eq!(error.kind(), ProviderErrorKind::NotReady);
        error.to_string()
    };
    for base_url in ["", "localhost:8080", "ftp://x/v1", "http://", "http://x/v1?key=1", "a b"] {
        let config = OpenAiConfig::compatible(id("x"), base_url, model("m"));
        assert!(refused(config).contains("base_url"), "{base_url}");
    }
    let mut config = openai_config();
    config.api_key = Some("sk-\n-broken".into());
    let shown = refused(config);
    assert!(shown.contains("OPENAI_API_KEY") && !shown.contains("sk-"), "{shown}");
}

#[test]
fn the_cap_is_called_as_the_server_wants() {
    assert_eq!(CapField::MaxCompletionTokens.as_str(), "max_completion_tokens");
    assert!(openai_config().is_official());
    assert!(!local_config().is_official());
    let fake = OpenAiConfig::compatible(id("x"), "https://api.openai.com.evil.test/v1", model("m"));
    assert!(!fake.is_official());
}

#[tokio::test]
async fn the_servers_own_models_can_be_listed() {
    let body = r#"{"object":"list","models":[{"name":"ignored"}],"data":[{"id":"b","object":"model"},{"id":"a","meta":{"n_ctx":1}},{"id":null},{"id":"with space"}]}"#;
    let transport =
        ScriptedTransport::new([status(200, body), status(401, "{}"), status(200, "<html>")]);
    let provider = OpenAiProvider::new(local_config(), Arc::new(transport.clone())).unwrap();
    assert_eq!(provider.list_models().await.unwrap(), [model("a"), model("b")]);
    let kinds = [
        provider.list_models().await.unwrap_err().kind(),
        provider.list_models().await.unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ProviderErrorKind::Unauthorized, ProviderErrorKind::Protocol]);
    let request = &transport.requests()[0];
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("GET", "http://127.0.0.1:8080/v1/models")
    );
}

#[tokio::test]
async fn warming_up_calls_nobody() {
    let transport = ScriptedTransport::new([]);
    let provider = OpenAiProvider::new(openai_config(), Arc::new(transport.clone())).unwrap();
    provider.warm_up().await.unwrap();
    provider.warm_up().await.unwrap();
    assert!(transport.requests().is_empty());
}
