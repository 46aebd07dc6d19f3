#![doc = include_str!("../README.md")]

mod accounts;
mod audit;
mod base_client;
mod billing;
mod budgets;
mod builder;
mod conduct;
mod conductor;
mod config;
mod ending;
mod error;
mod explain;
mod feed;
mod fork;
mod gate;
mod hooks;
mod inner;
mod intake;
mod lease;
mod listen;
mod live;
mod metered;
mod narrate;
mod owner;
mod patience;
mod place;
mod plan;
mod reaper;
mod recovery;
mod replay;
mod request;
mod side_calls;
mod step;
mod task_scope;
mod titles;
mod turn;
mod turn_log;

pub use accounts::{AccountPolicy, OneAccountPerUser, PaidCall};
pub use audit::{Audit, AuditSummary};
pub use base_client::BaseClient;
pub use budgets::{Budget, BudgetScope, Budgets, InvalidBudget};
pub use builder::BaseClientBuilder;
pub use config::TurnConfig;
pub use error::TurnError;
pub use explain::Explanation;
pub use hooks::{GuardRefusal, LifecycleEvent, LifecycleObserver, PromptGuard};
pub use recovery::Recovered;
pub use replay::EventStream;
pub use request::{ConversationChoice, Placement, TurnRequest};
pub use titles::Titles;
pub use turn::{Turn, TurnOutcome};

/// What every call of the conductor answers with.
pub type Result<T, E = TurnError> = std::result::Result<T, E>;
