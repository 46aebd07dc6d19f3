//! Assembles a `BaseClient` from its ports.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex};

use chat_balance::{BalanceAdapter, LedgerMaintenance, NoticeSink};
use chat_context::ConversationContext;
use chat_context::attachments::{FileCaps, FileLibrary};
use chat_context::rag::Retrieval;
use chat_persist::{Maintenance, PersistenceAdapter};
use chat_provider::ProviderRegistry;
use chat_types::{Clock, IdSource, IdSourceExt, SystemClock, UuidIds};
use chat_usage::{PriceBook, UsageRecorder, UsageStore};

use crate::base_client::BaseClient;
use crate::calibrations::Calibrations;
use crate::config::TurnConfig;
use crate::files::Files;
use crate::hooks::{LifecycleObserver, PromptGuard};
use crate::inner::Inner;
use crate::money::accounts::{AccountPolicy, OneAccountPerUser};
use crate::money::notices::{self, Notices};
use crate::process::lease::NEVER_LEASED;
use crate::process::owner;
use crate::summaries::{Summaries, SummaryFailures};
use crate::task_scope::TaskScope;
use crate::titles::Titles;
use crate::tools::Toolbox;
use crate::{Result, TurnError};

/// Collects ports and limits; everything but the ports has a default.
#[derive(Debug)]
#[must_use]
pub struct BaseClientBuilder {
    store: Arc<dyn PersistenceAdapter>,
    maintenance: Arc<dyn Maintenance>,
    ledger: Arc<dyn BalanceAdapter>,
    ledger_maintenance: Arc<dyn LedgerMaintenance>,
    usage: Arc<dyn UsageStore>,
    providers: ProviderRegistry,
    prices: PriceBook,
    context: ConversationContext,
    accounts: Arc<dyn AccountPolicy>,
    instructions: Option<String>,
    titles: Option<Titles>,
    files: Option<Files>,
    retrieval: Option<Retrieval>,
    summaries: Summaries,
    toolbox: Option<Arc<dyn Toolbox>>,
    guards: Vec<Arc<dyn PromptGuard>>,
    observers: Vec<Arc<dyn LifecycleObserver>>,
    notice_sink: Option<Arc<dyn NoticeSink>>,
    recovers: bool,
    config: TurnConfig,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl BaseClientBuilder {
    /// Starts from a store, a ledger, a usage store (often one object), providers and prices.
    pub fn new<S, L, U>(
        store: Arc<S>,
        ledger: Arc<L>,
        usage: Arc<U>,
        providers: ProviderRegistry,
        prices: PriceBook,
    ) -> Self
    where
        S: PersistenceAdapter + Maintenance,
        L: BalanceAdapter + LedgerMaintenance,
        U: UsageStore,
    {
        Self {
            maintenance: Arc::clone(&store) as Arc<dyn Maintenance>,
            store,
            ledger_maintenance: Arc::clone(&ledger) as Arc<dyn LedgerMaintenance>,
            ledger,
            usage,
            providers,
            prices,
            context: ConversationContext::new(),
            accounts: Arc::new(OneAccountPerUser::unlimited()),
            instructions: None,
            titles: None,
            files: None,
            retrieval: None,
            summaries: Summaries::default(),
            toolbox: None,
            guards: Vec::new(),
            observers: Vec::new(),
            notice_sink: None,
            recovers: true,
            config: TurnConfig::default(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(UuidIds),
        }
    }

    /// Who pays; by default one unlimited account per user.
    pub fn accounts(mut self, accounts: Arc<dyn AccountPolicy>) -> Self {
        self.accounts = accounts;
        self
    }

    /// Instructions of the product, before each conversation's own.
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = Some(instructions.into());
        self
    }

    /// Lets a model name new conversations; by default their first line does.
    pub fn titles(mut self, titles: Titles) -> Self {
        self.titles = Some(titles);
        self
    }

    /// Where attached files are kept, and how much of a window they may take; by default messages carry
    /// none.
    pub fn files(mut self, library: Arc<FileLibrary>, caps: FileCaps) -> Self {
        self.files = Some(Files { library, caps });
        self
    }

    /// Sources for every turn, looked up by the newest message; by default there are none.
    pub fn retrieval(mut self, retrieval: Retrieval) -> Self {
        self.retrieval = Some(retrieval);
        self
    }

    /// Who summarises what no longer fits, where the context's policy asks for it; by default the
    /// turn's own model.
    pub fn summaries(mut self, summaries: Summaries) -> Self {
        self.summaries = summaries;
        self
    }

    /// Tools that models may call; by default there are none.
    pub fn toolbox(mut self, toolbox: Arc<dyn Toolbox>) -> Self {
        self.toolbox = Some(toolbox);
        self
    }

    /// How prompts are built.
    pub fn context(mut self, context: ConversationContext) -> Self {
        self.context = context;
        self
    }

    /// One more check of the model-bound prompt; all must let it through.
    pub fn prompt_guard(mut self, guard: Arc<dyn PromptGuard>) -> Self {
        self.guards.push(guard);
        self
    }

    /// One more observer of lifecycle marks.
    pub fn observer(mut self, observer: Arc<dyn LifecycleObserver>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Who hears the ledger's notices; by default nobody, and they wait until they are too old. In
    /// order, at least once, never in a turn's way.
    pub fn notice_sink(mut self, sink: Arc<dyn NoticeSink>) -> Self {
        self.notice_sink = Some(sink);
        self
    }

    /// Leaves what crashed processes left behind to others: over a store that knows none of the turns
    /// that the ledger holds credit for, recovery would give that credit back.
    pub fn without_recovery(mut self) -> Self {
        self.recovers = false;
        self
    }

    /// Limits.
    pub fn config(mut self, config: TurnConfig) -> Self {
        self.config = config;
        self
    }

    /// Another clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Another source of ids.
    pub fn ids(mut self, ids: Arc<dyn IdSource>) -> Self {
        self.ids = ids;
        self
    }

    /// Builds the client, finishes what crashed processes left behind, and starts the owner's
    /// task.
    ///
    /// # Errors
    /// `NoProvider`; `InvalidId` from the id source; `Store` or `Balance` if recovery fails.
    pub async fn start(self) -> Result<BaseClient> {
        if self.providers.default_model().is_none() {
            return Err(TurnError::NoProvider);
        }
        let recorder = UsageRecorder::new(
            Arc::new(self.prices),
            Arc::clone(&self.ledger),
            Arc::clone(&self.usage),
        );
        let inner = Arc::new(Inner {
            store: self.store,
            maintenance: self.maintenance,
            ledger: self.ledger,
            notices: Arc::new(Notices::new(Arc::clone(&self.ledger_maintenance), self.notice_sink)),
            ledger_maintenance: self.ledger_maintenance,
            recorder,
            providers: self.providers,
            context: self.context,
            accounts: self.accounts,
            instructions: self.instructions,
            titles: self.titles,
            calibrations: Calibrations::default(),
            files: self.files,
            retrieval: self.retrieval,
            summaries: self.summaries,
            summary_failures: SummaryFailures::default(),
            toolbox: self.toolbox,
            guards: self.guards,
            observers: self.observers,
            recovers: self.recovers,
            config: self.config,
            clock: self.clock,
            owner: self.ids.owner_id()?,
            ids: self.ids,
            lease_until: AtomicI64::new(NEVER_LEASED),
            turns: Mutex::new(HashMap::new()),
            tasks: TaskScope::default(),
            draining: AtomicBool::new(false),
            store_given_up: AtomicBool::new(false),
            settled_marks: Mutex::new(Vec::new()),
        });
        let client = BaseClient { inner };
        if client.inner.recovers {
            client.recover().await?;
        }
        let keeper = TaskScope::default();
        keeper.spawn(owner::run(Arc::downgrade(&client.inner)));
        if client.inner.notices.has_sink() {
            keeper.spawn(notices::run(Arc::downgrade(&client.inner.notices)));
        }
        Ok(client)
    }
}
