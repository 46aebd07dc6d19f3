//! The journal: steps, attempts, amounts.

use std::sync::Arc;

use chat_persist::{AttemptAmount, PersistErrorKind, StepClose, StepRecord, TurnRecord};
use chat_types::{Money, Purpose, StepState, Tokens, TurnState, Usage, UsageSource};

use crate::Store;
use crate::fixtures::{Sent, amount, assert_refused, at, model, released, settling, step};

pub(super) fn stored_step(sent: &Sent, number: u32, state: StepState, attempts: u32) -> StepRecord {
    StepRecord {
        key: sent.step_key(number),
        purpose: Purpose::Reply,
        model: model(),
        state,
        attempts,
        input_bound: Tokens::new(200),
        input_estimate: Tokens::new(150),
        opened_at: at(1_500),
        tier: None,
        amounts: Vec::new(),
    }
}

async fn check_steps(store: &Arc<dyn Store>, sent: &Sent, expected: &[StepRecord]) {
    assert_eq!(sent.record(&**store).await.steps, expected);
}

/// A step opens as held, or as dispatched with its first attempt, and the turn runs.
pub async fn open_step_sets_the_turn_running(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").accept(&**store).await;
    store.open_step(&sent.fence(), &step(1, false)).await.expect("opens");
    store.open_step(&sent.fence(), &step(2, true)).await.expect("opens");
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
    store.open_step(&sent.fence(), &step(1, false)).await.expect("opens");
    store.open_step(&sent.fence(), &step(1, false)).await.expect("is there");
    check_steps(store, &sent, &[stored_step(&sent, 1, StepState::Held, 0)]).await;
    store.dispatch(&sent.fence(), &sent.attempt_key(1, 1)).await.expect("dispatches");
    store.open_step(&sent.fence(), &step(1, false)).await.expect("is there");
    check_steps(store, &sent, &[stored_step(&sent, 1, StepState::Dispatched, 1)]).await;
}

/// Every purpose comes back, and steps come in the order of their numbers.
pub async fn steps_come_in_order_with_their_purpose(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").accept(&**store).await;
    let purposes =
        [(10, Purpose::ToolRound), (2, Purpose::Title), (1, Purpose::Summary), (9, Purpose::Reply)];
    for (number, purpose) in purposes {
        let opened = chat_persist::NewStep { purpose, ..step(number, false) };
        store.open_step(&sent.fence(), &opened).await.expect("opens");
    }
    let steps = sent.record(&**store).await.steps;
    let found: Vec<_> = steps.iter().map(|step| (step.key.step, step.purpose)).collect();
    let expected =
        [(1, Purpose::Summary), (2, Purpose::Title), (9, Purpose::Reply), (10, Purpose::ToolRound)];
    assert_eq!(found, expected);
}

/// The service tier comes back wherever a step is read; a repeat that asks for another one is refused.
pub async fn the_tier_a_step_asks_for_comes_back(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").accept(&**store).await;
    let asking = |number, tier: Option<&str>| {
        let tier = tier.map(str::to_owned);
        chat_persist::NewStep { tier, ..step(number, true) }
    };
    store.open_step(&sent.fence(), &asking(1, Some("flex"))).await.expect("opens");
    store.open_step(&sent.fence(), &asking(2, None)).await.expect("opens");
    let before = sent.everything(&**store).await;
    store.open_step(&sent.fence(), &asking(1, Some("flex"))).await.expect("is there");
    for other in [asking(1, None), asking(1, Some("Flex")), asking(2, Some(""))] {
        let opened = store.open_step(&sent.fence(), &other).await;
        assert_refused(opened, PersistErrorKind::Conflict);
    }
    assert_eq!(sent.everything(&**store).await, before);
    let flex = StepRecord {
        tier: Some("flex".to_owned()),
        ..stored_step(&sent, 1, StepState::Dispatched, 1)
    };
    check_steps(store, &sent, &[flex, stored_step(&sent, 2, StepState::Dispatched, 1)]).await;
    store.close_step(&sent.fence(), &settling(1)).await.expect("closes");
    let tenant = &sent.fence().scope.tenant;
    let by_key = store.step(tenant, &sent.step_key(1)).await.expect("reads").expect("is there");
    assert_eq!(by_key.step.tier.as_deref(), Some("flex"));
    let unsettled = store.unsettled_steps(at(9_000), 10).await.expect("reads");
    assert_eq!(unsettled, [by_key]);
}

