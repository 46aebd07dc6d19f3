#![doc = include_str!("../README.md")]

mod accounts_config;
mod budget_config;
mod config;
mod context_config;
mod environment;
mod error;
mod external;
mod external_accounts_config;
mod extras;
mod files_config;
#[cfg(feature = "local")]
mod local;
#[cfg(feature = "mongo")]
mod no_billing;
mod notices_config;
mod providers;
mod retrieval_config;
mod runtime;
mod store;
mod store_check;
mod store_url;
mod store_users;
mod toml_error;
mod usd;

pub use accounts_config::AccountsConfig;
pub use budget_config::{BudgetConfig, BudgetPer, PeriodWord, RefillConfig, RefillWord};
pub use config::{
    ExampleConfig, LocalConfig, ModelConfig, OpenAiCompatibleConfig, ProviderConfig, RuntimeConfig,
    TitlesConfig,
};
pub use context_config::{ContextConfig, SummariesConfig, read_policy};
pub use error::RuntimeError;
pub use external::ask_billing_service;
pub use external_accounts_config::ExternalAccountsConfig;
pub use extras::Extras;
pub use files_config::FilesConfig;
pub use notices_config::NoticesConfig;
pub use retrieval_config::SourcesConfig;
pub use runtime::Runtime;
pub use store::Store;
pub use store_url::{StoreKind, shown_url, store_kind};
pub use usd::{InvalidAmount, parse_usd};

pub use chat_archive as archive;
pub use chat_balance as balance;
#[cfg(feature = "balance-http")]
pub use chat_balance_http as balance_http;
pub use chat_context as context;
pub use chat_core::{
    AccountPolicy, AttachedFile, AuditSummary, BaseClient, BaseClientBuilder, Budget, BudgetScope,
    Budgets, ConversationChoice, EventStream, Explanation, GuardRefusal, LifecycleEvent,
    LifecycleObserver, OneAccountPerUser, PaidCall, Placement, PromptGuard, Recovered,
    SimulatedTurn, Simulation, Summaries, Turn, TurnConfig, TurnError, TurnOutcome, TurnRequest,
};
pub use chat_persist as persist;
#[cfg(feature = "mongo")]
pub use chat_persist_mongo::{LibreChatReport, LibreChatSource, LibreChatTotals};
pub use chat_provider as provider;
#[cfg(feature = "local")]
pub use chat_provider_local as local_model;
pub use chat_thread as thread;
pub use chat_types as types;
pub use chat_types::{
    ContentPart, Conversation, ConversationId, Cursor, EventKind, IdempotencyKey, Message,
    MessageId, Money, Scope, TurnEvent, TurnId, TurnState, Usage,
};
pub use chat_usage as usage;
#[cfg(feature = "webhook")]
pub use chat_webhook as webhook;
pub use futures::StreamExt;

/// The example of the repository's front page is a test.
#[cfg(all(doctest, feature = "example"))]
#[doc = include_str!("../../../README.md")]
struct FrontPage;
