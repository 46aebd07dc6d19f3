//! The journal: steps, attempts, amounts, and one end.

use std::sync::Arc;

use chat_persist::{
    AttemptAmount, EventPage, MessagePage, PersistErrorKind, StepClose, StepRecord, TurnClose,
    TurnRecord,
};
use chat_types::{
    Change, Conversation, ConversationPatch, MessageStatus, Money, Purpose, StepState, Tokens,
    TurnFailure, TurnState, Usage, UsageSource,
};

use crate::Store;
use crate::fixtures::{
    Everything, Sent, amount, assert_refused, at, c, conversation, id, import, in_parallel, line,
    model, released, scope, segment, settling, step,
};

fn stored_step(sent: &Sent, number: u32, state: StepState, attempts: u32) -> StepRecord {
    StepRecord {
        key: sent.step_key(number),
        purpose: Purpose::Reply,
        model: model(),
        state,
        attempts,
        input_bound: Tokens::new(200),
        input_estimate: Tokens::new(150),
        opened_at: at(1_500),
        amounts: Vec::new(),
    }
}

async fn check_steps(store: &Arc<dyn Store>, sent: &Sent, expected: &[StepRecord]) {
    assert_eq!(sent.record(&**store).await.steps, expected);
}

/// A step opens as held, or as dispatched with its first attempt, and the turn runs.
pub async fn open_step_sets_the_turn_running(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").accept(&**store).await;
    store
        .open_step(&sent.fence(), &step(1, false))
        .await
        .expect("opens");
    store
        .open_step(&sent.fence(), &step(2, true))
        .await
        .expect("opens");
    let expected = TurnRecord {
        turn: sent.accept.turn.clone(),
        state: TurnState::Running,
        epoch: 1,
        stop_requested: false,
        last_seq: 1,
        failure: None,
        closed_at: None,
        steps: vec![
            stored_step(&sent, 1, StepState::Held, 0),
            stored_step(&sent, 2, StepState::Dispatched, 1),
        ],
    };
    assert_eq!(sent.record(&**store).await, expected);
}

/// The same step again changes nothing, wherever it has got to.
pub async fn open_step_again_changes_nothing(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").accept(&**store).await;
    store
        .open_step(&sent.fence(), &step(1, false))
        .await
        .expect("opens");
    store
        .open_step(&sent.fence(), &step(1, false))
        .await
        .expect("is there");
    check_steps(store, &sent, &[stored_step(&sent, 1, StepState::Held, 0)]).await;
    store
        .dispatch(&sent.fence(), &sent.attempt_key(1, 1))
        .await
        .expect("dispatches");
    store
        .open_step(&sent.fence(), &step(1, false))
        .await
        .expect("is there");
    check_steps(
        store,
        &sent,
        &[stored_step(&sent, 1, StepState::Dispatched, 1)],
    )
    .await;
}

/// Every purpose comes back, and steps come in the order of their numbers.
pub async fn steps_come_in_order_with_their_purpose(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").accept(&**store).await;
    let purposes = [
        (10, Purpose::ToolRound),
        (2, Purpose::Title),
        (1, Purpose::Summary),
        (9, Purpose::Reply),
    ];
    for (number, purpose) in purposes {
        let opened = chat_persist::NewStep {
            purpose,
            ..step(number, false)
        };
        store
            .open_step(&sent.fence(), &opened)
            .await
            .expect("opens");
    }
    let steps = sent.record(&**store).await.steps;
    let found: Vec<_> = steps
        .iter()
        .map(|step| (step.key.step, step.purpose))
        .collect();
    let expected = [
        (1, Purpose::Summary),
        (2, Purpose::Title),
        (9, Purpose::Reply),
        (10, Purpose::ToolRound),
    ];
    assert_eq!(found, expected);
}

/// Attempts are counted one by one; the same one again changes nothing.
pub async fn dispatch_counts_attempts(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").accept(&**store).await;
    store
        .open_step(&sent.fence(), &step(1, false))
        .await
        .expect("opens");
    for (attempt, counted) in [(1, 1), (1, 1), (2, 2), (1, 2), (3, 3), (3, 3)] {
        store
            .dispatch(&sent.fence(), &sent.attempt_key(1, attempt))
            .await
            .expect("dispatches");
        check_steps(
            store,
            &sent,
            &[stored_step(&sent, 1, StepState::Dispatched, counted)],
        )
        .await;
    }
}