/// Attempts are counted one by one; the same one again changes nothing.
pub async fn dispatch_counts_attempts(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").accept(&**store).await;
    store.open_step(&sent.fence(), &step(1, false)).await.expect("opens");
    for (attempt, counted) in [(1, 1), (1, 1), (2, 2), (1, 2), (3, 3), (3, 3)] {
        store.dispatch(&sent.fence(), &sent.attempt_key(1, attempt)).await.expect("dispatches");
        check_steps(store, &sent, &[stored_step(&sent, 1, StepState::Dispatched, counted)]).await;
    }
}

/// An attempt whose predecessor was not journaled is refused.
pub async fn dispatch_refuses_a_missing_attempt(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    let dispatched = store.dispatch(&sent.fence(), &sent.attempt_key(1, 3)).await;
    assert_refused(dispatched, PersistErrorKind::IllegalState);
    check_steps(store, &sent, &[stored_step(&sent, 1, StepState::Dispatched, 1)]).await;
}

/// A closed step makes no further attempt, not even one it made before.
pub async fn dispatch_refuses_a_closed_step(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    store.open_step(&sent.fence(), &step(2, false)).await.expect("opens");
    store.close_step(&sent.fence(), &settling(1)).await.expect("closes");
    store.close_step(&sent.fence(), &released(2)).await.expect("closes");
    let before = sent.everything(&**store).await;
    for (number, attempt) in [(1, 1), (1, 2), (2, 1)] {
        let dispatched = store.dispatch(&sent.fence(), &sent.attempt_key(number, attempt)).await;
        assert_refused(dispatched, PersistErrorKind::IllegalState);
    }
    assert_eq!(sent.everything(&**store).await, before);
}

/// A step with amounts is settling, one without is released; the turn goes on.
pub async fn close_step_settles_or_releases(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    store.open_step(&sent.fence(), &step(2, false)).await.expect("opens");
    store.close_step(&sent.fence(), &settling(1)).await.expect("closes");
    store.close_step(&sent.fence(), &released(2)).await.expect("closes");
    let settled =
        StepRecord { amounts: vec![amount(1)], ..stored_step(&sent, 1, StepState::Settling, 1) };
    let record = sent.record(&**store).await;
    assert_eq!(record.steps, [settled, stored_step(&sent, 2, StepState::Released, 0)]);
    assert_eq!(record.state, TurnState::Running);
}

/// The same close again changes nothing; another one is refused.
pub async fn close_step_again_changes_nothing(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    store.open_step(&sent.fence(), &step(2, false)).await.expect("opens");
    store.close_step(&sent.fence(), &settling(1)).await.expect("closes");
    store.close_step(&sent.fence(), &released(2)).await.expect("closes");
    let before = sent.everything(&**store).await;
    store.close_step(&sent.fence(), &settling(1)).await.expect("is closed so");
    store.close_step(&sent.fence(), &released(2)).await.expect("is closed so");
    let dearer = AttemptAmount { amount: Money::from_nano_usd(999), ..amount(1) };
    for other in [released(1), settling(2), StepClose { step: 1, amounts: vec![dearer] }] {
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
        store.dispatch(&sent.fence(), &sent.attempt_key(1, attempt)).await.expect("dispatches");
    }
    let large = Tokens::new(9_007_199_254_740_993);
    let amounts = vec![
        amount(1),
        AttemptAmount { source: UsageSource::Estimated, provider_request_id: None, ..amount(2) },
        AttemptAmount {
            source: UsageSource::Adjusted,
            amount: Money::from_nano_usd(-5),
            usage: Usage::default(),
            ..amount(3)
        },
        AttemptAmount {
            amount: Money::MAX,
            usage: Usage { input_uncached: large, output: large, ..Usage::default() },
            price_version: String::new(),
            ..amount(4)
        },
    ];
    let close = StepClose { step: 1, amounts: amounts.clone() };
    store.close_step(&sent.fence(), &close).await.expect("closes");
    assert_eq!(sent.record(&**store).await.steps[0].amounts, amounts);
}
