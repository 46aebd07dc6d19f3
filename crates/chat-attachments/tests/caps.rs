//! Files never take more than their share of the window.

use chat_attachments::{CappedText, FileCaps, FileText, cap_texts};
use chat_tokens::{EstimateCounter, OpenAiCounter, OpenAiEncoding, TokenCounter};
use chat_types::Tokens;
use proptest::prelude::*;

fn prose(words: usize) -> String {
    let words: Vec<String> = (0..words).map(|n| format!("word{n}")).collect();
    words.join(" ")
}

fn files<'t>(texts: &'t [String]) -> Vec<FileText<'t>> {
    texts.iter().map(|text| FileText { name: "notes.txt", text, tokens: None }).collect()
}

fn capped(texts: &[String], window: u64) -> Vec<CappedText> {
    let counter = OpenAiCounter::new(OpenAiEncoding::O200kBase);
    cap_texts(&files(texts), Tokens::new(window), FileCaps::default(), &counter)
}

#[test]
fn a_file_within_its_share_is_untouched() {
    let text = prose(100);
    let found = capped(std::slice::from_ref(&text), 100_000);
    assert_eq!((found[0].text.as_str(), found[0].left_out), (text.as_str(), Tokens::ZERO));
}

#[test]
fn a_file_above_its_share_keeps_head_and_tail_and_says_what_is_missing() {
    let text = prose(10_000);
    let found = &capped(&[text], 8_000)[0];
    assert!(found.tokens <= Tokens::new(2_000), "{}", found.tokens);
    assert!(found.tokens >= Tokens::new(1_950), "the share is used: {}", found.tokens);
    assert!(found.text.starts_with("word0 word1 ") && found.text.ends_with(" word9999"));
    let mark = format!("[{} tokens of notes.txt are left out here]", found.left_out);
    assert!(found.text.contains(&mark), "{mark}");
    assert!(found.left_out > Tokens::new(20_000), "{}", found.left_out);
}

#[test]
fn small_files_stay_whole_beside_large_ones() {
    let texts = [prose(3_000), prose(100), prose(3_000), prose(3_000)];
    let found = capped(&texts, 8_000);
    assert_eq!(found[1].text, texts[1]);
    let total: Tokens = found.iter().map(|file| file.tokens).sum();
    assert!(total <= Tokens::new(4_000) && total >= Tokens::new(3_850), "{total}");
    assert_eq!(found[0].text, found[2].text, "equal files are cut alike");
}

#[test]
fn the_name_of_each_cut_file_is_in_its_mark() {
    let (one, two) = (prose(2_000), prose(2_000));
    let counter = EstimateCounter::default();
    let files = [
        FileText { name: "one.md", text: &one, tokens: None },
        FileText { name: "two.md", text: &two, tokens: Some(counter.count_text(&two)) },
    ];
    let found = cap_texts(&files, Tokens::new(2_000), FileCaps::default(), &counter);
    assert!(found[0].text.contains("tokens of one.md are left out here]"));
    assert!(found[1].text.contains("tokens of two.md are left out here]"));
}

#[test]
fn a_window_without_room_leaves_all_out() {
    let found = capped(&[prose(100)], 4);
    assert_eq!((found[0].text.as_str(), found[0].tokens), ("", Tokens::ZERO));
    assert!(found[0].left_out > Tokens::ZERO);
    assert!(capped(&[], 1_000).is_empty());
}

#[test]
fn unknown_keys_of_caps_are_refused() {
    assert!(serde_json::from_str::<FileCaps>(r#"{"file_percent": 10}"#).is_ok());
    assert!(serde_json::from_str::<FileCaps>(r#"{"files_percent": 10}"#).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn shares_hold_for_any_text(
        texts in proptest::collection::vec("(\\PC|\\n| ){0,400}", 0..5),
        window in 0_u64..2_000,
        file_percent in 0_u32..=120,
        message_percent in 0_u32..=120,
    ) {
        let counter = OpenAiCounter::new(OpenAiEncoding::O200kBase);
        let mut caps = FileCaps::default();
        caps.file_percent = file_percent;
        caps.message_percent = message_percent;
        let found = cap_texts(&files(&texts), Tokens::new(window), caps, &counter);
        prop_assert_eq!(found.len(), texts.len());
        let share = |percent: u32| window * u64::from(percent.min(100)) / 100;
        let mut total = 0;
        for (file, text) in found.iter().zip(&texts) {
            prop_assert_eq!(counter.count_text(&file.text), file.tokens);
            prop_assert!(file.tokens.get() <= share(file_percent));
            prop_assert_eq!(file.left_out == Tokens::ZERO, &file.text == text);
            total += file.tokens.get();
        }
        prop_assert!(total <= share(message_percent));
    }
}
