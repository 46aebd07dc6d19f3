//! P1–P10: pruning with tools, as the reference system tests it, in its stricter form.

use chat_truncation::{
    DropReason, Fate, PlanOutcome, PlanRequest, RepairKind, TrimReason, TruncationPolicy,
};
use chat_types::{ContentPart, Opaque, Origin, Role, Tokens};

use crate::fixture::{
    answers, assistant, call, calls, check_sizes, count, id, message, plan, policy, result, says,
    sent, user,
};

const LADDER: &str = r#"
rungs = [{ kind = "mask_tool_results", keep_recent_turns = 0, chars_max = 64 },
         { kind = "cap_messages" }, { kind = "summarise" }, { kind = "drop_blocks" }]
"#;

#[test]
fn p1_the_system_message_is_always_kept() {
    let messages =
        [says("s", Role::System, 10), user("u1", 40), assistant("a1", 40), user("u2", 5)];
    for toml in ["", LADDER] {
        let plan = plan(toml, 60, &messages);
        assert_eq!(sent(&plan), ["s", "a1", "u2"], "{toml}");
        check_sizes(&plan, &messages, Tokens::new(60), Tokens::ZERO);
    }
    // It does not fit: said by name, not left out.
    let plan = plan("", 12, &messages);
    assert_eq!(
        plan.too_large.map(|large| (large.message, large.role)),
        Some((id("s"), Role::System))
    );
}

