//! Calls beside the reply and in its place: each is a step with a hold and a row of its own.

use std::sync::Arc;

use chat_core::{BaseClient, Titles, TurnRequest};
use chat_persist::PersistenceAdapter as _;
use chat_provider::{
    Exposure, ProviderErrorKind, ProviderRegistry, ScriptedProvider, ScriptedReply, ScriptedStep,
};
use chat_types::{
    Change, ConversationPatch, Cursor, EventKind, ModelRef, Money, ProviderId, Purpose, StepState,
    Timestamp, Tokens, TurnState, UsageSource,
};

use crate::common::*;

/// A second provider, ten times as dear: `other/scripted-1`.
fn other(script: Vec<ScriptedReply>) -> ScriptedProvider {
    let id = ProviderId::new("other").expect("valid");
    ScriptedProvider::new(script).expect("valid names").with_id(id)
}

fn model(name: &str) -> ModelRef {
    name.parse().expect("valid")
}

fn both(world: &World, other: &ScriptedProvider) -> ProviderRegistry {
    ProviderRegistry::new().with(Arc::new(world.provider.clone())).with(Arc::new(other.clone()))
}

/// New conversations are named by the other provider.
async fn naming(world: &World, other: &ScriptedProvider) -> BaseClient {
    let builder = world.builder_with(Arc::new(world.ledger.clone()), both(world, other));
    builder.titles(Titles::by(model("other/scripted-1"))).start().await.expect("starts")
}

/// The other provider stands in for the first.
async fn standing_in(world: &World, other: &ScriptedProvider) -> BaseClient {
    let providers = both(world, other)
        .with_fallbacks(model("scripted/scripted-1"), vec![model("other/scripted-1")]);
    let builder = world.builder_with(Arc::new(world.ledger.clone()), providers);
    builder.start().await.expect("starts")
}

async fn title_of(world: &World, turn: &chat_core::Turn) -> String {
    let conversation = world.store.conversation(&ada(), turn.conversation()).await;
    conversation.expect("reads").expect("is there").title
}

fn failing(kind: ProviderErrorKind, exposure: Exposure) -> World {
    World::new(vec![ScriptedReply::failure(kind, exposure)]).with_credit(1_000_000_000)
}

