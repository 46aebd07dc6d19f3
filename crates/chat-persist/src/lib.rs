#![doc = include_str!("../README.md")]

mod adapter;
mod error;
mod maintenance;
mod memory;
mod record;
pub mod stored;

pub use adapter::PersistenceAdapter;
pub use error::{PersistError, PersistErrorKind};
pub use maintenance::Maintenance;
pub use memory::MemoryStore;
pub use record::{
    Accept, Accepted, AttemptAmount, Capabilities, Checkpoint, ConversationCursor,
    ConversationPage, ConversationQuery, EventPage, EventSegment, Expired, Fence, LapsedTurn,
    MessagePage, NewStep, NewTurn, OpenStep, StepClose, StepRecord, StopAck, TurnClose, TurnRecord,
};

/// What every method of the ports answers with.
pub type Result<T, E = PersistError> = std::result::Result<T, E>;
