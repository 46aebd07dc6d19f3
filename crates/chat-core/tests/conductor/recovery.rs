//! What a crash leaves behind at each state of a step, and what recovery makes of it.
//!
//! A process dies with its runtime: whatever it was doing ends where it stands.

use std::sync::Arc;

use chat_balance::{AccountSpec, AccountUnit, BalanceAdapter, HoldRequest, HoldState, LegRequest};
use chat_core::{BaseClient, Recovered, Turn, TurnRequest};
use chat_persist::{Fence, NewStep, PersistenceAdapter};
use chat_provider::{Exposure, ProviderEvent, ScriptedReply, ScriptedStep};
use chat_types::{
    AccountId, Clock, ConversationId, Cursor, Folded, Message, MessageId, Money, Purpose, StepKey,
    StepState, Tokens, TurnId, TurnState, UsageSource,
};
use tokio::sync::Semaphore;

use crate::common::*;
use crate::hooks::NeverAnswers;
use crate::ledgers::{Stuck, StuckLedger};

/// What is known of a turn whose process died.
struct Died {
    turn: TurnId,
    conversation: ConversationId,
    user_message: MessageId,
    reply: MessageId,
}

impl Died {
    fn of(turn: &Turn) -> Self {
        Self {
            turn: turn.id().clone(),
            conversation: turn.conversation().clone(),
            user_message: turn.user_message().clone(),
            reply: turn.reply().clone(),
        }
    }

    fn key(&self) -> StepKey {
        StepKey { turn: self.turn.clone(), step: 1 }
    }
}

/// Runs a turn in a process that dies as soon as `point` is reached.
fn die_at(world: &World, point: impl AsyncFnOnce(&BaseClient, &Turn)) -> Died {
    in_process(async {
        let client = world.start().await;
        let turn = send(&client, TurnRequest::text("hi")).await;
        point(&client, &turn).await;
        Died::of(&turn)
    })
}

/// Another process recovers; checks what holds for every crash and returns what was put right.
fn recover(world: &World, died: &Died, state: TurnState) -> (Recovered, Option<Message>) {
    in_process(async {
        let early = world.start().await;
        let before = world.record(&ada(), &died.turn).await;
        assert_eq!(before.epoch, 1, "a lease that holds is respected");
        drop(early);
        world.let_leases_lapse();
        let mut first = Recovered::default();
        let client = world.start().await;
        let record = world.record(&ada(), &died.turn).await;
        assert_eq!(record.state, state);
        assert_eq!(record.epoch, 2);
        first.turns += 1;
        let again = client.recover().await.expect("recovers");
        first.steps = again.steps;
        first.holds = again.holds;
        let none = client.recover().await.expect("recovers");
        assert_eq!(none, Recovered::default(), "a second recovery finds nothing");
        let events = read(&client, &died.turn, Cursor::START).await;
        assert_whole(&events);
        let message = world.message(&ada(), &died.conversation, &died.reply).await;
        let folded = Folded::from_events(events.iter().map(AsRef::as_ref));
        let parts = message.as_ref().map(|message| message.parts.clone());
        assert_eq!(folded.parts, parts.unwrap_or_default());
        assert_eq!(folded.outcome, Some(state));
        assert_eq!(world.provider.calls_under_way(), 0);
        assert_sound(&client).await;
        let asked = world.message(&ada(), &died.conversation, &died.user_message).await;
        assert!(asked.is_some(), "the user's message is never lost");
        (first, message)
    })
}

fn hold_state(world: &World, died: &Died) -> Option<HoldState> {
    in_process(async {
        let hold = world.ledger.hold_of(&ada(), &died.key()).await;
        hold.expect("reads").map(|hold| hold.state)
    })
}

fn rows(world: &World) -> Vec<chat_usage::UsageRow> {
    in_process(world.rows(&ada()))
}

fn die_before_the_first_step(world: &World) -> Died {
    in_process(async {
        let builder = world.builder().prompt_guard(Arc::new(NeverAnswers));
        let client = builder.start().await.expect("starts");
        let turn = send(&client, TurnRequest::text("hi")).await;
        tokio::task::yield_now().await;
        Died::of(&turn)
    })
}

