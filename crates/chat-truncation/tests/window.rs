//! The window: the reference cases W1–W13 by number, and its laws for any numbers.

use chat_truncation::{
    InstructionsPlacement, Offer, TruncationPolicy, TruncationStrategy, Window, WindowFill,
    WindowOutcome, arrange, fill_window,
};
use chat_types::Tokens;
use proptest::prelude::*;

const PRIMING: Tokens = Tokens::new(3);

/// Items are their own size; instructions are named by their size too.
fn window(max: u64, instructions: Option<u64>, items: &[u64]) -> Window<u64> {
    fill_window(Tokens::new(max), PRIMING, instructions, items.to_vec(), |tokens| {
        Tokens::new(*tokens)
    })
}

fn check(
    (max, instructions, items): (u64, Option<u64>, &[u64]),
    (payload, remaining, refine): (&[u64], u64, &[u64]),
) {
    let window = window(max, instructions, items);
    assert_eq!(window.remaining, Tokens::new(remaining));
    assert_eq!(window.refine, refine);
    assert_eq!(window.into_payload(None, InstructionsPlacement::Prepend), payload);
}

#[test]
fn w1_everything_fits() {
    check((100, None, &[5, 19, 18]), (&[5, 19, 18], 55, &[]));
}

#[test]
fn w2_the_newest_that_fit_are_kept() {
    check((50, None, &[30, 30, 5, 19, 18]), (&[5, 19, 18], 5, &[30, 30]));
}

#[test]
fn w3_instructions_take_their_share_and_stand_first() {
    check((50, Some(20), &[10, 15]), (&[20, 10, 15], 2, &[]));
}

#[test]
fn w4_instructions_are_kept_when_nothing_else_fits() {
    check((30, Some(20), &[10, 15]), (&[20], 7, &[10, 15]));
}

#[test]
fn w5_without_instructions_the_same_messages_fit() {
    check((50, None, &[10, 15]), (&[10, 15], 22, &[]));
}

#[test]
fn w6_only_the_newest_fits() {
    check((30, None, &[10, 20]), (&[20], 7, &[10]));
}

#[test]
fn w7_instructions_leave_less_than_any_message() {
    check((25, Some(20), &[3, 9, 3]), (&[20], 2, &[3, 9, 3]));
}

#[test]
fn w8_without_instructions_the_list_is_unchanged() {
    for placement in [InstructionsPlacement::Prepend, InstructionsPlacement::BeforeLast] {
        assert_eq!(arrange(None, None, vec!["a", "b"], placement), ["a", "b"]);
    }
}

#[test]
fn w9_instructions_are_prepended() {
    let placement = TruncationPolicy::default().instructions;
    assert_eq!(
        arrange(Some("instructions"), None, vec!["a", "b"], placement),
        ["instructions", "a", "b"]
    );
}

#[test]
fn w10_instructions_can_stand_before_the_last_message() {
    let placement = InstructionsPlacement::BeforeLast;
    assert_eq!(
        arrange(Some("instructions"), None, vec!["a", "b"], placement),
        ["a", "instructions", "b"]
    );
    assert_eq!(arrange(Some("instructions"), None, vec![], placement), ["instructions"]);
}

#[test]
fn w11_the_refine_list_is_chronological() {
    let window = window(30, None, &[11, 12, 13, 20]);
    assert_eq!(window.refine, [11, 12, 13]);
    assert_eq!(window.kept, [20]);
}

#[test]
fn w12_the_summary_is_the_first_system_message() {
    let window = fill_window(Tokens::new(10), PRIMING, None, vec!["old and long", "new"], |text| {
        Tokens::from_len(text.len())
    });
    assert_eq!(window.refine, ["old and long"]);
    assert_eq!(
        window.into_payload(Some("summary"), InstructionsPlacement::Prepend),
        ["summary", "new"]
    );
    // Prepended instructions change less often than a summary, so they stay in front of it.
    assert_eq!(
        arrange(Some("instructions"), Some("summary"), vec!["new"], InstructionsPlacement::Prepend),
        ["instructions", "summary", "new"]
    );
    assert_eq!(
        arrange(
            Some("instructions"),
            Some("summary"),
            vec!["old", "new"],
            InstructionsPlacement::BeforeLast
        ),
        ["summary", "old", "instructions", "new"]
    );
}

#[test]
fn the_outcome_names_what_did_not_fit() {
    for (max, instructions, items, outcome) in [
        (100, None, [5, 19].as_slice(), WindowOutcome::Everything),
        (50, None, &[30, 31, 5, 19], WindowOutcome::Cut { tokens: Tokens::new(31) }),
        (
            50,
            Some(20),
            &[5, 40],
            WindowOutcome::NewestTooLarge { tokens: Tokens::new(40), available: Tokens::new(27) },
        ),
        (
            50,
            Some(51),
            &[5, 40],
            WindowOutcome::InstructionsTooLarge { tokens: Tokens::new(51), max: Tokens::new(50) },
        ),
        (0, None, &[], WindowOutcome::Everything),
        (
            2,
            None,
            &[0],
            WindowOutcome::NewestTooLarge { tokens: Tokens::ZERO, available: Tokens::ZERO },
        ),
    ] {
        assert_eq!(
            window(max, instructions, items).outcome,
            outcome,
            "{max} {instructions:?} {items:?}"
        );
    }
}

