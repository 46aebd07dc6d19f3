//! A fake provider with prices, and two runtimes on one database, as two servers of one product.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use chat_runtime::{AuditSummary, Runtime, RuntimeConfig, Store};
use chat_tests::fake_provider::Prices;
use chat_tests::{FakeProvider, FakeProviderOptions};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::books::Books;
use crate::chaos::{Kills, Victim, kill_until};
use crate::load::{Sender, Sent};

/// Above zero, different from each other, and not round.
const PRICES: Prices = Prices { input: 150_000, cached: 75_000, output: 600_001 };
/// About as long as an election: some turns lose their owner, most do not.
const LEASE_MS: u64 = 3_000;
const RUNTIMES: usize = 2;
/// Each runtime serves two users, each of them in two tabs: they meet in their accounts.
const USERS: [&str; 2] = ["ada", "bob"];
const TABS: usize = 2;
/// And one more user who does not wait.
const STEADY_USER: &str = "eve";

/// Everything a test needs; gone when dropped.
pub(crate) struct Scene {
    pub(crate) provider: FakeProvider,
    url: String,
    runtimes: Vec<Runtime>,
    _folder: TempDir,
}

impl Scene {
    pub(crate) async fn open(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let provider = FakeProvider::spawn_with(&FakeProviderOptions {
            price_in: PRICES.input,
            price_cached: Some(PRICES.cached),
            price_out: PRICES.output,
            ..FakeProviderOptions::default()
        })
        .unwrap();
        let prices = folder.path().join("prices.toml");
        std::fs::write(&prices, price_book()).unwrap();
        let config = format!(
            "store = {url:?}\nmodel = \"fakes/fake\"\nprices = {:?}\n\n\
             [accounts]\nkind = \"unlimited\"\n\n\
             [providers.fakes]\nkind = \"openai\"\nbase_url = \"{}\"\n\n\
             [turns]\nlease_ms = {LEASE_MS}\n",
            prices.display().to_string(),
            provider.base_url()
        );
        let mut runtimes = Vec::with_capacity(RUNTIMES);
        for _ in 0..RUNTIMES {
            let config = RuntimeConfig::from_toml(&config).unwrap();
            runtimes.push(Runtime::open(config).await.unwrap());
        }
        Self { provider, url: url.to_owned(), runtimes, _folder: folder }
    }

    /// Lets everybody send for this long while the database is killed and started again. It runs when this
    /// returns.
    pub(crate) async fn load_while_killing<V: Victim>(
        &self,
        mut victim: V,
        duration: Duration,
    ) -> (Vec<Sent>, Kills, V) {
        let (stop, stopped) = channel();
        let chaos = std::thread::spawn(move || {
            let kills = kill_until(&mut victim, &stopped);
            (victim, kills)
        });
        let end = Instant::now() + duration;
        let mut senders = JoinSet::new();
        for (number, runtime) in self.runtimes.iter().enumerate() {
            let sender = |user: &str, tab: usize| Sender {
                client: runtime.client().clone(),
                scope: runtime.scope(user).unwrap(),
                name: format!("{user}-{number}-{tab}"),
            };
            for user in USERS {
                for tab in 0..TABS {
                    senders.spawn(sender(user, tab).send_until(end));
                }
            }
            senders.spawn(sender(STEADY_USER, 0).send_steadily_until(end));
        }
        tokio::time::sleep_until(end.into()).await;
        drop(stop);
        let sent = senders.join_all().await.into_iter().flatten().collect();
        let (victim, kills) = chaos.join().unwrap();
        (sent, kills, victim)
    }

    /// What a new process reads, once every lost turn must have been found.
    pub(crate) async fn books_after_two_leases(&self) -> (Books, AuditSummary) {
        tokio::time::sleep(Duration::from_millis(LEASE_MS * 2)).await;
        let first = self.runtimes.first().unwrap().client();
        println!("recovered by hand: {:?}", first.recover().await.unwrap());
        let audit = first.audit().run().await.unwrap();
        let store = Store::open(&self.url).await.unwrap();
        let books = Books::read(&store.ports()).await;
        store.close().await;
        (books, audit)
    }

    pub(crate) async fn close(&self) {
        for runtime in &self.runtimes {
            runtime.close().await;
        }
    }
}

fn price_book() -> String {
    let usd = |pico: u64| format!("{}.{:06}", pico / 1_000_000, pico % 1_000_000);
    format!(
        "book = \"failover\"\n\n[[price]]\nmodel = \"fakes/fake*\"\nvalid_from = 2020-01-01\n\
         input = \"{}\"\ncache_read = \"{}\"\noutput = \"{}\"\n",
        usd(PRICES.input),
        usd(PRICES.cached),
        usd(PRICES.output)
    )
}
