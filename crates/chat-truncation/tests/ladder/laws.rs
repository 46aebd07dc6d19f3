//! The laws of the ladder, for any policy and any history.
//!
//! 300 cases each, 100,000 with `CHAT_TEST_FULL` set.

use std::collections::HashSet;

use chat_truncation::{
    CapMessages, DropBlocks, Fate, MaskToolResults, MiddleOut, Plan, PlanOutcome, PlanRequest,
    RecentWindow, Rung, Summarise, TrimReason, TruncationPolicy, Unit, WindowStart, units,
};
use chat_types::{ContentPart, Message, MessageId, Role, Tokens};
use proptest::prelude::*;

use crate::fixture::{call, check_sizes, count, id, message, result};

fn cases() -> ProptestConfig {
    let is_full = std::env::var_os("CHAT_TEST_FULL").is_some();
    ProptestConfig::with_cases(if is_full { 100_000 } else { 300 })
}

fn any_part() -> impl Strategy<Value = ContentPart> {
    let text = (0..300_usize, prop_oneof![Just("x"), Just("é"), Just("漢 "), Just("\n")]);
    prop_oneof![
        text.clone().prop_map(|(size, unit)| ContentPart::text(unit.repeat(size))),
        "[xyz]".prop_map(|id| call(&id)),
        ("[xyz]", text).prop_map(|(id, (size, unit))| result(&id, &unit.repeat(size))),
        Just(ContentPart::Reasoning { text: "because".into(), opaque: None }),
    ]
}

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![
        3 => Just(Role::User),
        4 => Just(Role::Assistant),
        2 => Just(Role::Tool),
        1 => Just(Role::System),
    ]
}

fn any_history() -> impl Strategy<Value = Vec<Message>> {
    let said = (any_role(), proptest::collection::vec(any_part(), 0..4));
    proptest::collection::vec(said, 0..14).prop_map(|history| {
        let named = history.into_iter().enumerate();
        named.map(|(n, (role, parts))| message(&format!("m{n}"), role, parts)).collect()
    })
}

fn any_cut() -> impl Strategy<Value = Option<Rung>> {
    let drop = (1..=90_u32).prop_map(|block_percent| {
        let mut drop = DropBlocks::default();
        drop.block_percent = block_percent;
        Rung::DropBlocks(drop)
    });
    let middle = (1..=3_u32, 1..=50_u32, 0..=90_u32).prop_map(|(turns, first, block)| {
        let mut middle = MiddleOut::default();
        (middle.keep_first_turns, middle.first_percent) = (turns, first);
        middle.block_percent = block;
        Rung::MiddleOut(middle)
    });
    proptest::option::of(prop_oneof![
        Just(Rung::RecentWindow(RecentWindow::default())),
        drop,
        middle
    ])
}

fn any_shrink() -> impl Strategy<Value = Rung> {
    let cap = (32..400_u64, 1..=100_u32, 0..=100_u32, 0..=100_u32);
    let mask = (0..3_u32, 64..200_u32, 0..=100_u32, 0..=100_u32);
    prop_oneof![
        cap.prop_map(|(most, share, head, starts_at)| {
            let mut cap = CapMessages::default();
            (cap.tokens_max, cap.share_percent) = (Some(Tokens::new(most)), share);
            (cap.head_percent, cap.starts_at_percent) = (head, starts_at);
            Rung::CapMessages(cap)
        }),
        mask.prop_map(|(recent, chars, head, starts_at)| {
            let mut mask = MaskToolResults::default();
            (mask.keep_recent_turns, mask.chars_max) = (recent, chars);
            (mask.head_percent, mask.starts_at_percent) = (head, starts_at);
            Rung::MaskToolResults(mask)
        }),
    ]
}

fn starts_at(rung: &Rung) -> u32 {
    match rung {
        Rung::CapMessages(cap) => cap.starts_at_percent,
        Rung::MaskToolResults(mask) => mask.starts_at_percent,
        _ => 0,
    }
}

fn any_policy() -> impl Strategy<Value = TruncationPolicy> {
    let shrinks = proptest::collection::vec(any_shrink(), 0..4);
    (shrinks, any::<bool>(), any_cut(), any::<bool>(), 0..=50_u32).prop_map(
        |(mut rungs, summarise, cut, from_user, pinned)| {
            rungs.sort_by_key(starts_at);
            rungs.extend(summarise.then(|| Rung::Summarise(Summarise::default())));
            rungs.extend(cut);
            TruncationPolicy::default()
                .with_start(if from_user { WindowStart::User } else { WindowStart::Any })
                .with_rungs(rungs)
                .and_then(|policy| policy.with_pinned_percent(pinned))
                .expect("valid by construction")
        },
    )
}

