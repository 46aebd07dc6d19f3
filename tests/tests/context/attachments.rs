//! Files over whole turns: taken in, read in a process of their own, sent once, and only to whom they
//! belong; quotes beside what was typed (A1 to A3 and A7 of the reference's cases, over a real store).

use std::sync::Arc;

use chat_persist::PersistenceAdapter;
use chat_runtime::context::attachments::{
    Extractor, ExtractorConfig, FileCaps, FileLibrary, MemoryBlobs,
};
use chat_runtime::types::{SystemClock, TenantId, UserId, UuidIds};
use chat_runtime::{ContentPart, Placement, Scope, TurnError, TurnRequest};
use chat_tests::chat_program;

use crate::scene::{Scene, conversation, copies_facts, policy};

const NOTES: &[u8] = b"# Notes\n\nThe lighthouse was painted green in 1911.\n";

/// A library whose files are read by the `chat` program, started once more.
fn library() -> Arc<FileLibrary> {
    let program = chat_program().unwrap();
    let extractor = Extractor::new(ExtractorConfig::new(program).argument("extract-file"));
    Arc::new(FileLibrary::new(
        Arc::new(MemoryBlobs::new()),
        Arc::new(extractor),
        Arc::new(UuidIds),
        Arc::new(SystemClock),
    ))
}

fn carrying(parts: Vec<ContentPart>) -> TurnRequest {
    TurnRequest::placed(Placement::AfterHead { parts }).in_conversation_named(conversation("talk"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_a_message_keeps_the_file_and_its_text_is_in_the_prompt_once_turn_after_turn() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.db");
    let files = Some((library(), FileCaps::default()));
    let scene = Scene::open_with(&file, policy(""), 5, copies_facts, files).await;
    let attached =
        scene.client.attach(&scene.scope, "../notes.md", NOTES.to_vec().into()).await.unwrap();
    assert_eq!(attached.record.name, "notes.md", "a name is a label, never a path");
    assert_eq!(attached.unreadable, None);
    let parts = vec![ContentPart::text("what colour?"), attached.part.clone()];
    scene.send(carrying(parts.clone())).await;
    let text = "The lighthouse was painted green in 1911.";
    assert!(scene.last_prompt().contains(text), "{}", scene.last_prompt());

    let stored = scene.store.messages(&scene.scope, &conversation("talk"), None, 10).await.unwrap();
    assert_eq!(stored.messages[0].parts, parts, "the message has the file, not its text");
    scene.say(&conversation("talk"), "and before that?").await;
    assert_eq!(scene.last_prompt().matches(text).count(), 1);
    scene.client.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2_another_users_file_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.db");
    let files = Some((library(), FileCaps::default()));
    let scene = Scene::open_with(&file, policy(""), 5, copies_facts, files).await;
    let theirs = Scope::new(TenantId::new("default").unwrap(), UserId::new("eve").unwrap());
    let attached = scene.client.attach(&theirs, "notes.md", NOTES.to_vec().into()).await.unwrap();
    let refused = scene.client.send_message(&scene.scope, carrying(vec![attached.part])).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, TurnError::UnknownFile { .. }), "{refused}");
    let found = scene.store.conversation(&scene.scope, &conversation("talk")).await.unwrap();
    assert_eq!(found, None);
    scene.client.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_read_is_said_at_once_and_the_turn_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.db");
    let files = Some((library(), FileCaps::default()));
    let scene = Scene::open_with(&file, policy(""), 5, copies_facts, files).await;
    let damaged = b"%PDF-1.7\nthis is no document".to_vec();
    let attached = scene.client.attach(&scene.scope, "a.pdf", damaged.into()).await.unwrap();
    assert!(attached.unreadable.is_some());
    let ended = scene.send(carrying(vec![ContentPart::text("read it"), attached.part])).await;
    assert_eq!(ended.failure, None);
    assert!(scene.last_prompt().contains("[attached: a.pdf;"), "{}", scene.last_prompt());
    scene.client.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a7_quotes_stand_trimmed_before_the_text_and_what_was_typed_stays_clean() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chat.db");
    let scene = Scene::open_with(&file, policy(""), 5, copies_facts, None).await;
    let parts = vec![
        ContentPart::text("Is that true?"),
        ContentPart::quote("  The sea\r\nis green. "),
        ContentPart::quote(" \n "),
        ContentPart::quote("It was calm."),
    ];
    scene.send(carrying(parts)).await;
    let stored = scene.store.messages(&scene.scope, &conversation("talk"), None, 10).await.unwrap();
    assert_eq!(stored.messages[0].text(), "Is that true?");
    assert_eq!(
        stored.messages[0].parts[..2],
        [ContentPart::quote("The sea\nis green."), ContentPart::quote("It was calm.")]
    );
    assert_eq!(stored.messages[0].parts.len(), 3);
    let sent = "> The sea\n> is green.\n\n> It was calm.\n\nIs that true?";
    assert!(scene.last_prompt().ends_with(sent), "{}", scene.last_prompt());

    let nothing = carrying(vec![ContentPart::quote(" ")]);
    let refused = scene.client.send_message(&scene.scope, nothing).await.unwrap_err();
    assert_eq!(refused.code(), "empty_message");
    scene.client.drain().await;
}
