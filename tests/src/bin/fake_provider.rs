//! The fake provider as a process of its own.
//!
//! ```text
//! fake-provider [--port N] [--ledger FILE.jsonl] [--price-in N] [--price-cached N] [--price-out N]
//!               [--api-key KEY] [--behaviour PAIRS] [--exit-with-stdin]
//! ```
//! Prices are pico-USD per token, 0 unless given; `--price-cached` defaults to `--price-in`. Port 0 (the
//! default) lets the system choose. The first line on stdout is `listening on http://127.0.0.1:PORT`.
//! `--exit-with-stdin` ends the process when its stdin closes, so that it cannot outlive its parent.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use chat_tests::fake_provider::{Behaviour, Ledger, Prices, ServerOptions, serve};
use tokio::net::TcpListener;

#[derive(Debug, Default)]
struct Arguments {
    port: u16,
    ledger: Option<PathBuf>,
    price_in: u64,
    price_cached: Option<u64>,
    price_out: u64,
    api_key: Option<String>,
    behaviour: Behaviour,
    exit_with_stdin: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse(std::env::args_os().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let prices = Prices {
        input: arguments.price_in,
        cached: arguments.price_cached.unwrap_or(arguments.price_in),
        output: arguments.price_out,
    };
    let ledger = Ledger::open(arguments.ledger.as_deref(), prices)
        .with_context(|| format!("cannot open the ledger {:?}", arguments.ledger))?;
    ledger.set_default_behaviour(arguments.behaviour);
    let listener = TcpListener::bind(("127.0.0.1", arguments.port)).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on http://{}", listener.local_addr()?)?;
    stdout.flush()?;
    let stdin_closed = async {
        if arguments.exit_with_stdin {
            wait_for_stdin_end().await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    let options = ServerOptions { api_key: arguments.api_key };
    tokio::select! {
        served = serve(listener, ledger, options) => Ok(served?),
        () = stdin_closed => Ok(()),
    }
}

async fn wait_for_stdin_end() {
    let (closed, wait) = tokio::sync::oneshot::channel();
    // A thread and not a task: a blocking read of stdin would hold the runtime's shutdown back.
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        let mut stdin = std::io::stdin();
        while matches!(stdin.read(&mut buffer), Ok(1..)) {}
        let _ = closed.send(());
    });
    let _ = wait.await;
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> anyhow::Result<Self> {
        let mut parsed = Self::default();
        while let Some(name) = arguments.next() {
            let name = name.to_string_lossy().into_owned();
            if name == "--exit-with-stdin" {
                parsed.exit_with_stdin = true;
                continue;
            }
            let Some(value) = arguments.next() else { bail!("`{name}` needs a value") };
            let text = value.to_string_lossy().into_owned();
            let context = || format!("`{name} {text}`");
            match name.as_str() {
                "--port" => parsed.port = text.parse().with_context(context)?,
                "--ledger" => parsed.ledger = Some(value.into()),
                "--price-in" => parsed.price_in = text.parse().with_context(context)?,
                "--price-cached" => parsed.price_cached = Some(text.parse().with_context(context)?),
                "--price-out" => parsed.price_out = text.parse().with_context(context)?,
                "--api-key" => parsed.api_key = Some(text),
                "--behaviour" => {
                    parsed.behaviour = Behaviour::parse(&text).with_context(context)?;
                }
                _ => bail!("unknown argument `{name}`"),
            }
        }
        Ok(parsed)
    }
}
