//! One world per test: stores, clock and provider that outlive the processes run over them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chat_balance::{Account, BalanceAdapter, MemoryLedger};
use chat_core::{
    BaseClient, BaseClientBuilder, OneAccountPerUser, Turn, TurnConfig, TurnOutcome, TurnRequest,
};
use chat_persist::{MemoryStore, PersistenceAdapter, TurnRecord};
use chat_provider::{
    ProviderEvent, ProviderRegistry, ScriptedProvider, ScriptedReply, ScriptedStep,
};
use chat_types::{
    AccountId, ContentPart, ConversationId, Cursor, EventKind, FinishReason, IdempotencyKey,
    ManualClock, Message, MessageId, Money, Scope, SequentialIds, TenantId, Timestamp, Tokens,
    TurnEvent, TurnId, Usage, UserId,
};
use chat_usage::{MemoryUsageStore, PriceBook, UsageQuery, UsageRow, UsageStore};
use futures::StreamExt;

/// Input costs 1 USD per million tokens: this many nano-USD each.
pub(crate) const INPUT_NANO: i64 = 1_000;
/// Output costs 2 USD per million tokens.
pub(crate) const OUTPUT_NANO: i64 = 2_000;

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pub(crate) ledger: MemoryLedger,
    pub(crate) usage: MemoryUsageStore,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) provider: ScriptedProvider,
    pub(crate) config: TurnConfig,
    pub(crate) opening: Option<Money>,
    pub(crate) warn_below: Option<Money>,
    processes: Arc<AtomicU32>,
}

impl World {
    pub(crate) fn new(script: Vec<ScriptedReply>) -> Self {
        Self {
            store: MemoryStore::new(),
            ledger: MemoryLedger::new(),
            usage: MemoryUsageStore::new(),
            clock: Arc::new(ManualClock::starting_at(Timestamp::from_unix_ms(1_000_000))),
            provider: ScriptedProvider::new(script).expect("valid names"),
            config: TurnConfig::default(),
            opening: None,
            warn_below: None,
            processes: Arc::new(AtomicU32::new(0)),
        }
    }

    /// Every reply is this text.
    pub(crate) fn saying(pieces: &[&str]) -> Self {
        Self::new(vec![ScriptedReply::text(pieces)])
    }

    /// Every user starts with this much.
    pub(crate) fn with_credit(mut self, nano_usd: i64) -> Self {
        self.opening = Some(Money::from_nano_usd(nano_usd));
        self
    }

    /// A client as another process would have it: an owner of its own.
    pub(crate) fn builder(&self) -> BaseClientBuilder {
        self.builder_over(Arc::new(self.ledger.clone()))
    }

    pub(crate) fn builder_over<L>(&self, ledger: Arc<L>) -> BaseClientBuilder
    where
        L: BalanceAdapter + chat_balance::LedgerMaintenance,
    {
        self.builder_with(ledger, ProviderRegistry::new().with(Arc::new(self.provider.clone())))
    }

    pub(crate) fn builder_with<L>(
        &self,
        ledger: Arc<L>,
        providers: ProviderRegistry,
    ) -> BaseClientBuilder
    where
        L: BalanceAdapter + chat_balance::LedgerMaintenance,
    {
        let number = self.processes.fetch_add(1, Ordering::SeqCst);
        let prices = PriceBook::from_toml(include_str!("prices.toml")).expect("valid prices");
        let accounts = match self.opening {
            Some(opening) => OneAccountPerUser::limited(opening).warn_below(self.warn_below),
            None => OneAccountPerUser::unlimited(),
        };
        BaseClientBuilder::new(
            Arc::new(self.store.clone()),
            ledger,
            Arc::new(self.usage.clone()),
            providers,
            prices,
        )
        .accounts(Arc::new(accounts))
        .clock(Arc::clone(&self.clock) as Arc<dyn chat_types::Clock>)
        .ids(Arc::new(SequentialIds::new(format!("p{number}"))))
        .config(self.config.clone())
    }

    pub(crate) async fn start(&self) -> BaseClient {
        self.builder().start().await.expect("starts")
    }

    /// Every lease that is not renewed from now on is over.
    pub(crate) fn let_leases_lapse(&self) {
        self.clock.advance_ms(i64::from(self.config.lease_ms).saturating_mul(3));
    }

    pub(crate) async fn account(&self, scope: &Scope) -> Account {
        let id = AccountId::new(scope.user.as_str()).expect("valid");
        let account = self.ledger.account(scope, &id).await.expect("reads");
        account.expect("was opened")
    }

