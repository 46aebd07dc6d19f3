//! The window cases W1 to W12 of the reference system, through the whole builder.

use chat_context::{ContextError, PromptComponent};
use chat_truncation::{InstructionsPlacement, TruncationPolicy};
use chat_types::{Role, Section, Tokens};

use crate::common::{Case, chain, id, sent};

async fn check(window: u64, instructions: usize, counts: &[u64], kept: usize, remaining: u64) {
    let case = Case::new(chain(counts), window).instructed(instructions);
    let built = case.build().await;
    let dropped = counts.len() - kept;
    let names: Vec<String> = (dropped..counts.len()).map(|n| format!("m-{n}")).collect();
    assert_eq!(sent(&built), names);
    let report = &built.report;
    assert_eq!(report.budget.input.minus(report.input_tokens), Tokens::new(remaining));
    let cut = dropped.checked_sub(1).map(|newest| id(&format!("m-{newest}")));
    assert_eq!(report.cut_before, cut);
}

#[tokio::test]
async fn w1_everything_fits() {
    check(100, 0, &[5, 19, 18], 3, 55).await;
}

#[tokio::test]
async fn w2_the_first_that_does_not_fit_ends_it() {
    check(50, 0, &[30, 30, 5, 19, 18], 3, 5).await;
    check(50, 0, &[1, 30, 5, 19, 18], 3, 5).await;
}

#[tokio::test]
async fn w3_instructions_take_their_share() {
    check(50, 20, &[10, 15], 2, 2).await;
}

#[tokio::test]
async fn w4_w7_a_newest_message_that_does_not_fit_is_refused() {
    for (window, counts, left) in [(30, [10, 15], 7), (25, [3, 3], 2)] {
        let case = Case::new(chain(&counts), window).instructed(20);
        let refused = case.try_build().await.expect_err("too large");
        let ContextError::PromptTooLarge { component, tokens, budget } = &refused else {
            panic!("another error: {refused}");
        };
        assert_eq!(
            (*component, *tokens, *budget),
            (PromptComponent::NewestMessage, Tokens::new(counts[1]), Tokens::new(left)),
        );
    }
}

#[tokio::test]
async fn w5_w6_the_newest_goes_first() {
    check(50, 0, &[10, 15], 2, 22).await;
    check(30, 0, &[10, 20], 1, 7).await;
}

#[tokio::test]
async fn w8_w9_instructions_stand_first_or_nowhere() {
    let built = Case::new(chain(&[5, 5, 5]), 100).build().await;
    assert!(built.prompt.items.iter().all(|item| item.role != Role::System));
    let built = Case::new(chain(&[5, 5, 5]), 100).instructed(4).build().await;
    assert_eq!(built.prompt.items[0].section, Section::Instructions);
    assert_eq!(built.prompt.items[0].role, Role::System);
    assert_eq!(built.prompt.items.len(), 4);
}

#[tokio::test]
async fn w10_the_policy_can_place_instructions_before_the_last_message() {
    let mut case = Case::new(chain(&[5, 5, 5]), 100).instructed(4);
    let policy =
        TruncationPolicy::recent_window().with_instructions(InstructionsPlacement::BeforeLast);
    case.context = case.context.with_policy(policy);
    let built = case.build().await;
    let sections: Vec<Section> = built.prompt.items.iter().map(|item| item.section).collect();
    assert_eq!(
        sections,
        [Section::History, Section::History, Section::Instructions, Section::User]
    );
}
