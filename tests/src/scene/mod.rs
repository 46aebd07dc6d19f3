//! One fake provider with prices, one store, one `chat` home: where the suites of crashes and of money play.
//!
//! Here too: the engines they run on, what a store holds, one `chat send` that can be killed, and a process
//! that sends many messages at once. Not here: what must hold afterwards, which each suite says itself.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests may fail the test and tell what they counted"
)]

mod engine;
mod journal;
mod sending;
mod worker;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use chat_runtime::{Runtime, RuntimeConfig, TurnRequest};
use chat_types::{ModelOptions, Money, Tokens};
use tempfile::TempDir;

pub use engine::{Database, Engine, Tampered};
pub use journal::{Books, Journal, SeenTurn};
pub use sending::{Sending, Sign, Told, signal, text_of};
pub use worker::Worker;

use crate::fake_provider::Prices;
use crate::{ChatHome, FakeProvider, FakeProviderOptions};

/// The lease where processes die: short, so that recovery need not wait long.
pub const LEASE_MS: u64 = 500;
/// The lease where processes live: a busy machine must not take one for dead.
pub const LONG_LEASE_MS: u64 = 3_000;

/// Calls here stand still on purpose, for as long as a busy machine needs.
const FIRST_BYTE_MS: u64 = 300_000;

/// Above zero, different from each other, and not round.
pub const PRICES: Prices = Prices { input: 150_000, cached: 75_000, output: 600_001 };

/// Whether the long counts are asked for.
#[must_use]
pub fn is_full() -> bool {
    std::env::var_os("CHAT_TEST_FULL").is_some()
}

/// The seed of this run, printed so that it can be repeated.
#[must_use]
pub fn seed() -> u64 {
    let seed = std::env::var("CHAT_TEST_SEED").ok();
    let seed = seed.map_or_else(|| fastrand::u64(..), |text| text.parse().unwrap());
    println!("CHAT_TEST_SEED={seed}");
    seed
}

/// What a scene is like.
#[derive(Debug, Clone)]
pub struct SceneOptions {
    /// How long a silent process keeps its turns.
    pub lease_ms: u64,
    /// How often events are made durable; none: as the product does.
    pub checkpoint_ms: Option<u64>,
    /// What an account is opened with; none: accounts never run dry.
    pub opening: Option<Money>,
    /// Such an account is low below this.
    pub warn_below: Option<Money>,
    /// Where notices are posted.
    pub webhook: Option<String>,
    /// Models that count as OpenAI's do (`out=plain`), by their full names.
    pub plain_models: BTreeSet<String>,
    /// The model that names new conversations.
    pub titles: Option<String>,
    /// A model, and the one that stands in for it.
    pub stand_in: Option<(String, String)>,
}

impl SceneOptions {
    /// Where processes die.
    #[must_use]
    pub fn of_the_dying() -> Self {
        Self {
            lease_ms: LEASE_MS,
            checkpoint_ms: None,
            opening: None,
            warn_below: None,
            webhook: None,
            plain_models: BTreeSet::new(),
            titles: None,
            stand_in: None,
        }
    }

    /// Where processes live and meet.
    #[must_use]
    pub fn of_the_living() -> Self {
        Self { lease_ms: LONG_LEASE_MS, ..Self::of_the_dying() }
    }

    /// With another lease.
    #[must_use]
    pub fn with_lease_ms(self, lease_ms: u64) -> Self {
        Self { lease_ms, ..self }
    }

    /// With accounts that can run dry, opened with so much.
    #[must_use]
    pub fn with_opening(self, opening: Money) -> Self {
        Self { opening: Some(opening), ..self }
    }

    /// With accounts that are low below so much.
    #[must_use]
    pub fn with_warn_below(self, threshold: Money) -> Self {
        Self { warn_below: Some(threshold), ..self }
    }

