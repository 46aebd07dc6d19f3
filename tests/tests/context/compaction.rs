//! Compaction by hand, and what siblings and another wording make of a summary.

use chat_persist::PersistenceAdapter;
use chat_runtime::context::summarizer::SUMMARY_PROMPT_VERSION;
use chat_runtime::types::Purpose;
use chat_runtime::{MessageId, Placement, TurnError, TurnRequest, TurnState};

use crate::scene::{Scene, conversation, copies_facts, policy, summary_steps};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_is_a_billed_turn_without_a_reply_and_leaves_the_head_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::open(&folder.path().join("chat.db"), policy(""), 5, copies_facts).await;
    let talk = conversation("talk");
    scene.say(&talk, "FACT: one\nand more").await;
    scene.say(&talk, "FACT: two\nand more").await;
    let head = scene.head(&talk).await;

    let outcome = scene.compact(&talk, false).await;
    assert_eq!(
        (outcome.state, &outcome.message, &outcome.failure),
        (TurnState::Completed, &None, &None)
    );
    assert_eq!(scene.head(&talk).await, head);
    let record = scene.record(&outcome).await;
    let purposes: Vec<Purpose> = record.steps.iter().map(|step| step.purpose).collect();
    assert_eq!(purposes, [Purpose::Summary]);
    let message = scene.store.message(&scene.scope, &talk, &head).await.unwrap().unwrap();
    let summary = message.summary.unwrap();
    assert_eq!(summary.text, "FACT: one\nFACT: two");
    assert_eq!(summary.prompt_version, Some(SUMMARY_PROMPT_VERSION));

    scene.say(&talk, "what was one?").await;
    let prompt = scene.last_prompt();
    assert!(prompt.contains("FACT: one") && !prompt.contains("and more"), "{prompt}");
    assert!(scene.client.audit().run().await.unwrap().is_sound(), "every call is in the books");
    scene.client.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_is_compacted_once_unless_it_is_asked_for_anew() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::open(&folder.path().join("chat.db"), policy(""), 5, copies_facts).await;
    let talk = conversation("talk");
    scene.say(&talk, "FACT: one").await;
    scene.compact(&talk, false).await;
    let again = TurnRequest::placed(Placement::Compact { message: None, anew: false });
    let again = again.in_conversation(talk.clone());
    let refused = scene.client.send_message(&scene.scope, again).await.unwrap_err();
    assert!(matches!(refused, TurnError::WrongMessage { .. }), "{refused}");
    let missing = MessageId::new("nobody").unwrap();
    let missing = TurnRequest::placed(Placement::Compact { message: Some(missing), anew: false });
    let refused = scene
        .client
        .send_message(&scene.scope, missing.in_conversation(talk.clone()))
        .await
        .unwrap_err();
    assert!(matches!(refused, TurnError::UnknownMessage { .. }), "{refused}");
    let outcome = scene.compact(&talk, true).await;
    assert_eq!(summary_steps(&scene.record(&outcome).await), 1);
    scene.client.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sibling_reuses_the_summary_of_what_it_shares() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::open(&folder.path().join("chat.db"), policy(""), 5, copies_facts).await;
    let talk = conversation("talk");
    scene.say(&talk, "FACT: one").await;
    let shared = scene.head(&talk).await;
    scene.compact(&talk, false).await;
    scene.say(&talk, "the left branch").await;
    let notes = scene.notes.calls().len();
    let parts = vec![chat_runtime::ContentPart::text("the right branch")];
    let sibling = TurnRequest::placed(Placement::After { parent: shared, parts });
    scene.send(sibling.in_conversation(talk.clone())).await;
    let prompt = scene.last_prompt();
    assert!(prompt.contains("Summary of the conversation") && prompt.contains("FACT: one"));
    assert!(!prompt.contains("the left branch"));
    assert_eq!(scene.notes.calls().len(), notes, "no second summary of the same content");
    scene.client.drain().await;
}
