//! Tool rounds: answers go back to the model, and every call to it is a step with a row of its own.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chat_core::{BaseClient, ToolCall, ToolFailure, Toolbox, TurnRequest};
use chat_provider::{
    Exposure, ProviderErrorKind, ProviderEvent, ProviderRegistry, ScriptedReply, ScriptedStep,
};
use chat_types::{
    ContentPart, Cursor, FinishReason, Folded, MessageStatus, Money, Purpose, Role, Scope,
    StepState, Tokens, ToolSpec, TurnState,
};

use crate::common::*;

/// Adds; knows what it was asked.
#[derive(Debug, Default)]
struct Adder {
    asked: Mutex<Vec<ToolCall>>,
    hangs: bool,
}

impl Adder {
    fn asked(&self) -> Vec<ToolCall> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

#[async_trait]
impl Toolbox for Adder {
    fn tools(&self, _scope: &Scope) -> Vec<ToolSpec> {
        vec![ToolSpec {
            name: "add".into(),
            description: "Adds numbers.".into(),
            parameters: r#"{"type":"array","items":{"type":"number"}}"#.into(),
        }]
    }

    async fn call(&self, _scope: &Scope, call: ToolCall) -> Result<String, ToolFailure> {
        self.asked.lock().expect("not poisoned").push(call.clone());
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let numbers: Vec<i64> = serde_json::from_str(&call.arguments)
            .map_err(|error| ToolFailure::new(format!("not a list of numbers: {error}")))?;
        Ok(numbers.iter().sum::<i64>().to_string())
    }
}

fn calls(calls: &[(&str, &str)]) -> ScriptedReply {
    let mut events = Vec::new();
    for (index, (call_id, arguments)) in (0_u32..).zip(calls) {
        let call_id = (*call_id).to_owned();
        events.push(ProviderEvent::ToolCall { index, call_id, name: "add".into() });
        events.push(ProviderEvent::ToolArguments { index, arguments: (*arguments).to_owned() });
    }
    events.push(ProviderEvent::Finished(FinishReason::ToolCalls));
    events.push(ProviderEvent::Usage(usage(10, 4)));
    ScriptedReply::new(vec![ScriptedStep::Say(events)])
}

async fn with_tools(world: &World, toolbox: &Arc<Adder>) -> BaseClient {
    let providers = ProviderRegistry::new().with(Arc::new(world.provider.clone()));
    let builder = world.builder_with(Arc::new(world.ledger.clone()), providers);
    builder.toolbox(Arc::clone(toolbox) as Arc<dyn Toolbox>).start().await.expect("starts")
}

fn call_part(call_id: &str, arguments: &str) -> ContentPart {
    ContentPart::ToolCall {
        call_id: call_id.into(),
        name: "add".into(),
        arguments: arguments.into(),
    }
}

fn result_part(call_id: &str, text: &str, is_error: bool) -> ContentPart {
    ContentPart::ToolResult { call_id: call_id.into(), text: text.into(), is_error }
}

#[tokio::test(start_paused = true)]
async fn answers_go_back_to_the_model_and_each_round_is_held_and_billed() {
    let world = World::new(vec![
        calls(&[("a", "[1,2]"), ("b", "no")]),
        calls(&[("c", "[3,4]")]),
        ScriptedReply::text(&["3 and 7"]),
    ])
    .with_credit(1_000_000_000);
    let adder = Arc::new(Adder::default());
    let client = with_tools(&world, &adder).await;
    let (turn, outcome) = complete(&client, TurnRequest::text("add")).await;
    assert_eq!(outcome.state, TurnState::Completed);
    let reply = outcome.message.expect("kept");
    let failed = "not a list of numbers: expected ident at line 1 column 2";
    assert_eq!(
        reply.parts,
        [
            call_part("a", "[1,2]"),
            call_part("b", "no"),
            result_part("a", "3", false),
            result_part("b", failed, true),
            call_part("c", "[3,4]"),
            result_part("c", "7", false),
            ContentPart::text("3 and 7"),
        ]
    );
    let asked = world.provider.calls();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|call| call.request.prompt.tools.len() == 1));
    let last = asked[2].request.prompt.items.last().expect("one");
    assert_eq!((last.role, last.parts.len()), (Role::Assistant, 6));
    let keys: Vec<_> =
        adder.asked().iter().map(|call| (call.step.step, call.call_id.clone())).collect();
    assert_eq!(keys, [(1, "a".to_owned()), (1, "b".to_owned()), (2, "c".to_owned())]);

    let mut rows = world.rows(&ada()).await;
    rows.sort_by_key(|row| row.key.step.step);
    let purposes: Vec<_> = rows.iter().map(|row| row.purpose).collect();
    assert_eq!(purposes, [Purpose::Reply, Purpose::ToolRound, Purpose::ToolRound]);
    let all = rows.iter().map(|row| row.amount.nano_usd()).sum();
    assert_eq!(outcome.cost, Money::from_nano_usd(all));
    assert_eq!(world.account(&ada()).await.posted, outcome.cost);
    let events = read(&client, turn.id(), Cursor::START).await;
    assert_whole(&events);
    let folded = Folded::from_events(events.iter().map(AsRef::as_ref));
    assert_eq!(folded.parts, reply.parts);
    client.drain().await;
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_round_that_cannot_be_paid_ends_the_turn_with_what_there_is() {
    let explaining = World::saying(&["ok"]);
    let adder = Arc::new(Adder::default());
    let client = with_tools(&explaining, &adder).await;
    let quote = client.explain(&ada(), &TurnRequest::text("add")).await.expect("explains").quote;
    let world = World::new(vec![calls(&[("a", "[1,2]")]), ScriptedReply::text(&["never"])])
        .with_credit(quote.floor.nano_usd());
    let client = with_tools(&world, &adder).await;
    let (_, outcome) = complete(&client, TurnRequest::text("add")).await;
    assert_eq!(outcome.state, TurnState::Interrupted);
    assert_eq!(outcome.failure.expect("says why").code, "insufficient_funds");
    let reply = outcome.message.expect("kept");
    assert_eq!(reply.parts, [call_part("a", "[1,2]"), result_part("a", "3", false)]);
    assert_eq!(reply.status, MessageStatus::Partial);
    assert_eq!(world.provider.calls().len(), 1);
    assert_eq!(world.rows(&ada()).await.len(), 1);
    client.drain().await;
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_model_that_goes_in_circles_is_left_after_so_many_rounds() {
    let mut world = World::new(vec![calls(&[("a", "[1]")])]);
    world.config.tool_rounds_max = 3;
    // Each round names its call anew.
    world.provider = chat_provider::ScriptedProvider::new(
        ["a", "b", "c", "d", "e"].map(|id| calls(&[(id, "[1]")])).to_vec(),
    )
    .expect("valid names");
    let adder = Arc::new(Adder::default());
    let client = with_tools(&world, &adder).await;
    let (_, outcome) = complete(&client, TurnRequest::text("add")).await;
    assert_eq!(outcome.state, TurnState::Completed);
    assert_eq!(outcome.message.expect("kept").finish_reason, Some(FinishReason::ToolCalls));
    assert_eq!((world.provider.calls().len(), adder.asked().len()), (4, 3));
    client.drain().await;
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_tool_that_hangs_and_bills_the_call_before_it() {
    let world = World::new(vec![calls(&[("a", "[1]")])]);
    let adder = Arc::new(Adder { hangs: true, ..Adder::default() });
    let client = with_tools(&world, &adder).await;
    let turn = send(&client, TurnRequest::text("add")).await;
    while adder.asked().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    turn.stop().await.expect("asked");
    let outcome = end_of(&turn).await;
    assert_eq!(outcome.state, TurnState::Aborted);
    assert_eq!(outcome.message.expect("kept").parts, [call_part("a", "[1]")]);
    assert_eq!(outcome.cost, cost(&usage(10, 4)));
    assert_eq!(world.rows(&ada()).await.len(), 1);
    client.drain().await;
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_outlasts_the_deadline_leaves_the_rounds_before_it() {
    let world = World::new(vec![calls(&[("a", "[1]")])]);
    let adder = Arc::new(Adder { hangs: true, ..Adder::default() });
    let client = with_tools(&world, &adder).await;
    let (_, outcome) = complete(&client, TurnRequest::text("add")).await;
    assert_eq!(outcome.state, TurnState::Interrupted);
    assert_eq!(outcome.failure.expect("says why").code, "deadline_exceeded");
    assert_eq!(outcome.message.expect("kept").parts, [call_part("a", "[1]")]);
    assert_eq!(outcome.cost, cost(&usage(10, 4)));
    client.drain().await;
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_round_that_fails_keeps_the_rounds_before_it() {
    let fails = ScriptedReply::failure(ProviderErrorKind::Timeout, Exposure::Unknown);
    let world = World::new(vec![calls(&[("a", "[1,2]")]), fails]);
    let adder = Arc::new(Adder::default());
    let client = with_tools(&world, &adder).await;
    let (_, outcome) = complete(&client, TurnRequest::text("add")).await;
    assert_eq!(outcome.state, TurnState::Interrupted);
    assert_eq!(outcome.failure.expect("says why").code, "provider_timeout");
    assert_eq!(outcome.message.expect("kept").parts.len(), 2);
    assert_eq!(world.rows(&ada()).await.len(), 2, "its input may be charged");
    client.drain().await;
    assert_sound(&client).await;
}

#[test]
fn a_crash_in_a_later_round_bills_that_round_what_it_said() {
    let world = World::new(vec![
        calls(&[("a", "[1,2]")]),
        ScriptedReply::new(vec![say(&"word ".repeat(500)), ScriptedStep::Hang]),
    ]);
    let adder = Arc::new(Adder::default());
    let id = in_process(async {
        let client = with_tools(&world, &adder).await;
        let turn = send(&client, TurnRequest::text("add")).await;
        while world
            .record(&ada(), turn.id())
            .await
            .steps
            .get(1)
            .is_none_or(|step| step.state != StepState::Streaming)
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        turn.id().clone()
    });
    world.let_leases_lapse();
    in_process(async {
        let client = world.start().await;
        client.recover().await.expect("recovers");
        assert_eq!(world.record(&ada(), &id).await.state, TurnState::Interrupted);
        let mut rows = world.rows(&ada()).await;
        rows.sort_by_key(|row| row.key.step.step);
        assert_eq!((rows.len(), rows[0].amount), (2, cost(&usage(10, 4))));
        let output = rows[1].usage.output;
        assert!(output > Tokens::new(400) && output < Tokens::new(1_000), "{output}");
        assert_sound(&client).await;
    });
}
