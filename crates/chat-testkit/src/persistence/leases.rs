//! Who is alive and who shall stop: leases, lapsed turns, stop flags.

use std::sync::Arc;

use chat_persist::{Fence, LapsedTurn, PersistErrorKind, StopAck, TurnClose};
use chat_types::{TurnId, TurnState};

use crate::Store;
use crate::fixtures::{Sent, assert_refused, at, id, scope};

async fn lapsed(store: &Arc<dyn Store>, now_ms: i64) -> Vec<String> {
    let lapsed = store.lapsed_turns(at(now_ms), 100).await.expect("reads");
    let mut turns: Vec<String> = lapsed.into_iter().map(|found| found.turn.into()).collect();
    turns.sort();
    turns
}

/// A turn whose owner never said it lives has lapsed, with its scope and epoch.
pub async fn turns_without_a_lease_have_lapsed(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").accept(&**store).await;
    let found = store.lapsed_turns(at(1_000), 100).await.expect("reads");
    assert_eq!(found, [sent.lapsed(1_000)]);
}

/// A lease protects its owner's turns, and nobody else's, until the moment it ends.
pub async fn a_lease_protects_until_it_ends(store: &Arc<dyn Store>) {
    Sent::named("1").owned_by("o-1").accept(&**store).await;
    Sent::named("2").owned_by("o-2").run(&**store).await;
    store.heartbeat(&id("o-1"), at(5_000)).await.expect("beats");
    assert_eq!(lapsed(store, 4_999).await, ["t-2"]);
    assert_eq!(lapsed(store, 5_000).await, ["t-1", "t-2"]);
    store.heartbeat(&id("o-1"), at(9_000)).await.expect("beats");
    assert_eq!(lapsed(store, 8_999).await, ["t-2"]);
}

/// Retiring ends a lease at once, also when there is none.
pub async fn retiring_ends_a_lease(store: &Arc<dyn Store>) {
    Sent::named("1").accept(&**store).await;
    store.heartbeat(&id("o-1"), at(5_000)).await.expect("beats");
    store.retire(&id("o-1")).await.expect("retires");
    store.retire(&id("o-1")).await.expect("retires");
    assert_eq!(lapsed(store, 1_000).await, ["t-1"]);
}

/// After a takeover the new owner's lease counts.
pub async fn the_new_owners_lease_counts(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").accept(&**store).await;
    store.heartbeat(&id("o-2"), at(5_000)).await.expect("beats");
    let found = store.lapsed_turns(at(2_000), 100).await.expect("reads");
    store.take_over(&found[0], &id("o-2")).await.expect("takes over");
    assert_eq!(lapsed(store, 2_000).await, Vec::<String>::new());
    let expected = LapsedTurn { epoch: 2, ..sent.lapsed(5_000) };
    assert_eq!(store.lapsed_turns(at(5_000), 100).await.expect("reads"), [expected]);
}

/// A turn that was seen lapsed is left to its owner if that one has a lease by now: it may have
/// opened a step under it.
pub async fn take_over_leaves_a_living_owner_its_turns(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").owned_by("o-1").run(&**store).await;
    let found = store.lapsed_turns(at(2_000), 100).await.expect("reads");
    store.heartbeat(&id("o-1"), at(2_001)).await.expect("beats");
    assert_eq!(store.take_over(&found[0], &id("o-2")).await.expect("answers"), None);
    assert_eq!(sent.record(&**store).await.epoch, 1);
    let found = store.lapsed_turns(at(2_001), 100).await.expect("reads");
    let taken = store.take_over(&found[0], &id("o-2")).await.expect("takes over");
    assert_eq!(taken, Some(Fence { epoch: 2, ..sent.fence() }));
}

/// Ended turns never lapse, and no more are listed than asked for.
pub async fn only_running_turns_lapse(store: &Arc<dyn Store>) {
    Sent::named("ended").complete(&**store).await;
    for n in 0..5 {
        Sent::named(&n.to_string()).accept(&**store).await;
    }
    assert_eq!(lapsed(store, 9_000).await, ["t-0", "t-1", "t-2", "t-3", "t-4"]);
    assert_eq!(store.lapsed_turns(at(9_000), 2).await.expect("reads").len(), 2);
}

async fn flags(store: &Arc<dyn Store>, owner: &str) -> Vec<TurnId> {
    store.stop_flags(&id(owner)).await.expect("reads")
}

/// A stop reaches the owner of the turn, once asked or twice.
pub async fn a_stop_reaches_the_owner(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").owned_by("o-1").run(&**store).await;
    Sent::named("2").owned_by("o-1").run(&**store).await;
    assert_eq!(flags(store, "o-1").await, []);
    for _ in 0..2 {
        let ack = store.request_stop(&scope(), sent.id()).await.expect("asks");
        assert_eq!(ack, StopAck::Requested);
    }
    assert_eq!(flags(store, "o-1").await, [sent.id().clone()]);
    assert_eq!(flags(store, "o-2").await, []);
    assert!(sent.record(&**store).await.stop_requested);
}

/// A stop follows its turn to the owner that takes it over.
pub async fn a_stop_follows_the_takeover(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    store.request_stop(&scope(), sent.id()).await.expect("asks");
    let found = store.lapsed_turns(at(9_000), 100).await.expect("reads");
    store.take_over(&found[0], &id("o-2")).await.expect("takes over");
    assert_eq!(flags(store, "o-1").await, []);
    assert_eq!(flags(store, "o-2").await, [sent.id().clone()]);
}

/// An ended turn answers with how it ended; its flag is gone.
pub async fn a_stop_after_the_end_says_how_it_ended(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    store.request_stop(&scope(), sent.id()).await.expect("asks");
    let close = TurnClose { state: TurnState::Aborted, ..sent.close() };
    store.close_turn(&sent.fence(), &close).await.expect("closes");
    assert_eq!(flags(store, "o-1").await, []);
    let ack = store.request_stop(&scope(), sent.id()).await.expect("asks");
    assert_eq!(ack, StopAck::AlreadyEnded(TurnState::Aborted));
}

/// A turn that is not there cannot be stopped.
pub async fn a_stop_of_nothing_is_not_found(store: &Arc<dyn Store>) {
    let asked = store.request_stop(&scope(), &id("t-9")).await;
    assert_refused(asked, PersistErrorKind::NotFound);
}
