//! The end of a turn: one commit, one winner, final.

use std::sync::Arc;

use chat_persist::{EventPage, MessagePage, PersistErrorKind, StepRecord, TurnClose, TurnRecord};
use chat_types::{
    Change, Conversation, ConversationPatch, MessageStatus, StepState, TurnFailure, TurnState,
};

use super::steps::stored_step;
use crate::Store;
use crate::fixtures::{
    Everything, Sent, amount, assert_refused, at, c, conversation, id, import, in_parallel, line,
    released, scope, segment, settling, step,
};

/// Reply, amounts, last events, state and head are there at once.
pub async fn close_turn_writes_everything(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").complete(&**store).await;
    let user_message = sent.accept.user_message.clone();
    let expected = Everything {
        conversation: Some(Conversation {
            head: Some(id("r-1")),
            updated_at: at(2_000),
            ..conversation("c", 1_000)
        }),
        messages: MessagePage {
            messages: user_message.into_iter().chain([sent.reply()]).collect(),
            next: None,
        },
        turn: Some(TurnRecord {
            turn: sent.accept.turn.clone(),
            state: TurnState::Completed,
            epoch: 1,
            stop_requested: false,
            last_seq: 2,
            failure: None,
            closed_at: Some(at(2_000)),
            steps: vec![StepRecord {
                amounts: vec![amount(1)],
                ..stored_step(&sent, 1, StepState::Settling, 1)
            }],
        }),
        events: Some(EventPage {
            segments: vec![sent.accept.segment.clone(), segment(sent.id(), 2, 2)],
            state: Some(TurnState::Completed),
            last_seq: 2,
            epoch: 1,
            expired: false,
        }),
    };
    assert_eq!(sent.everything(&**store).await, expected);
}

/// With nothing kept, the head goes back to the user message, and why it ended is stored.
pub async fn close_turn_without_a_reply_goes_back(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").accept(&**store).await;
    let failure = TurnFailure::new("insufficient_funds", "needed $1.00, have $0.50", true);
    let close = TurnClose {
        state: TurnState::Rejected,
        message: None,
        steps: Vec::new(),
        failure: Some(failure.clone()),
        ..sent.close()
    };
    store.close_turn(&sent.fence(), &close).await.expect("closes");
    let record = sent.record(&**store).await;
    assert_eq!((record.state, record.failure), (TurnState::Rejected, Some(failure)));
    let stored = store.conversation(&scope(), &c()).await.expect("reads").expect("is there");
    assert_eq!(stored.head, Some(id("u-1")));
    let page = store.messages(&scope(), &c(), None, 10).await.expect("reads");
    assert_eq!(page.messages.len(), 1);
}

/// A head that was moved while the turn ran stays where it is.
pub async fn close_turn_leaves_a_moved_head(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    for (name, message) in [("1", true), ("2", false)] {
        let sent = Sent::named(name).below("m-1").run(&**store).await;
        let patch =
            ConversationPatch { head: Change::Set(id("m-0")), ..ConversationPatch::default() };
        store.patch_conversation(&scope(), &c(), &patch, at(1_800)).await.expect("patches");
        let close = TurnClose { message: message.then(|| sent.reply()), ..sent.close() };
        store.close_turn(&sent.fence(), &close).await.expect("closes");
        let stored = store.conversation(&scope(), &c()).await.expect("reads").expect("is there");
        assert_eq!((stored.head, stored.updated_at), (Some(id("m-0")), at(2_000)));
    }
}

/// Every way to end is stored, with a partial reply where there is one.
pub async fn every_end_is_stored(store: &Arc<dyn Store>) {
    let ends = [
        TurnState::Completed,
        TurnState::Truncated,
        TurnState::Aborted,
        TurnState::Failed,
        TurnState::Interrupted,
        TurnState::Rejected,
    ];
    for state in ends {
        let sent = Sent::named(state.as_str()).run(&**store).await;
        let mut reply = sent.reply();
        reply.status = MessageStatus::Partial;
        let close = TurnClose { state, message: Some(reply.clone()), ..sent.close() };
        store.close_turn(&sent.fence(), &close).await.expect("closes");
        assert_eq!(sent.record(&**store).await.state, state);
        let stored = store.message(&scope(), &c(), &reply.id).await.expect("reads");
        assert_eq!(stored, Some(reply));
    }
}

async fn check_close_is_refused(
    store: &Arc<dyn Store>,
    sent: &Sent,
    close: &TurnClose,
    kind: PersistErrorKind,
) {
    let before = sent.everything(&**store).await;
    assert_refused(store.close_turn(&sent.fence(), close).await, kind);
    assert_eq!(sent.everything(&**store).await, before);
}

