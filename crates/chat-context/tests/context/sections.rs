//! Sections, their order, their hashes, cache marks and summaries.

use chat_types::{
    ContentHash, ContentPart, ItemFate, ItemReport, Message, PromptItem, Provenance, Role, Section,
    Summary, SystemRole, Tokens, ToolSpec,
};

use crate::common::{Case, chain, counted, id, message, sent};

fn tool() -> ToolSpec {
    ToolSpec {
        name: "look_up".into(),
        description: "looks things up".into(),
        parameters: "{}".into(),
    }
}

fn summary(text: &str, covers_to: &str) -> ContentPart {
    ContentPart::Summary {
        summary: Summary {
            text: text.into(),
            covers_to: id(covers_to),
            covered: ContentHash::of(["covered"]),
            prompt_version: None,
        },
    }
}

/// `m-0` … `m-5`, where `carrier` carries these parts; the last is the tail.
fn summarised(carrier: usize, parts: Vec<ContentPart>, window: u64) -> Case {
    let mut messages = chain(&[5; 6]);
    messages[carrier].parts = parts;
    messages[carrier].token_counts.clear();
    Case::new(messages, window)
}

#[tokio::test]
async fn the_report_adds_up_and_says_why() {
    let mut case = Case::new(chain(&[50, 5, 7]), 40).instructed(4);
    case.tools = vec![tool()];
    let built = case.build().await;
    assert_eq!(built.prompt.tools, case.tools);
    let report = &built.report;
    let sums: Vec<(Section, u32, u64)> = report
        .sections
        .iter()
        .map(|section| (section.section, section.items, section.tokens.get()))
        .collect();
    assert_eq!(
        sums,
        [
            (Section::Instructions, 1, 4),
            (Section::Tools, 1, 3),
            (Section::History, 1, 5),
            (Section::User, 1, 7),
        ]
    );
    assert_eq!(report.input_tokens, Tokens::new(3 + 4 + 3 + 5 + 7));
    assert_eq!(report.provenance, Provenance::Counted);
    let item = |section, source: Option<&str>, tokens, provenance, fate, reason: &str| ItemReport {
        section,
        source: source.map(id),
        snippet: None,
        tokens: Tokens::new(tokens),
        provenance,
        fate,
        reason: reason.into(),
    };
    let (counted, reported) = (Provenance::Counted, Provenance::Reported);
    let (kept, dropped) = (ItemFate::Kept, ItemFate::Dropped);
    assert_eq!(
        report.items,
        [
            item(Section::Instructions, None, 4, counted, kept, "always sent"),
            item(Section::Tools, None, 3, counted, kept, "always sent"),
            item(Section::History, Some("m-1"), 5, reported, kept, "fits"),
            item(Section::User, Some("m-2"), 7, reported, kept, "always sent"),
            item(Section::History, Some("m-0"), 50, reported, dropped, "does not fit"),
        ]
    );
    assert_eq!(report.cut_before, Some(id("m-0")));
}

#[tokio::test]
async fn cache_marks_end_the_static_part_and_the_history() {
    let marks = |built: chat_context::BuiltContext| -> Vec<bool> {
        built.prompt.items.iter().map(|item| item.cache_mark).collect()
    };
    let built = Case::new(chain(&[5, 5, 5]), 100).instructed(2).build().await;
    assert_eq!(marks(built), [true, false, true, false]);
    let built = Case::new(chain(&[5]), 100).instructed(2).build().await;
    assert_eq!(marks(built), [true, false]);
    let built = Case::new(chain(&[5]), 100).build().await;
    assert_eq!(marks(built), [false]);
}

#[tokio::test]
async fn equal_requests_give_equal_prompts_and_a_new_message_keeps_the_prefix() {
    let one = Case::new(chain(&[5, 5, 5]), 100).instructed(2);
    let before = one.build().await;
    assert_eq!(before, one.build().await);
    let after = Case::new(chain(&[5; 5]), 100).instructed(2).build().await;
    let hash = |built: &chat_context::BuiltContext, section| {
        let mut sections = built.report.sections.iter();
        sections.find(|s| s.section == section).map(|s| s.hash.clone())
    };
    let same = |section| hash(&before, section) == hash(&after, section);
    assert!(same(Section::Instructions));
    assert!(!same(Section::History));
    assert!(!same(Section::User));
    let parts = |items: &[PromptItem]| -> Vec<Vec<ContentPart>> {
        items.iter().map(|item| item.parts.clone()).collect()
    };
    assert_eq!(parts(&before.prompt.items), parts(&after.prompt.items[..4]));
}

#[tokio::test]
async fn without_a_system_role_instructions_go_into_the_newest_user_message() {
    let mut case = Case::new(chain(&[5, 5, 5]), 100).instructed(2);
    case.model.system_role = SystemRole::MergedIntoUser;
    let built = case.build().await;
    assert_eq!(sent(&built), ["m-0", "m-1", "m-2"]);
    assert!(built.prompt.items.iter().all(|item| item.role != Role::System));
    assert_eq!(built.prompt.items[2].parts, [ContentPart::text("word word\n\ntext of m-2")]);
    assert_eq!(built.report.input_tokens, Tokens::new(3 + 2 + 15));
}

