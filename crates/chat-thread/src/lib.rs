#![doc = include_str!("../README.md")]

mod branch;
mod error;
mod fork;
mod order;
mod place;
mod thread;

pub use branch::{
    BRANCH_PAGE_MESSAGES_MAX, BranchError, BranchErrorKind, BranchReader, MemoryBranch,
};
pub use error::ThreadError;
pub use fork::{Fork, ForkMode, ForkRequest};
pub use place::Place;
pub use thread::{MessageThread, SummarisedPath, SummaryOnPath, newest_summary};
