//! Made-up traces of calls end as they do in memory, also with lost answers.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test opens its own store"
)]

#[expect(dead_code, reason = "traces bill, so they need a replica set")]
mod fresh;

use chat_testkit::Ports;
use chat_testkit::traces::TraceHarness;
use fresh::{Fresh, Server};

async fn open() -> TraceHarness {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    TraceHarness::new(Ports::of(fresh.open().await)).guarded_by(fresh)
}

chat_testkit::trace_suite!(open(), full: 100);
