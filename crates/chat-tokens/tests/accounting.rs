//! Which counter a model gets, and that what is stored is never counted again.
#![expect(clippy::expect_used, reason = "test helpers")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chat_tokens::{
    CountOrigin, EstimateCounter, OpenAiCounter, OpenAiEncoding, TokenAccounting, TokenCounter,
    count_stored,
};
use chat_types::{
    CacheStyle, ContentPart, ConversationId, Message, MessageId, MessageStatus, Modalities,
    ModelInfo, Provenance, Role, SystemRole, Timestamp, TokenCount, TokenizerId, Tokens, ToolSpec,
};

fn model(name: &str, tokenizer: &'static str) -> ModelInfo {
    ModelInfo {
        model: name.parse().expect("provider/model"),
        context_window: Tokens::new(8_000),
        output_max: Tokens::new(1_000),
        modalities: Modalities::default(),
        system_role: SystemRole::Native,
        tools: false,
        cache: CacheStyle::None,
        prefill: false,
        tokenizer: TokenizerId::from_static(tokenizer),
    }
}

fn message(token_counts: Vec<TokenCount>) -> Message {
    Message {
        id: MessageId::new("m").expect("valid"),
        conversation: ConversationId::new("c").expect("valid"),
        parent: None,
        role: Role::User,
        parts: vec![ContentPart::text("one two three")],
        created_at: Timestamp::from_unix_ms(0),
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts,
        summary: None,
    }
}

/// Counts how often it is asked; every message costs 7.
#[derive(Debug)]
struct Counting {
    tokenizer: TokenizerId,
    asked: AtomicU32,
}

impl Counting {
    fn named(name: &'static str) -> Self {
        Self { tokenizer: TokenizerId::from_static(name), asked: AtomicU32::new(0) }
    }
}

impl TokenCounter for Counting {
    fn tokenizer(&self) -> &TokenizerId {
        &self.tokenizer
    }
    fn provenance(&self) -> Provenance {
        Provenance::Counted
    }
    fn count_text(&self, _text: &str) -> Tokens {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Tokens::new(7)
    }
    fn count_message(&self, _role: Role, _parts: &[ContentPart]) -> Tokens {
        self.count_text("")
    }
    fn priming(&self) -> Tokens {
        Tokens::ZERO
    }
    fn count_tools(&self, _tools: &[ToolSpec]) -> Tokens {
        Tokens::ZERO
    }
}

#[test]
fn a_stored_count_is_never_recomputed() {
    let counter = Counting::named("x");
    let stored = TokenCount {
        tokens: Tokens::new(99),
        tokenizer: TokenizerId::from_static("x"),
        provenance: Provenance::Reported,
    };
    let message = message(vec![stored.clone()]);
    assert_eq!(count_stored(&counter, &message), (stored, CountOrigin::Stored));
    assert_eq!(counter.asked.load(Ordering::Relaxed), 0);
}

#[test]
fn a_count_of_another_tokenizer_is_not_taken() {
    let counter = Counting::named("x");
    let message = message(vec![TokenCount {
        tokens: Tokens::new(99),
        tokenizer: TokenizerId::from_static("y"),
        provenance: Provenance::Reported,
    }]);
    let expected = TokenCount {
        tokens: Tokens::new(7),
        tokenizer: TokenizerId::from_static("x"),
        provenance: Provenance::Counted,
    };
    assert_eq!(count_stored(&counter, &message), (expected, CountOrigin::Fresh));
    assert_eq!(counter.asked.load(Ordering::Relaxed), 1);
}

fn check_choice(accounting: &TokenAccounting, model: &ModelInfo, tokenizer: &str) {
    let counter = accounting.counter_for(model);
    assert_eq!(counter.tokenizer().as_str(), tokenizer, "{}", model.model);
}

#[test]
fn the_counter_is_chosen_by_tokenizer_then_family_then_name_then_estimate() {
    let accounting = TokenAccounting::new()
        .with_counter(Arc::new(Counting::named("gguf:smollm2")))
        .with_family("gpt-4-local", TokenizerId::from_static("gguf:smollm2"))
        .with_family("gpt-4", TokenizerId::from_static("nobody counts this"));
    for (name, tokenizer, chosen) in [
        ("local/smollm2", "gguf:smollm2", "gguf:smollm2"),
        ("openai/gpt-4o", "cl100k_base", "cl100k_base"),
        ("openai/gpt-4o", "unknown", "o200k_base"),
        ("router/openai/gpt-4o", "unknown", "o200k_base"),
        ("local/gpt-4-local-7b", "unknown", "gguf:smollm2"),
        ("openai/gpt-4-turbo", "unknown", "cl100k_base"),
        ("anthropic/claude-sonnet-4", "claude", "estimate:claude"),
        ("router/us.anthropic.claude-opus-4-7", "claude", "estimate:claude-4.7"),
        ("google/gemini-2.5-pro", "unknown", "estimate:gemini"),
        ("somebody/novel-1", "unknown", "estimate"),
    ] {
        check_choice(&accounting, &model(name, tokenizer), chosen);
    }
}

#[test]
fn a_counter_registered_later_replaces_the_earlier_one() {
    let accounting = TokenAccounting::new().with_counter(Arc::new(Counting::named("o200k_base")));
    let counter = accounting.counter_for(&model("openai/gpt-4o", "o200k_base"));
    assert_eq!(counter.count_text("many words are here"), Tokens::new(7));
}

#[test]
fn every_count_says_where_it_comes_from() {
    let counted = OpenAiCounter::new(OpenAiEncoding::O200kBase).token_count(Tokens::new(5));
    assert_eq!(
        counted,
        TokenCount {
            tokens: Tokens::new(5),
            tokenizer: TokenizerId::from_static("o200k_base"),
            provenance: Provenance::Counted,
        }
    );
    let guessed = EstimateCounter::new().token_count(Tokens::new(5));
    assert_eq!(
        guessed,
        TokenCount {
            tokens: Tokens::new(5),
            tokenizer: TokenizerId::from_static("estimate"),
            provenance: Provenance::Estimated,
        }
    );
}

#[test]
fn the_estimate_leans_high_for_ordinary_text_and_stays_below_triple() {
    let estimate = EstimateCounter::new();
    for text in [
        "The quick brown fox jumps over the lazy dog. It was, they said, a fine day in 2026.",
        "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
        "Съешь же ещё этих мягких французских булок, да выпей чаю.",
        "東京都は日本の首都です。漢字とひらがなとカタカナを使います。",
        "fn main() {\n    let numbers = vec![1, 2, 3];\n    println!(\"{numbers:?}\");\n}\n",
        "{\"name\":\"weather\",\"arguments\":{\"city\":\"Paris\",\"unit\":\"celsius\"}}",
        "🦀 crabs 👍 and 🎉 parties",
    ] {
        let guessed = estimate.count_text(text);
        for encoding in [OpenAiEncoding::O200kBase, OpenAiEncoding::Cl100kBase] {
            let real = OpenAiCounter::new(encoding).count_text(text);
            let name = encoding.as_str();
            assert!(guessed >= real, "{text:?} in {name}: {guessed} < {real}");
            assert!(guessed <= real.scaled_up(3, 1), "{text:?} in {name}: {guessed} > 3 * {real}");
        }
    }
    assert_eq!(estimate.count_text(""), Tokens::ZERO);
}
