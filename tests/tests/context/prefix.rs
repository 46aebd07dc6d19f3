//! A steady prefix: what stood before the volatile tail of one prompt begins the next one.

use chat_runtime::provider::ModelRequest;
use chat_runtime::types::{PromptItem, Section};

use crate::scene::{Scene, conversation, copies_facts, filler, policy};

const TURNS: usize = 200;

/// Whole blocks, no summaries.
const BLOCKS: &str = r#"
[[rungs]]
kind = "drop_blocks"
block_percent = 25
"#;

/// What a provider's cache sees: roles and parts, in order.
fn bytes(items: &[&PromptItem]) -> String {
    items.iter().map(|item| serde_json::to_string(&(item.role, &item.parts)).unwrap()).collect()
}

fn before_the_tail(request: &ModelRequest) -> String {
    let items = request.prompt.items.iter();
    let steady: Vec<&PromptItem> = items.filter(|item| item.section < Section::Retrieval).collect();
    bytes(&steady)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_least_95_of_100_turns_begin_as_the_turn_before_and_the_report_names_every_other() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::open(&folder.path().join("chat.db"), policy(BLOCKS), 40, copies_facts).await;
    let talk = conversation("talk");
    let (mut same, mut blocks) = (0_usize, 0_usize);
    let mut before: Option<String> = None;
    for turn in 1..=TURNS {
        let outcome = scene.say(&talk, &filler(turn, 90)).await;
        let report = scene.report(&outcome).await;
        let call = scene.last_call();
        let all: Vec<&PromptItem> = call.request.prompt.items.iter().collect();
        if let Some(before) = &before {
            let is_same = bytes(&all).starts_with(before);
            let prefix = report.prefix.expect("there is a prompt before");
            assert_eq!(
                is_same,
                prefix.broken_by.is_none(),
                "turn {turn}: the report says {prefix:?}"
            );
            if is_same {
                same += 1;
            } else {
                assert_eq!(prefix.broken_by, Some(Section::History));
                assert!(report.cut_before.is_some(), "turn {turn}: a block drop is reported");
                blocks += 1;
            }
        }
        before = Some(before_the_tail(&call.request));
    }
    println!("{same} of {} prefixes held; {blocks} block drops, all reported", TURNS - 1);
    assert!(blocks > 0, "the window was never full: the case shows nothing");
    assert!(same * 100 >= (TURNS - 1) * 95, "{same} of {}", TURNS - 1);
    scene.client.drain().await;
}
