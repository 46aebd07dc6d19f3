//! OpenAI's encodings against an independent tokenizer, and the framing against known totals.

use chat_tokens::{OpenAiCounter, OpenAiEncoding, TokenCounter, count_parts};
use chat_types::{ContentHash, ContentPart, FileId, MessageId, Role, Summary, Tokens, ToolSpec};
use proptest::prelude::*;

fn oracle(encoding: OpenAiEncoding) -> &'static tiktoken_rs::CoreBPE {
    match encoding {
        OpenAiEncoding::O200kBase => tiktoken_rs::o200k_base_singleton(),
        OpenAiEncoding::Cl100kBase => tiktoken_rs::cl100k_base_singleton(),
        OpenAiEncoding::P50kBase => tiktoken_rs::p50k_base_singleton(),
        OpenAiEncoding::P50kEdit => tiktoken_rs::p50k_edit_singleton(),
        _ => tiktoken_rs::r50k_base_singleton(),
    }
}

fn check_against_oracle(text: &str) {
    for encoding in OpenAiEncoding::ALL {
        let expected = oracle(encoding).encode_ordinary(text).len();
        assert_eq!(
            OpenAiCounter::new(encoding).count_text(text),
            Tokens::from_len(expected),
            "{} of {text:?}",
            encoding.as_str()
        );
    }
}

const TEXTS: [&str; 24] = [
    "",
    " ",
    "\n",
    "  \n\n  \t x",
    "trailing spaces   ",
    "   leading",
    "a  b   c    d",
    "line\r\nline\r\n\r\n",
    "Hello, world! It's John's; they've, we'll, I'd, I'M.",
    "The year 2026, 1234567 and 3.14159e-10.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich",
    "Съешь же ещё этих мягких французских булок",
    "東京都は日本の首都です。漢字とひらがなとカタカナ",
    "안녕하세요 세계",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "e\u{301}e\u{301} a\u{300}",
    "🦀 👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
    "fn main() {\n    let x = vec![1, 2, 3];\n\tprintln!(\"{x:?}\");\n}\n",
    "{\"a\":[1,2,{\"b\":null}],\"c\":\"\\u00e9\"}",
    "https://example.com/a/b?c=d&e=%20#f",
    "dGhpcyBpcyBiYXNlNjQgdGV4dCwgZGVuc2UgYXMgaXQgY2Fu",
    "<|endoftext|> <|im_start|>system<|im_end|> <|fim_prefix|>",
    "\u{0} \u{feff} \u{200b} \u{a0}\u{3000} \u{85} \u{2028}x",
];

