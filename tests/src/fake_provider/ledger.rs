//! The provider's books: one line per event in an append-only file, the same in memory.
//!
//! Each request leaves three lines: `started` when its body was read, then `sent` and `ended` together,
//! written before the last byte is handed to the socket, or when the client's disconnect is noticed.
//! A client that has seen the end of a reply can therefore rely on the ledger's end line.
//! Not here: what a reply looks like (`wire`), when it is sent (`reply`).

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::behaviour::Behaviour;
use super::capture::Captured;

/// Requests remembered until `/_reset`; a run that makes more must reset, else it is refused (507).
const REQUESTS_MAX: usize = 500_000;
/// Captured requests remembered, as documented.
const CAPTURED_MAX: usize = 1_000;
/// Bytes of captured bodies remembered, so that 1,000 huge bodies do not fill the memory.
const CAPTURED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Distinct requests whose attempts are counted.
const ATTEMPT_KEYS_MAX: usize = 500_000;

/// Prices in pico-USD per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prices {
    /// Uncached input.
    pub input: u64,
    /// Cached input.
    pub cached: u64,
    /// Output.
    pub output: u64,
}

impl Prices {
    /// The charge in nano-USD, rounded up once. `cached` is the part of `input` read from the cache.
    #[must_use]
    pub fn charge_nano_usd(&self, input: u64, cached: u64, output: u64) -> u64 {
        let pico = u128::from(input.saturating_sub(cached)) * u128::from(self.input)
            + u128::from(cached.min(input)) * u128::from(self.cached)
            + u128::from(output) * u128::from(self.output);
        u64::try_from(pico.div_ceil(1_000)).unwrap_or(u64::MAX)
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was handed over, whether or not the client read it.
    Finished,
    /// The client went away first.
    Disconnected,
    /// We closed the connection on purpose.
    Cut,
    /// An error status, an error event or a web page.
    Error,
}

/// One request as the books have it. `tokens_out` is what is billed, `chunks_sent` what left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// The request's id: also `x-request-id` and the completion's `id`.
    pub id: String,
    /// The model asked for.
    pub model: String,
    /// Which attempt of the same request this is, from 1.
    pub attempt: u64,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Prompt tokens by the fake rule.
    pub tokens_prompt: u64,
    /// The cap on the wire, if any.
    pub max_tokens: Option<u64>,
    /// The body's `user`.
    pub user: Option<String>,
    /// The body's `metadata`.
    pub metadata: serde_json::Value,
    /// The `Idempotency-Key` header.
    pub idempotency_key: Option<String>,
    /// Content chunks handed over.
    pub chunks_sent: u64,
    /// `None` while open.
    pub outcome: Option<Outcome>,
    /// The HTTP status answered (0 while open or if the client left before it).
    pub status: u16,
    /// Input tokens billed.
    pub tokens_in: u64,
    /// The part of `tokens_in` billed as cache reads.
    pub tokens_cached: u64,
    /// Output tokens billed.
    pub tokens_out: u64,
    /// The charge.
    pub charge_nano_usd: u64,
}

/// Sums over all requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Requests that reached the completions endpoint with a readable body.
    pub requests: u64,
    /// Not ended yet.
    pub open: u64,
    /// Ended as [`Outcome::Finished`].
    pub finished: u64,
    /// Ended as [`Outcome::Disconnected`].
    pub disconnected: u64,
    /// Ended as [`Outcome::Cut`].
    pub cut: u64,
    /// Ended as [`Outcome::Error`].
    pub error: u64,
    /// Input tokens billed.
    pub tokens_in: u64,
    /// Output tokens billed.
    pub tokens_out: u64,
    /// The sum of all charges.
    pub charge_nano_usd: u64,
}

/// What `GET /_ledger` answers: requests in order of arrival and their sums.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LedgerSummary {
    /// Every request since the start or the last reset.
    pub requests: Vec<RequestRecord>,
    /// Their sums.
    pub totals: Totals,
}

impl LedgerSummary {
    /// The request with this id.
    #[must_use]
    pub fn request(&self, id: &str) -> Option<&RequestRecord> {
        self.requests.iter().find(|request| request.id == id)
    }
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line<'a> {
    Started {
        id: &'a str,
        model: &'a str,
        attempt: u64,
        stream: bool,
        tokens_prompt: u64,
        max_tokens: Option<u64>,
        user: Option<&'a str>,
        metadata: &'a serde_json::Value,
        idempotency_key: Option<&'a str>,
    },
    Sent {
        id: &'a str,
        chunks: u64,
    },
    Ended {
        id: &'a str,
        outcome: Outcome,
        status: u16,
        tokens_in: u64,
        tokens_cached: u64,
        tokens_out: u64,
        charge_nano_usd: u64,
    },
    Reset,
}

