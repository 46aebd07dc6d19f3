//! How the window is divided, and what is refused.

use chat_context::{ContextError, ContextLimits, PromptComponent};
use chat_types::{BudgetReport, Tokens, ToolSpec};

use crate::common::{Case, chain, model};

fn check(window: u64, output_max: u64, wanted: Option<u64>, expected: [u64; 3]) {
    let mut model = model(window);
    model.output_max = Tokens::new(output_max);
    let budget = ContextLimits::default().budget(&model, wanted.map(Tokens::new));
    let [output_cap, margin, input] = expected.map(Tokens::new);
    let expected = BudgetReport { window: Tokens::new(window), output_cap, margin, input };
    assert_eq!(budget, expected);
}

#[test]
fn the_default_cap_is_the_least_of_three() {
    check(128_000, 16_384, None, [4_096, 6_400, 117_504]);
    check(8_000, 16_384, None, [2_000, 400, 5_600]);
    check(128_000, 1_000, None, [1_000, 6_400, 120_600]);
    check(1_000, 1_000, None, [250, 64, 686]);
}

#[test]
fn a_wanted_cap_is_bounded_by_the_model_and_never_wraps() {
    check(8_000, 4_000, Some(3_000), [3_000, 400, 4_600]);
    check(8_000, 4_000, Some(9_000), [4_000, 400, 3_600]);
    check(100, u64::MAX, Some(u64::MAX), [u64::MAX, 64, 0]);
    check(0, 0, None, [0, 64, 0]);
}

async fn refusal(case: &Case) -> (PromptComponent, u64, u64) {
    match case.try_build().await {
        Err(ContextError::PromptTooLarge { component, tokens, budget }) => {
            (component, tokens.get(), budget.get())
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn what_must_be_sent_and_does_not_fit_is_named() {
    let case = Case::new(chain(&[10]), 20).instructed(18);
    assert_eq!(refusal(&case).await, (PromptComponent::Instructions, 18, 17));

    let mut case = Case::new(chain(&[10]), 20).instructed(5);
    case.tools = vec![ToolSpec {
        name: "look_up".into(),
        description: vec!["word"; 13].join(" "),
        parameters: "{}".into(),
    }];
    assert_eq!(refusal(&case).await, (PromptComponent::Tools, 13, 12));

    let case = Case::new(chain(&[1, 1, 18]), 20);
    assert_eq!(refusal(&case).await, (PromptComponent::NewestMessage, 18, 17));
    let error = case.try_build().await.expect_err("too large");
    assert_eq!((error.code(), error.is_transient()), ("prompt_too_large", false));
    assert_eq!(case.reader.read(), (0, 0), "nothing is read for a prompt that cannot be");
}

#[tokio::test]
async fn a_window_below_the_priming_fits_nothing() {
    let case = Case::new(chain(&[1]), 2);
    assert_eq!(refusal(&case).await, (PromptComponent::NewestMessage, 1, 0));
}

#[tokio::test]
async fn nothing_to_answer_is_refused() {
    let error = Case::new(Vec::new(), 100).try_build().await.expect_err("empty");
    assert_eq!((error.code(), error.is_transient()), ("nothing_to_answer", false));
}
