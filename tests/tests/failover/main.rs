//! No acknowledged message is lost, no reply comes twice and the books balance while the database is killed
//! with SIGKILL every five seconds and started again, under a load of whole turns.
//!
//! The servers are the test's own. `CHAT_TEST_FULL=1` makes the load a minute long.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may fail the test and tell what they counted"
)]

mod books;
mod chaos;
mod load;
mod scene;
mod verdict;

use std::time::Duration;

use chat_tests::services::{Mongo, Postgres};

use crate::chaos::Victim;
use crate::scene::Scene;
use crate::verdict::judge;

const SHORT: Duration = Duration::from_secs(15);
const FULL: Duration = Duration::from_secs(60);
/// How many nodes outlive the loss of one.
const NODES: usize = 3;

fn survive(victim: impl Victim, url: &str) {
    let full = std::env::var_os("CHAT_TEST_FULL").is_some();
    let duration = if full { FULL } else { SHORT };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let scene = Scene::open(url).await;
        let (sent, kills, _victim) = scene.load_while_killing(victim, duration).await;
        let (books, audit) = scene.books_after_two_leases().await;
        let charged = scene.provider.ledger().unwrap();
        let verdict = judge(&sent, &books, &charged, &audit);
        println!("{} kills in {duration:?}; {}", kills.kills, verdict.counts);
        verdict.assert();
        kills.assert_enough(duration);
        scene.close().await;
    });
}

#[test]
fn mongo_loses_nothing_when_its_primary_is_killed_again_and_again() {
    let set = Mongo::replica_set(NODES).unwrap();
    let url = set.url_of("chat");
    survive(set, &url);
}

#[test]
fn postgres_loses_nothing_when_it_is_killed_and_started_again() {
    let server = Postgres::start().unwrap();
    let url = server.url();
    survive(server, &url);
}