/// The books. Shared by all connections; every method is one short critical section.
#[derive(Debug)]
pub struct Ledger {
    prices: Prices,
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    file: Option<File>,
    next_number: u64,
    requests: Vec<RequestRecord>,
    positions: HashMap<String, usize>,
    attempts: HashMap<u64, u64>,
    captured: VecDeque<Captured>,
    captured_bytes: usize,
    default_behaviour: Behaviour,
}

/// The books are full or the file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// More than the bound of requests since the last reset.
    #[error("the ledger is full, reset it")]
    Full,
    /// The file refused a line.
    #[error("the ledger file could not be written")]
    File(#[source] std::io::Error),
}

/// What is known of a request when it arrives.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) tokens_prompt: u64,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) user: Option<String>,
    pub(crate) metadata: serde_json::Value,
    pub(crate) idempotency_key: Option<String>,
    /// Same number = same request tried again.
    pub(crate) attempt_key: u64,
}

impl Ledger {
    /// Opens the books; `path` is appended to and created if missing, `None` keeps them in memory only.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: Option<&Path>, prices: Prices) -> std::io::Result<Arc<Self>> {
        let file = match path {
            Some(path) => Some(OpenOptions::new().create(true).append(true).open(path)?),
            None => None,
        };
        let books = Books {
            file,
            next_number: 0,
            requests: Vec::new(),
            positions: HashMap::new(),
            attempts: HashMap::new(),
            captured: VecDeque::new(),
            captured_bytes: 0,
            default_behaviour: Behaviour::default(),
        };
        Ok(Arc::new(Self { prices, books: Mutex::new(books) }))
    }

    /// Everything since the start or the last reset.
    #[must_use]
    pub fn summary(&self) -> LedgerSummary {
        let books = self.lock();
        let mut totals = Totals::default();
        for request in &books.requests {
            totals.requests += 1;
            match request.outcome {
                None => totals.open += 1,
                Some(Outcome::Finished) => totals.finished += 1,
                Some(Outcome::Disconnected) => totals.disconnected += 1,
                Some(Outcome::Cut) => totals.cut += 1,
                Some(Outcome::Error) => totals.error += 1,
            }
            totals.tokens_in += request.tokens_in;
            totals.tokens_out += request.tokens_out;
            totals.charge_nano_usd += request.charge_nano_usd;
        }
        LedgerSummary { requests: books.requests.clone(), totals }
    }

    /// Captured requests, oldest first; only the one with `id` if given.
    #[must_use]
    pub fn captured(&self, id: Option<&str>) -> Vec<Captured> {
        let books = self.lock();
        let wanted = books.captured.iter().filter(|one| id.is_none_or(|id| one.id == id));
        wanted.cloned().collect()
    }

    /// Forgets requests, attempts, captures and the default behaviour. Open requests still write their
    /// end line to the file, but are in no later summary. Ids go on counting.
    ///
    /// # Errors
    /// The file refused the `reset` line.
    pub fn reset(&self) -> Result<(), LedgerError> {
        let mut books = self.lock();
        books.requests.clear();
        books.positions.clear();
        books.attempts.clear();
        books.captured.clear();
        books.captured_bytes = 0;
        books.default_behaviour = Behaviour::default();
        books.write(&[Line::Reset])
    }

    /// The behaviour of models that name none.
    #[must_use]
    pub fn default_behaviour(&self) -> Behaviour {
        self.lock().default_behaviour.clone()
    }

    /// Sets the behaviour of models that name none.
    pub fn set_default_behaviour(&self, behaviour: Behaviour) {
        self.lock().default_behaviour = behaviour;
    }

    /// Books a request's arrival and hands out the receipt that will close it.
    pub(crate) fn start(
        self: &Arc<Self>,
        arrival: Arrival,
        mut captured: Captured,
    ) -> Result<Receipt, LedgerError> {
        let mut books = self.lock();
        if books.requests.len() >= REQUESTS_MAX || books.attempts.len() >= ATTEMPT_KEYS_MAX {
            return Err(LedgerError::Full);
        }
        books.next_number += 1;
        let id = format!("chatcmpl-{:08}", books.next_number);
        let attempt = {
            let count = books.attempts.entry(arrival.attempt_key).or_insert(0);
            *count += 1;
            *count
        };
        books.write(&[Line::Started {
            id: &id,
            model: &arrival.model,
            attempt,
            stream: arrival.stream,
            tokens_prompt: arrival.tokens_prompt,
            max_tokens: arrival.max_tokens,
            user: arrival.user.as_deref(),
            metadata: &arrival.metadata,
            idempotency_key: arrival.idempotency_key.as_deref(),
        }])?;
        captured.id.clone_from(&id);
        books.remember(captured);
        let position = books.requests.len();
        books.positions.insert(id.clone(), position);
        let tokens_prompt = arrival.tokens_prompt;
        books.requests.push(RequestRecord {
            id: id.clone(),
            model: arrival.model,
            attempt,
            stream: arrival.stream,
            tokens_prompt,
            max_tokens: arrival.max_tokens,
            user: arrival.user,
            metadata: arrival.metadata,
            idempotency_key: arrival.idempotency_key,
            chunks_sent: 0,
            outcome: None,
            status: 0,
            tokens_in: 0,
            tokens_cached: 0,
            tokens_out: 0,
            charge_nano_usd: 0,
        });
        drop(books);
        Ok(Receipt {
            ledger: Arc::clone(self),
            id,
            attempt,
            tokens_prompt,
            behaviour: Behaviour::default(),
            status: 0,
            chunks_sent: 0,
            closed: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn write(&mut self, lines: &[Line<'_>]) -> Result<(), LedgerError> {
        let Some(file) = self.file.as_mut() else {
            return Ok(());
        };
        let mut text = Vec::with_capacity(512);
        for line in lines {
            serde_json::to_writer(&mut text, line)
                .map_err(|error| LedgerError::File(error.into()))?;
            text.push(b'\n');
        }
        file.write_all(&text).map_err(LedgerError::File)
    }

    fn remember(&mut self, captured: Captured) {
        self.captured_bytes += captured.body_bytes();
        self.captured.push_back(captured);
        while self.captured.len() > CAPTURED_MAX || self.captured_bytes > CAPTURED_BYTES_MAX {
            let Some(oldest) = self.captured.pop_front() else {
                break;
            };
            self.captured_bytes = self.captured_bytes.saturating_sub(oldest.body_bytes());
        }
    }
}

/// One open request. Closes it as `disconnected` if it is dropped before anything else closed it.
#[derive(Debug)]
pub(crate) struct Receipt {
    ledger: Arc<Ledger>,
    id: String,
    attempt: u64,
    tokens_prompt: u64,
    behaviour: Behaviour,
    status: u16,
    chunks_sent: u64,
    closed: bool,
}

impl Receipt {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn attempt(&self) -> u64 {
        self.attempt
    }

    /// From now on a disconnect is billed by this behaviour.
    pub(crate) fn set_behaviour(&mut self, behaviour: Behaviour) {
        self.behaviour = behaviour;
    }

    pub(crate) fn set_status(&mut self, status: u16) {
        self.status = status;
    }

    pub(crate) fn add_sent(&mut self, chunks: u64) {
        self.chunks_sent += chunks;
    }

    /// Closes the request as not billed at all: it was refused.
    pub(crate) fn refuse(&mut self) {
        self.write_end(Outcome::Error, 0, 0, 0);
    }

    /// Closes the request and bills the prompt and what was sent. A second call changes nothing.
    pub(crate) fn close(&mut self, outcome: Outcome) {
        let tokens_cached = self.behaviour.cached.min(self.tokens_prompt);
        let tokens_out = self.behaviour.billed_tokens(self.chunks_sent);
        self.write_end(outcome, self.tokens_prompt, tokens_cached, tokens_out);
    }

    fn write_end(&mut self, outcome: Outcome, tokens_in: u64, tokens_cached: u64, tokens_out: u64) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let charge_nano_usd =
            self.ledger.prices.charge_nano_usd(tokens_in, tokens_cached, tokens_out);
        let mut books = self.ledger.lock();
        let written = books.write(&[
            Line::Sent { id: &self.id, chunks: self.chunks_sent },
            Line::Ended {
                id: &self.id,
                outcome,
                status: self.status,
                tokens_in,
                tokens_cached,
                tokens_out,
                charge_nano_usd,
            },
        ]);
        if let Err(error) = written {
            // The books are the truth: going on without them would make every money test a lie.
            let _ = writeln!(std::io::stderr(), "fake-provider: {error}");
            std::process::abort();
        }
        let position = books.positions.get(&self.id).copied();
        if let Some(record) = position.and_then(|position| books.requests.get_mut(position)) {
            record.chunks_sent = self.chunks_sent;
            record.outcome = Some(outcome);
            record.status = self.status;
            record.tokens_in = tokens_in;
            record.tokens_cached = tokens_cached;
            record.tokens_out = tokens_out;
            record.charge_nano_usd = charge_nano_usd;
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.close(Outcome::Disconnected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_is_rounded_up_once() {
        let prices = Prices { input: 150_000, cached: 75_000, output: 600_001 };
        assert_eq!(prices.charge_nano_usd(0, 0, 0), 0);
        assert_eq!(prices.charge_nano_usd(10, 0, 3), 1_500 + 1_801);
        assert_eq!(prices.charge_nano_usd(10, 4, 0), 900 + 300);
        assert_eq!(prices.charge_nano_usd(u64::MAX, 0, u64::MAX), u64::MAX);
    }
}
