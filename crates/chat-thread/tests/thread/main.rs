//! The promises of this crate, through its public interface.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "test helpers fail loudly")]

mod common;
mod fork;
mod laws;
mod tree;
