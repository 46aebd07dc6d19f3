//! A configuration becomes a client, or an error that says what to do.
#![expect(clippy::expect_used, reason = "test helpers fail loudly")]

use chat_runtime::persist::ConversationQuery;
use chat_runtime::{
    AccountsConfig, ExternalAccountsConfig, Money, Runtime, RuntimeConfig, RuntimeError, Store,
    StoreKind, TurnRequest, TurnState,
};

async fn refusal(config: RuntimeConfig) -> RuntimeError {
    Runtime::open(config).await.expect_err("refused")
}

fn code_and_remedy(error: &RuntimeError) -> (&'static str, String) {
    (error.code(), error.remedy().unwrap_or_default())
}

#[tokio::test]
async fn what_was_said_is_there_after_reopening() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let config = RuntimeConfig::new(url).with_example();
    let runtime = Runtime::open(config.clone()).await.expect("opens");
    let scope = runtime.scope("ada").expect("valid");
    let sent = runtime.client().send_message(&scope, TurnRequest::text("hello"));
    let turn = sent.await.expect("accepted");
    let outcome = turn.outcome().await.expect("ends");
    assert_eq!((outcome.state, outcome.cost), (TurnState::Completed, Money::ZERO));
    runtime.close().await;
    runtime.close().await;

    let runtime = Runtime::open(config).await.expect("opens again");
    let store = runtime.client().store();
    let reply = store.message(&scope, turn.conversation(), turn.reply());
    let reply = reply.await.expect("reads").expect("is there");
    assert_eq!(reply.text(), "You said: hello");
    runtime.close().await;
}

