//! Prints what the embedded model makes of a prompt, for comparing with another engine.
//!
//! Reads JSON lines `{"lines": [["user", "hi"], …]}` on stdin and answers each with
//! `{"prompt": rendered, "token_ids": […], "first_token_id": greedy}` on stdout. The weights come from the path in the first argument, else from
//! the cache folder.
//!
//! ```sh
//! echo '{"lines": [["user", "hi"]]}' | cargo run -q -p chat-provider-local --example tokens
//! ```

#![expect(clippy::print_stdout, reason = "standard output is this program's result")]

use std::error::Error;
use std::io::BufRead;
use std::path::Path;

use chat_provider_local::{
    ChatLine, ChatRole, GenerateOptions, GenerationEvent, LocalEngine, Sampling, find_weights,
    render_chat,
};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let weights = std::env::args_os().nth(1);
    let engine = LocalEngine::open(find_weights(weights.as_deref().map(Path::new))?)?;
    for line in std::io::stdin().lock().lines() {
        let lines = chat_lines(&serde_json::from_str(&line?)?).ok_or("not a list of pairs")?;
        let token_ids = engine.tokenizer()?.encode_chat(&lines)?;
        let prompt = render_chat(&lines);
        let options = GenerateOptions { output_tokens_max: 1, sampling: Sampling::Greedy };
        let mut answer = engine.generate(lines, options).await?;
        let first_token_id = match answer.next().await.transpose()? {
            Some(GenerationEvent::Token { token_id, .. }) => token_id,
            Some(GenerationEvent::Finished(_)) | None => return Err("no token came".into()),
        };
        let result =
            json!({"prompt": prompt, "token_ids": token_ids, "first_token_id": first_token_id});
        println!("{result}");
    }
    Ok(())
}

fn chat_lines(request: &Value) -> Option<Vec<ChatLine>> {
    request.get("lines")?.as_array()?.iter().map(chat_line).collect()
}

fn chat_line(pair: &Value) -> Option<ChatLine> {
    let role = match pair.get(0)?.as_str()? {
        "system" => ChatRole::System,
        "user" => ChatRole::User,
        "assistant" => ChatRole::Assistant,
        _ => return None,
    };
    Some(ChatLine::new(role, pair.get(1)?.as_str()?))
}