/// A turn does not end with an open step that nobody named: money would be forgotten.
pub async fn close_turn_refuses_a_forgotten_step(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    store.open_step(&sent.fence(), &step(2, false)).await.expect("opens");
    check_close_is_refused(store, &sent, &sent.close(), PersistErrorKind::IllegalState).await;
    let close = TurnClose { steps: vec![settling(1), released(2)], ..sent.close() };
    store.close_turn(&sent.fence(), &close).await.expect("closes");
}

/// Steps that were closed before need not be named.
pub async fn close_turn_takes_closed_steps_as_they_are(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    store.open_step(&sent.fence(), &step(2, false)).await.expect("opens");
    store.open_step(&sent.fence(), &step(3, true)).await.expect("opens");
    store.close_step(&sent.fence(), &settling(1)).await.expect("closes");
    store.close_step(&sent.fence(), &released(2)).await.expect("closes");
    store.mark_settled(&[(scope().tenant, sent.step_key(1))]).await.expect("marks");
    let close = TurnClose { steps: vec![settling(3)], ..sent.close() };
    store.close_turn(&sent.fence(), &close).await.expect("closes");
    let states: Vec<_> = sent.record(&**store).await.steps.iter().map(|s| s.state).collect();
    assert_eq!(states, [StepState::Settled, StepState::Released, StepState::Settling]);
}

/// Only the promised reply, below the message it answers, is taken.
pub async fn close_turn_refuses_a_foreign_reply(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    let sent = Sent::named("1").below("m-1").run(&**store).await;
    let mut other_id = sent.close();
    let mut other_parent = sent.close();
    if let (Some(first), Some(second)) = (&mut other_id.message, &mut other_parent.message) {
        first.id = id("r-2");
        second.parent = Some(id("m-1"));
    }
    check_close_is_refused(store, &sent, &other_id, PersistErrorKind::Conflict).await;
    check_close_is_refused(store, &sent, &other_parent, PersistErrorKind::Conflict).await;
}

/// A state that is no end does not end a turn, and events must follow the log.
pub async fn close_turn_refuses_what_is_no_end(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    let illegal = PersistErrorKind::IllegalState;
    for state in [TurnState::Accepted, TurnState::Running, TurnState::Paused] {
        check_close_is_refused(store, &sent, &TurnClose { state, ..sent.close() }, illegal).await;
    }
    let gap = TurnClose { segment: segment(sent.id(), 3, 3), ..sent.close() };
    check_close_is_refused(store, &sent, &gap, illegal).await;
}

/// After the end no write goes through, the same end included.
pub async fn the_end_is_final(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").complete(&**store).await;
    let before = sent.everything(&**store).await;
    let fence = sent.fence();
    let illegal = PersistErrorKind::IllegalState;
    let aborted = TurnClose {
        state: TurnState::Aborted,
        message: None,
        steps: Vec::new(),
        segment: segment(sent.id(), 3, 3),
        ..sent.close()
    };
    assert_refused(store.open_step(&fence, &step(2, true)).await, illegal);
    assert_refused(store.dispatch(&fence, &sent.attempt_key(1, 2)).await, illegal);
    assert_refused(store.checkpoint(&fence, &sent.checkpoint(3, 3, false)).await, illegal);
    assert_refused(store.close_step(&fence, &released(1)).await, illegal);
    assert_refused(store.close_turn(&fence, &aborted).await, illegal);
    assert_refused(store.close_turn(&fence, &sent.close()).await, illegal);
    assert_eq!(sent.everything(&**store).await, before);
}

/// Of 64 who end a turn at once, one wins, and what it wrote is what is there.
pub async fn one_of_64_closers_wins(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    let answers = in_parallel(64, |n| {
        let (store, sent) = (Arc::clone(store), sent.clone());
        async move {
            let failure = Some(TurnFailure::new(format!("closer-{n}"), "test", false));
            let close = TurnClose { failure, ..sent.close() };
            (n, store.close_turn(&sent.fence(), &close).await)
        }
    })
    .await;
    let mut winners = Vec::new();
    for (n, answer) in answers {
        match answer {
            Ok(()) => winners.push(format!("closer-{n}")),
            Err(error) => assert_eq!(error.kind(), PersistErrorKind::IllegalState, "{error}"),
        }
    }
    let stored = sent.record(&**store).await.failure.map(|failure| failure.code);
    assert_eq!(winners, stored.into_iter().collect::<Vec<_>>());
}
