//! A process that sends many messages at once, as an embedding product would.
//!
//! ```text
//! turn-worker CONFIG.toml USER COUNT MODEL MAX_TOKENS TEXT [IDEMPOTENCY_KEY]
//! ```
//! Says `ready` when its runtime is open, waits for one line on stdin, then sends COUNT messages in parallel
//! and prints one line of JSON for each as it ends: `{"turn":…,"reply":…,"attached":…,"outcome":…}`, or
//! `{"error":CODE}` for one that was not accepted. Ends after the last.
#![expect(
    clippy::print_stdout,
    reason = "a command line program talks through its standard streams"
)]

use anyhow::{Context, bail};
use chat_runtime::types::{ModelOptions, Tokens};
use chat_runtime::{IdempotencyKey, Runtime, RuntimeConfig, Scope, TurnRequest};
use serde_json::json;
use tokio::task::JoinSet;

fn main() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (config, user, count, model, cap, text, key) = match arguments.as_slice() {
        [config, user, count, model, cap, text] => (config, user, count, model, cap, text, None),
        [config, user, count, model, cap, text, key] => {
            (config, user, count, model, cap, text, Some(key))
        }
        _ => bail!("turn-worker CONFIG.toml USER COUNT MODEL MAX_TOKENS TEXT [IDEMPOTENCY_KEY]"),
    };
    let count: usize = count.parse().context("COUNT")?;
    let config = std::fs::read_to_string(config).context("CONFIG.toml")?;
    let runtime = Runtime::open(RuntimeConfig::from_toml(&config)?).await?;
    let scope = runtime.scope(user)?;
    let options = ModelOptions {
        output_tokens_max: Some(Tokens::new(cap.parse().context("MAX_TOKENS")?)),
        ..ModelOptions::default()
    };
    let mut request =
        TurnRequest::text(text.as_str()).with_model(model.as_str()).with_options(options);
    if let Some(key) = key {
        request = request.with_idempotency_key(IdempotencyKey::new(key)?);
    }
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;

    let mut sends = JoinSet::new();
    for _ in 0..count {
        sends.spawn(send(runtime.client().clone(), scope.clone(), request.clone()));
    }
    while let Some(ended) = sends.join_next().await {
        println!("{}", ended?);
    }
    runtime.close().await;
    Ok(())
}

async fn send(
    client: chat_runtime::BaseClient,
    scope: Scope,
    request: TurnRequest,
) -> serde_json::Value {
    let sent = async {
        let turn = client.send_message(&scope, request).await?;
        let outcome = turn.outcome().await?;
        Ok::<_, chat_runtime::TurnError>(json!({
            "turn": turn.id().as_str(),
            "reply": turn.reply().as_str(),
            "attached": turn.was_attached(),
            "outcome": outcome.state.as_str(),
            "text": outcome.message.map(|message| message.text()),
            "failure": outcome.failure.map(|failure| failure.code),
        }))
    };
    sent.await.unwrap_or_else(|error| json!({"error": error.code()}))
}
