//! Summaries that fail: never stored, never fatal, told in the report.

use chat_persist::PersistenceAdapter;
use chat_runtime::provider::{Exposure, ModelRequest, ProviderErrorKind, ScriptedReply};

use crate::scene::{LADDER, Scene, conversation, filler, policy};

fn fails(_: &ModelRequest) -> ScriptedReply {
    ScriptedReply::failure(ProviderErrorKind::Unavailable, Exposure::None)
}

fn says_nothing(_: &ModelRequest) -> ScriptedReply {
    ScriptedReply::text(&[" \n "])
}

async fn check(writes_summary: fn(&ModelRequest) -> ScriptedReply, code: &str) {
    let folder = tempfile::tempdir().unwrap();
    let scene =
        Scene::open(&folder.path().join("chat.db"), policy(LADDER), 60, writes_summary).await;
    let talk = conversation("talk");
    let mut notes = Vec::new();
    let mut asked_at = Vec::new();
    for turn in 1..=60 {
        let before = scene.notes.calls().len();
        let outcome = scene.say(&talk, &filler(turn, 200)).await;
        if scene.notes.calls().len() > before {
            asked_at.push(turn);
        }
        notes.extend(scene.report(&outcome).await.notes);
    }
    let page = scene.store.messages(&scene.scope, &talk, None, 1_000).await.unwrap();
    let kept = page.messages.iter().filter(|message| message.summary.is_some()).count();
    assert_eq!(kept, 0, "a failed summary is never stored");
    assert!(notes.iter().any(|note| note.contains(code)), "{notes:?}");
    assert!(!scene.last_prompt().contains("turn 1 "), "the oldest is dropped instead");
    assert!(asked_at.len() >= 2, "it is tried again: {asked_at:?}");
    let gaps: Vec<usize> = asked_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.is_sorted() && gaps.last() > gaps.first(), "ever more rarely: {asked_at:?}");
    scene.client.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_summary_that_fails_is_not_stored_and_the_turn_drops_and_says_so() {
    check(fails, "summary_unavailable").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blank_summary_is_not_stored_and_the_turn_drops_and_says_so() {
    check(says_nothing, "summary_blank").await;
}