/// An attempt whose predecessor was not journaled is refused.
pub async fn dispatch_refuses_a_missing_attempt(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    let dispatched = store.dispatch(&sent.fence(), &sent.attempt_key(1, 3)).await;
    assert_refused(dispatched, PersistErrorKind::IllegalState);
    check_steps(
        store,
        &sent,
        &[stored_step(&sent, 1, StepState::Dispatched, 1)],
    )
    .await;
}

/// A closed step makes no further attempt, not even one it made before.
pub async fn dispatch_refuses_a_closed_step(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    store
        .open_step(&sent.fence(), &step(2, false))
        .await
        .expect("opens");
    store
        .close_step(&sent.fence(), &settling(1))
        .await
        .expect("closes");
    store
        .close_step(&sent.fence(), &released(2))
        .await
        .expect("closes");
    let before = sent.everything(&**store).await;
    for (number, attempt) in [(1, 1), (1, 2), (2, 1)] {
        let dispatched = store
            .dispatch(&sent.fence(), &sent.attempt_key(number, attempt))
            .await;
        assert_refused(dispatched, PersistErrorKind::IllegalState);
    }
    assert_eq!(sent.everything(&**store).await, before);
}

/// A step with amounts is settling, one without is released; the turn goes on.
pub async fn close_step_settles_or_releases(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    store
        .open_step(&sent.fence(), &step(2, false))
        .await
        .expect("opens");
    store
        .close_step(&sent.fence(), &settling(1))
        .await
        .expect("closes");
    store
        .close_step(&sent.fence(), &released(2))
        .await
        .expect("closes");
    let settled = StepRecord {
        amounts: vec![amount(1)],
        ..stored_step(&sent, 1, StepState::Settling, 1)
    };
    let record = sent.record(&**store).await;
    assert_eq!(
        record.steps,
        [settled, stored_step(&sent, 2, StepState::Released, 0)]
    );
    assert_eq!(record.state, TurnState::Running);
}

/// The same close again changes nothing; another one is refused.
pub async fn close_step_again_changes_nothing(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    store
        .open_step(&sent.fence(), &step(2, false))
        .await
        .expect("opens");
    store
        .close_step(&sent.fence(), &settling(1))
        .await
        .expect("closes");
    store
        .close_step(&sent.fence(), &released(2))
        .await
        .expect("closes");
    let before = sent.everything(&**store).await;
    store
        .close_step(&sent.fence(), &settling(1))
        .await
        .expect("is closed so");
    store
        .close_step(&sent.fence(), &released(2))
        .await
        .expect("is closed so");
    let dearer = AttemptAmount {
        amount: Money::from_nano_usd(999),
        ..amount(1)
    };
    for other in [
        released(1),
        settling(2),
        StepClose {
            step: 1,
            amounts: vec![dearer],
        },
    ] {
        let closed = store.close_step(&sent.fence(), &other).await;
        assert_refused(closed, PersistErrorKind::IllegalState);
    }
    assert_eq!(sent.everything(&**store).await, before);
}

/// A step that was never opened cannot be closed.
pub async fn close_step_refuses_an_unknown_step(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    let before = sent.everything(&**store).await;
    let closed = store.close_step(&sent.fence(), &settling(7)).await;
    assert_refused(closed, PersistErrorKind::IllegalState);
    assert_eq!(sent.everything(&**store).await, before);
}

/// Amounts of every source and size come back, attempt by attempt.
pub async fn step_amounts_round_trip(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    for attempt in 2..=4 {
        store
            .dispatch(&sent.fence(), &sent.attempt_key(1, attempt))
            .await
            .expect("dispatches");
    }
    let large = Tokens::new(9_007_199_254_740_993);
    let amounts = vec![
        amount(1),
        AttemptAmount {
            source: UsageSource::Estimated,
            provider_request_id: None,
            ..amount(2)
        },
        AttemptAmount {
            source: UsageSource::Adjusted,
            amount: Money::from_nano_usd(-5),
            usage: Usage::default(),
            ..amount(3)
        },
        AttemptAmount {
            amount: Money::MAX,
            usage: Usage {
                input_uncached: large,
                output: large,
                ..Usage::default()
            },
            price_version: String::new(),
            ..amount(4)
        },
    ];
    let close = StepClose {
        step: 1,
        amounts: amounts.clone(),
    };
    store
        .close_step(&sent.fence(), &close)
        .await
        .expect("closes");
    assert_eq!(sent.record(&**store).await.steps[0].amounts, amounts);
}

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
    store
        .close_turn(&sent.fence(), &close)
        .await
        .expect("closes");
    let record = sent.record(&**store).await;
    assert_eq!(
        (record.state, record.failure),
        (TurnState::Rejected, Some(failure))
    );
    let stored = store
        .conversation(&scope(), &c())
        .await
        .expect("reads")
        .expect("is there");
    assert_eq!(stored.head, Some(id("u-1")));
    let page = store
        .messages(&scope(), &c(), None, 10)
        .await
        .expect("reads");
    assert_eq!(page.messages.len(), 1);
}

