//! What the ledger has to tell is heard: in order, again after a failure, never in a turn's way.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chat_balance::{LedgerMaintenance as _, NotDelivered, Notice, NoticeSink};
use chat_core::TurnRequest;
use chat_types::{Cursor, EventKind, LowAccount, Money, TurnEvent, TurnState};
use tokio::time::sleep;

use crate::common::*;

/// Remembers what it heard; refuses as long as it is told to.
#[derive(Debug, Default)]
struct Ear {
    heard: Mutex<Vec<String>>,
    tries: Mutex<u32>,
    is_deaf: Mutex<bool>,
    /// How long each delivery takes.
    takes: Duration,
}

impl Ear {
    fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic").clone()
    }

    fn be_deaf(&self, is_deaf: bool) {
        *self.is_deaf.lock().expect("no panic") = is_deaf;
    }

    fn tries(&self) -> u32 {
        *self.tries.lock().expect("no panic")
    }
}

#[async_trait]
impl NoticeSink for Ear {
    async fn deliver(&self, notice: &Notice) -> Result<(), NotDelivered> {
        sleep(self.takes).await;
        *self.tries.lock().expect("no panic") += 1;
        if *self.is_deaf.lock().expect("no panic") {
            return Err(NotDelivered::new("nobody is there"));
        }
        self.heard.lock().expect("no panic").push(notice.key.clone());
        Ok(())
    }
}

/// A world in which every turn is refused, and how its notices begin.
fn short() -> World {
    World::saying(&["ok"]).with_credit(1_000)
}

async fn refuse_one(client: &chat_core::BaseClient) -> String {
    let (turn, outcome) = complete(client, TurnRequest::text("hi")).await;
    assert_eq!(outcome.state, TurnState::Rejected);
    format!("ada/refused/{}/1", turn.id())
}

#[tokio::test(start_paused = true)]
async fn notices_are_delivered_in_order_and_forgotten() {
    let world = short();
    let ear = Arc::new(Ear::default());
    let client = world.builder().notice_sink(ear.clone()).start().await.expect("starts");
    let mut expected = Vec::new();
    for _ in 0..3 {
        expected.push(refuse_one(&client).await);
        world.clock.advance_ms(1);
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(ear.heard(), expected);
    assert_eq!(client.notices(10).await.expect("reads"), []);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_hears_all_later_and_is_left_alone_meanwhile() {
    let world = short();
    let ear = Arc::new(Ear::default());
    ear.be_deaf(true);
    let client = world.builder().notice_sink(ear.clone()).start().await.expect("starts");
    let mut expected = Vec::new();
    for _ in 0..40 {
        expected.push(refuse_one(&client).await);
        world.clock.advance_ms(1);
    }
    sleep(Duration::from_secs(600)).await;
    assert_eq!(client.notices(100).await.expect("reads").len(), 40);
    let tries = ear.tries();
    assert!((8..=20).contains(&tries), "{tries} tries in ten minutes");
    ear.be_deaf(false);
    sleep(Duration::from_secs(120)).await;
    assert_eq!(ear.heard(), expected);
    assert_eq!(client.notices(100).await.expect("reads"), []);
}

#[tokio::test(start_paused = true)]
async fn a_slow_sink_holds_up_no_turn() {
    let world = short();
    let ear = Arc::new(Ear { takes: Duration::from_secs(3_600), ..Ear::default() });
    let client = world.builder().notice_sink(ear).start().await.expect("starts");
    let begun = tokio::time::Instant::now();
    for _ in 0..5 {
        refuse_one(&client).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_delivers_first_and_the_next_one_the_rest() {
    let world = short();
    let ear = Arc::new(Ear::default());
    let client = world.builder().notice_sink(ear.clone()).start().await.expect("starts");
    let first = refuse_one(&client).await;
    client.drain().await;
    assert_eq!(ear.heard(), std::slice::from_ref(&first));

    let deaf = world.start().await;
    world.clock.advance_ms(1);
    let second = refuse_one(&deaf).await;
    deaf.drain().await;
    let next = world.builder().notice_sink(ear.clone()).start().await.expect("starts");
    sleep(Duration::from_secs(30)).await;
    assert_eq!(ear.heard(), [first, second]);
    next.drain().await;
}

#[tokio::test(start_paused = true)]
async fn two_processes_deliver_each_notice_at_least_once() {
    let world = short();
    let ear = Arc::new(Ear { takes: Duration::from_millis(300), ..Ear::default() });
    let one = world.builder().notice_sink(ear.clone()).start().await.expect("starts");
    let other = world.builder().notice_sink(ear.clone()).start().await.expect("starts");
    let mut expected = BTreeSet::new();
    for _ in 0..5 {
        expected.insert(refuse_one(&one).await);
        expected.insert(refuse_one(&other).await);
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!(ear.heard().into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(one.notices(10).await.expect("reads"), []);
}

#[tokio::test(start_paused = true)]
async fn notices_that_nobody_takes_are_forgotten_after_thirty_days() {
    let world = short();
    let client = world.start().await;
    refuse_one(&client).await;
    world.clock.advance_ms(chat_balance::NOTICES_KEPT_MS);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(client.notices(10).await.expect("reads").len(), 1);
    world.clock.advance_ms(1);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(client.notices(10).await.expect("reads"), []);
}

fn low_of(events: &[Arc<TurnEvent>]) -> Vec<LowAccount> {
    let held = events.iter().find_map(|event| match &event.event {
        EventKind::Held { low, .. } => Some(low.clone()),
        _ => None,
    });
    held.expect("a hold was taken")
}

#[tokio::test(start_paused = true)]
async fn a_turn_on_a_low_account_says_so_and_goes_on() {
    let mut world = World::saying(&["ok"]).with_credit(1_000_000_000);
    world.warn_below = Some(Money::from_nano_usd(1_000_000_000));
    let client = world.start().await;
    let (first, outcome) = complete(&client, TurnRequest::text("hi")).await;
    assert_eq!(outcome.state, TurnState::Completed);
    assert_eq!(low_of(&read(&client, first.id(), Cursor::START).await), []);
    let left = world.account(&ada()).await.available().expect("fits");
    let (second, outcome) = complete(&client, TurnRequest::text("hi")).await;
    assert_eq!(outcome.state, TurnState::Completed);
    let expected = LowAccount {
        account: "ada".parse().expect("valid"),
        unit: chat_balance::AccountUnit::Usd,
        left,
        threshold: Money::from_nano_usd(1_000_000_000),
        refill_at: None,
    };
    assert_eq!(low_of(&read(&client, second.id(), Cursor::START).await), [expected]);
    let keys: Vec<_> = world.ledger.notices(10).await.expect("reads");
    let keys: Vec<_> = keys.into_iter().map(|notice| notice.key).collect();
    assert_eq!(keys, [format!("ada/low/{}/1/end", first.id())]);
    assert_sound(&client).await;
}
