//! Once another owner has taken a turn over, the old one writes nothing.

use std::sync::Arc;

use chat_persist::{Fence, LapsedTurn, PersistErrorKind, TurnClose};
use chat_types::TurnState;

use crate::Store;
use crate::fixtures::{
    Everything, Sent, assert_refused, id, in_parallel, released, segment, settling, step,
};

fn lapsed(sent: &Sent) -> LapsedTurn {
    sent.lapsed(9_000)
}

/// A running turn that `o-2` has taken over, and all that is there.
async fn taken_over(store: &Arc<dyn Store>) -> (Sent, Fence, Everything) {
    let sent = Sent::named("1").run(&**store).await;
    let taken = store.take_over(&lapsed(&sent), &id("o-2")).await.expect("takes over");
    let everything = sent.everything(&**store).await;
    (sent, taken.expect("nobody was faster"), everything)
}

/// A takeover raises the epoch and changes nothing else.
pub async fn take_over_raises_the_epoch(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    let before = sent.record(&**store).await;
    let taken = store.take_over(&lapsed(&sent), &id("o-2")).await.expect("takes over");
    assert_eq!(taken, Some(Fence { epoch: 2, ..sent.fence() }));
    let after = sent.record(&**store).await;
    assert_eq!((after.epoch, after.state), (2, before.state));
    assert_eq!((after.steps, after.last_seq), (before.steps, before.last_seq));
}

/// A turn seen at an old epoch is not taken over again.
pub async fn take_over_needs_the_epoch_seen(store: &Arc<dyn Store>) {
    let (sent, _, before) = taken_over(store).await;
    let taken = store.take_over(&lapsed(&sent), &id("o-3")).await.expect("answers");
    assert_eq!(taken, None);
    assert_eq!(sent.everything(&**store).await, before);
}

/// A turn that has ended, or is not there, is not taken over.
pub async fn take_over_of_an_ended_turn_is_none(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").complete(&**store).await;
    let before = sent.everything(&**store).await;
    let unknown = LapsedTurn { turn: id("t-9"), ..lapsed(&sent) };
    for lapsed in [lapsed(&sent), unknown] {
        assert_eq!(store.take_over(&lapsed, &id("o-2")).await.expect("answers"), None);
    }
    assert_eq!(sent.everything(&**store).await, before);
}

/// Of 64 who take over at once, one succeeds.
pub async fn one_of_64_takes_over(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    let answers = in_parallel(64, |n| {
        let (store, lapsed) = (Arc::clone(store), lapsed(&sent));
        async move { store.take_over(&lapsed, &id(&format!("new-{n}"))).await.expect("answers") }
    })
    .await;
    let winners: Vec<Fence> = answers.into_iter().flatten().collect();
    assert_eq!(winners, [Fence { epoch: 2, ..sent.fence() }]);
    assert_eq!(sent.record(&**store).await.epoch, 2);
}

/// The old owner opens no step.
pub async fn old_owner_opens_no_step(store: &Arc<dyn Store>) {
    let (sent, _, before) = taken_over(store).await;
    for number in [1, 2] {
        let opened = store.open_step(&sent.fence(), &step(number, true)).await;
        assert_refused(opened, PersistErrorKind::Fenced);
    }
    assert_eq!(sent.everything(&**store).await, before);
}

/// The old owner journals no attempt, not even one it made before: no bytes may leave.
pub async fn old_owner_dispatches_nothing(store: &Arc<dyn Store>) {
    let (sent, _, before) = taken_over(store).await;
    for attempt in [1, 2] {
        let dispatched = store.dispatch(&sent.fence(), &sent.attempt_key(1, attempt)).await;
        assert_refused(dispatched, PersistErrorKind::Fenced);
    }
    assert_eq!(sent.everything(&**store).await, before);
}

/// The old owner appends no events.
pub async fn old_owner_appends_no_events(store: &Arc<dyn Store>) {
    let (sent, _, before) = taken_over(store).await;
    let appended = store.checkpoint(&sent.fence(), &sent.checkpoint(2, 3, true)).await;
    assert_refused(appended, PersistErrorKind::Fenced);
    assert_eq!(sent.everything(&**store).await, before);
}

/// The old owner closes no step.
pub async fn old_owner_closes_no_step(store: &Arc<dyn Store>) {
    let (sent, _, before) = taken_over(store).await;
    for close in [settling(1), released(1)] {
        let closed = store.close_step(&sent.fence(), &close).await;
        assert_refused(closed, PersistErrorKind::Fenced);
    }
    assert_eq!(sent.everything(&**store).await, before);
}

/// The old owner does not end the turn, neither before nor after the new one has.
pub async fn old_owner_ends_nothing(store: &Arc<dyn Store>) {
    let (sent, fence, before) = taken_over(store).await;
    let closed = store.close_turn(&sent.fence(), &sent.close()).await;
    assert_refused(closed, PersistErrorKind::Fenced);
    assert_eq!(sent.everything(&**store).await, before);

    store.close_turn(&fence, &sent.close()).await.expect("the new owner ends it");
    let before = sent.everything(&**store).await;
    let closed = store.close_turn(&sent.fence(), &sent.close()).await;
    assert_refused(closed, PersistErrorKind::Fenced);
    assert_eq!(sent.everything(&**store).await, before);
}

/// An epoch that never was is fenced as well.
pub async fn an_epoch_from_nowhere_is_fenced(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    for epoch in [0, 2] {
        let fence = Fence { epoch, ..sent.fence() };
        let closed = store.close_turn(&fence, &sent.close()).await;
        assert_refused(closed, PersistErrorKind::Fenced);
    }
}

/// The new owner goes on where the log ends.
pub async fn new_owner_goes_on(store: &Arc<dyn Store>) {
    let (sent, fence, _) = taken_over(store).await;
    store.checkpoint(&fence, &sent.checkpoint(2, 4, true)).await.expect("appends");
    store.open_step(&fence, &step(2, false)).await.expect("opens");
    store.dispatch(&fence, &sent.attempt_key(2, 1)).await.expect("dispatches");
    store.close_step(&fence, &settling(2)).await.expect("closes the step");
    let close = TurnClose {
        state: TurnState::Interrupted,
        segment: segment(sent.id(), 5, 5),
        ..sent.close()
    };
    store.close_turn(&fence, &close).await.expect("ends the turn");
    let record = sent.record(&**store).await;
    assert_eq!((record.state, record.epoch, record.last_seq), (TurnState::Interrupted, 2, 5));
}
