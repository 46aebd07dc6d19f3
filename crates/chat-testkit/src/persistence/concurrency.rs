//! Parallel writers lose nothing, one of many wins, and a dropped call harms nobody.

use std::collections::BTreeSet;
use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use chat_persist::Accepted;
use chat_types::{ContentHash, Provenance, Summary, TokenCount, TokenizerId, Tokens};

use crate::Store;
use crate::fixtures::{Sent, c, id, import, in_parallel, line, scope};

/// 64 turns accepted and completed at once are all there, whole.
pub async fn parallel_turns_are_all_there(store: &Arc<dyn Store>) {
    in_parallel(64, |n| {
        let store = Arc::clone(store);
        async move {
            Sent::named(&n.to_string()).complete(&*store).await;
        }
    })
    .await;
    let page = store.messages(&scope(), &c(), None, 1_000).await.expect("reads");
    let found: BTreeSet<_> = page.messages.iter().map(|message| message.id.clone()).collect();
    let expected = (0..64).flat_map(|n| [id(&format!("u-{n}")), id(&format!("r-{n}"))]);
    assert_eq!(found, expected.collect());
    assert_eq!(store.scan_steps(None, 1_000).await.expect("scans").len(), 64);
}

/// 64 requests with one key, accepted at once, are one turn.
pub async fn parallel_accepts_with_one_key_are_one_turn(store: &Arc<dyn Store>) {
    let answers = in_parallel(64, |n| {
        let store = Arc::clone(store);
        async move {
            let mut sent = Sent::named(&n.to_string()).keyed("k");
            sent.accept.turn.request_hash = "the same".into();
            match store.accept(&scope(), &sent.accept).await.expect("answers") {
                Accepted::New => (true, sent.id().clone()),
                Accepted::Existing(found) => (false, found.turn.id),
            }
        }
    })
    .await;
    assert_eq!(answers.iter().filter(|(is_new, _)| *is_new).count(), 1);
    let turns: BTreeSet<_> = answers.into_iter().map(|(_, turn)| turn).collect();
    assert_eq!(turns.len(), 1, "everybody is told of the same turn");
    let page = store.messages(&scope(), &c(), None, 100).await.expect("reads");
    assert_eq!(page.messages.len(), 1);
}

/// The same step, attempt and events written 32 times at once are there once.
pub async fn parallel_repeats_are_one_write(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").accept(&**store).await;
    in_parallel(32, |_| {
        let (store, sent) = (Arc::clone(store), sent.clone());
        async move {
            let fence = sent.fence();
            store.open_step(&fence, &crate::fixtures::step(1, false)).await.expect("opens");
            store.dispatch(&fence, &sent.attempt_key(1, 1)).await.expect("dispatches");
            store.checkpoint(&fence, &sent.checkpoint(2, 5, true)).await.expect("appends");
        }
    })
    .await;
    let everything = sent.everything(&**store).await;
    let turn = everything.turn.expect("is there");
    assert_eq!((turn.steps.len(), turn.steps[0].attempts, turn.last_seq), (1, 1, 5));
    assert_eq!(everything.events.expect("has a log").segments.len(), 2);
}

/// Of 32 counts kept at once for one tokenizer, one stays.
pub async fn parallel_counts_keep_one(store: &Arc<dyn Store>) {
    import(&**store, &line(1)).await;
    in_parallel(32, |n| {
        let store = Arc::clone(store);
        async move {
            let count = TokenCount {
                tokens: Tokens::from_len(n),
                tokenizer: TokenizerId::from_static("o200k_base"),
                provenance: Provenance::Counted,
            };
            store.keep_token_counts(&scope(), &c(), &[(id("m-0"), count)]).await.expect("keeps");
        }
    })
    .await;
    let stored = store.message(&scope(), &c(), &id("m-0")).await.expect("reads");
    assert_eq!(stored.expect("is there").token_counts.len(), 1);
}

/// Of 32 summaries kept at once with one message, one stays, whole, and so does a count kept
/// meanwhile.
pub async fn parallel_summaries_keep_one(store: &Arc<dyn Store>) {
    import(&**store, &line(1)).await;
    let summary = |n: usize| Summary {
        text: format!("summary {n}"),
        covers_to: id("m-0"),
        covered: ContentHash::of([n.to_string()]),
        prompt_version: u32::try_from(n).ok(),
    };
    let count = TokenCount {
        tokens: Tokens::new(7),
        tokenizer: TokenizerId::from_static("o200k_base"),
        provenance: Provenance::Counted,
    };
    in_parallel(32, |n| {
        let (store, summary, count) = (Arc::clone(store), summary(n), count.clone());
        async move {
            store.keep_summary(&scope(), &c(), &summary).await.expect("keeps");
            if n == 16 {
                store
                    .keep_token_counts(&scope(), &c(), &[(id("m-0"), count)])
                    .await
                    .expect("keeps");
            }
        }
    })
    .await;
    let stored = store.message(&scope(), &c(), &id("m-0")).await.expect("reads");
    let stored = stored.expect("is there");
    assert_eq!(stored.token_counts, [count]);
    assert!((0..32).any(|n| stored.summary == Some(summary(n))), "{:?}", stored.summary);
}

/// 16 imports of one conversation at once write it once.
pub async fn parallel_imports_are_one(store: &Arc<dyn Store>) {
    in_parallel(16, |_| {
        let store = Arc::clone(store);
        async move { import(&*store, &line(20)).await }
    })
    .await;
    let page = store.messages(&scope(), &c(), None, 100).await.expect("reads");
    assert_eq!(page.messages, line(20));
}

/// 100 calls dropped after their first poll leave whole turns or none, and the next 100 succeed.
pub async fn dropped_call_leaves_store_healthy(store: &Arc<dyn Store>) {
    let dropped: Vec<Sent> = (0..100).map(|n| Sent::named(&format!("dropped-{n}"))).collect();
    for sent in &dropped {
        let call = pin!(store.accept(&sent.scope, &sent.accept));
        let _dropped_here = call.poll(&mut Context::from_waker(Waker::noop()));
    }
    for n in 0..100 {
        Sent::named(&n.to_string()).complete(&**store).await;
    }
    for sent in &dropped {
        let written = store.message(&scope(), &c(), &sent.accept.turn.user_message).await;
        let is_written = written.expect("reads").is_some();
        let turn = store.turn(&scope(), sent.id()).await.expect("reads");
        assert!(turn.is_some() || !is_written, "half of turn {} is there", sent.id());
    }
}
