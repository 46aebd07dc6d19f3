//! What the provider says of money: its own cost wins, and its service tier chooses the prices.

use chat_core::{TurnOutcome, TurnRequest};
use chat_provider::{Exposure, ProviderEvent, ScriptedReply, ScriptedStep};
use chat_types::{FinishReason, Money, TurnState, UsageSource};
use chat_usage::UsageRow;

use crate::common::*;

const BOOK: &str = "test:scripted/*@1970-01-01";

fn nano(amount: i64) -> Money {
    Money::from_nano_usd(amount)
}

fn tier(name: &str) -> ProviderEvent {
    ProviderEvent::Tier { name: Some(name.to_owned()) }
}

/// Says `ok` and then this, all of it before the end of the reply.
fn reply(events: Vec<ProviderEvent>) -> Vec<ScriptedStep> {
    vec![say("ok"), ScriptedStep::Say(events)]
}

fn whole(mut events: Vec<ProviderEvent>) -> Vec<ScriptedStep> {
    events.push(ProviderEvent::Finished(FinishReason::Stop));
    events.push(ProviderEvent::Usage(usage(10, 3)));
    reply(events)
}

async fn bill_in(world: World) -> (TurnOutcome, UsageRow) {
    let world = world.with_credit(1_000_000_000);
    let client = world.start().await;
    let (_, outcome) = complete(&client, TurnRequest::text("hi")).await;
    let rows = world.rows(&ada()).await;
    assert_eq!((rows.len(), rows[0].amount), (1, outcome.cost));
    let account = world.account(&ada()).await;
    assert_eq!((account.posted, account.held), (outcome.cost, Money::ZERO));
    assert_sound(&client).await;
    (outcome, rows[0].clone())
}

async fn bill(steps: Vec<ScriptedStep>) -> (TurnOutcome, UsageRow) {
    bill_in(World::new(vec![ScriptedReply::new(steps)])).await
}

#[tokio::test(start_paused = true)]
async fn a_cost_that_the_provider_reports_wins_over_the_book() {
    for cost in [nano(0), nano(7), nano(5_063)] {
        let events = vec![ProviderEvent::Cost(nano(1)), ProviderEvent::Cost(cost)];
        let (outcome, row) = bill(whole(events)).await;
        assert_eq!((outcome.state, row.amount), (TurnState::Completed, cost));
        assert_eq!((row.price_version.as_str(), row.source), ("reported", UsageSource::Provider));
        assert_eq!(row.usage, usage(10, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reported_cost_above_the_hold_is_billed_and_named_an_overrun() {
    let (_, row) = bill(whole(vec![ProviderEvent::Cost(nano(900_000_000))])).await;
    assert_eq!((row.amount, row.price_version.as_str()), (nano(900_000_000), "reported"));
}

#[tokio::test(start_paused = true)]
async fn a_reported_cost_that_nobody_can_be_charged_leaves_the_book_its_word() {
    for cost in [nano(-1), nano(i64::MIN), Money::MAX, nano(1_000_000_000_001)] {
        let (_, row) = bill(whole(vec![ProviderEvent::Cost(cost)])).await;
        assert_eq!(row.amount, crate::common::cost(&usage(10, 3)), "{cost}");
        assert_eq!((row.price_version.as_str(), row.source), (BOOK, UsageSource::Provider));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cost_before_the_last_word_is_not_the_cost() {
    let events = vec![ProviderEvent::Cost(nano(7)), ProviderEvent::Usage(usage(10, 0))];
    let mut steps = reply(events);
    steps.push(ScriptedStep::Cut);
    let (outcome, row) = bill(steps).await;
    assert_eq!(outcome.state, TurnState::Interrupted);
    assert_eq!((row.price_version.as_str(), row.source), (BOOK, UsageSource::Estimated));
    assert!(row.amount >= nano(10 * INPUT_NANO), "{row:?}");
}

#[tokio::test(start_paused = true)]
async fn the_tier_that_served_a_call_is_billed_and_named() {
    for (name, version, amount) in [
        ("flex", "test:scripted/*@1970-01-01#flex", 10 * 500 + 3 * 1_000),
        ("priority", "test:scripted/*@1970-01-01#priority", 10 * 3_000 + 3 * 6_000),
        ("scale", BOOK, 10 * 1_000 + 3 * 2_000),
    ] {
        let (_, row) = bill(whole(vec![tier(name)])).await;
        assert_eq!((row.price_version.as_str(), row.amount), (version, nano(amount)), "{name}");
    }
    let back = vec![tier("priority"), ProviderEvent::Tier { name: None }];
    let (_, row) = bill(whole(back)).await;
    assert_eq!((row.price_version.as_str(), row.amount), (BOOK, nano(16_000)));
}

#[tokio::test(start_paused = true)]
async fn without_a_reported_tier_the_standard_one_is_billed_whatever_was_asked() {
    let mut world = World::new(vec![ScriptedReply::new(whole(vec![]))]);
    world.provider = world.provider.with_tier("priority");
    let (_, row) = bill_in(world).await;
    assert_eq!((row.price_version.as_str(), row.amount), (BOOK, nano(16_000)));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_of_which_nothing_was_heard_is_billed_in_the_tier_it_asked_for() {
    let mut steps = vec![ScriptedStep::Attempt { attempt: 2, previous: Exposure::Unknown }];
    steps.extend(whole(vec![]));
    let mut world = World::new(vec![ScriptedReply::new(steps)]).with_credit(1_000_000_000);
    world.provider = world.provider.with_tier("flex");
    let client = world.start().await;
    complete(&client, TurnRequest::text("hi")).await;
    let rows = world.rows(&ada()).await;
    let versions: Vec<_> = rows.iter().map(|row| row.price_version.as_str()).collect();
    // The second one was answered, and not in another tier than the standard one.
    assert_eq!(versions, ["test:scripted/*@1970-01-01#flex", BOOK]);
    assert_eq!(rows[0].amount.nano_usd() * 2, cost(&rows[0].usage).nano_usd());
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_hold_covers_the_dearer_of_the_standard_tier_and_the_one_asked_for() {
    let mut held = Vec::new();
    for tier in [None, Some("flex"), Some("priority")] {
        let mut world = World::saying(&["ok"]);
        if let Some(tier) = tier {
            world.provider = world.provider.with_tier(tier);
        }
        let client = world.start().await;
        let explained = client.explain(&ada(), &TurnRequest::text("hi")).await.expect("explains");
        held.push(explained.quote.amount.nano_usd());
    }
    assert_eq!(held, [held[0], held[0], held[0] * 3]);
}
