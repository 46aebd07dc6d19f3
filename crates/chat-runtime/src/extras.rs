//! What a program adds to a configuration: things that no file can name.

use std::fmt;
use std::sync::Arc;

use chat_balance::NoticeSink;
use chat_core::{AccountPolicy, LifecycleObserver, PromptGuard, Toolbox};
use chat_provider::ModelProvider;

/// Called while weights are loaded: bytes done, bytes in total.
pub(crate) type LoadProgress = dyn Fn(u64, u64) + Send + Sync;

/// Providers, checks and observers of the program's own; all optional.
#[derive(Clone, Default)]
#[must_use]
pub struct Extras {
    pub(crate) providers: Vec<Arc<dyn ModelProvider>>,
    pub(crate) guards: Vec<Arc<dyn PromptGuard>>,
    pub(crate) observers: Vec<Arc<dyn LifecycleObserver>>,
    pub(crate) toolbox: Option<Arc<dyn Toolbox>>,
    pub(crate) accounts: Option<Arc<dyn AccountPolicy>>,
    pub(crate) load_progress: Option<Arc<LoadProgress>>,
    pub(crate) without_billing: bool,
    pub(crate) without_recovery: bool,
    pub(crate) notice_sink: Option<Arc<dyn NoticeSink>>,
}

impl Extras {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more provider; it replaces a configured one of the same id.
    pub fn provider(mut self, provider: Arc<dyn ModelProvider>) -> Self {
        self.providers.push(provider);
        self
    }

    /// One more check of the model-bound prompt.
    pub fn prompt_guard(mut self, guard: Arc<dyn PromptGuard>) -> Self {
        self.guards.push(guard);
        self
    }

    /// One more observer of lifecycle marks.
    pub fn observer(mut self, observer: Arc<dyn LifecycleObserver>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Tools that models may call.
    pub fn toolbox(mut self, toolbox: Arc<dyn Toolbox>) -> Self {
        self.toolbox = Some(toolbox);
        self
    }

    /// Who pays, instead of what the configuration says.
    pub fn accounts(mut self, accounts: Arc<dyn AccountPolicy>) -> Self {
        self.accounts = Some(accounts);
        self
    }

    /// Who hears the ledger's notices, instead of what the configuration says.
    pub fn notice_sink(mut self, sink: Arc<dyn NoticeSink>) -> Self {
        self.notice_sink = Some(sink);
        self
    }

    /// Opens also a store that cannot bill. Everything that is stored can be read then; a turn is
    /// refused by the ledger. No notices are delivered.
    pub fn without_billing(mut self) -> Self {
        self.without_billing = true;
        self
    }

    /// Leaves what crashed processes left behind to others: for an empty store that stands in for one
    /// that is not there yet, beside a billing service that may know its turns.
    pub fn without_recovery(mut self) -> Self {
        self.without_recovery = true;
        self
    }

    /// Is told how far the embedded model is loaded, in bytes, from the loading thread.
    pub fn load_progress(mut self, progress: impl Fn(u64, u64) + Send + Sync + 'static) -> Self {
        self.load_progress = Some(Arc::new(progress));
        self
    }
}

impl fmt::Debug for Extras {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extras")
            .field("providers", &self.providers)
            .field("guards", &self.guards)
            .field("observers", &self.observers)
            .finish_non_exhaustive()
    }
}
