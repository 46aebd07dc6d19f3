//! The rig: a fake provider in a process of its own, asked directly and through the runtime.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use bytes::Bytes;
use chat_core::{BaseClient, BaseClientBuilder, Turn, TurnRequest};
use chat_persist_sqlite::{SqliteConfig, SqliteStore};
use chat_provider::ProviderRegistry;
use chat_provider_openai::{ModelOverride, OpenAiConfig, OpenAiProvider};
use chat_tests::{FakeProvider, FakeProviderOptions};
use chat_tokens::OpenAiEncoding;
use chat_transport::{HttpTransport, TransportAdapter, TransportRequest};
use chat_types::{
    Cursor, EventKind, ModelId, ProviderId, Scope, TenantId, Tokens, TurnState, UserId,
};
use chat_usage::PriceBook;
use futures::StreamExt;

use crate::unmetered::Unmetered;

/// Prices above zero, so that every turn is held, priced and posted.
const PRICES: &str = r#"
book = "bench"
source = "made up"
licence = "none"

[[price]]
model = "openai/*"
valid_from = 1970-01-01
input = "1.00"
output = "2.00"
"#;

/// A runtime over a file in `folder`, and the server it calls.
pub(crate) struct Rig {
    pub(crate) provider: FakeProvider,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) client: BaseClient,
    pub(crate) transport: Arc<HttpTransport>,
    pub(crate) model: String,
}

/// When a turn's first text and its end came, in milliseconds after it was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) first_ms: f64,
    pub(crate) total_ms: f64,
}

/// Whether turns are held, posted and recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metering {
    On,
    Off,
}

impl Rig {
    /// Opens a fresh database and starts the server with this behaviour.
    pub(crate) async fn start(
        folder: &Path,
        behaviour: &str,
        window_tokens: u64,
    ) -> anyhow::Result<Self> {
        Self::start_with(folder, behaviour, window_tokens, Metering::On, |builder| builder).await
    }

    /// The same with or without metering, and with what `equip` gives the runtime.
    pub(crate) async fn start_with(
        folder: &Path,
        behaviour: &str,
        window_tokens: u64,
        metering: Metering,
        equip: impl FnOnce(BaseClientBuilder) -> BaseClientBuilder,
    ) -> anyhow::Result<Self> {
        let provider = FakeProvider::spawn_with(&FakeProviderOptions::default())
            .context("the fake provider did not start")?;
        let model = format!("fake:{behaviour}");
        let transport = Arc::new(HttpTransport::default());
        let mut config = OpenAiConfig::compatible(
            ProviderId::new("openai")?,
            provider.base_url(),
            ModelId::new(&model)?,
        );
        config.default_window = Tokens::new(window_tokens);
        let of_openai = ModelOverride {
            tokenizer: Some(OpenAiEncoding::O200kBase.tokenizer()),
            ..ModelOverride::default()
        };
        config.models.insert(model.clone(), of_openai);
        let openai =
            OpenAiProvider::new(config, Arc::clone(&transport) as Arc<dyn TransportAdapter>)?;
        let store = Arc::new(SqliteStore::open(SqliteConfig::new(folder.join("bench.db"))).await?);
        let providers = ProviderRegistry::new().with(Arc::new(openai));
        let prices = PriceBook::from_toml(PRICES)?;
        let builder = match metering {
            Metering::On => BaseClientBuilder::new(
                Arc::clone(&store),
                Arc::clone(&store),
                Arc::clone(&store),
                providers,
                prices,
            ),
            Metering::Off => BaseClientBuilder::new(
                Arc::clone(&store),
                Arc::new(Unmetered),
                Arc::new(Unmetered),
                providers,
                prices,
            ),
        };
        let client = equip(builder).start().await?;
        Ok(Self { provider, store, client, transport, model })
    }

    /// A user of his own, so that users do not share an account.
    pub(crate) fn scope(&self, user: usize) -> anyhow::Result<Scope> {
        Ok(Scope::new(TenantId::new("bench")?, UserId::new(format!("user-{user}"))?))
    }

    /// The same call without the runtime: its bytes are read to the end and thrown away.
    pub(crate) async fn ask_directly(&self) -> anyhow::Result<Times> {
        let body = format!(
            r#"{{"model":"{}","stream":true,"stream_options":{{"include_usage":true}},"messages":[{{"role":"user","content":"Tell me about the sea."}}]}}"#,
            self.model
        );
        let mut request = TransportRequest::post(
            format!("{}/chat/completions", self.provider.base_url()),
            Bytes::from(body),
        );
        request.headers.insert("content-type", "application/json".parse()?);
        let start = Instant::now();
        let response = self.transport.send(request).await?;
        let mut stream = response.body;
        let mut first_ms = None;
        while let Some(bytes) = stream.next().await {
            std::hint::black_box(bytes?);
            first_ms.get_or_insert_with(|| start.elapsed().as_secs_f64() * 1_000.0);
        }
        let total_ms = start.elapsed().as_secs_f64() * 1_000.0;
        Ok(Times { first_ms: first_ms.unwrap_or(total_ms), total_ms })
    }

    /// One turn through the runtime, read to its end.
    pub(crate) async fn turn(
        &self,
        scope: &Scope,
        request: TurnRequest,
    ) -> anyhow::Result<(Times, Turn)> {
        let start = Instant::now();
        let turn = self.client.send_message(scope, request).await?;
        let mut events = turn.events(Cursor::START).await?;
        let mut first_ms = None;
        while let Some(event) = events.next().await {
            match &event?.event {
                EventKind::TextDelta { .. } => {
                    first_ms.get_or_insert_with(|| start.elapsed().as_secs_f64() * 1_000.0);
                }
                EventKind::Ended { outcome, failure, .. } if *outcome != TurnState::Completed => {
                    anyhow::bail!("a turn ended as {outcome:?}: {failure:?}");
                }
                _ => {}
            }
        }
        let total_ms = start.elapsed().as_secs_f64() * 1_000.0;
        Ok((Times { first_ms: first_ms.unwrap_or(total_ms), total_ms }, turn))
    }
}