    /// With somebody who hears the ledger's notices.
    #[must_use]
    pub fn with_webhook(self, url: &str) -> Self {
        Self { webhook: Some(url.to_owned()), ..self }
    }

    /// With models that count as OpenAI's do.
    #[must_use]
    pub fn with_plain_models(self, models: impl IntoIterator<Item = String>) -> Self {
        Self { plain_models: models.into_iter().collect(), ..self }
    }

    /// With titles by this model.
    #[must_use]
    pub fn with_titles(self, model: &str) -> Self {
        Self { titles: Some(model.to_owned()), ..self }
    }

    /// With a model that stands in for another.
    #[must_use]
    pub fn with_stand_in(self, model: &str, stand_in: &str) -> Self {
        Self { stand_in: Some((model.to_owned(), stand_in.to_owned())), ..self }
    }

    /// With another checkpoint interval.
    #[must_use]
    pub fn with_checkpoint_ms(self, checkpoint_ms: u64) -> Self {
        Self { checkpoint_ms: Some(checkpoint_ms), ..self }
    }

    /// What a call of `openai/MODEL` would hold in such a scene.
    #[must_use]
    pub fn hold_of(&self, model: &str, text: &str, cap: u64) -> Money {
        let folder = tempfile::tempdir().unwrap();
        let options = Self { opening: None, ..self.clone() };
        // Nobody is called.
        let config = config(folder.path(), "memory:", "http://127.0.0.1:9/v1", &options);
        let config = RuntimeConfig::from_toml(&config).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let runtime = Runtime::open(config).await.unwrap();
            let request = request(model, text, cap);
            let explained =
                runtime.client().explain(&runtime.scope("ada").unwrap(), &request).await;
            runtime.close().await;
            explained.unwrap().quote.amount
        })
    }
}

/// A message for `openai/MODEL` with this output cap.
#[must_use]
pub fn request(model: &str, text: &str, cap: u64) -> TurnRequest {
    let options =
        ModelOptions { output_tokens_max: Some(Tokens::new(cap)), ..ModelOptions::default() };
    TurnRequest::text(text).with_model(format!("openai/{model}")).with_options(options)
}

/// Everything a test needs; gone when dropped.
#[derive(Debug)]
pub struct Scene {
    /// Who is asked, with books of its own.
    pub provider: FakeProvider,
    /// Where `chat` is configured.
    pub home: ChatHome,
    /// What the store holds.
    pub journal: Journal,
    /// The store's database.
    pub database: Database,
    lease_ms: u64,
    _folder: TempDir,
}

