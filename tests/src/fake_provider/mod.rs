//! An OpenAI-compatible HTTP server of ours that keeps its own books.
//!
//! Its ledger is the outside truth for every money test: what was asked, what was really sent, what it
//! charges. It shares no code with the product, so a bug there cannot hide itself here.
//!
//! | method and path | what it does |
//! |---|---|
//! | `POST /v1/chat/completions` | a reply, streamed or whole, in OpenAI's wire shapes |
//! | `GET /v1/models` | the model list |
//! | `GET /_ledger` | every request and the totals ([`LedgerSummary`]) |
//! | `GET /_captured`, `GET /_captured?id=ID` | the last requests as they came in ([`Captured`]) |
//! | `POST /_behaviour` | body = grammar; the behaviour of models that name none |
//! | `POST /_reset` | forgets everything in memory (the file is append-only) |
//!
//! The model name chooses the behaviour of each request: the grammar is in [`behaviour`].
//! The reply is `w0 w1 w2 …`, one word a chunk, one token a chunk ([`reply_text`]).

pub mod behaviour;
pub mod capture;
pub mod ledger;
mod reply;
mod server;
mod wire;

pub use behaviour::Behaviour;
pub use capture::Captured;
pub use ledger::{Ledger, LedgerSummary, Outcome, Prices, RequestRecord, Totals};
pub use server::{ServerOptions, serve};
pub use wire::{plain_text, prompt_tokens, reply_text};