#[test]
fn an_older_smaller_message_is_never_taken_instead() {
    let mut fill = WindowFill::new(Tokens::new(50), PRIMING);
    assert_eq!(fill.offer(Tokens::new(40)), Offer::Kept);
    assert!(!fill.is_full());
    assert_eq!(fill.offer(Tokens::new(8)), Offer::Full);
    assert_eq!(fill.offer(Tokens::new(1)), Offer::Full);
    assert_eq!(fill.offer(Tokens::ZERO), Offer::Full);
    assert!(fill.is_full());
    assert_eq!(fill.remaining(), Tokens::new(7));
}

#[test]
fn two_largest_numbers_do_not_fit_into_the_largest_budget() {
    let mut fill = WindowFill::new(Tokens::new(u64::MAX), Tokens::ZERO);
    assert_eq!(fill.offer(Tokens::new(u64::MAX)), Offer::Kept);
    assert_eq!(fill.offer(Tokens::new(1)), Offer::Full);
}

/// Small, ordinary and extreme numbers alike.
fn any_size() -> impl Strategy<Value = u64> {
    prop_oneof![0..10_u64, 0..1_000_u64, any::<u64>(), Just(u64::MAX)]
}

proptest! {
    #[test]
    fn the_window_never_exceeds_its_budget_and_is_the_longest_tail_that_fits(
        max in any_size(),
        priming in any_size(),
        instructions in proptest::option::of(any_size()),
        items in proptest::collection::vec(any_size(), 0..20),
    ) {
        let window = fill_window(
            Tokens::new(max), Tokens::new(priming), instructions, items.clone(),
            |tokens| Tokens::new(*tokens),
        );
        // A suffix of the input, in order, and nothing lost.
        prop_assert_eq!([window.refine.clone(), window.kept.clone()].concat(), items);
        prop_assert_eq!(window.instructions, instructions);
        // Counted in a type that cannot overflow.
        let fixed = u128::from(instructions.unwrap_or(0)) + u128::from(priming);
        let kept: u128 = window.kept.iter().copied().map(u128::from).sum();
        let max = u128::from(max);
        if !window.kept.is_empty() {
            prop_assert!(fixed + kept <= max);
        }
        prop_assert_eq!(u128::from(window.remaining.get()), max.saturating_sub(fixed + kept));
        // One more would not have fitted, and the outcome says so.
        let refused = window.refine.last().copied();
        if let Some(refused) = refused {
            prop_assert!(fixed + kept + u128::from(refused) > max);
        }
        let refused = refused.map(Tokens::new);
        match window.outcome {
            WindowOutcome::Everything => prop_assert_eq!(refused, None),
            WindowOutcome::Cut { tokens } => {
                prop_assert_eq!(Some(tokens), refused);
                prop_assert!(!window.kept.is_empty());
            }
            WindowOutcome::NewestTooLarge { tokens, available } => {
                prop_assert_eq!(Some(tokens), refused);
                prop_assert_eq!(available, window.remaining);
                prop_assert!(window.kept.is_empty());
            }
            WindowOutcome::InstructionsTooLarge { tokens, .. } => {
                prop_assert!(u128::from(tokens.get()) > max);
                prop_assert!(window.kept.is_empty());
            }
            other => prop_assert!(false, "unknown outcome {:?}", other),
        }
    }

    #[test]
    fn offering_one_by_one_gives_the_same_as_the_whole_list(
        max in any_size(),
        items in proptest::collection::vec(any_size(), 0..20),
    ) {
        let policy = TruncationPolicy::recent_window();
        let whole = policy.apply(
            Tokens::new(max), PRIMING, None, items.clone(), |tokens| Tokens::new(*tokens),
        );
        let mut fill = policy.start(Tokens::new(max), PRIMING);
        let kept = items
            .iter()
            .rev()
            .take_while(|tokens| fill.offer(Tokens::new(**tokens)) == Offer::Kept)
            .count();
        prop_assert_eq!(kept, whole.kept.len());
        prop_assert_eq!(fill.remaining(), whole.remaining);
    }
}

#[test]
fn a_policy_is_data_and_unknown_keys_are_refused() {
    let read = |text: &str| serde_json::from_str::<TruncationPolicy>(text).ok();
    assert_eq!(read("{}"), Some(TruncationPolicy::recent_window()));
    let written = r#"{"strategy":"recent_window","instructions":"before_last"}"#;
    let policy =
        TruncationPolicy::recent_window().with_instructions(InstructionsPlacement::BeforeLast);
    assert_eq!(policy.strategy, TruncationStrategy::RecentWindow);
    assert_eq!(read(written).as_ref(), Some(&policy));
    assert_eq!(serde_json::to_string(&policy).ok().as_deref(), Some(written));
    assert_eq!(read(r#"{"stratgey":"recent_window"}"#), None);
    assert_eq!(read(r#"{"strategy":"middle_out"}"#), None);
}
