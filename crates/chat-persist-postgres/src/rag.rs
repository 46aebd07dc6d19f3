//! An index of documents beside the store, in the same database: full text and pgvector.
//!
//! Its tables are made when it is first opened, not with the store's: a server without the extension
//! serves the store as before.

mod add;
mod documents;
mod index;
mod schema;
mod search;

pub use index::PostgresRag;