fn open_step(world: &World, died: &Died, dispatched: bool) {
    let step = NewStep {
        step: 1,
        purpose: Purpose::Reply,
        model: "scripted/scripted-1".parse().expect("valid"),
        input_bound: Tokens::new(100),
        input_estimate: Tokens::new(10),
        opened_at: world.clock.now(),
        tier: None,
        dispatched,
    };
    let fence = Fence { scope: ada(), turn: died.turn.clone(), epoch: 1 };
    in_process(world.store.open_step(&fence, &step)).expect("opens");
}

fn take_hold(world: &World, died: &Died) {
    let account = AccountId::new("ada").expect("valid");
    let spec = AccountSpec {
        id: account.clone(),
        owner: Some(ada().user),
        kind: chat_balance::AccountKind::Limited,
        opening: Money::from_nano_usd(1_000_000_000),
        unit: AccountUnit::Usd,
        refill: None,
        warn_below: None,
    };
    let request = HoldRequest {
        key: died.key(),
        legs: vec![LegRequest {
            account,
            amount: Money::from_nano_usd(500_000),
            floor: Money::from_nano_usd(500_000),
            refill: None,
            warn_below: None,
        }],
        at: world.clock.now(),
    };
    in_process(async {
        let opened = world.ledger.open_account(&ada(), &spec, request.at).await;
        opened.expect("opens");
        world.ledger.hold(&ada(), &request).await.expect("holds");
    });
}

#[test]
fn accepted_and_never_started_is_failed_and_costs_nothing() {
    let world = World::saying(&["ok"]).with_credit(1_000_000_000);
    let died = die_before_the_first_step(&world);
    let (_, message) = recover(&world, &died, TurnState::Failed);
    assert_eq!(message, None);
    assert_eq!(rows(&world), vec![]);
    let record = in_process(world.record(&ada(), &died.turn));
    let failure = record.failure.expect("says why");
    assert_eq!((failure.code.as_str(), failure.retryable), ("not_started", true));
}

#[test]
fn held_gives_its_hold_back() {
    let world = World::saying(&["ok"]).with_credit(1_000_000_000);
    let died = die_before_the_first_step(&world);
    take_hold(&world, &died);
    open_step(&world, &died, false);
    let (_, message) = recover(&world, &died, TurnState::Failed);
    assert_eq!(message, None);
    assert_eq!(hold_state(&world, &died), Some(HoldState::Released));
    assert_eq!(rows(&world), vec![]);
    let account = in_process(world.account(&ada()));
    assert_eq!((account.held, account.posted), (Money::ZERO, Money::ZERO));
}

#[test]
fn a_hold_whose_step_was_never_journaled_is_given_back() {
    let world = World::saying(&["ok"]).with_credit(1_000_000_000);
    let died = die_before_the_first_step(&world);
    take_hold(&world, &died);
    let (recovered, _) = recover(&world, &died, TurnState::Failed);
    assert!(recovered.holds <= 1);
    assert_eq!(hold_state(&world, &died), Some(HoldState::Released));
}

#[test]
fn a_hold_of_a_turn_nobody_knows_is_given_back() {
    let world = World::saying(&["ok"]).with_credit(1_000_000_000);
    let died = die_before_the_first_step(&world);
    let ghost = Died { turn: TurnId::new("ghost").expect("valid"), ..died };
    take_hold(&world, &ghost);
    in_process(async {
        let client = world.start().await;
        let young = client.recover().await.expect("recovers");
        assert_eq!(young.holds, 0, "a young hold may still get its step");
    });
    assert_eq!(hold_state(&world, &ghost), Some(HoldState::Open));
    world.let_leases_lapse();
    in_process(world.start());
    assert_eq!(hold_state(&world, &ghost), Some(HoldState::Released));
}

#[test]
fn dispatched_without_a_hold_was_never_sent_and_costs_nothing() {
    let world = World::saying(&["ok"]).with_credit(1_000_000_000);
    let died = die_before_the_first_step(&world);
    open_step(&world, &died, true);
    recover(&world, &died, TurnState::Failed);
    assert_eq!(hold_state(&world, &died), None);
    assert_eq!(rows(&world), vec![]);
    let step = in_process(world.record(&ada(), &died.turn)).steps[0].clone();
    assert_eq!(step.state, StepState::Released);
}

