//! Units: a call and its results stay together, and what has no partner is taken out.
#![expect(clippy::expect_used, reason = "test helpers")]

use chat_truncation::{Repair, RepairKind, UNIT_MESSAGES_MAX, Unit, UnitGrouper, units};
use chat_types::{
    ContentPart, ConversationId, Message, MessageId, MessageStatus, Provenance, Role, Timestamp,
    TokenCount, TokenizerId, Tokens,
};
use proptest::prelude::*;

fn message(id: &str, role: Role, parts: Vec<ContentPart>) -> Message {
    Message {
        id: MessageId::new(id).expect("valid"),
        conversation: ConversationId::new("c").expect("valid"),
        parent: None,
        role,
        parts,
        created_at: Timestamp::from_unix_ms(0),
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: vec![TokenCount {
            tokens: Tokens::new(1),
            tokenizer: TokenizerId::from_static("t"),
            provenance: Provenance::Counted,
        }],
        summary: None,
    }
}

fn says(id: &str, role: Role) -> Message {
    message(id, role, vec![ContentPart::text(id)])
}

fn call(call_id: &str) -> ContentPart {
    ContentPart::ToolCall { call_id: call_id.into(), name: "tool".into(), arguments: "{}".into() }
}

fn result(call_id: &str) -> ContentPart {
    ContentPart::ToolResult {
        call_id: call_id.into(),
        text: format!("result of {call_id}"),
        is_error: false,
    }
}

fn calls(id: &str, call_ids: &[&str]) -> Message {
    let parts = call_ids.iter().map(|call_id| call(call_id)).collect();
    message(id, Role::Assistant, parts)
}

fn answers(id: &str, call_id: &str) -> Message {
    message(id, Role::Tool, vec![result(call_id)])
}

fn repair(message: &str, call_id: &str, kind: RepairKind, emptied: bool) -> Repair {
    Repair {
        message: MessageId::new(message).expect("valid"),
        call_id: call_id.into(),
        kind,
        emptied,
    }
}

fn ids(units: &[Unit]) -> Vec<Vec<&str>> {
    units.iter().map(|unit| unit.messages.iter().map(|m| m.id.as_str()).collect()).collect()
}

fn check(messages: Vec<Message>, expected: &[&[&str]], repairs: &[Repair]) -> Vec<Unit> {
    let (units, made) = units(messages);
    assert_eq!(ids(&units), expected);
    assert_eq!(made, repairs);
    units
}

#[test]
fn messages_without_tools_are_units_of_their_own() {
    let messages =
        vec![says("u1", Role::User), says("a1", Role::Assistant), says("u2", Role::User)];
    let units = check(messages.clone(), &[&["u1"], &["a1"], &["u2"]], &[]);
    let back: Vec<Message> = units.into_iter().flat_map(|unit| unit.messages).collect();
    assert_eq!(back, messages, "nothing is changed");
}

#[test]
fn a_call_and_its_results_are_one_unit() {
    check(
        vec![
            says("u1", Role::User),
            calls("a1", &["x", "y"]),
            answers("t1", "x"),
            answers("t2", "y"),
            says("a2", Role::Assistant),
        ],
        &[&["u1"], &["a1", "t1", "t2"], &["a2"]],
        &[],
    );
}

#[test]
fn rounds_of_one_turn_are_separate_units_even_with_equal_call_ids() {
    check(
        vec![calls("a1", &["x"]), answers("t1", "x"), calls("a2", &["x"]), answers("t2", "x")],
        &[&["a1", "t1"], &["a2", "t2"]],
        &[],
    );
}

#[test]
fn a_reply_that_holds_calls_and_results_is_one_unit_of_one_message() {
    let reply =
        message("a1", Role::Assistant, vec![call("x"), result("x"), ContentPart::text("done")]);
    check(vec![says("u1", Role::User), reply], &[&["u1"], &["a1"]], &[]);
}

#[test]
fn an_orphan_result_is_dropped_and_reported() {
    check(
        vec![says("u1", Role::User), answers("t1", "gone"), says("a1", Role::Assistant)],
        &[&["u1"], &["a1"]],
        &[repair("t1", "gone", RepairKind::OrphanResult, true)],
    );
}

#[test]
fn an_orphan_result_does_not_reach_over_a_users_message() {
    check(
        vec![calls("a1", &["x"]), says("u1", Role::User), answers("t1", "x")],
        &[&["u1"]],
        &[
            repair("t1", "x", RepairKind::OrphanResult, true),
            repair("a1", "x", RepairKind::UnansweredCall, true),
        ],
    );
}

