//! LibreChat's own published models, run by Node on a database of their own.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::database::Database;

/// A database that the models wrote: three conversations of one user.
pub(crate) struct Peer {
    pub(crate) database: Database,
    /// The id of the user, `Ada@Example.com`.
    pub(crate) user: String,
    /// Four messages deep, with two replies at its end.
    pub(crate) chat: String,
    /// A temporary chat.
    pub(crate) short: String,
    /// Its first message names a parent that is not there.
    pub(crate) old: String,
}

impl Peer {
    pub(crate) fn new() -> Self {
        let database = Database::mongo();
        let written = run(&["write", &database.url]);
        let text = |name: &str| written[name].as_str().unwrap().to_owned();
        let (user, chat, short, old) = (text("user"), text("chat"), text("short"), text("old"));
        Self { database, user, chat, short, old }
    }

    pub(crate) fn url(&self) -> &str {
        &self.database.url
    }

    /// The messages of a conversation, oldest first, as the models see them.
    pub(crate) fn messages(&self, conversation: &str) -> Vec<Value> {
        let seen = run(&["read", self.url(), &self.user, conversation]);
        seen["messages"].as_array().unwrap().clone()
    }

    /// A conversation without its messages, as the models see it.
    pub(crate) fn conversation(&self, conversation: &str) -> Value {
        run(&["read", self.url(), &self.user, conversation])["conversation"].clone()
    }

    /// LibreChat edits `message`, and says message 50 below `parent`.
    pub(crate) fn goes_on(&self, parent: &str, message: &str) {
        let done = run(&["go-on", self.url(), &self.user, &self.chat, parent, message]);
        assert_eq!(done["saved"], uuid(50));
    }

    /// Adds a second user, `bob@example.com`, with one conversation ("A dog"), one that has no usable id
    /// and a debt; and a transaction that gave the first user credit. Returns the second user's id.
    pub(crate) fn gets_company(&self) -> String {
        let added = run(&["more", self.url(), &self.user]);
        added["user"].as_str().unwrap().to_owned()
    }
}

/// The ids that the peer gives.
pub(crate) fn uuid(n: u32) -> String {
    format!("5f3c0000-0000-4000-8000-{n:012}")
}

fn run(arguments: &[&str]) -> Value {
    assert!(
        std::env::var_os("CHAT_TEST_LIBRECHAT_MODELS").is_some(),
        "CHAT_TEST_LIBRECHAT_MODELS is not set; `cargo xtask test librechat` installs the models"
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/librechat/models.js");
    let output = Command::new("node")
        .arg(script)
        .args(arguments)
        // The models keep a log in the folder they run in.
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("node is needed for this test: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout);
    let answer = stdout.lines().find_map(|line| line.strip_prefix("@@"));
    let Some(answer) = answer.filter(|_| output.status.success()) else {
        panic!("the models failed: {stdout}{}", String::from_utf8_lossy(&output.stderr));
    };
    serde_json::from_str(answer).unwrap()
}