#[test]
fn dispatched_is_billed_its_input_and_never_sent_again() {
    let world =
        World::new(vec![ScriptedReply::new(vec![ScriptedStep::Hang])]).with_credit(1_000_000_000);
    let died = die_at(&world, async |_, _| {
        while world.provider.calls_under_way() == 0 {
            tokio::task::yield_now().await;
        }
    });
    let (_, message) = recover(&world, &died, TurnState::Interrupted);
    assert_eq!(message, None);
    let rows = rows(&world);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].source, UsageSource::Estimated);
    let step = in_process(world.record(&ada(), &died.turn)).steps[0].clone();
    let input = usage(step.input_estimate.get(), 0);
    assert_eq!((rows[0].usage, rows[0].amount), (input, cost(&input)));
    assert_eq!(step.state, StepState::Settled);
    assert_eq!(hold_state(&world, &died), Some(HoldState::Posted));
    let account = in_process(world.account(&ada()));
    assert_eq!((account.held, account.posted), (Money::ZERO, cost(&input)));
    assert_eq!(world.provider.calls().len(), 1);
}

#[test]
fn a_crashed_call_is_billed_in_the_tier_it_asked_for() {
    let hang = || vec![ScriptedReply::new(vec![ScriptedStep::Hang])];
    let retried = ScriptedStep::Attempt { attempt: 2, previous: Exposure::Unknown };
    let twice = ScriptedReply::new(vec![retried, ScriptedStep::Hang]);
    for (replies, attempts) in [(hang(), 1), (vec![twice], 2)] {
        let mut world = World::new(replies).with_credit(1_000_000_000);
        world.provider = world.provider.with_tier("flex");
        let died = die_at(&world, async |_, turn| {
            let journaled = async || {
                let record = world.record(&ada(), turn.id()).await;
                record.steps.first().map_or(0, |step| step.attempts)
            };
            while world.provider.calls_under_way() == 0 || journaled().await < attempts {
                tokio::task::yield_now().await;
            }
        });
        recover(&world, &died, TurnState::Interrupted);
        let rows = rows(&world);
        assert_eq!(rows.len(), usize::try_from(attempts).expect("few"));
        for row in rows {
            let at_flex = Money::from_nano_usd(cost(&row.usage).nano_usd() / 2);
            let flex = "test:scripted/*@1970-01-01#flex";
            assert_eq!((row.amount, row.price_version.as_str()), (at_flex, flex));
        }
    }
}

#[test]
fn a_retry_that_was_dispatched_is_billed_with_the_attempt_before_it() {
    let retried = ScriptedStep::Attempt { attempt: 2, previous: Exposure::Unknown };
    let reply = ScriptedReply::new(vec![retried, ScriptedStep::Hang]);
    let world = World::new(vec![reply]).with_credit(1_000_000_000);
    let died = die_at(&world, async |_, turn| {
        let attempts = async || {
            let record = world.record(&ada(), turn.id()).await;
            record.steps.first().map_or(0, |step| step.attempts)
        };
        while attempts().await < 2 {
            tokio::task::yield_now().await;
        }
    });
    recover(&world, &died, TurnState::Interrupted);
    let rows = rows(&world);
    let attempts: Vec<_> = rows.iter().map(|row| row.key.attempt).collect();
    assert_eq!(attempts, vec![1, 2]);
    assert!(rows.iter().all(|row| row.usage == rows[0].usage));
}

#[test]
fn streaming_keeps_a_true_prefix_and_bills_it_as_estimated() {
    let reply = ScriptedReply::new(vec![
        say("what was durable"),
        ScriptedStep::Wait { ms: 1_000 },
        say(" and what was not"),
        ScriptedStep::Hang,
    ]);
    let world = World::new(vec![reply]).with_credit(1_000_000_000);
    let died = die_at(&world, async |_, turn| {
        read_until(turn, "and what was not").await;
    });
    let (_, message) = recover(&world, &died, TurnState::Interrupted);
    let message = message.expect("kept");
    assert_eq!(message.parts, text("what was durable"));
    assert_eq!(message.status, chat_types::MessageStatus::Partial);
    let rows = rows(&world);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].source, UsageSource::Estimated);
    let step = in_process(world.record(&ada(), &died.turn)).steps[0].clone();
    assert_eq!(rows[0].usage, usage(step.input_estimate.get(), 6));
    let account = in_process(world.account(&ada()));
    assert_eq!((account.held, account.posted), (Money::ZERO, rows[0].amount));
}

