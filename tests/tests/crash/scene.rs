//! One fake provider with prices, one store, one `chat` home: where a crash test plays.

use std::path::Path;
use std::process::Output;

use chat_tests::fake_provider::Prices;
use chat_tests::{ChatHome, FakeProvider, FakeProviderOptions};
use chat_types::Money;
use tempfile::TempDir;

use crate::engine::{Database, Engine};
use crate::journal::Journal;

/// The lease where processes die: short, so that recovery need not wait long.
pub(crate) const LEASE_MS: u64 = 500;
/// The lease where processes live: a busy machine must not take one for dead.
const LONG_LEASE_MS: u64 = 3_000;

/// Above zero, different from each other, and not round.
pub(crate) const PRICES: Prices = Prices { input: 150_000, cached: 75_000, output: 600_001 };

/// Everything a test needs; gone when dropped.
pub(crate) struct Scene {
    pub(crate) provider: FakeProvider,
    pub(crate) home: ChatHome,
    pub(crate) journal: Journal,
    pub(crate) database: Database,
    lease_ms: u64,
    _folder: TempDir,
}

impl Scene {
    /// Where processes die.
    pub(crate) fn new(engine: Engine) -> Self {
        Self::with(engine, LEASE_MS, "kind = \"unlimited\"")
    }

    /// Where processes live and meet.
    pub(crate) fn of_the_living(engine: Engine) -> Self {
        Self::with(engine, LONG_LEASE_MS, "kind = \"unlimited\"")
    }

    /// The same with accounts that can run dry, opened with so much.
    pub(crate) fn with_balance(engine: Engine, opening: Money) -> Self {
        let accounts = format!("kind = \"limited\"\nopening_usd = \"0.{:09}\"", opening.nano_usd());
        Self::with(engine, LONG_LEASE_MS, &accounts)
    }

    fn with(engine: Engine, lease_ms: u64, accounts: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::fresh(engine, folder.path());
        let provider = FakeProvider::spawn_with(&FakeProviderOptions {
            ledger: Some(folder.path().join("fake-ledger.jsonl")),
            price_in: PRICES.input,
            price_cached: Some(PRICES.cached),
            price_out: PRICES.output,
            ..FakeProviderOptions::default()
        })
        .unwrap();
        let home = ChatHome::new(
            folder.path(),
            &config(folder.path(), &database.url, &provider.base_url(), lease_ms, accounts),
        )
        .unwrap()
        .with_store(&database.url)
        .with_variable("OPENAI_BASE_URL", &provider.base_url())
        .with_variable("OPENAI_API_KEY", "test-key");
        let journal = Journal::new(&database.url);
        Self { provider, home, journal, database, lease_ms, _folder: folder }
    }

    /// Runs `chat`, which must succeed; returns its stdout.
    pub(crate) fn chat(&self, arguments: &[&str]) -> String {
        let output = self.home.run(arguments).unwrap();
        assert!(output.status.success(), "chat {arguments:?}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What `chat audit` says; it must be content, and have seen something.
    pub(crate) fn audit(&self) -> String {
        let said = self.chat(&["audit"]);
        for count in ["entries", "holds", "usage rows"] {
            assert!(number_of(&said, count).is_some_and(|number| number > 0), "{count} in: {said}");
        }
        said
    }

    /// Waits until no dead process has a lease, and lets a new process put things right.
    pub(crate) fn recover(&self) {
        // Holds and settled steps are only looked at after two leases.
        std::thread::sleep(std::time::Duration::from_millis(self.lease_ms * 2 + 200));
        self.chat(&["recover"]);
    }
}

/// One provider, the fake one, with its own prices; leases are short.
fn config(folder: &Path, store: &str, base_url: &str, lease_ms: u64, accounts: &str) -> String {
    let prices = folder.join("prices.toml");
    let usd = |pico: u64| format!("{}.{:06}", pico / 1_000_000, pico % 1_000_000);
    let book = format!(
        "book = \"crash\"\n\n[[price]]\nmodel = \"openai/fake*\"\nvalid_from = 2020-01-01\n\
         input = \"{}\"\ncache_read = \"{}\"\noutput = \"{}\"\n",
        usd(PRICES.input),
        usd(PRICES.cached),
        usd(PRICES.output)
    );
    std::fs::write(&prices, book).unwrap();
    format!(
        "store = {store:?}\nmodel = \"openai/fake\"\nprices = {:?}\n\n\
         [accounts]\n{accounts}\n\n\
         [providers.openai]\nkind = \"openai\"\nbase_url = \"{base_url}\"\n\n\
         [turns]\nlease_ms = {lease_ms}\n",
        prices.display().to_string()
    )
}

/// What a command said and how it ended.
pub(crate) fn told(output: &Output) -> String {
    format!(
        "{}\nstdout: {}\nstderr: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The number that stands beside a word, on whichever side.
fn number_of(text: &str, word: &str) -> Option<u64> {
    let (before, after) = text.split_once(word)?;
    let digits = |text: &str| text.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok();
    let beside = before.split_whitespace().next_back().and_then(digits);
    beside.or_else(|| after.split_whitespace().next().and_then(digits))
}
