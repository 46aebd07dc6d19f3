#![doc = include_str!("../README.md")]

mod branch;

pub use branch::{
    BRANCH_PAGE_MESSAGES_MAX, BranchError, BranchErrorKind, BranchReader, MemoryBranch,
};
