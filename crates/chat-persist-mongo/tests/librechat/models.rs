//! LibreChat's own published models, run by Node.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::fresh::{Fresh, Server};

/// A database that the models wrote.
pub(crate) struct Peer {
    pub(crate) fresh: Fresh,
    pub(crate) user: String,
    pub(crate) chat: String,
    pub(crate) short: String,
    pub(crate) old: String,
}

impl Peer {
    pub(crate) async fn new() -> Self {
        let fresh = Fresh::on(Server::ReplicaSet).await;
        let written = run(&["write", &fresh.url]).await;
        let text = |name: &str| written[name].as_str().expect("a text").to_owned();
        let (user, chat, short, old) = (text("user"), text("chat"), text("short"), text("old"));
        Self { fresh, user, chat, short, old }
    }

    /// What the models see of a conversation.
    pub(crate) async fn sees(&self, conversation: &str) -> Value {
        run(&["read", &self.fresh.url, &self.user, conversation]).await
    }

    /// Edits `message` and says something below `parent`.
    pub(crate) async fn goes_on(&self, conversation: &str, parent: &str, message: &str) -> Value {
        run(&["go-on", &self.fresh.url, &self.user, conversation, parent, message]).await
    }
}

async fn run(arguments: &[&str]) -> Value {
    assert!(
        std::env::var_os("CHAT_TEST_LIBRECHAT_MODELS").is_some(),
        "CHAT_TEST_LIBRECHAT_MODELS is not set; `cargo xtask test mongo` installs the models"
    );
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/librechat/models.js");
    let output = tokio::process::Command::new("node")
        .arg(script)
        .args(arguments)
        // The models keep a log in the folder they run in.
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .output()
        .await
        .expect("node runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let answer = stdout.lines().find_map(|line| line.strip_prefix("@@"));
    let Some(answer) = answer.filter(|_| output.status.success()) else {
        panic!("the models failed: {stdout}{}", String::from_utf8_lossy(&output.stderr));
    };
    serde_json::from_str(answer).expect("an answer in JSON")
}
