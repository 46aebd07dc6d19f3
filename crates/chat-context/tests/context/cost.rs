//! What building costs: the window, never the history.

use std::sync::atomic::Ordering;

use crate::common::{Case, chain, id, message, sent};
use chat_types::{MessageId, Role};

#[tokio::test]
async fn a_long_history_costs_what_a_short_one_costs() {
    for stored in [1_000, 10_000] {
        let case = Case::new(chain(&vec![50; stored]), 8_000);
        let built = case.build().await;
        let kept = built.prompt.items.len();
        assert_eq!(kept, 159, "(8000 - 3) / 50");
        let (pages, messages) = case.reader.read();
        assert!(pages <= 2, "{pages} pages");
        assert!(messages <= kept + 64, "{messages} messages read for {kept}");
    }
}

#[tokio::test]
async fn pages_follow_the_size_of_the_messages() {
    let case = Case::new(chain(&[1_000; 300]), 8_000);
    assert_eq!(case.build().await.prompt.items.len(), 7);
    let (pages, messages) = case.reader.read();
    assert!(pages == 1 && messages <= 201, "{pages} pages, {messages} messages");

    let case = Case::new(chain(&[2; 3_000]), 4_003);
    assert_eq!(case.build().await.prompt.items.len(), 2_000);
    let (pages, messages) = case.reader.read();
    assert!(pages <= 12 && messages <= 2_256, "{pages} pages, {messages} messages");
}

#[tokio::test]
async fn stored_counts_are_never_recomputed() {
    let case = Case::new(chain(&[5; 20]), 1_000);
    let built = case.build().await;
    assert_eq!(sent(&built).len(), 20);
    assert_eq!(case.counter.messages_counted.load(Ordering::Relaxed), 0);
    assert_eq!(built.fresh_counts, []);
}

#[tokio::test]
async fn counts_that_were_missing_come_back_once_each() {
    let case = Case::new(
        vec![
            message("a", None, Role::User, "one two"),
            message("b", Some("a"), Role::Assistant, "three"),
            message("c", Some("b"), Role::User, "four five six"),
        ],
        1_000,
    );
    let built = case.build().await;
    let fresh: Vec<(MessageId, u64)> =
        built.fresh_counts.iter().map(|(id, count)| (id.clone(), count.tokens.get())).collect();
    assert_eq!(fresh, [(id("c"), 3), (id("b"), 1), (id("a"), 2)]);
    assert_eq!(case.counter.messages_counted.load(Ordering::Relaxed), 3);
    assert_eq!(built.report.input_tokens.get(), 3 + 6);
}

/// A guard, not a measurement: the target is far below it. Unoptimised code says nothing.
#[cfg(not(debug_assertions))]
#[tokio::test]
async fn a_prompt_of_160_messages_takes_less_than_a_millisecond() {
    let case = Case::new(chain(&vec![50; 1_000]), 8_000);
    let mut best = std::time::Duration::MAX;
    for _ in 0..50 {
        let started = std::time::Instant::now();
        let built = case.build().await;
        best = best.min(started.elapsed());
        assert_eq!(built.prompt.items.len(), 159);
    }
    assert!(best < std::time::Duration::from_millis(1), "{best:?}");
}
