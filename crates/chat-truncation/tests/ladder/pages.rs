//! The ladder by hand, newest first: it reads as far as shortening reaches, and no further.

use chat_truncation::{
    Fate, Ladder, LadderStart, Offer, PlanOutcome, PlanRequest, Reserve, SizedMessage, UnitGrouper,
};
use chat_types::{Message, Tokens};

use crate::fixture::{answers, assistant, calls, count, id, policy, sent, user};

fn sized(message: &Message) -> SizedMessage<'_> {
    SizedMessage::new(message, count(message.role, &message.parts))
}

fn conversation(turns: usize, result_tokens: usize) -> Vec<Message> {
    (0..turns)
        .flat_map(|turn| {
            let name = |kind: &str| format!("{kind}{turn}");
            [
                user(&name("u"), 10),
                calls(&name("c"), "x"),
                answers(&name("t"), "x", result_tokens),
                assistant(&name("a"), 10),
            ]
        })
        .collect()
}

/// Reads until the ladder is full; says how many messages that took.
fn read(ladder: &mut Ladder, messages: &[Message]) -> usize {
    let mut grouper = UnitGrouper::new();
    let mut read = 0;
    for message in messages.iter().rev() {
        read += 1;
        for unit in grouper.push_older(message.clone()) {
            let unit: Vec<SizedMessage<'_>> = unit.messages.iter().map(sized).collect();
            if ladder.offer(&unit, &count) == Offer::Full {
                assert!(ladder.is_full());
                return read;
            }
        }
    }
    read
}

#[test]
fn shortening_makes_the_reading_go_further_back_and_it_stops_when_full() {
    let messages = conversation(1_000, 380);
    let now = user("now", 10);
    let reads = |toml: &str| {
        let start = LadderStart::new(Tokens::new(4_000)).with_required(vec![sized(&now)]);
        let mut ladder = Ladder::new(&policy(toml), &start, &count);
        let read = read(&mut ladder, &messages);
        (read, ladder.finish())
    };
    let (plain, _) = reads("");
    assert_eq!(plain, 39, "nine turns of 403 fit, and the tool round of the tenth does not");
    let mask = r#"rungs = [{ kind = "mask_tool_results", chars_max = 64 }]"#;
    let (masked, plan) = reads(mask);
    assert!(masked > 60 && masked < 120, "{masked}");
    assert_eq!(plan.outcome, PlanOutcome::Cut);
    assert_eq!(plan.rungs_applied, 1);
}

#[test]
fn reading_in_pages_plans_the_same_as_the_whole_list() {
    let mut messages = conversation(50, 100);
    messages.push(user("now", 10));
    for toml in [
        "",
        r#"rungs = [{ kind = "mask_tool_results", chars_max = 64 }, { kind = "drop_blocks" }]"#,
    ] {
        let policy = policy(toml);
        let whole = policy.plan(PlanRequest::new(Tokens::new(1_000)), &messages, &count);
        let (now, older) = messages.split_last().expect("not empty");
        let start = LadderStart::new(Tokens::new(1_000)).with_required(vec![sized(now)]);
        let mut ladder = Ladder::new(&policy, &start, &count);
        let read = read(&mut ladder, older);
        assert!(read < 100, "{read}");
        let paged = ladder.finish();
        assert_eq!((sent(&paged), paged.tokens), (sent(&whole), whole.tokens));
        assert_eq!(paged.cut_before, whole.cut_before);
    }
}

#[test]
fn an_earlier_cut_ends_the_reading() {
    let messages = conversation(50, 10);
    let start = LadderStart::new(Tokens::new(1_000)).with_cut_before(Some(id("a45")));
    let mut ladder = Ladder::new(&policy(r#"rungs = [{ kind = "drop_blocks" }]"#), &start, &count);
    assert_eq!(read(&mut ladder, &messages), 17, "four turns and the cut itself");
    let plan = ladder.finish();
    assert_eq!(plan.cut_before, Some(id("a45")));
    assert_eq!(sent(&plan).first().map(String::as_str), Some("u46"));
    // A ladder without blocks takes no notice.
    let mut ladder = Ladder::new(&policy(""), &start, &count);
    assert_eq!(read(&mut ladder, &messages), 123);
}

#[test]
fn what_is_reserved_and_never_read_stands_in_front() {
    let messages = conversation(50, 10);
    let [c0, t0] = [messages.get(1), messages.get(2)].map(|m| sized(m.expect("there")));
    let a9 = sized(messages.get(39).expect("a9"));
    let now = user("now", 10);
    let start = LadderStart::new(Tokens::new(200))
        .with_required(vec![sized(&now)])
        .with_reserved(Reserve::Pinned, vec![c0, t0])
        .with_reserved(Reserve::Pinned, vec![a9])
        .with_reserved(Reserve::Pinned, vec![a9]);
    let mut ladder = Ladder::new(&policy(""), &start, &count);
    assert_eq!(ladder.remaining(), Tokens::new(200 - 10 - 13 - 10));
    read(&mut ladder, &messages);
    let plan = ladder.finish();
    let sent = sent(&plan);
    assert!(sent.starts_with(&["c0".into(), "t0".into(), "a9".into(), "u45".into()]), "{sent:?}");
    assert_eq!(sent.last().map(String::as_str), Some("now"));
    assert!(plan.tokens <= Tokens::new(200));
}

#[test]
fn a_summary_takes_its_place_and_what_it_does_not_cover_is_named() {
    let messages = conversation(3, 10);
    let start = LadderStart::new(Tokens::new(60));
    let mut ladder = Ladder::new(&policy(r#"rungs = [{ kind = "summarise" }]"#), &start, &count);
    assert_eq!(ladder.take(Tokens::new(61)), Offer::Full);
    assert_eq!(ladder.take(Tokens::new(20)), Offer::Kept);
    read(&mut ladder, &messages);
    let plan = ladder.finish();
    assert_eq!((plan.tokens, plan.remaining), (Tokens::new(53), Tokens::new(7)));
    let due = plan.summary_due.expect("something was left out");
    assert_eq!((plan.cut_before, due.covers_to), (Some(id("a1")), id("u2")));
    assert_eq!(plan.notes, ["messages were left out without a summary; one up to u2 is due"]);
}

#[test]
fn what_is_offered_after_full_is_planned_as_left_out() {
    let start = LadderStart::new(Tokens::new(25));
    let mut ladder = Ladder::new(&policy(""), &start, &count);
    let [one, two, three] = [user("u1", 20), user("u2", 20), user("u3", 1)];
    assert_eq!(ladder.offer(&[sized(&one)], &count), Offer::Kept);
    assert_eq!(ladder.offer(&[], &count), Offer::Kept);
    assert_eq!(ladder.offer(&[sized(&two)], &count), Offer::Full);
    assert_eq!(ladder.offer(&[sized(&three)], &count), Offer::Full, "never a hole");
    let plan = ladder.finish();
    assert_eq!(sent(&plan), ["u1"]);
    assert_eq!(plan.cut_before, Some(id("u2")));
    assert!(plan.messages.iter().all(|p| p.is_sent() == (p.fate == Fate::Keep)));
}
