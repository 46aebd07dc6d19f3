//! A fresh MongoDB database keeps what the ports promise, on a replica set and on one server.

#![expect(dead_code, reason = "what the suites need of a fresh database is not all of it")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test opens its own store"
)]

mod fresh;

use chat_testkit::traces::TraceHarness;
use chat_testkit::{Harness, LedgerHarness, Ports, UsageHarness};
use fresh::{Fresh, Server};

async fn open(server: Server) -> Harness {
    let fresh = Fresh::on(server).await;
    Harness::new(fresh.open().await).guarded_by(fresh)
}

async fn open_ledger() -> LedgerHarness {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    LedgerHarness::new(fresh.open().await).guarded_by(fresh)
}

async fn open_usage() -> UsageHarness {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    UsageHarness::new(fresh.open().await).guarded_by(fresh)
}

async fn open_all() -> TraceHarness {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    TraceHarness::new(Ports::of(fresh.open().await)).guarded_by(fresh)
}

mod replica_set {
    use super::*;
    chat_testkit::ledger_suite!(open_ledger());
    chat_testkit::notices_suite!(open_ledger());
    chat_testkit::persistence_suite!(open(Server::ReplicaSet));
    chat_testkit::usage_suite!(open_usage());
    chat_testkit::archive_suite!(open_all());
}

mod standalone {
    use super::*;
    chat_testkit::persistence_suite!(open(Server::Standalone));
}