#[tokio::test(start_paused = true)]
async fn a_title_is_a_step_of_its_own_held_billed_and_audited() {
    let world = World::saying(&["ok"]).with_credit(1_000_000_000);
    let other = other(vec![ScriptedReply::text(&["\"Greetings", " to all\"\n"])]);
    let client = naming(&world, &other).await;
    let (turn, outcome) = complete(&client, TurnRequest::text("hi there")).await;
    assert_eq!(outcome.state, TurnState::Completed);
    assert_eq!(title_of(&world, &turn).await, "Greetings to all");
    let mut rows = world.rows(&ada()).await;
    rows.sort_by_key(|row| row.key.step.step);
    let seen: Vec<_> = rows.iter().map(|row| (row.purpose, row.model.to_string())).collect();
    assert_eq!(
        seen,
        [
            (Purpose::Reply, "scripted/scripted-1".to_owned()),
            (Purpose::Title, "other/scripted-1".to_owned()),
        ]
    );
    assert_eq!(rows[1].amount, Money::from_nano_usd(10 * 10_000 + 2 * 20_000), "dearer by ten");
    let both = rows[0].amount.plus(rows[1].amount).expect("fits");
    assert_eq!((outcome.cost, world.account(&ada()).await.posted), (both, both));
    let calls = other.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].output_cap, Tokens::new(256), "the cap on the wire is the cap held");
    let (_, outcome) = complete(
        &client,
        TurnRequest::text("and again").in_conversation(turn.conversation().clone()),
    )
    .await;
    assert_eq!(outcome.state, TurnState::Completed);
    assert_eq!(other.calls().len(), 1, "a conversation is named once");
    client.drain().await;
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_title_that_fails_is_billed_by_its_own_rule_and_the_first_line_stays() {
    for (script, billed) in [
        (ScriptedReply::failure(ProviderErrorKind::RateLimited, Exposure::None), 0),
        (ScriptedReply::failure(ProviderErrorKind::Timeout, Exposure::Unknown), 1),
        (ScriptedReply::new(vec![say("Half a ti"), ScriptedStep::Cut]), 1),
        (ScriptedReply::new(vec![ScriptedStep::Hang]), 1),
    ] {
        let world = World::saying(&["ok"]).with_credit(1_000_000_000);
        let other = other(vec![script]);
        let client = naming(&world, &other).await;
        let (turn, outcome) = complete(&client, TurnRequest::text("hi there")).await;
        assert_eq!(outcome.state, TurnState::Completed, "the reply does not depend on it");
        assert_eq!(title_of(&world, &turn).await, "hi there");
        let rows = world.rows(&ada()).await;
        let titles: Vec<_> = rows.iter().filter(|row| row.purpose == Purpose::Title).collect();
        assert_eq!(titles.len(), billed);
        assert!(titles.iter().all(|row| row.source == UsageSource::Estimated));
        assert_eq!(other.calls_under_way(), 0);
        client.drain().await;
        assert_sound(&client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_title_that_cannot_be_paid_is_not_asked_for() {
    let explaining = World::saying(&["ok"]);
    let client = explaining.start().await;
    let quote = client.explain(&ada(), &TurnRequest::text("hi")).await.expect("explains").quote;
    let world = World::saying(&["ok"]).with_credit(quote.amount.nano_usd());
    let other = other(vec![ScriptedReply::text(&["A title"])]);
    let client = naming(&world, &other).await;
    let (turn, outcome) = complete(&client, TurnRequest::text("hi")).await;
    assert_eq!(outcome.state, TurnState::Completed);
    assert_eq!(other.calls(), vec![]);
    assert_eq!(title_of(&world, &turn).await, "hi");
    let record = world.record(&ada(), turn.id()).await;
    assert_eq!(record.steps[1].state, StepState::Released);
    client.drain().await;
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_given_by_the_user_is_not_replaced() {
    let world = World::new(vec![ScriptedReply::new(vec![
        ScriptedStep::Wait { ms: 10 },
        say("ok"),
        finish(chat_types::FinishReason::Stop),
    ])]);
    let title = ScriptedReply::new(vec![
        ScriptedStep::Wait { ms: 1_000 },
        say("A title"),
        finish(chat_types::FinishReason::Stop),
    ]);
    let client = naming(&world, &other(vec![title])).await;
    let turn = send(&client, TurnRequest::text("hi")).await;
    let patch =
        ConversationPatch { title: Change::Set("Mine".into()), ..ConversationPatch::default() };
    let now = Timestamp::from_unix_ms(1_000_001);
    let named = world.store.patch_conversation(&ada(), turn.conversation(), &patch, now).await;
    named.expect("patches");
    end_of(&turn).await;
    assert_eq!(title_of(&world, &turn).await, "Mine");
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_title_too_and_bills_both() {
    let world = World::new(vec![ScriptedReply::new(vec![say("so"), ScriptedStep::Hang])]);
    let other = other(vec![ScriptedReply::new(vec![say("A ti"), ScriptedStep::Hang])]);
    let client = naming(&world, &other).await;
    let turn = send(&client, TurnRequest::text("hi")).await;
    read_until(&turn, "so").await;
    turn.stop().await.expect("asked");
    let outcome = end_of(&turn).await;
    assert_eq!(outcome.state, TurnState::Aborted);
    assert_eq!(world.rows(&ada()).await.len(), 2);
    assert_eq!((world.provider.calls_under_way(), other.calls_under_way()), (0, 0));
    client.drain().await;
    assert_sound(&client).await;
}

#[test]
fn a_crash_bills_the_title_its_input_and_the_reply_what_it_said() {
    let world =
        World::new(vec![ScriptedReply::new(vec![say(&"word ".repeat(500)), ScriptedStep::Hang])]);
    let other = other(vec![ScriptedReply::new(vec![say("A ti"), ScriptedStep::Hang])]);
    let id = in_process(async {
        let client = naming(&world, &other).await;
        let turn = send(&client, TurnRequest::text("hi")).await;
        while world
            .record(&ada(), turn.id())
            .await
            .steps
            .iter()
            .all(|step| step.state != StepState::Streaming)
            || other.calls_under_way() == 0
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        turn.id().clone()
    });
    world.let_leases_lapse();
    in_process(async {
        let client = world.start().await;
        assert_eq!(world.record(&ada(), &id).await.state, TurnState::Interrupted);
        let mut rows = world.rows(&ada()).await;
        rows.sort_by_key(|row| row.key.step.step);
        let output: Vec<_> = rows.iter().map(|row| (row.purpose, row.usage.output)).collect();
        assert_eq!(output[1], (Purpose::Title, Tokens::ZERO));
        assert!(output[0].1 > Tokens::new(400), "{output:?}");
        assert_sound(&client).await;
    });
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_answers_under_a_hold_at_its_own_price() {
    for (kind, exposure, rows_before) in [
        (ProviderErrorKind::Unavailable, Exposure::None, 0),
        (ProviderErrorKind::RateLimited, Exposure::None, 0),
        (ProviderErrorKind::Timeout, Exposure::Unknown, 1),
    ] {
        let world = failing(kind, exposure);
        let other = other(vec![ScriptedReply::text(&["from", " afar"])]);
        let client = standing_in(&world, &other).await;
        let (turn, outcome) = complete(&client, TurnRequest::text("hi")).await;
        assert_eq!(outcome.state, TurnState::Completed);
        let reply = outcome.message.expect("kept");
        assert_eq!(
            (reply.parts, reply.model),
            (text("from afar"), Some(model("other/scripted-1")))
        );
        let rows = world.rows(&ada()).await;
        assert_eq!(rows.len(), rows_before + 1);
        let stand_in = rows.iter().find(|row| row.key.step.step == 2).expect("a row of its own");
        assert_eq!(stand_in.amount, Money::from_nano_usd(10 * 10_000 + 2 * 20_000));
        let all = rows.iter().map(|row| row.amount.nano_usd()).sum();
        assert_eq!(outcome.cost, Money::from_nano_usd(all));
        assert_eq!(world.account(&ada()).await.posted, outcome.cost);
        let events = read(&client, turn.id(), Cursor::START).await;
        assert_whole(&events);
        let held: Vec<_> = events
            .iter()
            .filter_map(|event| match &event.event {
                EventKind::Held { step, amount, .. } => Some((*step, *amount)),
                _ => None,
            })
            .collect();
        assert_eq!((held[0].0, held[1].0), (1, 2));
        assert!(held[1].1 > held[0].1, "held again at the stand-in's price: {held:?}");
        client.drain().await;
        assert_sound(&client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_model_would_refuse_too_or_what_was_shown_is_not_asked_elsewhere() {
    let half = vec![
        say("half"),
        ScriptedStep::Fail { kind: ProviderErrorKind::Unavailable, exposure: Exposure::None },
    ];
    let filtered = ScriptedReply::failure(ProviderErrorKind::ContentFiltered, Exposure::None);
    for (script, state) in
        [(ScriptedReply::new(half), TurnState::Interrupted), (filtered, TurnState::Failed)]
    {
        let world = World::new(vec![script]).with_credit(1_000_000_000);
        let other = other(vec![ScriptedReply::text(&["from afar"])]);
        let client = standing_in(&world, &other).await;
        let (_, outcome) = complete(&client, TurnRequest::text("hi")).await;
        assert_eq!(outcome.state, state);
        assert_eq!(other.calls(), vec![]);
        assert_sound(&client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_that_cannot_be_paid_is_not_called_and_the_first_failure_is_told() {
    let explaining = World::saying(&["ok"]);
    let client = explaining.start().await;
    let quote = client.explain(&ada(), &TurnRequest::text("hi")).await.expect("explains").quote;
    let world =
        World::new(vec![ScriptedReply::failure(ProviderErrorKind::Unavailable, Exposure::None)])
            .with_credit(quote.floor.nano_usd());
    let other = other(vec![ScriptedReply::text(&["from afar"])]);
    let client = standing_in(&world, &other).await;
    let (_, outcome) = complete(&client, TurnRequest::text("hi")).await;
    assert_eq!(outcome.state, TurnState::Failed);
    assert_eq!(outcome.failure.expect("says why").code, "provider_unavailable");
    assert_eq!((outcome.cost, other.calls()), (Money::ZERO, vec![]));
    client.drain().await;
    assert_sound(&client).await;
}

#[test]
fn a_crash_in_the_stand_in_bills_each_model_its_own() {
    let world = failing(ProviderErrorKind::Timeout, Exposure::Unknown);
    let other =
        other(vec![ScriptedReply::new(vec![say(&"word ".repeat(500)), ScriptedStep::Hang])]);
    let id = in_process(async {
        let client = standing_in(&world, &other).await;
        let turn = send(&client, TurnRequest::text("hi")).await;
        while world
            .record(&ada(), turn.id())
            .await
            .steps
            .last()
            .is_none_or(|step| step.state != StepState::Streaming)
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        turn.id().clone()
    });
    world.let_leases_lapse();
    in_process(async {
        let client = standing_in(&world, &other).await;
        client.recover().await.expect("recovers");
        let record = world.record(&ada(), &id).await;
        assert_eq!(record.state, TurnState::Interrupted);
        let mut rows = world.rows(&ada()).await;
        rows.sort_by_key(|row| row.key.step.step);
        let output: Vec<_> = rows.iter().map(|row| (row.key.step.step, row.usage.output)).collect();
        assert_eq!((output.len(), output[0]), (2, (1, Tokens::ZERO)));
        assert!(output[1].1 > Tokens::new(400), "{output:?}");
        assert_sound(&client).await;
    });
}
