#![doc = include_str!("../README.md")]

mod account;
mod branch;
mod clock;
mod content_fields;
mod conversation;
mod event;
mod file;
mod fold;
mod grant;
mod hash;
mod id;
mod message;
mod model;
mod money;
mod prompt;
mod report;
mod scope;
mod tokens;
mod turn;
mod usage;

pub use account::{AccountUnit, LowAccount};
pub use branch::BranchPage;
pub use clock::{
    Clock, IdSource, IdSourceExt, ManualClock, SequentialIds, SystemClock, Timestamp, UuidIds,
};
pub use content_fields::content_fields;
pub use conversation::{Change, Conversation, ConversationPatch};
pub use event::{Cursor, EVENT_VERSION, EventKind, ResetReason, TurnEvent};
pub use file::FileRecord;
pub use fold::{Folded, PartAssembler};
pub use grant::{GrantTerms, StepGrant};
pub use hash::ContentHash;
pub use id::{
    AccountId, CollectionId, ConversationId, FileId, IdempotencyKey, InvalidId, MessageId, OwnerId,
    ProviderId, TenantId, TurnId, UserId,
};
pub use message::{
    ContentPart, FinishReason, Message, MessageStatus, Opaque, Origin, Role, Summary, block_quote,
    quotes_first, text_of,
};
pub use model::{
    CacheStyle, InvalidModel, Modalities, ModelId, ModelInfo, ModelOptions, ModelRef, SystemRole,
};
pub use money::{Money, MoneyOverflow, Price};
pub use prompt::{Prompt, PromptItem, Section, ToolSpec};
pub use report::{
    BudgetReport, ContextReport, ItemFate, ItemReport, PrefixReport, SectionReport, TokenBand,
};
pub use scope::Scope;
pub use tokens::{Provenance, TokenCount, TokenizerId, Tokens};
pub use turn::{AttemptKey, Purpose, StepKey, StepState, TurnFailure, TurnKind, TurnState};
pub use usage::{Usage, UsageSource};
