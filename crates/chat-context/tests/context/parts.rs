//! What stands beside history: retrieved text, pinned messages, rungs, notes, the report's prefix.

use chat_context::rag::{Retrieved, Snippet, SnippetId, SourceFailure};
use chat_context::{
    ContextRequest, InstructionBlock, PreviousPrompt, RetrievalSection, TruncationPolicy,
};
use chat_types::{FileId, ItemFate, Message, Role, Section, Tokens, text_of};

use crate::common::{Case, chain, id, message};

fn policy(rungs: &str) -> TruncationPolicy {
    serde_json::from_str(&format!("{{\"rungs\": [{rungs}]}}")).expect("a sound policy")
}

fn retrieved(texts: &[&str]) -> Retrieved {
    let snippet = |(place, text): (usize, &&str)| Snippet {
        id: SnippetId::new(FileId::new("guide").expect("valid"), u32::try_from(place).unwrap_or(0)),
        name: "guide.md".into(),
        location: chat_context::rag::Location::default(),
        text: (*text).to_owned(),
        score: 0.5,
        rank: 1,
    };
    let snippets = texts.iter().enumerate().map(snippet).collect();
    Retrieved { snippets, ..Retrieved::default() }
}

#[tokio::test]
async fn retrieved_text_is_the_users_data_right_before_the_newest_message() {
    let case = Case::new(chain(&[5, 5, 5]), 1_000).instructed(4);
    let found = retrieved(&["the harbour opens at six"]);
    let retrieval = RetrievalSection { retrieved: &found, tokens_max: Tokens::new(200) };
    let request = ContextRequest { retrieval: Some(retrieval), ..case.request() };
    let built = case.context.build(request).await.expect("fits");
    let [.., sources, newest] = built.prompt.items.as_slice() else { panic!("two at least") };
    assert_eq!((sources.section, sources.role), (Section::Retrieval, Role::User));
    assert_eq!(newest.section, Section::User);
    let text = text_of(&sources.parts);
    assert!(text.contains("the harbour opens at six") && text.contains("guide#0"), "{text}");
    let item = built.report.items.iter().find(|item| item.section == Section::Retrieval);
    assert_eq!(item.and_then(|item| item.snippet.as_deref()), Some("guide#0"));
}

#[tokio::test]
async fn the_room_for_sources_is_set_aside_whether_they_are_found_or_not() {
    let case = Case::new(chain(&[20, 20, 20, 5]), 60);
    for found in [retrieved(&["word"]), Retrieved::default()] {
        let retrieval = RetrievalSection { retrieved: &found, tokens_max: Tokens::new(30) };
        let request = ContextRequest { retrieval: Some(retrieval), ..case.request() };
        let built = case.context.build(request).await.expect("fits");
        let history = built.prompt.items.iter().filter(|item| item.section == Section::History);
        assert_eq!(history.count(), 1, "the same history either way");
    }
}

#[tokio::test]
async fn an_index_that_failed_is_a_note_and_not_the_end() {
    let case = Case::new(chain(&[5, 5]), 1_000);
    let failure = SourceFailure {
        index: "documents".into(),
        code: "timeout".into(),
        detail: "it did not answer".into(),
    };
    let found = Retrieved { failures: vec![failure], ..Retrieved::default() };
    let retrieval = RetrievalSection { retrieved: &found, tokens_max: Tokens::new(30) };
    let request = ContextRequest { retrieval: Some(retrieval), ..case.request() };
    let built = case.context.build(request).await.expect("fits");
    let note = "nothing was retrieved from documents: it did not answer";
    assert_eq!(built.report.notes, [note]);
}

