//! Starts the fake provider as a child process and asks it questions.
//!
//! The binary is looked for, in this order: `CHAT_FAKE_PROVIDER_BIN`, what the test runner says
//! (`NEXTEST_BIN_EXE_fake-provider`, `CARGO_BIN_EXE_fake-provider`), then beside the running executable
//! and in the folders above it (a test binary lies in `target/debug/deps`, the binary in `target/debug`).
//! Everything here blocks for as long as one loopback request takes; no runtime is needed.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::fake_provider::{Captured, LedgerSummary, RequestRecord};

/// A loopback answer that takes longer is a hang.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How often [`FakeProvider::wait_until`] looks.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// How the child is started. The default: free port, no ledger file, prices 0, no key.
#[derive(Debug, Clone, Default)]
pub struct FakeProviderOptions {
    /// The append-only ledger file; `None` keeps the books in the child's memory only.
    pub ledger: Option<PathBuf>,
    /// Pico-USD per uncached input token.
    pub price_in: u64,
    /// Pico-USD per cached input token; `None` means as `price_in`.
    pub price_cached: Option<u64>,
    /// Pico-USD per output token.
    pub price_out: u64,
    /// The key that `/v1/` requests must carry.
    pub api_key: Option<String>,
    /// The behaviour of models that name none (grammar of [`crate::fake_provider::behaviour`]).
    pub behaviour: Option<String>,
    /// The port; 0 lets the system choose.
    pub port: u16,
}

/// The child could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The binary is nowhere it is looked for.
    #[error("fake-provider is not built: run `cargo build -p chat-tests --bin fake-provider`")]
    NotBuilt,
    /// The system refused to start it.
    #[error("{0} could not be started")]
    Start(PathBuf, #[source] io::Error),
    /// It did not say where it listens.
    #[error("fake-provider ended with `{0}` instead of `listening on http://…`")]
    NoAddress(String),
}

/// A running fake provider; killed when dropped.
#[derive(Debug)]
pub struct FakeProvider {
    child: Child,
    address: SocketAddr,
    ledger: Option<PathBuf>,
}

impl FakeProvider {
    /// Starts one with the default options.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn() -> Result<Self, SpawnError> {
        Self::spawn_with(&FakeProviderOptions::default())
    }

    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn_with(options: &FakeProviderOptions) -> Result<Self, SpawnError> {
        let binary = find_binary().ok_or(SpawnError::NotBuilt)?;
        let mut command = Command::new(&binary);
        command.arg("--exit-with-stdin").arg("--port").arg(options.port.to_string());
        command.arg("--price-in").arg(options.price_in.to_string());
        command.arg("--price-out").arg(options.price_out.to_string());
        if let Some(price) = options.price_cached {
            command.arg("--price-cached").arg(price.to_string());
        }
        if let Some(ledger) = &options.ledger {
            command.arg("--ledger").arg(ledger);
        }
        if let Some(api_key) = &options.api_key {
            command.arg("--api-key").arg(api_key);
        }
        if let Some(behaviour) = &options.behaviour {
            command.arg("--behaviour").arg(behaviour);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| SpawnError::Start(binary, error))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let address = line.trim().strip_prefix("listening on http://");
        let Some(address) = address.and_then(|address| address.parse().ok()) else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(SpawnError::NoAddress(line));
        };
        Ok(Self { child, address, ledger: options.ledger.clone() })
    }

    /// `http://127.0.0.1:PORT/v1`: what an OpenAI client calls its base URL.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The ledger file, if there is one.
    #[must_use]
    pub fn ledger_path(&self) -> Option<&Path> {
        self.ledger.as_deref()
    }

    /// The books: every request and the totals.
    ///
    /// # Errors
    /// The child does not answer, or not with its ledger.
    pub fn ledger(&self) -> io::Result<LedgerSummary> {
        Ok(serde_json::from_slice(&self.ask("GET", "/_ledger", "")?)?)
    }

    /// The captured requests, oldest first (the last 1,000).
    ///
    /// # Errors
    /// As [`FakeProvider::ledger`].
    pub fn captured(&self) -> io::Result<Vec<Captured>> {
        Ok(serde_json::from_slice(&self.ask("GET", "/_captured", "")?)?)
    }

    /// Forgets everything in the child's memory; ids go on counting.
    ///
    /// # Errors
    /// The child does not answer.
    pub fn reset(&self) -> io::Result<()> {
        self.ask("POST", "/_reset", "").map(drop)
    }

    /// Sets the behaviour of models that name none.
    ///
    /// # Errors
    /// The child does not answer, or refuses the behaviour.
    pub fn set_behaviour(&self, pairs: &str) -> io::Result<()> {
        self.ask("POST", "/_behaviour", pairs).map(drop)
    }

    /// Asks for the ledger until `is_reached` holds and returns it.
    ///
    /// # Errors
    /// `TimedOut` after `timeout`, or as [`FakeProvider::ledger`].
    pub fn wait_until(
        &self,
        timeout: Duration,
        is_reached: impl Fn(&LedgerSummary) -> bool,
    ) -> io::Result<LedgerSummary> {
        let start = Instant::now();
        loop {
            let summary = self.ledger()?;
            if is_reached(&summary) {
                return Ok(summary);
            }
            if start.elapsed() > timeout {
                let message = format!("the ledger never got there: {:?}", summary.totals);
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// The requests made with this `user` field, in order of arrival.
    ///
    /// # Errors
    /// As [`FakeProvider::ledger`].
    pub fn requests_of_user(&self, user: &str) -> io::Result<Vec<RequestRecord>> {
        let mut requests = self.ledger()?.requests;
        requests.retain(|request| request.user.as_deref() == Some(user));
        Ok(requests)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: fake\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
        let end_of_head = answer.windows(4).position(|window| window == b"\r\n\r\n");
        let end_of_head = end_of_head.ok_or_else(|| invalid("an answer without a head".into()))?;
        let body = answer.split_off(end_of_head + 4);
        if answer.starts_with(b"HTTP/1.1 200 ") {
            Ok(body)
        } else {
            let body = String::from_utf8_lossy(&body).into_owned();
            Err(invalid(format!("{method} {path}: {body}")))
        }
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a program of this package is.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let named = [format!("NEXTEST_BIN_EXE_{name}"), format!("CARGO_BIN_EXE_{name}")];
    let named = named.iter().filter_map(std::env::var_os).map(PathBuf::from);
    let executable = std::env::current_exe().ok();
    let folders = executable.iter().flat_map(|path| path.ancestors().skip(1).take(3));
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let beside = folders.map(|folder| folder.join(&file));
    named.chain(beside).find(|path| path.is_file())
}

fn find_binary() -> Option<PathBuf> {
    let named = std::env::var_os("CHAT_FAKE_PROVIDER_BIN").map(PathBuf::from);
    named.filter(|path| path.is_file()).or_else(|| find_program("fake-provider"))
}
