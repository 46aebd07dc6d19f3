//! Composition and placement.
#![expect(clippy::expect_used, reason = "test helpers fail loudly")]

use chat_instructions::{InstructionBlock, Placement, Volatility, compose, place};
use chat_types::{
    CacheStyle, ContentHash, ContentPart, Modalities, ModelInfo, PromptItem, Role, Section,
    SystemRole, TokenizerId, Tokens,
};
use proptest::prelude::*;

fn model(system_role: SystemRole) -> ModelInfo {
    ModelInfo {
        model: "p/m".parse().expect("valid"),
        context_window: Tokens::new(8_000),
        output_max: Tokens::new(1_000),
        modalities: Modalities::default(),
        system_role,
        tools: false,
        cache: CacheStyle::None,
        prefill: false,
        tokenizer: TokenizerId::from_static("words"),
    }
}

fn block(name: &str, text: &str, volatility: Volatility) -> InstructionBlock {
    InstructionBlock::new(name, text).with_volatility(volatility)
}

#[test]
fn blocks_go_from_static_to_volatile_and_blank_ones_go_away() {
    let composed = compose(&[
        block("v", "volatile", Volatility::Volatile),
        block("s1", "\n static one ", Volatility::Static),
        block("blank", " \t\n", Volatility::Static),
        block("slow", "slow", Volatility::Slow),
        block("s2", "static two", Volatility::Static),
    ]);
    assert_eq!(composed.text(), "static one\n\nstatic two\n\nslow\n\nvolatile");
    let names: Vec<&str> = composed.blocks().iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["s1", "s2", "slow", "v"]);
    assert_eq!(composed.hash(), ContentHash::of([composed.text()]));
}

#[test]
fn the_changed_the_added_and_the_removed_block_are_named() {
    let a = block("a", "a", Volatility::Static);
    let b = block("b", "b", Volatility::Slow);
    let both = compose(&[a.clone(), b]);
    let changed = compose(&[a.clone(), block("b", "other", Volatility::Slow)]);
    let one = compose(&[a]);
    assert_eq!(both.first_change(&both), None);
    assert_eq!(changed.first_change(&both), Some("b"));
    assert_eq!(both.first_change(&one), Some("b"));
    assert_eq!(one.first_change(&both), Some("b"));
}

#[test]
fn no_instructions_are_placed_nowhere_and_change_nothing() {
    for role in [SystemRole::Native, SystemRole::MergedIntoUser] {
        let placement = place(compose(&[InstructionBlock::new("a", " ")]), &model(role));
        assert_eq!(placement, Placement::Nowhere);
        let mut parts = vec![ContentPart::text("hi")];
        placement.merge_into_user(&mut parts);
        assert_eq!(parts, [ContentPart::text("hi")]);
    }
}

#[test]
fn a_native_system_role_gets_an_item_of_its_own() {
    let composed = compose(&[InstructionBlock::new("a", "be kind")]);
    let expected = PromptItem {
        section: Section::Instructions,
        role: Role::System,
        parts: vec![ContentPart::text("be kind")],
        source: None,
        cache_mark: true,
    };
    let placement = place(composed, &model(SystemRole::Native));
    assert_eq!(placement, Placement::SystemItem(expected));
    let mut parts = vec![ContentPart::text("hi")];
    placement.merge_into_user(&mut parts);
    assert_eq!(parts, [ContentPart::text("hi")]);
}

#[test]
fn without_a_system_role_they_stand_before_the_users_text() {
    let composed = compose(&[InstructionBlock::new("a", "be kind")]);
    let placement = place(composed, &model(SystemRole::MergedIntoUser));
    let mut parts = vec![ContentPart::text("hi")];
    placement.merge_into_user(&mut parts);
    assert_eq!(parts, [ContentPart::text("be kind\n\nhi")]);
    let mut textless = Vec::new();
    placement.merge_into_user(&mut textless);
    assert_eq!(textless, [ContentPart::text("be kind")]);
}

proptest! {
    #[test]
    fn a_changed_volatile_block_leaves_the_bytes_before_it(
        steady in proptest::collection::vec("[a-z ]{0,8}", 0..5),
        old in "[a-z]{1,8}",
        new in "[a-z]{1,8}",
    ) {
        let with = |last: &str| {
            let mut blocks = vec![block("last", last, Volatility::Volatile)];
            blocks.extend(steady.iter().map(|text| InstructionBlock::new("steady", text)));
            compose(&blocks)
        };
        let (before, after, prefix) = (with(&old), with(&new), with(""));
        prop_assert!(before.text().starts_with(prefix.text()));
        prop_assert!(after.text().starts_with(prefix.text()));
        prop_assert_eq!(before.hash() == after.hash(), old == new);
        prop_assert_eq!(after.first_change(&before).is_none(), old == new);
    }
}