/// A head that was moved while the turn ran stays where it is.
pub async fn close_turn_leaves_a_moved_head(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    for (name, message) in [("1", true), ("2", false)] {
        let sent = Sent::named(name).below("m-1").run(&**store).await;
        let patch = ConversationPatch {
            head: Change::Set(id("m-0")),
            ..ConversationPatch::default()
        };
        store
            .patch_conversation(&scope(), &c(), &patch, at(1_800))
            .await
            .expect("patches");
        let close = TurnClose {
            message: message.then(|| sent.reply()),
            ..sent.close()
        };
        store
            .close_turn(&sent.fence(), &close)
            .await
            .expect("closes");
        let stored = store
            .conversation(&scope(), &c())
            .await
            .expect("reads")
            .expect("is there");
        assert_eq!(
            (stored.head, stored.updated_at),
            (Some(id("m-0")), at(2_000))
        );
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
        let close = TurnClose {
            state,
            message: Some(reply.clone()),
            ..sent.close()
        };
        store
            .close_turn(&sent.fence(), &close)
            .await
            .expect("closes");
        assert_eq!(sent.record(&**store).await.state, state);
        let stored = store
            .message(&scope(), &c(), &reply.id)
            .await
            .expect("reads");
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
    store
        .open_step(&sent.fence(), &step(2, false))
        .await
        .expect("opens");
    check_close_is_refused(store, &sent, &sent.close(), PersistErrorKind::IllegalState).await;
    let close = TurnClose {
        steps: vec![settling(1), released(2)],
        ..sent.close()
    };
    store
        .close_turn(&sent.fence(), &close)
        .await
        .expect("closes");
}

/// Steps that were closed before need not be named.
pub async fn close_turn_takes_closed_steps_as_they_are(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    store
        .open_step(&sent.fence(), &step(2, false))
        .await
        .expect("opens");
    store
        .open_step(&sent.fence(), &step(3, true))
        .await
        .expect("opens");
    store
        .close_step(&sent.fence(), &settling(1))
        .await
        .expect("closes");
    store
        .close_step(&sent.fence(), &released(2))
        .await
        .expect("closes");
    store
        .mark_settled(&[(scope().tenant, sent.step_key(1))])
        .await
        .expect("marks");
    let close = TurnClose {
        steps: vec![settling(3)],
        ..sent.close()
    };
    store
        .close_turn(&sent.fence(), &close)
        .await
        .expect("closes");
    let states: Vec<_> = sent
        .record(&**store)
        .await
        .steps
        .iter()
        .map(|s| s.state)
        .collect();
    assert_eq!(
        states,
        [StepState::Settled, StepState::Released, StepState::Settling]
    );
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
        check_close_is_refused(
            store,
            &sent,
            &TurnClose {
                state,
                ..sent.close()
            },
            illegal,
        )
        .await;
    }
    let gap = TurnClose {
        segment: segment(sent.id(), 3, 3),
        ..sent.close()
    };
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
    assert_refused(
        store.dispatch(&fence, &sent.attempt_key(1, 2)).await,
        illegal,
    );
    assert_refused(
        store
            .checkpoint(&fence, &sent.checkpoint(3, 3, false))
            .await,
        illegal,
    );
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
            let close = TurnClose {
                failure,
                ..sent.close()
            };
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
    let stored = sent
        .record(&**store)
        .await
        .failure
        .map(|failure| failure.code);
    assert_eq!(winners, stored.into_iter().collect::<Vec<_>>());
}
