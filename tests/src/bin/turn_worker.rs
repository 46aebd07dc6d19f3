//! A process that sends many messages at once, as an embedding product would.
//!
//! ```text
//! turn-worker CONFIG.toml USER COUNT MODEL MAX_TOKENS TEXT [IDEMPOTENCY_KEY]
//! ```
//! Says `ready` when its runtime is open, waits for one line on stdin, then sends COUNT messages in parallel
//! and prints one line of JSON for each as it ends: `{"turn":…,"reply":…,"attached":…,"outcome":…}`, or
//! `{"error":CODE}` for one that was not accepted. Ends after the last.
//!
//! With `CHAT_TEST_FAILPOINT=before:CALL:N` or `after:CALL:N` the process ends itself right before or right
//! after the N-th call of that method of a port. It prints the turns' events then, one JSON line each as
//! `chat --json` does, and not the outcomes.
#![expect(
    clippy::print_stdout,
    reason = "a command line program talks through its standard streams"
)]

use std::sync::Arc;

use anyhow::{Context, bail};
use chat_runtime::types::{ModelOptions, Tokens};
use chat_runtime::{
    BaseClient, Cursor, IdempotencyKey, Runtime, RuntimeConfig, Scope, StreamExt, TurnRequest,
};
use chat_testkit::Failpoint;
use chat_tests::LayeredRuntime;
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
    let config = RuntimeConfig::from_toml(&config)?;
    let options = ModelOptions {
        output_tokens_max: Some(Tokens::new(cap.parse().context("MAX_TOKENS")?)),
        ..ModelOptions::default()
    };
    let mut request =
        TurnRequest::text(text.as_str()).with_model(model.as_str()).with_options(options);
    if let Some(key) = key {
        request = request.with_idempotency_key(IdempotencyKey::new(key)?);
    }
    if let Ok(failpoint) = std::env::var("CHAT_TEST_FAILPOINT") {
        let failpoint: Failpoint = failpoint.parse()?;
        let runtime = LayeredRuntime::open(&config, Arc::new(failpoint)).await?;
        show(runtime.client(), &runtime.scope(user)?, request).await?;
        runtime.close().await;
        return Ok(());
    }
    let runtime = Runtime::open(config).await?;
    let scope = runtime.scope(user)?;
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

/// Sends one message and prints its events until the turn is settled.
async fn show(client: &BaseClient, scope: &Scope, request: TurnRequest) -> anyhow::Result<()> {
    let turn = client.send_message(scope, request).await?;
    let mut events = turn.events(Cursor::default()).await?;
    while let Some(event) = events.next().await {
        println!("{}", serde_json::to_string(&*event?)?);
    }
    turn.settled().await;
    Ok(())
}

async fn send(client: BaseClient, scope: Scope, request: TurnRequest) -> serde_json::Value {
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
