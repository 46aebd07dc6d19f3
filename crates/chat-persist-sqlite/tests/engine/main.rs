//! What this engine promises beyond the ports: files, groups, several processes, stored shapes.

#![expect(clippy::expect_used, reason = "tests stop at the first broken promise")]

mod common;
mod files;
mod shapes;
mod writer;
