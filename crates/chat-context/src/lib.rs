#![doc = include_str!("../README.md")]

mod assembly;
mod chosen;
mod context;
mod error;
mod files;
mod first_turns;
mod hash;
mod history;
mod limits;
mod prefix;
mod project;
mod read;
mod report;
mod request;

/// The parts a context is made of, for who holds a context: files.
pub use chat_attachments as attachments;
pub use chat_instructions::InstructionBlock;
/// Retrieval.
pub use chat_rag as rag;
/// Summaries.
pub use chat_summarizer as summarizer;
/// Policies.
pub use chat_truncation as truncation;
pub use chat_truncation::{SummaryDue, TruncationPolicy};
pub use context::ConversationContext;
pub use error::{ContextError, PromptComponent};
pub use files::{DeliveredFile, FileForm, FileReadError, FileReader};
pub use limits::ContextLimits;
pub use request::{BuiltContext, ContextRequest, PreviousPrompt, RetrievalSection};
