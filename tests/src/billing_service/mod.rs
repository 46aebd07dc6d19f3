//! A billing service that keeps the contract of `docs/external-billing.md`, small enough to read.
//!
//! Its books are a `MemoryLedger`; its JSON is its own, shared with no client, so that a mistake in
//! one of them cannot hide in the other. It can be told to fail ([`Fault`]), to go away and to come
//! back, and it remembers what it was asked.
//! Not here: accounts of a real billing system, durability, more than one process.

mod bad_request;
mod bodies;
mod books;
mod fault;
mod routes;
mod rows;
mod server;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use chat_runtime::balance::MemoryLedger;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use books::{Books, Received};
pub use fault::{Fault, Operation};
pub use server::serve;

/// A service on a loopback port, in the tasks of whoever started it. Gone when it is dropped.
#[derive(Debug)]
pub struct BillingService {
    address: SocketAddr,
    books: Arc<Books>,
    tasks: JoinSet<io::Result<()>>,
}

impl BillingService {
    /// Starts one with empty books, on a free port.
    ///
    /// # Errors
    /// No port can be listened on.
    pub async fn start(secret: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let mut service = Self {
            address: listener.local_addr()?,
            books: Arc::new(Books::new(secret)),
            tasks: JoinSet::new(),
        };
        service.tasks.spawn(serve(listener, Arc::clone(&service.books)));
        Ok(service)
    }

    /// Where it answers, without `/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it keeps, to look at it directly.
    #[must_use]
    pub fn ledger(&self) -> MemoryLedger {
        self.books.ledger()
    }

    /// The next `times` requests for `operation` (none: for anything) fail like this.
    pub fn fail(&self, operation: Option<Operation>, fault: Fault, times: u64) {
        self.books.faults().add(operation, fault, times);
    }

    /// From now on the answer of every `every`-th write is lost after its work was done.
    pub fn lose_every(&self, every: u64) {
        self.books.faults().lose_every(every);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.books.faults().clear();
    }

    /// The last requests with a right secret, oldest first.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.books.received()
    }

    /// Closes the port and every connection. The books stay.
    pub async fn go_away(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Listens on the same port again.
    ///
    /// # Errors
    /// Somebody else has taken the port.
    pub async fn come_back(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.tasks.spawn(serve(listener, Arc::clone(&self.books)));
        Ok(())
    }
}
