//! One turn, start to end: `cargo run -p chat-runtime --example quickstart`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use chat_runtime::{Cursor, EventKind, Runtime, RuntimeConfig, StreamExt, TurnRequest};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::open(RuntimeConfig::new("memory:").with_example()).await?;
    let scope = runtime.scope("ada")?;
    let turn = runtime.client().send_message(&scope, TurnRequest::text("Hello!")).await?;

    let mut events = turn.events(Cursor::START).await?;
    while let Some(event) = events.next().await {
        match &event?.event {
            EventKind::TextDelta { text, .. } => print!("{text}"),
            EventKind::Ended { outcome, usage, cost, .. } => {
                println!("\n{outcome:?}: {} tokens, {cost}", usage.output_total());
            }
            _ => {}
        }
    }
    runtime.close().await;
    Ok(())
}
