//! The `chat` program in a home of its own, with a fake provider where something is said.

use std::io::Write;
use std::process::{Output, Stdio};

use chat_tests::fake_provider::Prices;
use chat_tests::{ChatHome, FakeProvider, FakeProviderOptions};
use serde_json::Value;
use tempfile::TempDir;

/// Above zero, different from each other, and not round.
const PRICES: Prices = Prices { input: 150_000, cached: 75_000, output: 600_001 };

/// A home folder, and the store that the commands in it are for.
pub(crate) struct Program {
    home: ChatHome,
    folder: TempDir,
    /// It stops with the home.
    _provider: Option<FakeProvider>,
}

impl Program {
    /// On the store at `url`, with nobody to talk to.
    pub(crate) fn on(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!("store = {url:?}\nmodel = \"example/echo-1\"\n\n{EXAMPLE}");
        let home = ChatHome::new(folder.path(), &config).unwrap().with_store(url);
        Self { home, folder, _provider: None }
    }

    /// On the file in its folder.
    pub(crate) fn on_a_file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!("store = \"memory:\"\nmodel = \"example/echo-1\"\n\n{EXAMPLE}");
        let home = ChatHome::new(folder.path(), &config).unwrap();
        Self { home, folder, _provider: None }
    }

    /// The same, and it talks to a fake of OpenAI's server, at a price.
    pub(crate) fn that_talks(url: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let provider = FakeProvider::spawn_with(&FakeProviderOptions {
            price_in: PRICES.input,
            price_cached: Some(PRICES.cached),
            price_out: PRICES.output,
            ..FakeProviderOptions::default()
        })
        .unwrap();
        let prices = folder.path().join("prices.toml");
        let usd = |pico: u64| format!("{}.{:06}", pico / 1_000_000, pico % 1_000_000);
        let book = format!(
            "book = \"fake\"\n\n[[price]]\nmodel = \"openai/gpt-4o\"\nvalid_from = 2020-01-01\n\
             input = \"{}\"\ncache_read = \"{}\"\noutput = \"{}\"\n",
            usd(PRICES.input),
            usd(PRICES.cached),
            usd(PRICES.output)
        );
        std::fs::write(&prices, book).unwrap();
        let config = format!(
            "store = \"memory:\"\nmodel = \"openai/gpt-4o\"\nprices = {:?}\n\n\
             [providers.openai]\nkind = \"openai\"\nbase_url = {:?}\n",
            prices.display().to_string(),
            provider.base_url()
        );
        let mut home = ChatHome::new(folder.path(), &config)
            .unwrap()
            .with_variable("OPENAI_API_KEY", "test-key");
        if let Some(url) = url {
            home = home.with_store(url);
        }
        Self { home, folder, _provider: Some(provider) }
    }

    /// The URL of the file in its folder, which may be the store or another one.
    pub(crate) fn file_url(&self) -> String {
        format!("sqlite:{}", self.home.store().display())
    }

    /// Whether the file in its folder is there.
    pub(crate) fn has_file(&self) -> bool {
        self.home.store().exists()
    }

    /// Runs a command to its end, however it ends.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        Said::of(&self.home.run(arguments).unwrap())
    }

    /// Runs a command that must succeed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, Some(0), "chat {arguments:?}: {said:?}");
        said
    }

    /// The same with `input` on stdin.
    pub(crate) fn ok_with_input(&self, arguments: &[&str], input: &str) -> Said {
        let mut child = self.home.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let said = Said::of(&child.wait_with_output().unwrap());
        assert_eq!(said.code, Some(0), "chat {arguments:?}: {said:?}");
        said
    }

    /// Everything in the store, as an archive.
    pub(crate) fn export(&self) -> String {
        self.ok(&["export", "--all"]).stdout
    }

    /// Imports an archive; returns the report.
    pub(crate) fn import(&self, archive: &str) -> Value {
        let file = self.folder.path().join("archive.jsonl");
        std::fs::write(&file, archive).unwrap();
        self.ok(&["import", &file.display().to_string(), "--json"]).json().remove(0)
    }

    /// What `chat audit` counted; it must be content.
    pub(crate) fn audit(&self) -> Value {
        let counted = self.ok(&["audit", "--json"]).json().remove(0);
        assert_eq!(counted["sound"], true, "{counted}");
        counted
    }
}

const EXAMPLE: &str = "[providers.example]\nkind = \"example\"\n";

/// What a command said and how it ended.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Each line of stdout.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The values of one member of each.
pub(crate) fn each(values: &[Value], pointer: &str) -> Vec<Value> {
    values.iter().map(|value| value.pointer(pointer).cloned().unwrap_or_default()).collect()
}
