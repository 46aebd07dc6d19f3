//! Images, pages, sound and film by model: published examples, measured numbers, bounds.
#![expect(clippy::expect_used, reason = "test helpers")]

use std::collections::BTreeSet;
use std::sync::Arc;

use chat_tokens::{
    CountOrigin, MediaRules, OpenAiCounter, OpenAiEncoding, TokenCounter, count_for_model,
    count_stored,
};
use chat_types::{
    ContentPart, ConversationId, FileId, Message, MessageId, MessageStatus, Provenance, Role,
    Timestamp, TokenCount, TokenizerId, Tokens,
};
use proptest::prelude::*;

fn image(width: u32, height: u32) -> ContentPart {
    ContentPart::Image {
        file: FileId::new("f").expect("valid"),
        media_type: "image/png".into(),
        width_px: Some(width),
        height_px: Some(height),
    }
}

fn tokens(model: &str, width: u32, height: u32) -> u64 {
    MediaRules::of_model(model).image.tokens(Some(width), Some(height)).get()
}

#[test]
fn published_examples_cost_what_is_published() {
    for (model, width, height, expected) in [
        ("gpt-4o", 1_024, 1_024, 765),
        ("openai/gpt-4.1", 2_048, 4_096, 1_105),
        ("gpt-4o-mini-2024-07-18", 1_024, 1_024, 2_833 + 4 * 5_667),
        ("o3", 512, 512, 225),
        ("gpt-5", 1_024, 1_024, 70 + 4 * 140),
        ("gpt-4.1-mini", 1_024, 1_024, 1_659),
        ("o4-mini", 1_024, 1_024, 1_762),
        ("claude-3-5-sonnet-20241022", 1_000, 1_000, 1_334),
        ("claude-3-7-sonnet", 200, 200, 54),
        ("gemini-2.5-pro", 300, 384, 258),
        ("gemini-2.0-flash", 960, 540, 6 * 258),
        ("gemini-3-pro-preview", 4_032, 3_024, 1_120),
    ] {
        assert_eq!(tokens(model, width, height), expected, "{model} {width} x {height}");
    }
}

/// What providers reported in October 2026 for one image of each size, the prompt's text taken off
/// (61 tokens of Claude Haiku 4.5, 73 of Claude Opus 5.5, none of GPT).
const MEASURED: [(&str, u32, u32, u64); 15] = [
    ("gpt-6-astra", 256, 256, 77),
    ("gpt-6-astra", 768, 768, 692),
    ("gpt-6-astra", 1_280, 720, 1_104),
    ("gpt-6-astra", 1_080, 1_920, 2_448),
    ("gpt-6-astra", 3_840, 2_160, 9_792),
    ("gpt-6-astra", 4_032, 3_024, 14_364),
    ("gpt-5.5", 2_560, 1_440, 4_320),
    ("gpt-5.5", 4_032, 3_024, 11_868),
    ("claude-haiku-4-5", 512, 512, 365),
    ("claude-haiku-4-5", 1_024, 1_024, 1_373),
    ("claude-haiku-4-5", 1_920, 1_080, 1_564),
    ("claude-opus-5-5", 256, 256, 104),
    ("claude-opus-5-5", 1_280, 720, 1_200),
    ("claude-opus-5-5", 1_920, 1_080, 2_695),
    ("gemini-3.5-flash", 1_280, 720, 1_101),
];

#[test]
fn measured_images_never_cost_more_than_the_formula_and_rarely_much_less() {
    for (model, width, height, measured) in MEASURED {
        let counted = tokens(model, width, height);
        assert!(counted >= measured, "{model} {width} x {height}: {counted} < {measured}");
        assert!(
            counted <= measured + measured / 20 + 44,
            "{model} {width} x {height}: {counted} is far above {measured}"
        );
    }
}