#[test]
fn p2_the_start_that_is_asked_for_is_honoured() {
    let messages =
        [user("u1", 20), assistant("a1", 20), user("u2", 20), assistant("a2", 20), user("u3", 20)];
    assert_eq!(sent(&plan("", 85, &messages)), ["a1", "u2", "a2", "u3"]);
    let from_user = plan(r#"start = "user""#, 85, &messages);
    assert_eq!(sent(&from_user), ["u2", "a2", "u3"]);
    assert_eq!(from_user.cut_before, Some(id("a1")));
    assert_eq!(
        from_user.messages.get(1).map(|planned| planned.fate.clone()),
        Some(Fate::Drop { reason: DropReason::Start })
    );
    // What was not cut keeps the start it has, and tool rounds are never torn for a start.
    assert_eq!(sent(&plan(r#"start = "user""#, 100, &messages)).len(), 5);
    let rounds = [user("u1", 20), calls("c", "x"), answers("t", "x", 20), user("u2", 20)];
    assert_eq!(sent(&plan(r#"start = "user""#, 50, &rounds)), ["u2"]);
    let no_user = [assistant("a1", 20), assistant("a2", 20), assistant("a3", 20)];
    assert_eq!(sent(&plan(r#"start = "user""#, 50, &no_user)), ["a2", "a3"]);
}

#[test]
fn p3_orphan_results_are_dropped_and_orphan_calls_stripped() {
    let stripped = message("a1", Role::Assistant, vec![ContentPart::text("let me see"), call("x")]);
    let messages = [user("u1", 5), stripped, answers("t", "gone", 5), user("u2", 5)];
    let plan = plan("", 1_000, &messages);
    assert_eq!(sent(&plan), ["u1", "a1~", "u2"]);
    assert_eq!(
        plan.messages.get(1).map(|planned| planned.fate.clone()),
        Some(Fate::Trim { parts: vec![ContentPart::text("let me see")], by: TrimReason::Repaired })
    );
    let kinds: Vec<(String, RepairKind)> =
        plan.repairs.iter().map(|repair| (repair.message.to_string(), repair.kind)).collect();
    assert!(kinds.contains(&("a1".into(), RepairKind::UnansweredCall)), "{kinds:?}");
    assert!(kinds.contains(&("t".into(), RepairKind::OrphanResult)), "{kinds:?}");
    check_sizes(&plan, &messages, Tokens::new(1_000), Tokens::ZERO);
}

#[test]
fn p4_what_was_repaired_is_in_the_list_for_the_summariser() {
    let stripped = message("a1", Role::Assistant, vec![ContentPart::text("let me see"), call("x")]);
    let messages = [user("u1", 50), stripped, answers("t", "gone", 4), user("u2", 5)];
    let plan = plan("", 20, &messages);
    assert_eq!(sent(&plan), ["a1~", "u2"]);
    let left_out = plan.left_out(&messages);
    let ids: Vec<&str> = left_out.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(ids, ["u1", "a1", "t"], "chronological");
    assert_eq!(left_out.get(1).map(|m| m.parts.clone()), Some(vec![call("x")]));
}

#[test]
fn p5_what_instructions_take_is_taken_once() {
    // 100 for the model, 30 for instructions: 70 is the budget, and 67 tokens and 3 fit exactly.
    let messages = [user("u1", 30), assistant("a1", 30), user("u2", 7)];
    let request = |budget| {
        let mut request = PlanRequest::new(Tokens::new(budget));
        request.priming = Tokens::new(3);
        request
    };
    for toml in ["", LADDER] {
        let exact = policy(toml).plan(request(70), &messages, &count);
        assert_eq!(exact.outcome, PlanOutcome::Everything, "{toml}");
        assert_eq!((exact.tokens, exact.remaining), (Tokens::new(70), Tokens::ZERO));
        let less = policy(toml).plan(request(69), &messages, &count);
        assert_eq!(less.outcome, PlanOutcome::Cut, "{toml}");
        check_sizes(&less, &messages, Tokens::new(69), Tokens::new(3));
    }
}

#[test]
fn p6_a_current_turn_that_is_too_large_is_shortened_where_that_is_safe() {
    let messages = [
        user("u1", 20),
        assistant("a1", 20),
        user("u2", 30),
        calls("c1", "x"),
        answers("t1", "x", 500),
        calls("c2", "y"),
        answers("t2", "y", 500),
    ];
    let plan = plan(LADDER, 400, &messages);
    check_sizes(&plan, &messages, Tokens::new(400), Tokens::ZERO);
    let sent = sent(&plan);
    assert!(sent.ends_with(&["u2".into(), "c1".into(), "t1~".into(), "c2".into(), "t2~".into()]));
    assert_eq!(plan.notes, ["the current turn did not fit: its tool results were shortened"]);
    // The consumed result went first, the one the model has not seen yet keeps a quarter.
    let sizes: Vec<u64> = plan.messages.iter().rev().map(|p| p.tokens.get()).collect();
    assert!(sizes.first() > sizes.get(2), "{sizes:?}");
    // Alone it would fit as it is, and beside a system message it does not.
    let system = says("s", Role::System, 100);
    let beside: Vec<_> = [system].into_iter().chain(messages).collect();
    let plan = crate::fixture::plan(LADDER, 1_100, &beside);
    check_sizes(&plan, &beside, Tokens::new(1_100), Tokens::ZERO);
    assert_eq!(plan.too_large, None);
}

#[test]
fn p7_nothing_fits_is_an_answer_that_names_what_is_too_large() {
    let messages = [user("u1", 5), assistant("a1", 5), user("u2", 500)];
    for toml in ["", LADDER] {
        let plan = plan(toml, 100, &messages);
        assert_eq!(plan.outcome, PlanOutcome::TooLarge);
        assert_eq!(sent(&plan), Vec::<String>::new(), "the user's own words are never cut");
        let large = plan.too_large.expect("said");
        assert_eq!((large.message, large.role), (id("u2"), Role::User));
        assert_eq!((large.message_tokens, large.tokens), (Tokens::new(500), Tokens::new(500)));
        assert_eq!(large.available, Tokens::new(100));
    }
    let nothing = plan("", 100, &[]);
    assert_eq!((nothing.outcome, nothing.tokens), (PlanOutcome::Everything, Tokens::ZERO));
    // Not even the priming fits.
    let mut request = PlanRequest::new(Tokens::new(2));
    request.priming = Tokens::new(3);
    let plan = TruncationPolicy::default().plan(request, &[user("u", 0)], &count);
    assert_eq!(plan.outcome, PlanOutcome::TooLarge);
}

#[test]
fn p8_reasoning_that_is_there_stays_whole_and_missing_reasoning_harms_nothing() {
    let sealed = ContentPart::Reasoning {
        text: "long thoughts ".repeat(50),
        opaque: Some(Opaque {
            origin: Origin { model: "p/m".parse().expect("valid"), api: "messages".into() },
            data: "sealed".into(),
        }),
    };
    let thinking = message("c1", Role::Assistant, vec![sealed.clone(), call("x")]);
    let messages = [
        user("u1", 5),
        thinking,
        answers("t1", "x", 900),
        calls("c2", "y"), // no reasoning here
        answers("t2", "y", 900),
        assistant("a1", 5),
        user("u2", 5),
    ];
    let plan = plan(LADDER, 1_500, &messages);
    check_sizes(&plan, &messages, Tokens::new(1_500), Tokens::ZERO);
    assert_eq!(sent(&plan), ["u1", "c1", "t1~", "c2", "t2~", "a1", "u2"]);
    let sent = plan.into_messages(messages.to_vec());
    assert_eq!(sent.get(1).and_then(|m| m.parts.first().cloned()), Some(sealed));
}

#[test]
fn p9_the_order_is_chronological() {
    let messages: Vec<_> = (0..40)
        .flat_map(|turn| [user(&format!("u{turn}"), 10), assistant(&format!("a{turn}"), 10)])
        .chain([user("newest", 10)])
        .collect();
    for toml in ["", LADDER, r#"rungs = [{ kind = "middle_out" }]"#] {
        let mut request = PlanRequest::new(Tokens::new(400));
        let pinned = [id("u7"), id("a3")];
        request.pinned = &pinned;
        let plan = policy(toml).plan(request, &messages, &count);
        let order: Vec<_> = plan.messages.iter().map(|planned| &planned.message).collect();
        let given: Vec<_> = messages.iter().map(|message| &message.id).collect();
        assert_eq!(order, given, "{toml}");
        assert_eq!(plan.outcome, PlanOutcome::Cut);
        assert!(sent(&plan).contains(&"u7".to_owned()), "{toml}");
    }
}

#[test]
fn p10_without_a_summary_the_chain_ends_in_leaving_out_and_says_so() {
    let messages =
        [user("u1", 40), assistant("a1", 40), user("u2", 5), assistant("a2", 5), user("u3", 5)];
    let without = plan(LADDER, 50, &messages);
    assert_eq!(sent(&without), ["u2", "a2", "u3"]);
    let due = without.summary_due.clone().expect("something was left out");
    assert_eq!((due.covers_to, due.tokens), (id("a1"), Tokens::new(80)));
    assert_eq!(without.notes, ["messages were left out without a summary; one up to a1 is due"]);
    // A rung that asks for no summary gets none, and a call is never torn from its result for one.
    assert_eq!(plan("", 50, &messages).summary_due, None);
    let calm = plan(LADDER, 1_000, &messages);
    assert_eq!((calm.summary_due, calm.notes), (None, vec![]));
    let torn = [
        user("u1", 5),
        message("c", Role::Assistant, vec![call("x")]),
        message("t", Role::Tool, vec![result("x", &"r".repeat(60))]),
        assistant("a", 20),
        user("u2", 5),
    ];
    let due = plan(LADDER, 100, &torn).summary_due.expect("93 percent");
    assert_eq!(due.covers_to, id("t"));
}
