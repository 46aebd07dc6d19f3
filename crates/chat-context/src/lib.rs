#![doc = include_str!("../README.md")]

mod assembly;
mod context;
mod error;
mod hash;
mod history;
mod limits;
mod project;
mod report;
mod request;

pub use chat_instructions::InstructionBlock;
pub use context::ConversationContext;
pub use error::{ContextError, PromptComponent};
pub use limits::ContextLimits;
pub use request::{BuiltContext, ContextRequest};