#[test]
fn counts_equal_the_oracle_over_varied_texts() {
    for text in TEXTS {
        check_against_oracle(text);
    }
    check_against_oracle(&TEXTS.concat());
    check_against_oracle(&TEXTS.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn counts_equal_the_oracle_for_any_text(text in "\\PC{0,200}") {
        check_against_oracle(&text);
    }

    #[test]
    fn counts_equal_the_oracle_for_any_mix_of_spaces_and_words(
        text in "([ \\t\\r\\n\u{a0}]{0,4}[a-zA-Z'0-9é漢!/]{0,6}){0,30}"
    ) {
        check_against_oracle(&text);
    }
}

fn check_a_megabyte(encodings: &[OpenAiEncoding], units: &[&str]) {
    for unit in units {
        let text = unit.repeat(1_000_000_usize.div_ceil(unit.len()));
        for encoding in encodings {
            let tokens = OpenAiCounter::new(*encoding).count_text(&text);
            let name = encoding.as_str();
            // Runs of blanks share tokens of up to a hundred; nothing is above a token per byte.
            assert!(tokens >= Tokens::new(5_000), "{unit:?} in {name}: {tokens}");
            assert!(tokens <= Tokens::from_len(text.len()), "{unit:?} in {name}: {tokens}");
        }
    }
}

#[test]
fn a_megabyte_without_a_break_is_counted() {
    check_a_megabyte(
        &[OpenAiEncoding::O200kBase, OpenAiEncoding::Cl100kBase],
        &["a", "🦀", " ", "\n", "A", "漢", "!"],
    );
}

#[test]
fn a_megabyte_without_a_break_is_counted_in_the_older_encodings() {
    check_a_megabyte(&[OpenAiEncoding::P50kBase, OpenAiEncoding::R50kBase], &["a", "🦀", " "]);
}

#[test]
fn runs_that_are_cut_count_nearly_what_the_oracle_counts() {
    for unit in ["a", "ab", "🦀", " ", "漢"] {
        let text = unit.repeat(20_000_usize.div_ceil(unit.len()));
        let exact = oracle(OpenAiEncoding::R50kBase).encode_ordinary(&text).len();
        let ours = OpenAiCounter::new(OpenAiEncoding::R50kBase).count_text(&text);
        let (exact, ours) = (Tokens::from_len(exact), ours);
        assert!(ours >= exact, "{unit:?}: {ours} < {exact}");
        assert!(ours <= exact.scaled_up(105, 100), "{unit:?}: {ours} > {exact} + 5 %");
    }
}

/// The conversation whose totals OpenAI publishes with its counting rule.
fn published_total(encoding: OpenAiEncoding) -> Tokens {
    let counter = OpenAiCounter::new(encoding);
    let messages = [
        (
            Role::System,
            None,
            "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
        ),
        (Role::System, Some("example_user"), "New synergies will help drive top-line growth."),
        (
            Role::System,
            Some("example_assistant"),
            "Things working well together will increase revenue.",
        ),
        (
            Role::System,
            Some("example_user"),
            "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
        ),
        (
            Role::System,
            Some("example_assistant"),
            "Let's talk later when we're less busy about how to do better.",
        ),
        (
            Role::User,
            None,
            "This late pivot means we don't have time to boil the ocean for the client deliverable.",
        ),
    ];
    messages
        .into_iter()
        .map(|(role, name, text)| {
            let name = name.map_or(Tokens::ZERO, |name| counter.count_name(name));
            counter.count_message(role, &[ContentPart::text(text)]).plus(name)
        })
        .sum::<Tokens>()
        .plus(counter.priming())
}

#[test]
fn framing_gives_the_totals_openai_publishes() {
    assert_eq!(published_total(OpenAiEncoding::Cl100kBase), Tokens::new(129));
    assert_eq!(published_total(OpenAiEncoding::O200kBase), Tokens::new(124));
}

#[test]
fn an_empty_message_costs_its_frame_and_every_name_one_more() {
    let counter = OpenAiCounter::new(OpenAiEncoding::O200kBase);
    for role in [Role::System, Role::User, Role::Assistant, Role::Tool] {
        assert_eq!(counter.count_message(role, &[]), Tokens::new(3 + 1));
    }
    assert_eq!(counter.priming(), Tokens::new(3));
    assert_eq!(counter.count_name("bob"), counter.count_text("bob").plus(Tokens::new(1)));
}

#[test]
fn every_kind_of_part_is_counted() {
    let counter = OpenAiCounter::new(OpenAiEncoding::O200kBase);
    let text = "one two three";
    let words = counter.count_text(text);
    assert_eq!(words, Tokens::new(3));
    let file = FileId::new("f").expect("valid");
    let cases = [
        (ContentPart::text(text), words),
        (ContentPart::Reasoning { text: text.into(), opaque: None }, words),
        (
            ContentPart::ToolCall {
                call_id: "not counted".into(),
                name: text.into(),
                arguments: text.into(),
            },
            words.plus(words),
        ),
        (
            ContentPart::ToolResult {
                call_id: "not counted".into(),
                text: text.into(),
                is_error: false,
            },
            words,
        ),
        (
            ContentPart::Summary {
                summary: Summary {
                    text: text.into(),
                    covers_to: MessageId::new("m").expect("valid"),
                    covered: ContentHash::of(["m"]),
                    prompt_version: None,
                },
            },
            words,
        ),
        (
            ContentPart::Image {
                file: file.clone(),
                media_type: "image/png".into(),
                width_px: Some(1_024),
                height_px: Some(1_024),
            },
            Tokens::new(85 + 4 * 170),
        ),
        (
            ContentPart::File { file, name: text.into(), media_type: "application/pdf".into() },
            words.plus(Tokens::new(1_500)),
        ),
    ];
    for (part, expected) in &cases {
        assert_eq!(count_parts(&counter, std::slice::from_ref(part)), *expected, "{part:?}");
    }
    let parts: Vec<ContentPart> = cases.iter().map(|(part, _)| part.clone()).collect();
    let total: Tokens = cases.iter().map(|(_, tokens)| *tokens).sum();
    assert_eq!(counter.count_message(Role::User, &parts), total.plus(Tokens::new(4)));
}

#[test]
fn tools_cost_their_schema_and_frame_and_no_tools_cost_nothing() {
    let counter = OpenAiCounter::new(OpenAiEncoding::O200kBase);
    let tool = ToolSpec {
        name: "weather".into(),
        description: "the weather of a city".into(),
        parameters: "{\"type\":\"object\"}".into(),
    };
    let texts = counter
        .count_text(&tool.name)
        .plus(counter.count_text(&tool.description))
        .plus(counter.count_text(&tool.parameters));
    assert_eq!(counter.count_tools(&[]), Tokens::ZERO);
    assert_eq!(counter.count_tools(std::slice::from_ref(&tool)), texts.plus(Tokens::new(7 + 12)));
    assert_eq!(
        counter.count_tools(&[tool.clone(), tool]),
        texts.plus(texts).plus(Tokens::new(7 + 7 + 12))
    );
}

#[test]
fn models_map_to_their_encoding() {
    use OpenAiEncoding::{Cl100kBase, O200kBase, P50kBase, R50kBase};
    for (model, encoding) in [
        ("gpt-4o-mini", Some(O200kBase)),
        ("gpt-4o-2024-08-06", Some(O200kBase)),
        ("openai/gpt-5-mini", Some(O200kBase)),
        ("o3", Some(O200kBase)),
        ("gpt-oss-20b", Some(O200kBase)),
        ("ft:gpt-4o-mini-2024-07-18:org::id", Some(O200kBase)),
        ("gpt-4-turbo", Some(Cl100kBase)),
        ("gpt-3.5-turbo-0125", Some(Cl100kBase)),
        ("text-davinci-003", Some(P50kBase)),
        ("gpt2", Some(R50kBase)),
        ("claude-sonnet-4", None),
        ("llama-3.1-8b", None),
        ("", None),
        ("/", None),
    ] {
        assert_eq!(OpenAiEncoding::of_model(model), encoding, "{model}");
    }
    for encoding in OpenAiEncoding::ALL {
        let tokenizer = encoding.tokenizer();
        assert_eq!(OpenAiEncoding::of_tokenizer(&tokenizer), Some(encoding));
    }
}