    pub(crate) async fn rows(&self, scope: &Scope) -> Vec<UsageRow> {
        let query = UsageQuery::default();
        self.usage.rows(scope, &query).await.expect("reads")
    }

    pub(crate) async fn record(&self, scope: &Scope, turn: &TurnId) -> TurnRecord {
        let record = self.store.turn(scope, turn).await.expect("reads");
        record.expect("is there")
    }

    pub(crate) async fn message(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
        id: &MessageId,
    ) -> Option<Message> {
        let message = self.store.message(scope, conversation, id).await;
        message.expect("reads")
    }
}

/// Runs a process: when `work` returns, everything that still runs dies where it stands.
pub(crate) fn in_process<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(work)
}

pub(crate) fn scope(user: &str) -> Scope {
    let tenant = TenantId::new("default").expect("valid");
    Scope::new(tenant, UserId::new(user).expect("valid"))
}

pub(crate) fn ada() -> Scope {
    scope("ada")
}

pub(crate) fn message_id(id: &str) -> MessageId {
    MessageId::new(id).expect("valid")
}

pub(crate) fn conversation_id(id: &str) -> ConversationId {
    ConversationId::new(id).expect("valid")
}

pub(crate) fn key(key: &str) -> IdempotencyKey {
    IdempotencyKey::new(key).expect("valid")
}

pub(crate) fn text(text: &str) -> Vec<ContentPart> {
    vec![ContentPart::text(text)]
}

pub(crate) fn say(text: &str) -> ScriptedStep {
    ScriptedStep::Say(vec![ProviderEvent::Text(text.to_owned())])
}

pub(crate) fn finish(reason: FinishReason) -> ScriptedStep {
    ScriptedStep::Say(vec![ProviderEvent::Finished(reason)])
}

pub(crate) fn usage(input: u64, output: u64) -> Usage {
    Usage { input_uncached: Tokens::new(input), output: Tokens::new(output), ..Usage::default() }
}

pub(crate) fn cost(usage: &Usage) -> Money {
    let tokens = |tokens: Tokens| i64::try_from(tokens.get()).expect("small");
    let input = tokens(usage.input_total()) * INPUT_NANO;
    Money::from_nano_usd(input + tokens(usage.output_total()) * OUTPUT_NANO)
}

pub(crate) async fn send(client: &BaseClient, request: TurnRequest) -> Turn {
    let turn = client.send_message(&ada(), request).await;
    turn.expect("accepted")
}

/// Sends and waits until the ledger has it too.
pub(crate) async fn complete(client: &BaseClient, request: TurnRequest) -> (Turn, TurnOutcome) {
    let turn = send(client, request).await;
    let outcome = end_of(&turn).await;
    (turn, outcome)
}

pub(crate) async fn end_of(turn: &Turn) -> TurnOutcome {
    let outcome = turn.outcome().await.expect("ends");
    turn.settled().await;
    outcome
}

pub(crate) async fn read(
    client: &BaseClient,
    turn: &TurnId,
    cursor: Cursor,
) -> Vec<Arc<TurnEvent>> {
    let events = client.events(&ada(), turn, cursor).await.expect("opens");
    events.map(|event| event.expect("reads")).collect().await
}

/// Reads until the reply's text so far contains `wanted`.
pub(crate) async fn read_until(turn: &Turn, wanted: &str) -> Vec<Arc<TurnEvent>> {
    let mut events = turn.events(Cursor::START).await.expect("opens");
    let (mut seen, mut said) = (Vec::new(), String::new());
    while let Some(event) = events.next().await {
        let event = event.expect("reads");
        if let EventKind::TextDelta { text, .. } = &event.event {
            said.push_str(text);
        }
        seen.push(event);
        if said.contains(wanted) {
            return seen;
        }
    }
    panic!("the turn ended before it said {wanted}: {seen:?}");
}

pub(crate) async fn assert_sound(client: &BaseClient) {
    let audit = client.audit().run().await.expect("reads");
    assert!(audit.is_sound(), "{audit:?}");
    assert_eq!(audit.ledger.holds_open, 0, "every hold is resolved");
}

/// Exactly one terminal event, at the end, and numbers without a gap.
pub(crate) fn assert_whole(events: &[Arc<TurnEvent>]) {
    let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
    let expected: Vec<u64> = (1_u64..).take(events.len()).collect();
    assert_eq!(seqs, expected);
    let ends = events.iter().filter(|event| event.event.is_terminal());
    assert_eq!(ends.count(), 1, "exactly one terminal event");
    assert!(events.last().is_some_and(|event| event.event.is_terminal()));
}
