//! What each rung does, and that it does no more than is needed.

use chat_truncation::{DropReason, Fate, Plan, PlanOutcome, PlanRequest, TrimReason};
use chat_types::{ContentPart, FileId, Message, Role, Tokens};

use crate::fixture::{
    answers, assistant, call, calls, check_sizes, count, id, message, plan, policy, result, sent,
    user,
};

fn parts_of<'p>(plan: &'p Plan, name: &str) -> &'p [ContentPart] {
    let planned = plan.messages.iter().find(|planned| planned.message.as_str() == name);
    match planned.map(|planned| &planned.fate) {
        Some(Fate::Trim { parts, .. }) => parts,
        other => panic!("{name} is not shortened: {other:?}"),
    }
}

fn text_of(plan: &Plan, name: &str) -> String {
    let texts = parts_of(plan, name).iter().filter_map(|part| match part {
        ContentPart::Text { text } | ContentPart::ToolResult { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

#[test]
fn cap_shortens_one_long_message_instead_of_dropping_what_is_before_it() {
    let messages = [user("u1", 50), assistant("a1", 1_000), user("u2", 50)];
    let without = plan("", 500, &messages);
    assert_eq!(sent(&without), ["u2"], "one long message costs all that is older");
    let capped = plan(r#"rungs = [{ kind = "cap_messages" }]"#, 500, &messages);
    assert_eq!(sent(&capped), ["u1", "a1~", "u2"]);
    assert_eq!((capped.outcome, capped.rungs_applied), (PlanOutcome::Everything, 1));
    let text = text_of(&capped, "a1");
    assert!(text.chars().count() <= 125 && text.chars().count() > 90, "a quarter of 500: {text}");
    assert!(text.contains(" of 1000 characters left out ...]"), "{text}");
    check_sizes(&capped, &messages, Tokens::new(500), Tokens::ZERO);
}

#[test]
fn cap_takes_the_smaller_of_share_and_maximum_and_splits_head_and_tail() {
    let messages = [assistant("a1", 1_000), user("u2", 50)];
    for (keys, most) in
        [("tokens_max = 90", 90), ("tokens_max = 900", 125), ("share_percent = 40", 200)]
    {
        let toml = format!("rungs = [{{ kind = \"cap_messages\", {keys} }}]");
        let tokens = plan(&toml, 500, &messages).messages.first().map(|p| p.tokens.get());
        assert!(
            tokens.is_some_and(|tokens| tokens <= most && tokens > most * 3 / 4),
            "{keys}: {tokens:?}"
        );
    }
    let text = format!("{}{}", "h".repeat(600), "t".repeat(600));
    let messages = [message("a1", Role::Assistant, vec![ContentPart::text(text)]), user("u", 1)];
    let toml = r#"rungs = [{ kind = "cap_messages", tokens_max = 120, head_percent = 25 }]"#;
    let text = text_of(&plan(toml, 1_000, &messages), "a1");
    let (head, tail) = (text.matches('h').count(), text.matches('t').count());
    assert!(tail > 2 * head && head > 10, "{text}");
}

#[test]
fn cap_cuts_the_longest_texts_and_never_calls_images_or_the_user_now_asking() {
    let image = ContentPart::Image {
        file: FileId::new("f").expect("valid"),
        media_type: "image/png".into(),
        width_px: None,
        height_px: None,
    };
    let big_call =
        ContentPart::ToolCall { call_id: "x".into(), name: "t".into(), arguments: "a".repeat(200) };
    let mixed = message(
        "a1",
        Role::Assistant,
        vec![
            ContentPart::text("short"),
            big_call.clone(),
            result("x", &"r".repeat(800)),
            image.clone(),
            ContentPart::text("x".repeat(400)),
        ],
    );
    let messages = [mixed, user("u1", 900)];
    let toml = r#"rungs = [{ kind = "cap_messages", tokens_max = 600 }]"#;
    let plan = policy(toml).plan(PlanRequest::new(Tokens::new(2_300)), &messages, &count);
    assert_eq!(sent(&plan), ["a1~", "u1"]);
    let parts = parts_of(&plan, "a1");
    assert_eq!(parts.len(), 5, "parts keep their number and order");
    assert_eq!(parts.first(), Some(&ContentPart::text("short")));
    assert_eq!((parts.get(1), parts.get(3)), (Some(&big_call), Some(&image)));
    assert!(count(Role::Assistant, parts) <= Tokens::new(600));
}

const MASK: &str = r#"
rungs = [{ kind = "mask_tool_results", keep_recent_turns = 1, chars_max = 64 }]
"#;

fn tool_turn(turn: usize, result_tokens: usize) -> Vec<Message> {
    let name = |kind: &str| format!("{kind}{turn}");
    let call_id = format!("x{turn}");
    vec![
        user(&name("u"), 10),
        calls(&name("c"), &call_id),
        answers(&name("t"), &call_id, result_tokens),
        assistant(&name("a"), 10),
    ]
}

#[test]
fn mask_shortens_consumed_results_older_than_the_recent_turns() {
    let mut messages: Vec<Message> = (0..3).flat_map(|turn| tool_turn(turn, 400)).collect();
    messages.push(user("now", 10));
    let plan = plan(MASK, 1_000, &messages);
    assert_eq!(
        sent(&plan),
        ["u0", "c0", "t0~", "a0", "u1", "c1", "t1~", "a1", "u2", "c2", "t2", "a2", "now"]
    );
    let text = text_of(&plan, "t0");
    let head = "r".repeat(44);
    assert!(
        text.starts_with(&format!("{head}\n[... 336 of 400 characters left out ...]\n")),
        "{text}"
    );
    check_sizes(&plan, &messages, Tokens::new(1_000), Tokens::ZERO);
}

#[test]
fn mask_leaves_alone_what_nobody_answered_to() {
    let mut messages = vec![user("u0", 10), calls("c0", "x"), answers("t0", "x", 400)];
    messages.extend([user("u1", 10), user("u2", 10), user("now", 500)]);
    let plan_of = |messages: &[Message]| sent(&plan(MASK, 800, messages));
    assert_eq!(plan_of(&messages), ["u1", "u2", "now"], "no assistant message follows");
    messages.insert(3, assistant("a0", 10));
    assert_eq!(plan_of(&messages), ["u0", "c0", "t0~", "a0", "u1", "u2", "now"]);
    // A reply that holds its calls and results answers them by what it says after them.
    for (said, expected) in [("done", "a0~"), (" ", "a0")] {
        let reply = message(
            "a0",
            Role::Assistant,
            vec![call("x"), result("x", &"r".repeat(400)), ContentPart::text(said)],
        );
        let messages = [user("u0", 1), reply, user("u1", 1), user("now", 10)];
        let toml = MASK.replace("chars_max = 64", "chars_max = 64, starts_at_percent = 0");
        assert_eq!(sent(&plan(&toml, 500, &messages)), ["u0", expected, "u1", "now"]);
    }
}

#[test]
fn no_rung_is_applied_before_it_is_needed() {
    let mut messages: Vec<Message> = (0..3).flat_map(|turn| tool_turn(turn, 300)).collect();
    messages.extend([assistant("long", 600), user("now", 10)]);
    let both = r#"rungs = [{ kind = "mask_tool_results", keep_recent_turns = 0, chars_max = 64, starts_at_percent = 80 },
        { kind = "cap_messages", tokens_max = 200 }]"#;
    // 1,579 in all; masked results leave about 900.
    for (budget, rungs) in [(2_000, 0), (1_974, 0), (1_973, 1), (1_200, 1), (900, 2), (500, 2)] {
        let plan = plan(both, budget, &messages);
        assert_eq!(plan.rungs_applied, rungs, "{budget}: {:?}", sent(&plan));
        check_sizes(&plan, &messages, Tokens::new(budget), Tokens::ZERO);
    }
    let always = r#"rungs = [{ kind = "cap_messages", tokens_max = 200, starts_at_percent = 0 }]"#;
    assert_eq!(plan(always, 1_000_000, &messages).rungs_applied, 1);
}

#[test]
fn a_mark_counts_what_was_stored_also_after_two_rungs() {
    let mut messages = tool_turn(0, 2_000);
    messages.extend([user("u1", 10), user("now", 10)]);
    let toml = r#"rungs = [{ kind = "cap_messages", tokens_max = 400, share_percent = 100 },
        { kind = "mask_tool_results", keep_recent_turns = 1, chars_max = 64 }]"#;
    let plan = plan(toml, 300, &messages);
    assert_eq!(plan.rungs_applied, 2);
    assert!(text_of(&plan, "t0").contains("[... 1936 of 2000 characters left out ...]"));
    let by =
        plan.messages.iter().find(|planned| planned.message == id("t0")).map(|p| p.fate.clone());
    assert!(matches!(by, Some(Fate::Trim { by: TrimReason::Masked, .. })), "{by:?}");
}

#[test]
fn drop_blocks_makes_a_block_free_and_keeps_the_cut() {
    let toml = r#"rungs = [{ kind = "drop_blocks", block_percent = 50 }]"#;
    let messages: Vec<Message> = (0..30)
        .flat_map(|turn| [user(&format!("u{turn}"), 10), assistant(&format!("a{turn}"), 10)])
        .chain([user("now", 10)])
        .collect();
    let with = |cut: Option<&str>| {
        let cut = cut.map(id);
        let mut request = PlanRequest::new(Tokens::new(200));
        request.cut_before = cut.as_ref();
        policy(toml).plan(request, &messages, &count)
    };
    // A cut that still fits holds, how much or how little is behind it.
    for (cut, kept) in [("a25", 9), ("a20", 19)] {
        let plan = with(Some(cut));
        assert_eq!(plan.cut_before, Some(id(cut)));
        assert_eq!(sent(&plan).len(), kept);
        assert_eq!(
            plan.messages.first().map(|p| p.fate.clone()),
            Some(Fate::Drop { reason: DropReason::BeforeCut })
        );
    }
    // One that does not fit any more moves by half of what there is for history: 190.
    let moved = with(Some("a15"));
    assert_eq!((sent(&moved).len(), moved.cut_before.clone()), (10, Some(id("u25"))));
    // Without a cut to go by: somewhere in the block, at a turn, for everybody the same.
    let fresh = with(None);
    assert_eq!(fresh, with(None));
    assert!(fresh.tokens > Tokens::new(100) && fresh.tokens <= Tokens::new(200));
    assert!(sent(&fresh).first().is_some_and(|first| first.starts_with('u')));
}

#[test]
fn middle_out_keeps_the_first_turns_and_the_newest_and_marks_the_gap() {
    let messages: Vec<Message> = (0..30)
        .flat_map(|turn| [user(&format!("u{turn}"), 10), assistant(&format!("a{turn}"), 10)])
        .chain([user("now", 10)])
        .collect();
    let plan_with = |keys: &str, budget| {
        plan(&format!("rungs = [{{ kind = \"middle_out\", {keys} }}]"), budget, &messages)
    };
    let cut = plan_with("keep_first_turns = 2", 200);
    // 200 hold 20 for each of two turns, 63 for the mark, and 87 for the newest.
    assert_eq!(
        sent(&cut),
        ["u0", "a0", "u1", "a1", "u26", "a26", "u27", "a27", "u28", "a28", "u29", "a29", "now"]
            .map(str::to_owned)[..]
            .iter()
            .filter(|_| true)
            .cloned()
            .collect::<Vec<_>>()
    );
    let gap = cut.gap.clone().expect("a gap");
    assert_eq!(gap.before, Some(id("u26")));
    check_sizes(&cut, &messages, Tokens::new(200), Tokens::ZERO);
    let text = cut.into_messages(messages.clone()).get(4).map(Message::text).expect("u26");
    assert!(text.starts_with(gap.text) && !text.contains(char::is_numeric), "{text}");
    // Everything fits: no gap. First turns above their share: as any other.
    let all = plan_with("keep_first_turns = 2", 610);
    assert_eq!((all.outcome, all.gap), (PlanOutcome::Everything, None));
    let greedy = plan_with("keep_first_turns = 16", 200);
    assert!(sent(&greedy).contains(&"a1".to_owned()) && !sent(&greedy).contains(&"a2".to_owned()));
    assert!(greedy.notes.iter().any(|note| note.contains("above their share")), "{greedy:?}");
}

#[test]
fn pinned_messages_are_kept_whole_with_their_unit_up_to_their_share() {
    let mut messages = tool_turn(0, 30);
    messages.extend(
        (1..20)
            .flat_map(|turn| [user(&format!("u{turn}"), 10), assistant(&format!("a{turn}"), 10)]),
    );
    messages.push(user("now", 10));
    let pinned_plan = |toml: &str, pinned: &[&str]| {
        let pinned: Vec<_> = pinned.iter().map(|name| id(name)).collect();
        let mut request = PlanRequest::new(Tokens::new(200));
        request.pinned = &pinned;
        let plan = policy(toml).plan(request, &messages, &count);
        check_sizes(&plan, &messages, Tokens::new(200), Tokens::ZERO);
        plan
    };
    let cap = r#"rungs = [{ kind = "cap_messages", tokens_max = 32, starts_at_percent = 0 },
        { kind = "drop_blocks" }]"#;
    for toml in ["", cap] {
        let plan = pinned_plan(toml, &["t0"]);
        assert!(sent(&plan).starts_with(&["c0".into(), "t0".into()]), "{:?}", sent(&plan));
        assert!(plan.cut_before.as_ref().is_some_and(|cut| cut != &id("u0")));
    }
    // A quarter of 200 holds two of these, the newest; the oldest is treated as any other.
    let plan = pinned_plan("", &["t0", "u3", "u4"]);
    assert_eq!(
        sent(&plan).iter().filter(|name| ["u3", "u4", "t0"].contains(&name.as_str())).count(),
        2
    );
    assert!(plan.notes.iter().any(|note| note.contains("above their share")));
    // What everything holds, no pin changes.
    let none = pinned_plan("", &["gone"]);
    assert_eq!(none, pinned_plan("", &[]));
}

#[test]
fn a_summary_is_due_before_anything_is_lost_and_keeps_whole_turns() {
    let messages: Vec<Message> = (0..8)
        .flat_map(|turn| [user(&format!("u{turn}"), 10), assistant(&format!("a{turn}"), 10)])
        .chain([user("now", 10)])
        .collect();
    let toml =
        r#"rungs = [{ kind = "summarise", at_percent = 80, keep_percent = 40, model = "cheap" }]"#;
    // 170 in all: 80 percent of 212 are 169.
    for (budget, covers_to) in [(213, None), (212, Some("a4")), (170, Some("a5"))] {
        let plan = plan(toml, budget, &messages);
        assert_eq!(plan.outcome, PlanOutcome::Everything);
        let due = plan.summary_due.map(|due| (due.covers_to, due.model));
        assert_eq!(due, covers_to.map(|name| (id(name), Some("cheap".to_owned()))), "{budget}");
    }
}
