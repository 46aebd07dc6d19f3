//! A conversation that grows: how often its prefix changes, with and without the earlier cut.

use chat_truncation::{Plan, PlanRequest, TruncationPolicy};
use chat_types::{Message, MessageId, Tokens};

use crate::fixture::{assistant, check_sizes, count, policy, user};

const BUDGET: Tokens = Tokens::new(2_000);
const TURNS: usize = 200;

/// A turn takes between 20 and 59 tokens.
fn turn(number: usize) -> [Message; 2] {
    let size = |seed: usize| 10 + seed.wrapping_mul(2_654_435_761) % 20;
    [
        user(&format!("u{number}"), size(2 * number)),
        assistant(&format!("a{number}"), size(2 * number + 1)),
    ]
}

struct Grown {
    cuts: Vec<Option<MessageId>>,
    /// Turns whose prompt does not begin with the prompt of the turn before.
    breaks: usize,
}

fn grow(policy: &TruncationPolicy, remembers: bool) -> Grown {
    let mut messages: Vec<Message> = Vec::new();
    let mut grown = Grown { cuts: Vec::new(), breaks: 0 };
    let mut before: Vec<Message> = Vec::new();
    let mut cut: Option<MessageId> = None;
    for number in 0..TURNS {
        let [said, reply] = turn(number);
        messages.push(said);
        let mut request = PlanRequest::new(BUDGET);
        request.cut_before = cut.as_ref().filter(|_| remembers);
        let plan: Plan = policy.plan(request, &messages, &count);
        check_sizes(&plan, &messages, BUDGET, Tokens::ZERO);
        cut.clone_from(&plan.cut_before);
        grown.cuts.push(plan.cut_before.clone());
        let sent = plan.into_messages(messages.clone());
        grown.breaks += usize::from(!sent.starts_with(&before));
        before = sent;
        messages.push(reply);
    }
    check_forward(&grown.cuts, &messages);
    grown
}

fn check_forward(cuts: &[Option<MessageId>], messages: &[Message]) {
    let place = |cut: &Option<MessageId>| {
        cut.as_ref().map(|cut| messages.iter().position(|message| &message.id == cut))
    };
    for pair in cuts.windows(2) {
        assert!(place(&pair[0]) <= place(&pair[1]), "{pair:?}");
    }
}

#[test]
fn a_remembered_cut_moves_once_per_block_over_200_turns() {
    let window = grow(&TruncationPolicy::recent_window(), true);
    assert!(window.breaks > 130, "the recent window breaks nearly always: {}", window.breaks);
    // 200 turns are about 7,800 tokens; three blocks of 500 tokens are filled per 1,500 and the
    // first window holds 2,000, so about a dozen moves are due.
    let blocks = grow(&policy(r#"rungs = [{ kind = "drop_blocks" }]"#), true);
    assert!((5..=14).contains(&blocks.breaks), "{}", blocks.breaks);
    let half = policy(r#"rungs = [{ kind = "drop_blocks", block_percent = 50 }]"#);
    let half = grow(&half, true);
    assert!((3..=8).contains(&half.breaks), "{}", half.breaks);
}

#[test]
fn without_memory_the_cut_still_moves_rarely_and_forward_only() {
    let blocks = grow(&policy(r#"rungs = [{ kind = "drop_blocks" }]"#), false);
    assert!((5..=40).contains(&blocks.breaks), "{}", blocks.breaks);
    let half = policy(r#"rungs = [{ kind = "drop_blocks", block_percent = 50 }]"#);
    let half = grow(&half, false);
    assert!((3..=20).contains(&half.breaks), "{}", half.breaks);
}

#[test]
fn the_middle_that_is_left_out_grows_in_blocks_too() {
    let middle = policy(r#"rungs = [{ kind = "middle_out", block_percent = 50 }]"#);
    let middle = grow(&middle, true);
    assert!((3..=8).contains(&middle.breaks), "{}", middle.breaks);
}