#[tokio::test]
async fn without_a_system_role_a_summary_goes_there_too() {
    let mut messages = chain(&[5; 5]);
    messages[2].parts = vec![summary("old", "m-1")];
    let mut case = Case::new(messages, 100).instructed(2);
    case.model.system_role = SystemRole::MergedIntoUser;
    let built = case.build().await;
    assert_eq!(sent(&built), ["m-3", "m-4"]);
    let expected = "word word\n\nSummary of the conversation so far:\n\nold\n\ntext of m-4";
    assert_eq!(built.prompt.items[1].parts, [ContentPart::text(expected)]);
}

#[tokio::test]
async fn tools_are_left_out_for_a_model_that_cannot_call_them() {
    let mut case = Case::new(chain(&[5]), 100);
    case.tools = vec![tool()];
    case.model.tools = false;
    let built = case.build().await;
    assert_eq!(built.prompt.tools, []);
    assert_eq!(built.report.input_tokens, Tokens::new(8));
    assert_eq!(built.report.notes, ["tools were left out: the model cannot call any"]);
}

async fn check_summary(case: Case, text: Option<&str>, messages: &[&str]) -> usize {
    let built = case.build().await;
    let summary = built.prompt.items.iter().find(|item| item.section == Section::Summary);
    let said = summary.map(|item| item.parts.clone());
    let expected = text.map(|text| {
        vec![ContentPart::text(format!("Summary of the conversation so far:\n\n{text}"))]
    });
    assert_eq!(said, expected);
    let kept: Vec<&str> = built
        .prompt
        .items
        .iter()
        .filter(|item| item.section > Section::Summary)
        .filter_map(|item| Some(item.source.as_ref()?.as_str()))
        .collect();
    assert_eq!(kept, messages);
    if summary.is_some() {
        assert_eq!(built.prompt.items[0].role, Role::System, "the first system message");
    }
    case.reader.read().1
}

#[tokio::test]
async fn w12_a_summary_stands_first_for_what_it_covers() {
    let parts = vec![summary("old", "m-2"), ContentPart::text("after")];
    check_summary(summarised(3, parts, 100), Some("old"), &["m-3", "m-4", "m-5"]).await;
}

#[tokio::test]
async fn reading_stops_at_the_summary() {
    let mut messages = chain(&vec![5; 10_000]);
    messages[9_990].parts.insert(0, summary("old", "m-9989"));
    let case = Case::new(messages, 100_000);
    let expected: Vec<String> = (9_990..10_000).map(|n| format!("m-{n}")).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    assert!(check_summary(case, Some("old"), &expected).await <= 256);
}

#[tokio::test]
async fn a_summary_leaves_what_it_does_not_cover() {
    let case = summarised(4, vec![summary("old", "m-1")], 100);
    check_summary(case, Some("old"), &["m-2", "m-3", "m-5"]).await;
}

#[tokio::test]
async fn a_summary_of_its_own_carrier_keeps_what_follows_it() {
    let before = ContentPart::text("before");
    let parts = vec![before, summary("old", "m-3"), ContentPart::text("after")];
    let case = summarised(3, parts, 100);
    let built = case.build().await;
    assert_eq!(built.prompt.items[1].parts, [ContentPart::text("after")]);
    check_summary(case, Some("old"), &["m-3", "m-4", "m-5"]).await;
}

#[tokio::test]
async fn a_blank_summary_is_no_checkpoint() {
    let parts = vec![summary(" \n", "m-2"), ContentPart::text("text")];
    let all = ["m-0", "m-1", "m-2", "m-3", "m-4", "m-5"];
    check_summary(summarised(3, parts, 100), None, &all).await;
}

#[tokio::test]
async fn the_newest_summary_wins_and_older_ones_are_not_sent() {
    let mut messages = chain(&[5; 6]);
    messages[2].parts.insert(0, summary("older", "m-1"));
    messages[4].parts.insert(0, summary("newer", "m-1"));
    let case = Case::new(messages, 100);
    let expected = ["m-2", "m-3", "m-4", "m-5"];
    let built = case.build().await;
    assert!(built.prompt.items.iter().all(|item| {
        !item.parts.iter().any(|part| matches!(part, ContentPart::Summary { .. }))
    }));
    check_summary(case, Some("newer"), &expected).await;
}

#[tokio::test]
async fn a_summary_that_does_not_fit_is_left_out_and_noted() {
    let long = vec!["word"; 50].join(" ");
    let case = summarised(3, vec![summary(&long, "m-2"), ContentPart::text("after")], 40);
    let built = case.build().await;
    assert_eq!(sent(&built), ["m-4", "m-5"]);
    assert_eq!(built.report.cut_before, Some(id("m-3")));
    assert_eq!(built.report.notes, ["the summary did not fit: what it covers was left out"]);
}

#[tokio::test]
async fn a_continued_reply_may_carry_the_summary() {
    let check = async |covers_to: &str, sent: &[&str], read: usize| {
        let question = counted(message("q", Some("m-5"), Role::User, "go on"), 2);
        let reply = Message {
            parts: vec![summary("old", covers_to), ContentPart::text("so far")],
            ..message("r", Some("q"), Role::Assistant, "")
        };
        let mut messages = chain(&[5; 6]);
        messages.push(reply);
        let mut case = Case::new(messages, 100);
        case.tail.insert(0, question);
        assert_eq!(check_summary(case, Some("old"), sent).await, read);
    };
    check("m-3", &["m-4", "m-5", "q", "r"], 6).await;
    check("m-5", &["q", "r"], 0).await;
    check("q", &["q", "r"], 0).await;
    check("r", &["q", "r"], 0).await;
}
