//! What is held, what is billed, what is refused.

use chat_core::{TurnOutcome, TurnRequest};
use chat_persist::PersistenceAdapter as _;
use chat_provider::{Exposure, ProviderErrorKind, ProviderEvent, ScriptedReply, ScriptedStep};
use chat_types::{
    Cursor, EventKind, FinishReason, MessageStatus, ModelOptions, Money, Tokens, TurnId, TurnState,
    Usage, UsageSource,
};
use chat_usage::UsageStore as _;
use futures::future::join_all;

use crate::common::*;

fn capped(output_tokens_max: u64) -> ModelOptions {
    ModelOptions {
        output_tokens_max: Some(Tokens::new(output_tokens_max)),
        ..ModelOptions::default()
    }
}

/// What a turn that says `hi` holds for this output cap.
async fn hold_of_hi(output_cap: u64) -> Money {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    let request = TurnRequest::text("hi").with_options(capped(output_cap));
    let explained = client.explain(&ada(), &request).await.expect("explains");
    explained.quote.amount
}

async fn one(reply: Vec<ScriptedStep>) -> (World, TurnOutcome) {
    let world = World::new(vec![ScriptedReply::new(reply)]).with_credit(1_000_000_000);
    let client = world.start().await;
    let (_, outcome) = complete(&client, TurnRequest::text("hi")).await;
    assert_sound(&client).await;
    (world, outcome)
}

