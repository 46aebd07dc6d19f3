#![doc = include_str!("../README.md")]

mod attach;
mod audit;
mod base_client;
mod builder;
mod calibrations;
mod config;
mod error;
mod events;
mod explain;
mod files;
mod fork;
mod hooks;
mod inner;
mod money;
mod patience;
mod process;
mod request;
mod simulate;
mod step;
mod summaries;
mod task_scope;
mod titles;
mod tools;
mod turn;

pub use attach::AttachedFile;
pub use audit::{Audit, AuditSummary};
pub use base_client::BaseClient;
pub use builder::BaseClientBuilder;
pub use config::TurnConfig;
pub use error::TurnError;
pub use events::replay::EventStream;
pub use explain::Explanation;
pub use hooks::{GuardRefusal, LifecycleEvent, LifecycleObserver, PromptGuard};
pub use money::accounts::{AccountPolicy, OneAccountPerUser, PaidCall};
pub use money::budgets::{Budget, BudgetScope, Budgets, InvalidBudget};
pub use process::recovery::Recovered;
pub use request::{ConversationChoice, Placement, TurnRequest};
pub use simulate::{SimulatedTurn, Simulation};
pub use summaries::Summaries;
pub use titles::Titles;
pub use tools::{ToolCall, ToolFailure, Toolbox};
pub use turn::{Turn, TurnOutcome};

/// What every call of the conductor answers with.
pub type Result<T, E = TurnError> = std::result::Result<T, E>;
