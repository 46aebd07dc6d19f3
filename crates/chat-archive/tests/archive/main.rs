//! What an archive promises, on the memory references.

mod common;
mod export;
mod import;
mod lines;
mod properties;