#[tokio::test]
async fn a_pinned_message_older_than_the_cut_is_sent_in_front_of_what_is_kept() {
    let mut case = Case::new(chain(&[10, 40, 40, 40, 10]), 100);
    case.context = case.context.clone().with_policy(policy(r#"{"kind": "drop_blocks"}"#));
    let pinned: Vec<Message> = chain(&[10]).into_iter().take(1).collect();
    let request = ContextRequest { pinned: &pinned, ..case.request() };
    let built = case.context.build(request).await.expect("fits");
    let sources: Vec<_> =
        built.prompt.items.iter().filter_map(|item| item.source.clone()).collect();
    assert_eq!(sources.first(), Some(&id("m-0")), "{sources:?}");
    assert!(!sources.contains(&id("m-1")));
    assert!(built.report.input_tokens <= Tokens::new(100));
}

#[tokio::test]
async fn the_first_turns_stay_where_the_policy_says_so() {
    let mut case = Case::new(chain(&[5, 5, 40, 40, 40, 5]), 100);
    let rung = r#"{"kind": "middle_out", "keep_first_turns": 1}"#;
    case.context = case.context.clone().with_policy(policy(rung));
    let built = case.build().await;
    let texts: Vec<String> = built.prompt.items.iter().map(|item| text_of(&item.parts)).collect();
    assert_eq!(built.prompt.items[0].source, Some(id("m-0")), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("were left out here")), "{texts:?}");
    assert!(built.report.input_tokens <= Tokens::new(100));
}

#[tokio::test]
async fn a_date_in_standing_instructions_is_a_warning_in_the_report() {
    let mut case = Case::new(chain(&[5, 5]), 1_000);
    let text = "You are a helpful assistant. Today is 2026-11-28.";
    case.instructions = vec![InstructionBlock::new("product", text)];
    let notes = case.build().await.report.notes;
    assert!(notes.len() == 1 && notes[0].contains("2026-11-28"), "{notes:?}");
}

#[tokio::test]
async fn the_report_names_the_section_that_broke_the_prefix_and_what_is_sent_again() {
    let case = Case::new(chain(&[5, 5, 5]), 1_000).instructed(4);
    let first = case.build().await;
    let previous = |model: &str| PreviousPrompt {
        model: model.parse().expect("valid"),
        sections: first.report.sections.clone(),
    };
    let again = async |case: &Case, previous: &PreviousPrompt| {
        let request = ContextRequest { previous: Some(previous), ..case.request() };
        case.context.build(request).await.expect("fits").report.prefix.expect("compared")
    };
    let longer = Case::new(chain(&[5, 5, 5, 5, 5]), 1_000).instructed(4);
    let held = again(&longer, &previous("p/m")).await;
    assert_eq!((held.broken_by, held.stable), (None, Tokens::new(4 + 5 + 5)));

    let changed = Case::new(chain(&[5, 5, 5, 5, 5]), 1_000).instructed(6);
    let broken = again(&changed, &previous("p/m")).await;
    assert_eq!(broken.broken_by, Some(Section::Instructions));
    assert_eq!(broken.sent_again(), Tokens::new(14));

    let mut edited = chain(&[5, 5, 5, 5, 5]);
    edited[0] = message("m-0", None, Role::User, "said otherwise");
    let edited = Case::new(edited, 1_000).instructed(4);
    let broken = again(&edited, &previous("p/m")).await;
    assert_eq!((broken.broken_by, broken.stable), (Some(Section::History), Tokens::new(4)));

    let other = again(&longer, &previous("p/other")).await;
    assert_eq!((other.broken_by, other.stable), (Some(Section::Instructions), Tokens::ZERO));
}

#[tokio::test]
async fn a_cut_makes_room_by_a_block_and_then_stays_where_it_is_while_it_fits() {
    let blocks = policy(r#"{"kind": "drop_blocks", "block_percent": 50}"#);
    let mut previous: Option<PreviousPrompt> = None;
    let mut cuts = Vec::new();
    for messages in [21, 23, 25, 27] {
        let mut case = Case::new(chain(&vec![10; messages]), 150);
        case.context = case.context.clone().with_policy(blocks.clone());
        let request = ContextRequest { previous: previous.as_ref(), ..case.request() };
        let report = case.context.build(request).await.expect("fits").report;
        let moved = report.prefix.is_some_and(|prefix| prefix.broken_by.is_some());
        assert!(report.items.iter().any(|item| item.fate == ItemFate::Dropped), "it is reported");
        cuts.push((report.cut_before.expect("it does not all fit"), moved));
        previous = Some(PreviousPrompt {
            model: "p/m".parse().expect("valid"),
            sections: report.sections,
        });
    }
    let [(_, false), (block, true), (third, false), (fourth, false)] = cuts.as_slice() else {
        panic!("it moves once: {cuts:?}")
    };
    assert_eq!([third, fourth], [block, block], "what fits stays");
}