#[test]
fn streaming_with_a_snapshot_of_the_provider_is_billed_by_it() {
    let reply = ScriptedReply::new(vec![
        ScriptedStep::Say(vec![
            ProviderEvent::Text("hello".into()),
            ProviderEvent::Usage(usage(77, 3)),
        ]),
        ScriptedStep::Wait { ms: 1_000 },
        say("!"),
        ScriptedStep::Hang,
    ]);
    let world = World::new(vec![reply]).with_credit(1_000_000_000);
    let died = die_at(&world, async |_, turn| {
        read_until(turn, "!").await;
    });
    recover(&world, &died, TurnState::Interrupted);
    let rows = rows(&world);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].usage, usage(77, 3));
    assert_eq!(rows[0].source, UsageSource::Estimated, "it may not be the last");
}

#[test]
fn settling_is_settled_from_the_stored_amounts() {
    let world = World::saying(&["Hel", "lo"]).with_credit(1_000_000_000);
    let stuck = StuckLedger(world.ledger.clone(), Stuck::Settlements(Arc::new(Semaphore::new(0))));
    let died = in_process(async {
        let client = world.builder_over(Arc::new(stuck)).start().await;
        let client = client.expect("starts");
        let turn = send(&client, TurnRequest::text("hi")).await;
        let outcome = turn.outcome().await.expect("ends");
        assert_eq!(outcome.state, TurnState::Completed);
        Died::of(&turn)
    });
    assert_eq!(hold_state(&world, &died), Some(HoldState::Open));
    let before = in_process(world.record(&ada(), &died.turn));
    assert_eq!(before.steps[0].state, StepState::Settling);
    in_process(async {
        let young = world.start().await.recover().await.expect("recovers");
        assert_eq!(young, Recovered::default(), "its own task may still do it");
    });
    world.let_leases_lapse();
    in_process(async {
        let client = world.start().await;
        let record = world.record(&ada(), &died.turn).await;
        assert_eq!(record.steps[0].state, StepState::Settled);
        assert_eq!((record.epoch, record.state), (1, TurnState::Completed));
        let none = client.recover().await.expect("recovers");
        assert_eq!(none, Recovered::default());
        assert_sound(&client).await;
    });
    let rows = rows(&world);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].usage, usage(10, 2));
    assert_eq!(rows[0].source, UsageSource::Provider);
    assert_eq!(hold_state(&world, &died), Some(HoldState::Posted));
    let account = in_process(world.account(&ada()));
    assert_eq!((account.held, account.posted), (Money::ZERO, cost(&usage(10, 2))));
}

#[test]
fn a_running_process_takes_over_by_itself() {
    let reply = ScriptedReply::new(vec![say("so far"), ScriptedStep::Hang]);
    let world = World::new(vec![reply]).with_credit(1_000_000_000);
    let died = die_at(&world, async |_, turn| {
        read_until(turn, "so far").await;
    });
    in_process(async {
        let client = world.start().await;
        world.let_leases_lapse();
        let events = read(&client, &died.turn, Cursor::START).await;
        assert_whole(&events);
        let record = world.record(&ada(), &died.turn).await;
        assert_eq!(
            (record.state, record.epoch),
            (TurnState::Interrupted, 2),
            "nobody called recover"
        );
        client.drain().await;
        assert_sound(&client).await;
    });
    assert_eq!(rows(&world).len(), 1);
}

#[test]
fn a_thousand_lapsed_turns_are_all_recovered_in_the_end() {
    let world = World::new(vec![ScriptedReply::new(vec![ScriptedStep::Hang])])
        .with_credit(1_000_000_000_000);
    in_process(async {
        let client = world.start().await;
        for _ in 0..1_000 {
            send(&client, TurnRequest::text("hi")).await;
        }
        while world.provider.calls_under_way() < 1_000 {
            tokio::task::yield_now().await;
        }
    });
    world.let_leases_lapse();
    in_process(async {
        let client = world.start().await;
        let mut turns = 256;
        loop {
            let more = client.recover().await.expect("recovers");
            if more == Recovered::default() {
                break;
            }
            turns += more.turns;
        }
        assert_eq!(turns, 1_000);
        assert_sound(&client).await;
    });
    assert_eq!(rows(&world).len(), 1_000);
}