#[tokio::test]
async fn a_store_that_is_not_compiled_in_names_its_feature() {
    let servers = [
        ("postgres://ada:hunter2@localhost/chat", "postgres", cfg!(feature = "postgres")),
        ("postgresql://ada:hunter2@localhost/chat", "postgres", cfg!(feature = "postgres")),
        ("mongodb://ada:hunter2@localhost/chat", "mongo", cfg!(feature = "mongo")),
        ("mongodb+srv://ada:hunter2@localhost/chat", "mongo", cfg!(feature = "mongo")),
    ];
    let absent = servers.into_iter().filter(|(_, _, compiled_in)| !compiled_in);
    let absent = absent.map(|(url, feature, _)| (url, ("feature_off", feature)));
    for (url, expected) in absent.chain([
        ("redis://ada:hunter2@localhost", ("unknown_store", "sqlite:FILE")),
        ("chat.db", ("unknown_store", "sqlite:FILE")),
        ("sqlite:", ("unknown_store", "sqlite:FILE")),
    ]) {
        let error = refusal(RuntimeConfig::new(url).with_example()).await;
        let (code, remedy) = code_and_remedy(&error);
        assert_eq!(code, expected.0, "{url}");
        assert!(remedy.contains(expected.1), "{url}: {remedy}");
        assert!(!format!("{error} {error:?} {remedy}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_before_the_store_is_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chat.db");
    let base = RuntimeConfig::new(format!("sqlite:{}", path.display())).with_example();
    let mut missing_prices = base.clone();
    missing_prices.prices = Some(folder.path().join("none.toml"));
    let mut alias = base.clone();
    alias.aliases.insert("fast".to_owned(), "nobody/none".to_owned());
    for (config, code) in [
        (base.clone().with_model("nobody/none"), "unknown_model"),
        (alias, "unknown_model"),
        (missing_prices, "file_unreadable"),
        (base.with_provider("echo", example_provider()), "invalid_config"),
    ] {
        let error = refusal(config).await;
        assert_eq!(error.code(), code, "{error}");
    }
    assert!(!path.exists(), "nothing was created");
    let error = refusal(RuntimeConfig::new("memory:")).await;
    assert_eq!(error.code(), "no_provider");
}

fn example_provider() -> chat_runtime::ProviderConfig {
    chat_runtime::ProviderConfig::Example(chat_runtime::ExampleConfig::default())
}

#[tokio::test]
async fn a_billing_service_that_cannot_be_asked_is_refused_before_the_store_is_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chat.db");
    let billed_by = |base_url: &str, secret_env: &str| {
        let mut config = RuntimeConfig::new(format!("sqlite:{}", path.display())).with_example();
        let service = ExternalAccountsConfig::new(base_url, secret_env);
        config.accounts = AccountsConfig::External(service);
        config
    };
    let is_on = cfg!(feature = "balance-http");
    for (base_url, secret_env, said) in [
        // Cargo sets the first variable for every test; nobody sets the second.
        ("ftp://billing", "CARGO_PKG_NAME", "accounts.base_url"),
        ("https://ada:hunter2@billing", "CARGO_PKG_NAME", "accounts.base_url"),
        ("https://billing", "CHAT_NOBODY_SETS_THIS", "`CHAT_NOBODY_SETS_THIS` is not set"),
    ] {
        let error = refusal(billed_by(base_url, secret_env)).await;
        let shown = format!("{error} {error:?}");
        assert_eq!(error.code(), if is_on { "invalid_config" } else { "feature_off" }, "{shown}");
        assert!(shown.contains(if is_on { said } else { "balance-http" }), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert!(!path.exists(), "nothing was created");
}

#[tokio::test]
async fn a_limited_account_is_refused_what_it_cannot_pay() {
    let folder = tempfile::tempdir().expect("a folder");
    let prices = folder.path().join("prices.toml");
    let book = "book = \"t\"\n[[price]]\nmodel = \"example/*\"\nvalid_from = 2026-01-01\n\
                input = \"1000000\"\noutput = \"1000000\"\n";
    std::fs::write(&prices, book).expect("writes");
    let text = format!(
        "store = \"memory:\"\nprices = \"{}\"\n[providers.example]\nkind = \"example\"\n\
         [accounts]\nkind = \"limited\"\nopening_usd = \"1.00\"\n",
        prices.display()
    );
    let config = RuntimeConfig::from_toml(&text).expect("valid");
    let runtime = Runtime::open(config).await.expect("opens");
    let scope = runtime.scope("ada").expect("valid");
    let sent = runtime.client().send_message(&scope, TurnRequest::text("hello"));
    let outcome = sent.await.expect("accepted").outcome().await.expect("ends");
    let failure = outcome.failure.expect("refused");
    assert_eq!((outcome.state, failure.code.as_str()), (TurnState::Rejected, "insufficient_funds"));
    runtime.close().await;
}

#[tokio::test]
async fn a_store_is_opened_without_a_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let store = Store::open(&url).await.expect("opens");
    assert_eq!(store.kind(), &StoreKind::Sqlite { path: folder.path().join("chat.db") });
    store.billing().expect("turns may start");
    let scope = store.scope(None, "ada").await.expect("valid");
    assert_eq!(scope, store.scope(Some("ada"), "nobody").await.expect("valid"));
    let listed =
        store.ports().persistence.conversations(&scope, &ConversationQuery::default()).await;
    assert!(listed.expect("lists").conversations.is_empty());
    store.close().await;
}

#[test]
fn budgets_are_read_from_the_configuration() {
    let text = r#"
        store = "memory:"

        [accounts]
        kind = "budgets"

        [[accounts.budgets]]
        name = "monthly"
        per = "user"
        refill = { mode = "reset", amount = "10.00", period = "month", time_zone = "Europe/Berlin" }

        [[accounts.budgets]]
        name = "calls"
        per = "team"
        unit = "requests"
        models = "openai/*"
        opening = "5"

        [accounts.teams]
        physics = ["ada"]
    "#;
    let config = RuntimeConfig::from_toml(text).expect("valid");
    let shown = config.to_toml().expect("has a form");
    assert_eq!(RuntimeConfig::from_toml(&shown).expect("valid"), config);
    config.accounts.policy().expect("a policy");
    for (from, to, said) in [
        ("Europe/Berlin", "Mars/Base", "Mars/Base"),
        ("\"10.00\"", "\"ten\"", "ten"),
        ("opening = \"5\"", "opening = \"5.5\"", "whole number of requests"),
        ("[\"ada\"]", "[\"ada\", \"ada\"]", "two teams"),
        ("per = \"user\"", "per = \"team\"", "for all models"),
    ] {
        let config = RuntimeConfig::from_toml(&text.replace(from, to)).expect("has the form");
        let refused = config.accounts.policy().expect_err("makes no sense").to_string();
        assert!(refused.contains(said), "{refused}");
    }
    let unknown =
        RuntimeConfig::from_toml(&text.replace("per = \"user\"", "per = \"user\"\nx = 1"));
    assert!(unknown.is_err_and(|error| error.to_string().contains('x')));
}
