//! The reference billing service as a process: something to try a client, or the suite, against.
//!
//! ```text
//! CHAT_BILLING_SECRET=… billing-service [PORT]
//! ```
//! Its books are in memory and end with it. Port 0 (the default) lets the system choose; the first
//! line on stdout is `listening on http://127.0.0.1:PORT`.

use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use chat_tests::billing_service::{Books, serve};
use tokio::net::TcpListener;

fn main() -> anyhow::Result<()> {
    let secret = std::env::var("CHAT_BILLING_SECRET").context("CHAT_BILLING_SECRET is not set")?;
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse::<u16>());
    let port = port.context("usage: billing-service [PORT]")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let mut stdout = std::io::stdout();
        writeln!(stdout, "listening on http://{}", listener.local_addr()?)?;
        stdout.flush()?;
        Ok(serve(listener, Arc::new(Books::new(&secret))).await?)
    })
}