#[test]
fn the_longest_name_wins_and_what_routers_put_before_it_does_not_matter() {
    for (model, rules) in [
        ("gpt-4o", "gpt-4o"),
        ("openai/gpt-4o-mini", "gpt-4o-mini"),
        ("gpt-5.1", "gpt-5"),
        ("gpt-5-pro", "gpt-5"),
        ("gpt-5.4-mini-2026-03-17", "gpt-5.4-mini"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-4"),
        ("anthropic/claude-opus-4-8", "claude-4.7"),
        ("claude-mythos-9", "claude-4.7"),
        ("models/gemini-2.5-flash", "gemini-2"),
        ("gemini-9", "gemini-3"),
        ("not-gpt-4o", "unknown"),
        ("llama-3.2-vision", "unknown"),
        ("", "unknown"),
    ] {
        assert_eq!(MediaRules::of_model(model).name, rules, "{model}");
    }
}

#[test]
fn every_row_has_a_name_a_date_a_source_and_models_of_its_own() {
    let mut names = BTreeSet::new();
    let mut models = BTreeSet::new();
    for row in MediaRules::all() {
        assert!(names.insert(row.name), "{} stands twice", row.name);
        assert!(!row.models.is_empty() && !row.source.is_empty(), "{row:?}");
        assert!(row.since.len() == 7 && row.since.starts_with("202"), "{row:?}");
        for model in row.models {
            assert!(models.insert(*model), "{model} stands twice");
            assert_eq!(MediaRules::of_model(model).name, row.name);
        }
    }
    assert!(names.len() >= 20);
}

#[test]
fn an_unknown_model_pays_the_most_of_every_kind_but_the_dearest_tiles() {
    let unknown = MediaRules::of_model("novel");
    for row in MediaRules::all().filter(|row| row.name != "gpt-4o-mini") {
        assert!(unknown.image.tokens_max() >= row.image.tokens_max(), "{row:?}");
        assert!(unknown.pdf(3) >= row.pdf(3), "{row:?}");
        assert!(unknown.audio(1_500) >= row.audio(1_500), "{row:?}");
        assert!(unknown.video(1_500) >= row.video(1_500), "{row:?}");
    }
}

#[test]
fn pages_and_seconds_are_counted_up() {
    let gemini = MediaRules::of_model("gemini-3-flash");
    assert_eq!(gemini.pdf(10), Tokens::new(5_600));
    assert_eq!(gemini.audio(0), Tokens::ZERO);
    assert_eq!(gemini.audio(1), Tokens::new(32));
    assert_eq!(gemini.audio(60_000), Tokens::new(1_920));
    assert_eq!(gemini.video(2_001), Tokens::new(306));
    assert_eq!(gemini.audio(u64::MAX).get(), (u64::MAX.div_ceil(1_000)).saturating_mul(32));
}

fn counter_for(model: &str) -> Arc<dyn TokenCounter> {
    count_for_model(Arc::new(OpenAiCounter::new(OpenAiEncoding::O200kBase)), model)
}

fn message(parts: Vec<ContentPart>, token_counts: Vec<TokenCount>) -> Message {
    Message {
        id: MessageId::new("m").expect("valid"),
        conversation: ConversationId::new("c").expect("valid"),
        parent: None,
        role: Role::User,
        parts,
        created_at: Timestamp::from_unix_ms(0),
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts,
        summary: None,
    }
}

#[test]
fn a_counter_for_a_model_counts_text_as_before_and_media_by_the_models_rules() {
    let plain = OpenAiCounter::new(OpenAiEncoding::O200kBase);
    let said = ContentPart::text("What is on these?");
    let file = ContentPart::File {
        file: FileId::new("f").expect("valid"),
        name: "report.pdf".into(),
        media_type: "application/pdf".into(),
    };
    let text = plain.count_message(Role::User, std::slice::from_ref(&said));
    for (model, image_tokens, page) in
        [("gpt-4o", 765, 2_000), ("gpt-4o-mini", 25_501, 2_000), ("gpt-6", 1_229, 2_000)]
    {
        let counter = counter_for(model);
        assert_eq!(counter.count_message(Role::User, std::slice::from_ref(&said)), text);
        let parts = [said.clone(), image(1_024, 1_024), file.clone()];
        let name = plain.count_text("report.pdf").get();
        assert_eq!(
            counter.count_message(Role::User, &parts).get(),
            text.get() + image_tokens + page + name,
            "{model}"
        );
        assert_eq!(counter.tokenizer(), plain.tokenizer());
        assert_eq!((counter.priming(), counter.count_tools(&[])), (plain.priming(), Tokens::ZERO));
    }
}

#[test]
fn stored_counts_of_images_never_mix_between_models_of_one_vocabulary() {
    let text_only = message(vec![ContentPart::text("hello")], vec![]);
    let with_image = message(vec![ContentPart::text("hello"), image(1_024, 1_024)], vec![]);
    let [mini, large] = [counter_for("gpt-4o-mini"), counter_for("gpt-4o")];

    let (count, _) = count_stored(mini.as_ref(), &text_only);
    assert_eq!(count.tokenizer, TokenizerId::from_static("o200k_base"));
    assert_eq!(count.provenance, Provenance::Counted);
    let shared = message(text_only.parts, vec![count.clone()]);
    assert_eq!(count_stored(large.as_ref(), &shared), (count, CountOrigin::Stored));

    let (count, _) = count_stored(mini.as_ref(), &with_image);
    assert_eq!(count.tokenizer, TokenizerId::from_static("o200k_base+gpt-4o-mini"));
    assert_eq!(count.provenance, Provenance::Estimated, "a formula is not a count");
    let stored = message(with_image.parts, vec![count.clone()]);
    assert_eq!(count_stored(mini.as_ref(), &stored), (count.clone(), CountOrigin::Stored));
    let (other, origin) = count_stored(large.as_ref(), &stored);
    assert_eq!(origin, CountOrigin::Fresh);
    assert!(other.tokens < count.tokens);
}

fn any_side() -> impl Strategy<Value = u32> {
    prop_oneof![0..4_000_u32, any::<u32>()]
}

proptest! {
    #[test]
    fn no_image_costs_more_than_the_most_and_turning_it_changes_nothing(
        width in any_side(),
        height in any_side(),
    ) {
        for row in MediaRules::all() {
            let tokens = row.image.tokens(Some(width), Some(height));
            prop_assert!(tokens >= Tokens::new(1), "{row:?}");
            prop_assert!(tokens <= row.image.tokens_max(), "{row:?}: {tokens}");
            prop_assert_eq!(tokens, row.image.tokens(Some(height), Some(width)));
            prop_assert_eq!(row.image.tokens(None, Some(height)), row.image.tokens_max());
        }
    }

    #[test]
    fn a_smaller_copy_of_an_image_costs_no_more_by_patches(side in 1..4_000_u32, other in 1..4_000_u32) {
        for model in ["gpt-6", "gpt-4.1-mini", "gpt-5.4"] {
            let rule = MediaRules::of_model(model).image;
            let whole = rule.tokens(Some(side), Some(other));
            let half = rule.tokens(Some(side / 2), Some(other / 2));
            prop_assert!(half <= whole, "{model}: {half} > {whole}");
        }
    }
}