#[test]
fn only_the_broken_part_is_taken_out_and_stale_counts_with_it() {
    let mixed =
        message("a1", Role::Assistant, vec![ContentPart::text("let me see"), call("x"), call("y")]);
    let units = check(
        vec![mixed, answers("t1", "y"), answers("t2", "z")],
        &[&["a1", "t1"]],
        &[
            repair("a1", "x", RepairKind::UnansweredCall, false),
            repair("t2", "z", RepairKind::OrphanResult, true),
        ],
    );
    let first = units.first().and_then(|unit| unit.messages.first());
    let first = first.expect("one unit");
    assert_eq!(first.parts, [ContentPart::text("let me see"), call("y")]);
    assert_eq!(first.token_counts, []);
}

#[test]
fn a_part_taken_out_before_a_result_does_not_shift_what_is_dropped_later() {
    // The call is taken out first, so the orphan result moves to the front of its message.
    let mixed = message(
        "a1",
        Role::Assistant,
        vec![call("x"), result("orphan"), ContentPart::text("kept")],
    );
    let units = check(
        vec![mixed],
        &[&["a1"]],
        &[
            repair("a1", "x", RepairKind::UnansweredCall, false),
            repair("a1", "orphan", RepairKind::OrphanResult, false),
        ],
    );
    let parts = units.first().and_then(|unit| unit.messages.first());
    assert_eq!(parts.map(|message| message.parts.clone()), Some(vec![ContentPart::text("kept")]));
}

#[test]
fn reading_newest_first_completes_a_unit_at_its_call() {
    let mut grouper = UnitGrouper::new();
    assert_eq!(ids(&grouper.push_older(says("a2", Role::Assistant))), [["a2"]]);
    assert_eq!(grouper.push_older(answers("t1", "x")), []);
    assert_eq!(ids(&grouper.push_older(calls("a1", &["x"]))), [["a1", "t1"]]);
    assert_eq!(grouper.repairs(), []);
    assert_eq!(grouper.finish(), (vec![], vec![]));
}

#[test]
fn a_missing_call_never_swallows_more_than_the_bound() {
    let mut grouper = UnitGrouper::new();
    let mut done = grouper.push_older(answers("t", "gone")).len();
    let mut read = 1;
    while done == 0 {
        done = grouper.push_older(says(&format!("a{read}"), Role::Assistant)).len();
        read += 1;
        assert!(read <= UNIT_MESSAGES_MAX, "still searching after {read}");
    }
    assert_eq!((read, done), (UNIT_MESSAGES_MAX, UNIT_MESSAGES_MAX - 1));
    assert_eq!(grouper.repairs(), [repair("t", "gone", RepairKind::OrphanResult, true)]);
}

fn any_part() -> impl Strategy<Value = ContentPart> {
    prop_oneof![
        Just(ContentPart::text("t")),
        "[xyz]".prop_map(|id| call(&id)),
        "[xyz]".prop_map(|id| result(&id)),
    ]
}

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::User), Just(Role::Assistant), Just(Role::Tool)]
}

proptest! {
    #[test]
    fn any_history_becomes_units_in_which_every_call_and_result_has_its_partner(
        history in proptest::collection::vec(
            (any_role(), proptest::collection::vec(any_part(), 0..4)), 0..12,
        ),
    ) {
        let messages: Vec<Message> = history
            .into_iter()
            .enumerate()
            .map(|(index, (role, parts))| message(&format!("m{index}"), role, parts))
            .collect();
        let before: usize = messages.iter().map(|message| message.parts.len()).sum();
        let order: Vec<MessageId> = messages.iter().map(|message| message.id.clone()).collect();
        let (units, repairs) = units(messages);

        let mut after = 0;
        let mut last = None;
        for unit in &units {
            prop_assert!(!unit.messages.is_empty());
            let mut waiting: Vec<&str> = Vec::new();
            let mut answered: Vec<&str> = Vec::new();
            for message in &unit.messages {
                let at = order.iter().position(|id| id == &message.id);
                prop_assert!(at > last, "order is kept");
                last = at;
                after += message.parts.len();
                for part in &message.parts {
                    match part {
                        ContentPart::ToolCall { call_id, .. } => waiting.push(call_id),
                        ContentPart::ToolResult { call_id, .. } => {
                            let known = waiting.contains(&call_id.as_str())
                                || answered.contains(&call_id.as_str());
                            prop_assert!(known, "a result without its call");
                            waiting.retain(|id| id != call_id);
                            answered.push(call_id);
                        }
                        _ => {}
                    }
                }
            }
            prop_assert_eq!(waiting, Vec::<&str>::new(), "a call without its result");
        }
        prop_assert_eq!(after + repairs.len(), before, "every part is kept or reported");
    }
}
