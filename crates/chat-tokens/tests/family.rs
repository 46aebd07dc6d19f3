//! Estimates for Anthropic and Gemini: against what the vendors reported, and tools always counted.

use chat_tokens::{
    EstimateFamily, FamilyEstimate, OpenAiCounter, OpenAiEncoding, TokenCounter, error_band,
};
use chat_types::{ContentPart, Provenance, Role, Tokens, ToolSpec};
use proptest::prelude::*;

/// What providers reported in October 2026 for one page of prose and one table of numbers, the
/// prompt's frame taken off, per thousand tokens of OpenAI's count of the same.
const REPORTED: [(EstimateFamily, u64, u64); 3] = [
    (EstimateFamily::Claude, 950, 1_041),
    (EstimateFamily::ClaudeSince47, 1_412, 1_329),
    (EstimateFamily::Gemini, 987, 1_235),
];

fn prose() -> String {
    "It was a bright day in the valley, and the river that had carved it for a thousand years ran \
     quietly between the stones. Nobody on the bridge spoke. "
        .repeat(20)
}

fn table() -> String {
    (0..60).map(|row| format!("{row},2026,{},{}.50,ok\n", row * 137, row * 91)).collect()
}

#[test]
fn an_estimate_is_above_what_is_reported_and_its_band_holds_it() {
    for (family, of_prose, of_table) in REPORTED {
        let counter = FamilyEstimate::new(family);
        for (text, permille) in [(prose(), of_prose), (table(), of_table)] {
            let openai = OpenAiCounter::new(OpenAiEncoding::O200kBase).count_text(&text);
            let reported = Tokens::new(openai.get() * permille / 1_000);
            let estimated = counter.count_text(&text);
            assert!(estimated >= reported, "{family:?}: {estimated} < {reported}");
            let most = reported.scaled_up(165, 100);
            assert!(estimated <= most, "{family:?}: {estimated} > {most}");
            assert!(error_band(estimated, Provenance::Estimated, None).contains(reported));
        }
    }
}

#[test]
fn families_have_names_of_their_own_and_say_that_they_estimate() {
    for (family, name) in [
        (EstimateFamily::Claude, "estimate:claude"),
        (EstimateFamily::ClaudeSince47, "estimate:claude-4.7"),
        (EstimateFamily::Gemini, "estimate:gemini"),
    ] {
        let counter = FamilyEstimate::new(family);
        assert_eq!(counter.tokenizer().as_str(), name);
        assert_eq!(counter.provenance(), Provenance::Estimated);
        assert_eq!(counter.count_text(""), Tokens::ZERO);
    }
    for (model, family) in [
        ("claude-3-opus-20240229", Some(EstimateFamily::Claude)),
        ("claude-sonnet-4-6", Some(EstimateFamily::Claude)),
        ("claude-opus-4-7", Some(EstimateFamily::ClaudeSince47)),
        ("anthropic/claude-sonnet-5", Some(EstimateFamily::ClaudeSince47)),
        ("models/gemini-2.0-flash", Some(EstimateFamily::Gemini)),
        ("gemini-3.1-pro-preview", Some(EstimateFamily::Gemini)),
        ("gpt-4o", None),
        ("mistral-large", None),
    ] {
        assert_eq!(EstimateFamily::of_model(model), family, "{model}");
    }
}

#[test]
fn tools_are_always_counted_with_what_the_vendor_says_of_them() {
    let tool = ToolSpec {
        name: "weather".into(),
        description: "the weather of a city".into(),
        parameters: "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}".into(),
    };
    for family in EstimateFamily::ALL {
        let counter = FamilyEstimate::new(family);
        assert_eq!(counter.count_tools(&[]), Tokens::ZERO);
        let one = counter.count_tools(std::slice::from_ref(&tool));
        let many = counter.count_tools(&vec![tool.clone(); 160]);
        assert!(one >= counter.count_text(&tool.parameters));
        assert!(many >= counter.count_text(&tool.parameters.repeat(160)), "{family:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_estimate_is_at_least_openais_count_and_parts_add_up(texts in proptest::collection::vec("\\PC{0,80}", 0..6)) {
        let openai = OpenAiCounter::new(OpenAiEncoding::O200kBase);
        for family in EstimateFamily::ALL {
            let counter = FamilyEstimate::new(family);
            for text in &texts {
                prop_assert!(counter.count_text(text) >= openai.count_text(text));
            }
            let parts: Vec<ContentPart> = texts.iter().map(ContentPart::text).collect();
            let sum: Tokens = texts.iter().map(|text| counter.count_text(text)).sum();
            let frame = counter.count_message(Role::User, &[]);
            prop_assert_eq!(counter.count_message(Role::User, &parts), sum.plus(frame));
        }
    }
}