fn any_budget() -> impl Strategy<Value = u64> {
    prop_oneof![0..200_u64, 0..5_000_u64, Just(u64::MAX)]
}

/// Some message of the history, or one that is not in it.
fn named(pick: &proptest::sample::Index, messages: &[Message]) -> MessageId {
    match messages.get(pick.index(messages.len() + 1)) {
        Some(message) => message.id.clone(),
        None => id("elsewhere"),
    }
}

fn starts_turn(message: &Message) -> bool {
    let is_result = |part: &ContentPart| matches!(part, ContentPart::ToolResult { .. });
    message.role == Role::User && !message.parts.iter().any(is_result)
}

fn fate<'p>(plan: &'p Plan, message: &MessageId) -> &'p Fate {
    let planned = plan.messages.iter().find(|planned| &planned.message == message);
    &planned.expect("every message is planned").fate
}

fn check_pairs(sent: &[Message]) {
    let (_, repairs) = units(sent.to_vec());
    assert_eq!(repairs, [], "what is sent has a call for every result and the reverse");
}

fn check_shortened(plan: &Plan, messages: &[Message]) {
    for (planned, message) in plan.messages.iter().zip(messages) {
        let Fate::Trim { parts, by } = &planned.fate else {
            continue;
        };
        assert!(count(message.role, parts) <= planned.tokens_stored, "{planned:?}");
        if *by != TrimReason::Repaired {
            assert!(planned.tokens < planned.tokens_stored, "{planned:?}");
            assert_ne!(message.role, Role::System);
        }
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_history_fits_any_budget_in_order_with_its_pairs_and_its_system_messages(
        policy in any_policy(),
        messages in any_history(),
        budget in any_budget(),
        priming in 0..10_u64,
        cut in proptest::option::of(any::<proptest::sample::Index>()),
        pins in proptest::collection::vec(any::<proptest::sample::Index>(), 0..4),
    ) {
        let (budget, priming) = (Tokens::new(budget), Tokens::new(priming));
        let cut = cut.map(|pick| named(&pick, &messages));
        let pinned: Vec<MessageId> = pins.iter().map(|pick| named(pick, &messages)).collect();
        let mut request = PlanRequest::new(budget);
        request.priming = priming;
        request.cut_before = cut.as_ref();
        request.pinned = &pinned;
        let plan = policy.plan(request, &messages, &count);

        // The same again, and every message once, in order.
        prop_assert_eq!(&plan, &policy.plan(request, &messages, &count));
        let order: Vec<&MessageId> = plan.messages.iter().map(|planned| &planned.message).collect();
        let given: Vec<&MessageId> = messages.iter().map(|message| &message.id).collect();
        prop_assert_eq!(order, given);

        let sent = plan.clone().into_messages(messages.clone());
        check_pairs(&sent);
        check_shortened(&plan, &messages);
        if plan.outcome == PlanOutcome::TooLarge {
            prop_assert!(sent.is_empty());
            let large = plan.too_large.clone().expect("says what");
            prop_assert!(large.tokens.plus(priming) > budget);
            return Ok(());
        }
        check_sizes(&plan, &messages, budget, priming);
        prop_assert!(plan.tokens <= budget.max(priming));
        // System messages and what the user asks now are sent, whole.
        let (grouped, _) = units(messages.clone());
        let newest = grouped.iter().rfind(|unit| starts_turn(&unit.messages[0]));
        let newest = newest.map(|unit| &unit.messages[0].id);
        for message in &messages {
            let is_broken = plan.repairs.iter().any(|repair| repair.message == message.id);
            if (message.role == Role::System || Some(&message.id) == newest) && !is_broken {
                prop_assert_eq!(fate(&plan, &message.id), &Fate::Keep);
            }
        }
        if plan.outcome == PlanOutcome::Everything {
            let is_sent = |planned: &chat_truncation::Planned| {
                planned.is_sent() || plan.repairs.iter().any(|r| r.message == planned.message)
            };
            prop_assert!(plan.messages.iter().all(is_sent));
            prop_assert_eq!(plan.cut_before, None);
        }
    }

    #[test]
    fn pinned_units_that_fit_their_share_are_kept_whole(
        policy in any_policy(),
        messages in any_history(),
        budget in 0..5_000_u64,
        pin in any::<proptest::sample::Index>(),
    ) {
        let pinned = [named(&pin, &messages)];
        let mut request = PlanRequest::new(Tokens::new(budget));
        let without = policy.plan(request, &messages, &count);
        request.pinned = &pinned;
        let plan = policy.plan(request, &messages, &count);
        let (units, _) = units(messages);
        let Some(unit) = units.iter().find(|unit| unit.messages.iter().any(|m| m.id == pinned[0]))
        else {
            prop_assert_eq!(plan, without);
            return Ok(());
        };
        let size = |unit: &Unit| -> Tokens {
            unit.messages.iter().map(|m| count(m.role, &m.parts)).sum()
        };
        let newest = units.iter().rposition(|unit| starts_turn(&unit.messages[0]));
        let newest = newest.unwrap_or(units.len() - 1);
        let is_system = |unit: &Unit| unit.messages.iter().any(|m| m.role == Role::System);
        let must: Tokens = units
            .iter()
            .enumerate()
            .filter(|(index, unit)| *index >= newest || is_system(unit))
            .map(|(_, unit)| size(unit))
            .sum();
        let share = Tokens::new(budget * u64::from(policy.pinned_percent()) / 100);
        if size(unit) <= share && must.plus(size(unit)) <= Tokens::new(budget) {
            for message in &unit.messages {
                let is_dropped = matches!(fate(&plan, &message.id), Fate::Drop { .. });
                prop_assert!(!is_dropped, "{:?}", plan);
            }
        }
    }

    #[test]
    fn a_cut_only_moves_forward_while_a_branch_grows(
        policy in any_policy(),
        sizes in proptest::collection::vec(1..60_usize, 2..30),
        budget in 100..600_u64,
    ) {
        let messages: Vec<Message> = sizes
            .iter()
            .enumerate()
            .map(|(n, size)| {
                let role = if n % 2 == 0 { Role::User } else { Role::Assistant };
                crate::fixture::says(&format!("m{n}"), role, *size)
            })
            .collect();
        let place = |cut: &Option<MessageId>| {
            cut.as_ref().map(|cut| messages.iter().position(|message| &message.id == cut))
        };
        // A message that is shortened once it is no longer the newest, or the mark of a gap that is
        // left out where it leaves no room, makes room again: then only an earlier cut holds.
        let is_steady = policy.rungs().iter().all(|rung| {
            matches!(rung, Rung::Summarise(_) | Rung::DropBlocks(_) | Rung::RecentWindow(_))
        });
        let has_blocks = policy.rungs().iter().any(|rung| match rung {
            Rung::DropBlocks(_) => true,
            Rung::MiddleOut(middle) => middle.block_percent > 0,
            _ => false,
        });
        let mut remembered: Option<MessageId> = None;
        let mut forgotten: Option<MessageId> = None;
        for end in (1..=messages.len()).step_by(2) {
            let grown = &messages[..end];
            let mut request = PlanRequest::new(Tokens::new(budget));
            let fresh = policy.plan(request, grown, &count);
            prop_assert!(!is_steady || place(&fresh.cut_before) >= place(&forgotten));
            forgotten = fresh.cut_before;
            request.cut_before = remembered.as_ref();
            let next = policy.plan(request, grown, &count);
            let is_held = has_blocks || is_steady;
            prop_assert!(!is_held || place(&next.cut_before) >= place(&remembered));
            remembered = next.cut_before;
        }
    }

    #[test]
    fn what_a_summary_should_cover_is_a_prefix_that_tears_no_unit(
        policy in any_policy(),
        messages in any_history(),
        budget in any_budget(),
    ) {
        let plan = policy.plan(PlanRequest::new(Tokens::new(budget)), &messages, &count);
        let Some(due) = plan.summary_due else {
            return Ok(());
        };
        let place = messages.iter().position(|message| message.id == due.covers_to);
        let covered: HashSet<&MessageId> =
            messages.iter().take(place.expect("in the list") + 1).map(|m| &m.id).collect();
        let (units, _) = units(messages.clone());
        for unit in units {
            let inside = unit.messages.iter().filter(|m| covered.contains(&m.id)).count();
            prop_assert!(inside == 0 || inside == unit.messages.len());
        }
    }
}