impl Scene {
    /// Where processes die.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self::with(engine, &SceneOptions::of_the_dying())
    }

    /// Where processes live and meet.
    #[must_use]
    pub fn of_the_living(engine: Engine) -> Self {
        Self::with(engine, &SceneOptions::of_the_living())
    }

    /// Sets the scene.
    #[must_use]
    pub fn with(engine: Engine, options: &SceneOptions) -> Self {
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
            &config(folder.path(), &database.url, &provider.base_url(), options),
        )
        .unwrap()
        .with_store(&database.url)
        .with_variable("OPENAI_BASE_URL", &provider.base_url())
        .with_variable("OPENAI_API_KEY", "test-key");
        let journal = Journal::new(&database.url);
        let lease_ms = options.lease_ms;
        Self { provider, home, journal, database, lease_ms, _folder: folder }
    }

    /// What `chat` and an embedding program read.
    #[must_use]
    pub fn config(&self) -> RuntimeConfig {
        RuntimeConfig::from_toml(&std::fs::read_to_string(self.home.config()).unwrap()).unwrap()
    }

    /// A runtime in this process, as an embedding program opens it.
    pub async fn open(&self) -> Runtime {
        Runtime::open(self.config()).await.unwrap()
    }

    /// Runs `chat`, which must succeed; returns its stdout.
    pub fn chat(&self, arguments: &[&str]) -> String {
        let output = self.home.run(arguments).unwrap();
        assert!(output.status.success(), "chat {arguments:?}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What `chat audit` says; it must be content, and have seen something.
    pub fn audit(&self) -> String {
        let said = self.chat(&["audit"]);
        for count in ["entries", "holds", "usage rows"] {
            assert!(number_of(&said, count).is_some_and(|number| number > 0), "{count} in: {said}");
        }
        said
    }

    /// Stops a process outside of a transaction: one that is frozen with a lock in its hand (in SQLite the
    /// only one there is) stops others who need it, whatever anybody's lease says.
    pub fn freeze(&self, pid: u32) {
        for _ in 0..50 {
            signal(pid, "STOP");
            if self.database.is_at_rest() {
                return;
            }
            signal(pid, "CONT");
            std::thread::sleep(std::time::Duration::from_millis(7));
        }
        panic!("the process is always in a transaction");
    }

    /// Waits until no dead process has a lease, and lets a new process put things right.
    pub fn recover(&self) {
        // Holds and settled steps are only looked at after two leases.
        std::thread::sleep(std::time::Duration::from_millis(self.lease_ms * 2 + 200));
        self.chat(&["recover"]);
    }
}

/// One provider, the fake one, with its own prices.
fn config(folder: &Path, store: &str, base_url: &str, options: &SceneOptions) -> String {
    let prices = folder.join("prices.toml");
    std::fs::write(&prices, price_book()).unwrap();
    let accounts = match options.opening {
        None => "kind = \"unlimited\"".to_owned(),
        Some(opening) => format!("kind = \"limited\"\nopening_usd = \"{}\"", usd(opening)),
    };
    let warn_below = options.warn_below.map(|low| format!("\nwarn_below_usd = \"{}\"", usd(low)));
    let accounts = format!("{accounts}{}", warn_below.unwrap_or_default());
    let notices = options.webhook.as_ref().map(|url| format!("[notices]\nwebhook = {url:?}\n\n"));
    let checkpoints = options.checkpoint_ms.map(|ms| format!("checkpoint_ms = {ms}\n"));
    let titles =
        options.titles.as_ref().map(|model| format!("[titles]\nmodel = \"openai/{model}\"\n\n"));
    let stand_in = options.stand_in.as_ref().map(|(model, other)| {
        format!("[fallbacks]\n\"openai/{model}\" = [\"openai/{other}\"]\n\n")
    });
    let plain = options.plain_models.iter().map(|model| {
        format!("[providers.openai.models.{model:?}]\ntokenizer = \"o200k_base\"\n\n")
    });
    format!(
        "store = {store:?}\nmodel = \"openai/fake\"\nprices = {:?}\n\n\
         [accounts]\n{accounts}\n\n\
         [providers.openai]\nkind = \"openai\"\nbase_url = \"{base_url}\"\n\
         first_byte_ms = {FIRST_BYTE_MS}\n\n{}{}{}{}\
         [turns]\nlease_ms = {}\n{}",
        prices.display().to_string(),
        plain.collect::<String>(),
        titles.unwrap_or_default(),
        stand_in.unwrap_or_default(),
        notices.unwrap_or_default(),
        options.lease_ms,
        checkpoints.unwrap_or_default()
    )
}

/// The fake provider's prices as our book has them.
#[must_use]
pub fn price_book() -> String {
    let usd = |pico: u64| format!("{}.{:06}", pico / 1_000_000, pico % 1_000_000);
    format!(
        "book = \"scene\"\n\n[[price]]\nmodel = \"openai/fake*\"\nvalid_from = 2020-01-01\n\
         input = \"{}\"\ncache_read = \"{}\"\noutput = \"{}\"\n",
        usd(PRICES.input),
        usd(PRICES.cached),
        usd(PRICES.output)
    )
}

/// As the configuration writes it.
fn usd(amount: Money) -> String {
    let nano = amount.nano_usd();
    format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000)
}

/// What a command said and how it ended.
pub fn told(output: &Output) -> String {
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
