//! Laws over arbitrary branches and windows.

use chat_types::{ItemFate, Tokens};
use proptest::prelude::*;

use crate::common::{Case, chain, sent};

proptest! {
    #[test]
    fn a_prompt_fits_is_the_tail_of_the_branch_and_could_not_be_longer(
        counts in proptest::collection::vec(0_u64..40, 1..60),
        window in 1_u64..600,
        instructions in 0_usize..20,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let case = Case::new(chain(&counts), window).instructed(instructions);
        let Ok(built) = runtime.block_on(case.try_build()) else {
            let newest = counts.last().copied().unwrap_or_default();
            let must = 3 + u64::try_from(instructions).expect("small") + newest;
            prop_assert!(must > window);
            return Ok(());
        };
        let report = &built.report;
        prop_assert!(report.input_tokens <= report.budget.input);
        let sections: Tokens = report.sections.iter().map(|section| section.tokens).sum();
        prop_assert_eq!(sections.plus(Tokens::new(3)), report.input_tokens);
        let kept = report.items.iter().filter(|item| item.fate == ItemFate::Kept);
        prop_assert_eq!(kept.map(|item| item.tokens).sum::<Tokens>(), sections);

        let sent = sent(&built);
        let first = counts.len() - sent.len();
        let tail: Vec<String> = (first..counts.len()).map(|n| format!("m-{n}")).collect();
        prop_assert_eq!(sent, tail);
        match first.checked_sub(1) {
            None => prop_assert_eq!(&report.cut_before, &None),
            Some(cut) => {
                let name = format!("m-{cut}");
                prop_assert_eq!(report.cut_before.as_ref().map(|id| id.as_str()), Some(name.as_str()));
                let longer = report.input_tokens.plus(Tokens::new(counts[cut]));
                prop_assert!(longer > report.budget.input);
            }
        }
    }
}
