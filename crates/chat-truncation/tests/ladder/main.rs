//! The ladder: its rungs one by one, the reference cases P1–P10 by number, its laws.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers fail loudly"
)]

mod cases;
mod fixture;
mod growth;
mod laws;
mod pages;
mod policy;
mod rungs;
