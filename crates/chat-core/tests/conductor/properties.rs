//! Whatever a provider says: what readers see is what is stored, and there is one end.

use chat_core::{Placement, TurnRequest};
use chat_provider::{Exposure, ProviderErrorKind, ProviderEvent, ScriptedReply, ScriptedStep};
use chat_types::{Cursor, EventKind, FinishReason, Folded, Money, Opaque, Origin, TurnState};
use proptest::prelude::*;

use crate::common::*;

fn sealed() -> ProviderEvent {
    ProviderEvent::ReasoningSealed(Opaque {
        origin: Origin {
            model: "scripted/scripted-1".parse().expect("valid"),
            api: "scripted".into(),
        },
        data: "sealed".into(),
    })
}

fn event() -> impl Strategy<Value = ProviderEvent> {
    let finish = prop_oneof![
        Just(FinishReason::Stop),
        Just(FinishReason::Length),
        Just(FinishReason::ContentFilter),
        Just(FinishReason::ToolCalls),
    ];
    prop_oneof![
        4 => "[a-zé ]{0,6}".prop_map(ProviderEvent::Text),
        3 => "[a-z]{0,4}".prop_map(ProviderEvent::Reasoning),
        1 => Just(()).prop_map(|()| sealed()),
        1 => Just(ProviderEvent::Started { request_id: Some("r".into()) }),
        1 => (0_u32..3).prop_map(|index| ProviderEvent::ToolCall {
            index,
            call_id: format!("call-{index}"),
            name: "f".into(),
        }),
        1 => (0_u32..3, "[{}a]{0,3}").prop_map(|(index, arguments)| ProviderEvent::ToolArguments {
            index,
            arguments,
        }),
        1 => (0_u64..50, 0_u64..50).prop_map(|(input, output)| ProviderEvent::Usage(usage(input, output))),
        1 => finish.prop_map(ProviderEvent::Finished),
    ]
}

fn step() -> impl Strategy<Value = ScriptedStep> {
    prop_oneof![
        8 => proptest::collection::vec(event(), 0..4).prop_map(ScriptedStep::Say),
        2 => (1_u64..600).prop_map(|ms| ScriptedStep::Wait { ms }),
    ]
}

fn last() -> impl Strategy<Value = ScriptedStep> {
    let fail = |exposure| ScriptedStep::Fail { kind: ProviderErrorKind::Unavailable, exposure };
    prop_oneof![
        3 => Just(finish(FinishReason::Stop)),
        1 => Just(ScriptedStep::Cut),
        1 => Just(fail(Exposure::None)),
        1 => Just(fail(Exposure::Unknown)),
        1 => Just(ScriptedStep::Hang),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_told_is_what_is_stored(
        steps in proptest::collection::vec(step(), 0..10),
        last in last(),
        slow_log in any::<bool>(),
        goes_on in any::<bool>(),
    ) {
        let mut script = steps;
        script.push(last);
        let first = ScriptedReply::new(vec![say("kept"), finish(FinishReason::Length)]);
        let script = ScriptedReply::new(script);
        let script = if goes_on { vec![first, script] } else { vec![script] };
        let mut world = World::new(script).with_credit(1_000_000_000);
        if slow_log {
            world.config.checkpoint_ms = 1;
            world.config.checkpoint_bytes = 1;
        }
        in_process(async {
            let client = world.start().await;
            let mut request = TurnRequest::text("hi");
            let mut before = Money::ZERO;
            if goes_on {
                let (kept, outcome) = complete(&client, request).await;
                before = outcome.cost;
                let placement = Placement::Continue { message: kept.reply().clone() };
                request = TurnRequest::placed(placement).in_conversation(kept.conversation().clone());
            }
            let turn = send(&client, request).await;
            let live = read(&client, turn.id(), Cursor::START).await;
            let outcome = end_of(&turn).await;
            assert_whole(&live);
            assert_eq!(read(&client, turn.id(), Cursor::START).await, live, "the log says the same");
            let folded = Folded::from_events(live.iter().map(AsRef::as_ref));
            let stored = outcome.message.as_ref().map(|message| message.parts.clone());
            assert_eq!(folded.parts, stored.clone().unwrap_or_default());
            assert_eq!(folded.outcome, Some(outcome.state));
            assert_ne!(stored, Some(Vec::new()), "an empty reply is not kept");
            if outcome.state == TurnState::Completed {
                assert!(stored.is_some());
            }
            let said_something = stored.is_some();
            let mut rows = world.rows(&ada()).await;
            rows.retain(|row| row.key.step.turn == *turn.id());
            assert!(rows.len() <= 1);
            assert!(!said_something || rows.len() == 1, "what was said is billed");
            let billed = Money::sum(rows.iter().map(|row| row.amount)).expect("fits");
            assert_eq!(billed, outcome.cost);
            let posted = world.account(&ada()).await.posted;
            assert_eq!(posted.minus(before), Ok(billed));
            let starts = live.iter().filter(|event| matches!(
                event.event,
                EventKind::TextStart { .. } | EventKind::ReasoningStart { .. } | EventKind::ToolCallStart { .. }
            ));
            let ends = live.iter().filter(|event| matches!(
                event.event,
                EventKind::TextEnd { .. } | EventKind::ReasoningEnd { .. } | EventKind::ToolCallEnd { .. }
            ));
            assert_eq!(starts.count(), ends.count(), "what opens closes");
            assert_sound(&client).await;
        });
    }
}