#[tokio::test(start_paused = true)]
async fn c10_a_short_balance_refuses_before_any_call_and_keeps_the_message() {
    let world = World::saying(&["ok"]).with_credit(1_000);
    let client = world.start().await;
    let (turn, outcome) = complete(&client, TurnRequest::text("hi")).await;
    assert_eq!(outcome.state, TurnState::Rejected);
    assert_eq!(outcome.message, None);
    assert_eq!(outcome.cost, Money::ZERO);
    let failure = outcome.failure.expect("says why");
    assert_eq!(failure.code, "insufficient_funds");
    let quote = client.explain(&ada(), &TurnRequest::text("hi")).await.expect("explains").quote;
    let expected = format!(
        "the balance of ada is too low: {} needed, $0.000001 available, $0.00 held; add credit and send again",
        quote.floor
    );
    assert_eq!(failure.message, expected);
    let kept = world.message(&ada(), turn.conversation(), turn.user_message()).await;
    assert!(kept.is_some());
    assert_eq!(world.provider.calls(), vec![]);
    assert_eq!(world.rows(&ada()).await, vec![]);
    let account = world.account(&ada()).await;
    assert_eq!((account.held, account.posted), (Money::ZERO, Money::ZERO));
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn short_funds_shrink_the_cap_that_the_provider_sees() {
    let hold = hold_of_hi(100).await;
    let world = World::saying(&["ok"]).with_credit(hold.nano_usd());
    let client = world.start().await;
    let request = TurnRequest::text("hi").with_options(capped(2_000));
    let (turn, outcome) = complete(&client, request).await;
    assert_eq!(outcome.state, TurnState::Completed);
    assert_eq!(world.provider.calls()[0].output_cap, Tokens::new(100));
    let events = read(&client, turn.id(), Cursor::START).await;
    let held: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.event {
            EventKind::Held { amount, output_cap, .. } => Some((*amount, *output_cap)),
            _ => None,
        })
        .collect();
    assert_eq!(held, vec![(hold, Tokens::new(100))]);
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_model_without_a_price_is_refused_before_any_call() {
    let mut world = World::saying(&["ok"]);
    let id = chat_types::ProviderId::new("unpriced").expect("valid");
    world.provider = world.provider.with_id(id);
    let client = world.start().await;
    let (_, outcome) = complete(&client, TurnRequest::text("hi")).await;
    assert_eq!(outcome.state, TurnState::Rejected);
    assert_eq!(outcome.failure.expect("says why").code, "unknown_price");
    assert_eq!(world.provider.calls(), vec![]);
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_owes_nothing_gives_the_hold_back() {
    let fail =
        ScriptedStep::Fail { kind: ProviderErrorKind::RateLimited, exposure: Exposure::None };
    let (world, outcome) = one(vec![fail]).await;
    assert_eq!(outcome.state, TurnState::Failed);
    assert_eq!(outcome.cost, Money::ZERO);
    let failure = outcome.failure.expect("says why");
    assert_eq!(failure.code, "provider_rate_limited");
    assert!(failure.retryable);
    assert_eq!(world.rows(&ada()).await, vec![]);
    let account = world.account(&ada()).await;
    assert_eq!((account.held, account.posted), (Money::ZERO, Money::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_failure_with_an_unknown_outcome_bills_the_input_as_estimated() {
    let fail = ScriptedStep::Fail { kind: ProviderErrorKind::Timeout, exposure: Exposure::Unknown };
    let (world, outcome) = one(vec![fail]).await;
    assert_eq!(outcome.state, TurnState::Failed);
    let rows = world.rows(&ada()).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].source, UsageSource::Estimated);
    assert_eq!(rows[0].usage.output, Tokens::ZERO);
    assert!(rows[0].usage.input_uncached > Tokens::ZERO);
    assert_eq!(outcome.cost, cost(&rows[0].usage));
    assert_eq!(world.account(&ada()).await.posted, outcome.cost);
}

#[tokio::test(start_paused = true)]
async fn an_error_in_the_middle_keeps_and_bills_what_was_said() {
    let fail =
        ScriptedStep::Fail { kind: ProviderErrorKind::Unavailable, exposure: Exposure::None };
    let (world, outcome) = one(vec![say("half an answer"), fail]).await;
    assert_eq!(outcome.state, TurnState::Interrupted);
    let reply = outcome.message.expect("kept");
    assert_eq!(reply.parts, text("half an answer"));
    assert_eq!(reply.status, MessageStatus::Partial);
    assert_eq!(reply.finish_reason, None);
    let rows = world.rows(&ada()).await;
    assert_eq!(rows[0].source, UsageSource::Estimated);
    assert_eq!(rows[0].usage.output, Tokens::new(5), "14 letters and spaces");
    assert_eq!(outcome.cost, cost(&rows[0].usage));
}

#[tokio::test(start_paused = true)]
async fn a_cut_stream_is_never_a_whole_reply() {
    let (world, outcome) = one(vec![say("half"), ScriptedStep::Cut]).await;
    assert_eq!(outcome.state, TurnState::Interrupted);
    assert_eq!(outcome.failure.expect("says why").code, "provider_protocol");
    assert_eq!(outcome.message.expect("kept").status, MessageStatus::Partial);
    assert_eq!(world.rows(&ada()).await.len(), 1);
    let (world, outcome) = one(vec![ScriptedStep::Cut]).await;
    assert_eq!(outcome.state, TurnState::Failed);
    assert_eq!(outcome.message, None);
    assert_eq!(world.rows(&ada()).await.len(), 1, "its input may be charged");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_reached_its_cap_is_truncated() {
    let (_, outcome) = one(vec![say("and then"), finish(FinishReason::Length)]).await;
    assert_eq!(outcome.state, TurnState::Truncated);
    assert_eq!(outcome.finish_reason, Some(FinishReason::Length));
    assert_eq!(outcome.failure, None);
    let reply = outcome.message.expect("kept");
    assert_eq!(reply.status, MessageStatus::Complete);
    assert_eq!(reply.finish_reason, Some(FinishReason::Length));
}

#[tokio::test(start_paused = true)]
async fn an_empty_reply_is_a_failure_of_its_own_and_billed() {
    let reported = ScriptedStep::Say(vec![
        ProviderEvent::Finished(FinishReason::Stop),
        ProviderEvent::Usage(usage(7, 0)),
    ]);
    let (world, outcome) = one(vec![reported]).await;
    assert_eq!(outcome.state, TurnState::Failed);
    assert_eq!(outcome.failure.expect("says why").code, "empty_reply");
    assert_eq!(outcome.message, None);
    assert_eq!(outcome.cost, cost(&usage(7, 0)));
    assert_eq!(world.rows(&ada()).await[0].source, UsageSource::Provider);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_that_may_be_charged_is_billed_once() {
    let retried = ScriptedStep::Attempt { attempt: 2, previous: Exposure::Unknown };
    let free = ScriptedStep::Attempt { attempt: 3, previous: Exposure::None };
    let end = ScriptedStep::Say(vec![
        ProviderEvent::Finished(FinishReason::Stop),
        ProviderEvent::Usage(usage(9, 3)),
    ]);
    let (world, outcome) = one(vec![retried, free, say("ok"), end]).await;
    assert_eq!(outcome.state, TurnState::Completed);
    let rows = world.rows(&ada()).await;
    let billed: Vec<_> =
        rows.iter().map(|row| (row.key.attempt, row.source, row.usage.output)).collect();
    let expected =
        vec![(1, UsageSource::Estimated, Tokens::ZERO), (3, UsageSource::Provider, Tokens::new(3))];
    assert_eq!(billed, expected);
    let all = rows.iter().fold(Usage::default(), |sum, row| sum.plus(&row.usage));
    assert_eq!(outcome.usage, all);
    assert_eq!(outcome.cost, cost(&all));
    assert_eq!(world.account(&ada()).await.posted, outcome.cost);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_cannot_be_paid_is_not_made_and_the_attempt_before_it_is_billed_once() {
    let hold = hold_of_hi(100).await;
    let retried = ScriptedStep::Attempt { attempt: 2, previous: Exposure::Unknown };
    let reply = ScriptedReply::new(vec![retried, say("never said")]);
    let world = World::new(vec![reply]).with_credit(hold.nano_usd());
    let client = world.start().await;
    let request = TurnRequest::text("hi").with_options(capped(100));
    let (turn, outcome) = complete(&client, request).await;
    assert_eq!(outcome.state, TurnState::Failed);
    assert_eq!(outcome.failure.expect("says why").code, "attempt_refused");
    let rows = world.rows(&ada()).await;
    let attempts: Vec<_> = rows.iter().map(|row| row.key.attempt).collect();
    assert_eq!(attempts, vec![1]);
    assert_eq!(outcome.cost, cost(&rows[0].usage));
    assert_eq!(world.record(&ada(), turn.id()).await.steps[0].attempts, 1);
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_a_retry_is_on_its_way_bills_both_attempts() {
    let retried = ScriptedStep::Attempt { attempt: 2, previous: Exposure::Unknown };
    let reply = ScriptedReply::new(vec![retried, ScriptedStep::Hang]);
    let world = World::new(vec![reply]).with_credit(1_000_000_000);
    let client = world.start().await;
    let turn = send(&client, TurnRequest::text("hi")).await;
    while world.provider.calls_under_way() == 0 {
        tokio::task::yield_now().await;
    }
    turn.stop().await.expect("asked");
    let outcome = end_of(&turn).await;
    assert_eq!(outcome.state, TurnState::Aborted);
    let rows = world.rows(&ada()).await;
    let attempts: Vec<_> = rows.iter().map(|row| row.key.attempt).collect();
    assert_eq!(attempts, vec![1, 2]);
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn credit_for_ten_holds_admits_exactly_ten_of_256_at_once() {
    let hold = hold_of_hi(16).await;
    let reply = ScriptedReply::new(vec![
        ScriptedStep::Wait { ms: 1_000 },
        say("ok"),
        finish(FinishReason::Stop),
    ]);
    let world = World::new(vec![reply]).with_credit(hold.nano_usd() * 10);
    let client = world.start().await;
    let request = || TurnRequest::text("hi").with_options(capped(16));
    let turns = join_all((0..256).map(|_| send(&client, request()))).await;
    let outcomes = join_all(turns.iter().map(end_of)).await;
    let count = |state| outcomes.iter().filter(|outcome| outcome.state == state).count();
    assert_eq!(count(TurnState::Completed), 10);
    assert_eq!(count(TurnState::Rejected), 246);
    assert_eq!(world.provider.calls().len(), 10);
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_takes_too_long_is_ended_and_billed() {
    let (world, outcome) = one(vec![say("so far"), ScriptedStep::Hang]).await;
    assert_eq!(outcome.state, TurnState::Interrupted);
    assert_eq!(outcome.failure.expect("says why").code, "deadline_exceeded");
    assert_eq!(outcome.message.expect("kept").parts, text("so far"));
    assert_eq!(world.rows(&ada()).await.len(), 1);
    assert_eq!(world.provider.calls_under_way(), 0);
    let (world, outcome) = one(vec![ScriptedStep::Hang]).await;
    assert_eq!(outcome.state, TurnState::Failed);
    assert_eq!(world.rows(&ada()).await.len(), 1, "its input may be charged");
    assert_eq!(world.provider.calls_under_way(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn credit_for_ten_holds_admits_exactly_ten_on_four_threads() {
    let hold = hold_of_hi(16).await;
    let reply = ScriptedReply::new(vec![ScriptedStep::Hang]);
    let world = World::new(vec![reply]).with_credit(hold.nano_usd() * 10);
    let client = world.start().await;
    let request = || TurnRequest::text("hi").with_options(capped(16));
    let turns = join_all((0..256).map(|_| send(&client, request()))).await;
    let rejected = async || {
        let mut count = 0;
        for turn in &turns {
            let record = world.record(&ada(), turn.id()).await;
            count += usize::from(record.state == TurnState::Rejected);
        }
        count
    };
    // The ten that were admitted hold their credit until they are stopped.
    while rejected().await < 246 || world.provider.calls_under_way() < 10 {
        tokio::task::yield_now().await;
    }
    for turn in &turns {
        turn.stop().await.expect("asked");
    }
    let outcomes = join_all(turns.iter().map(end_of)).await;
    let aborted = outcomes.iter().filter(|o| o.state == TurnState::Aborted);
    assert_eq!(aborted.count(), 10);
    assert_eq!(world.provider.calls().len(), 10);
    assert_eq!(world.rows(&ada()).await.len(), 10);
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn text_after_an_early_snapshot_is_not_free() {
    let world = World::new(vec![ScriptedReply::new(vec![
        ScriptedStep::Say(vec![ProviderEvent::Usage(usage(77, 1))]),
        say(&"word ".repeat(50)),
        ScriptedStep::Cut,
    ])])
    .with_credit(1_000_000_000);
    let client = world.start().await;
    let (_, outcome) = complete(&client, TurnRequest::text("hi")).await;
    assert_eq!(outcome.state, TurnState::Interrupted);
    assert_eq!(outcome.usage.input_uncached, Tokens::new(77));
    assert!(outcome.usage.output > Tokens::new(49), "{:?}", outcome.usage);
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn the_audit_leaves_history_of_another_system_out() {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    complete(&client, TurnRequest::text("hi")).await;
    let ours = world.rows(&ada()).await;
    let theirs = |source| {
        let mut row = ours.first().expect("one row").clone();
        row.key.step.turn = TurnId::new("elsewhere").expect("valid");
        row.source = source;
        row
    };
    world.usage.record(&ada(), &[theirs(UsageSource::Imported)]).await.expect("records");
    let audit = client.audit().run().await.expect("reads");
    assert!(audit.is_sound(), "{audit:?}");
    assert_eq!((audit.usage_rows, audit.usage_rows_imported), (2, 1));

    let mut made_up = theirs(UsageSource::Provider);
    made_up.key.attempt = 2;
    world.usage.record(&ada(), &[made_up]).await.expect("records");
    let audit = client.audit().run().await.expect("reads");
    let named = "usage row default/elsewhere/1/2: the journal has no such attempt and the ledger \
                 did not post it";
    assert_eq!(audit.breaks, [named]);
}

#[tokio::test(start_paused = true)]
async fn the_books_stay_sound_when_a_conversation_is_deleted() {
    let world = World::saying(&["ok", "ok"]);
    let client = world.start().await;
    let (turn, _) = complete(&client, TurnRequest::text("hi")).await;
    complete(&client, TurnRequest::text("hi")).await;
    client.drain().await;
    let deleted = world.store.delete_conversation(&ada(), turn.conversation()).await;
    assert_eq!(deleted.ok(), Some(true));
    let audit = client.audit().run().await.expect("reads");
    assert!(audit.is_sound(), "{audit:?}");
    assert_eq!((audit.usage_rows, audit.usage_rows_deleted), (2, 1));
}
