//! Documents go in, are listed, replaced and removed, whole or not at all.

use std::future::Future as _;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use chat_rag::{
    AddOutcome, AddProgress, AddStage, DOCUMENT_BYTES_MAX, Document, DocumentInfo, RagErrorKind,
};
use chat_types::{ContentHash, Tokens};

use super::{Index, add, ask, document, found, question};
use crate::fixtures::{at, id, in_parallel, scope};

async fn list(index: &Index) -> Vec<DocumentInfo> {
    index.list(&scope(), None, 0).await.expect("lists")
}

/// A document is found by words that stand in it, and not by others.
pub async fn a_document_is_found_by_its_words(index: &Index) {
    let added = add(index, &document("kettle", "The kettle is descaled with vinegar.")).await;
    assert_eq!((added.outcome, added.chunks), (AddOutcome::New, 1));
    assert!(added.tokens > Tokens::ZERO);
    let snippets = ask(index, &question("vinegar for a kettle")).await;
    assert_eq!(snippets.len(), 1);
    let snippet = &snippets[0];
    assert_eq!(snippet.id.to_string(), "kettle#1");
    assert_eq!(snippet.name, "kettle.txt");
    assert_eq!(snippet.text, "The kettle is descaled with vinegar.");
    assert_eq!(snippet.location.to_string(), "line 1");
}

/// Every field of what is known comes back; the vectors' model is the index's own affair.
pub async fn what_is_known_of_a_document_comes_back(index: &Index) {
    let kept = Document {
        collection: Some(id("manuals")),
        name: "Ünï \"quoted\" 日本 😀.md".to_owned(),
        media_type: "text/markdown".to_owned(),
        content: ContentHash::of(["the file's bytes"]),
        added_at: at(1_234_567_890_123),
        ..document("d-1", "# Title\n\nSome words.\n")
    };
    add(index, &kept).await;
    let known = list(index).await;
    assert_eq!(known.len(), 1);
    let expected = DocumentInfo {
        id: kept.id,
        collection: kept.collection,
        name: kept.name,
        media_type: kept.media_type,
        content: kept.content,
        text_bytes: 21,
        chunks: 1,
        embedding: known[0].embedding.clone(),
        added_at: kept.added_at,
    };
    assert_eq!(known, [expected]);
}

/// The same content again is left alone, and says so.
pub async fn adding_again_changes_nothing(index: &Index) {
    let first = document("d", "Alpha beta gamma.");
    let added = add(index, &first).await;
    let before = (list(index).await, ask(index, &question("beta")).await);
    let later = Document { added_at: at(9_999), ..first };
    let again = add(index, &later).await;
    assert_eq!((again.outcome, again.chunks), (AddOutcome::Unchanged, added.chunks));
    assert_eq!((list(index).await, ask(index, &question("beta")).await), before);
}

/// A new version takes the place of the old one: none of its words are left.
pub async fn new_content_takes_the_place_of_the_old(index: &Index) {
    let long = "Alpha is old. ".repeat(200);
    add(index, &document("d", &long)).await;
    let replaced = add(index, &document("d", "Omega is new.")).await;
    assert_eq!((replaced.outcome, replaced.chunks), (AddOutcome::Replaced, 1));
    assert_eq!(found(index, "omega").await, ["d"]);
    let old = ask(index, &question("alpha old")).await;
    assert!(old.iter().all(|snippet| snippet.text == "Omega is new."), "{old:?}");
    let known = list(index).await;
    assert_eq!((known.len(), known[0].chunks), (1, 1));
}

/// A new name or collection is taken over although the content is the same.
pub async fn a_new_label_takes_the_place_of_the_old(index: &Index) {
    let first = document("d", "Alpha beta.");
    add(index, &first).await;
    let renamed = Document { name: "other.txt".to_owned(), ..first.clone() };
    assert_eq!(add(index, &renamed).await.outcome, AddOutcome::Replaced);
    assert_eq!(ask(index, &question("alpha")).await[0].name, "other.txt");
    let moved = Document { collection: Some(id("c-1")), ..renamed };
    assert_eq!(add(index, &moved).await.outcome, AddOutcome::Replaced);
    assert_eq!(list(index).await[0].collection, Some(id("c-1")));
}

/// What is removed is not found, not listed, and removed once.
pub async fn removing_removes(index: &Index) {
    add(index, &document("gone", "Alpha beta gamma.")).await;
    add(index, &document("kept", "Alpha delta.")).await;
    assert!(index.remove(&scope(), &id("gone")).await.expect("removes"));
    assert!(!index.remove(&scope(), &id("gone")).await.expect("removes"));
    assert!(!index.remove(&scope(), &id("never")).await.expect("removes"));
    assert_eq!(found(index, "alpha gamma").await, ["kept"]);
    assert_eq!(list(index).await.len(), 1);
}

/// A removed document that comes again is new.
pub async fn a_removed_document_can_be_added_again(index: &Index) {
    let alpha = document("d", "Alpha beta.");
    add(index, &alpha).await;
    index.remove(&scope(), &alpha.id).await.expect("removes");
    assert_eq!(add(index, &alpha).await.outcome, AddOutcome::New);
    assert_eq!(found(index, "beta").await, ["d"]);
}

/// Pages follow each other by id, without gap or repeat.
pub async fn pages_follow_each_other(index: &Index) {
    for n in [4, 1, 3, 0, 2] {
        add(index, &document(&format!("d-{n}"), "Words.")).await;
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = index.list(&scope(), after.as_ref(), 2).await.expect("lists");
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        seen.extend(page.into_iter().map(|info| info.id.to_string()));
    }
    assert_eq!(seen, ["d-0", "d-1", "d-2", "d-3", "d-4"]);
}

/// A document of which nothing can be found is listed all the same, with no chunk.
pub async fn a_document_without_words_is_kept(index: &Index) {
    let added = add(index, &document("blank", "\n \n---\n")).await;
    assert_eq!((added.outcome, added.chunks), (AddOutcome::New, 0));
    assert_eq!(list(index).await[0].chunks, 0);
    assert!(index.remove(&scope(), &id("blank")).await.expect("removes"));
}

/// Bad names and texts beyond the bound are refused, and the earlier version stands.
pub async fn a_refused_document_changes_nothing(index: &Index) {
    add(index, &document("d", "Alpha beta.")).await;
    let before = list(index).await;
    let refused = [
        (document("d", &"a ".repeat(DOCUMENT_BYTES_MAX / 2 + 1)), RagErrorKind::TooLarge),
        (Document { name: String::new(), ..document("d", "x") }, RagErrorKind::Invalid),
        (Document { name: "a\u{7}b".to_owned(), ..document("d", "x") }, RagErrorKind::Invalid),
        (Document { name: "n".repeat(256), ..document("d", "x") }, RagErrorKind::Invalid),
    ];
    for (document, kind) in refused {
        let error = index.add(&scope(), &document, &|_| {}).await.expect_err("refuses");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!error.is_transient());
    }
    assert_eq!(list(index).await, before);
    assert_eq!(found(index, "beta").await, ["d"]);
}

/// Progress goes through the stages in order and never back, up to all chunks.
pub async fn progress_is_told_in_order(index: &Index) {
    let told: Arc<Mutex<Vec<AddProgress>>> = Arc::default();
    let text = "Every sentence says something of its own here. ".repeat(200);
    let on_progress = {
        let told = Arc::clone(&told);
        move |progress| told.lock().expect("not poisoned").push(progress)
    };
    let added = index.add(&scope(), &document("d", &text), &on_progress).await.expect("adds");
    let told = told.lock().expect("not poisoned").clone();
    let place = |progress: &AddProgress| {
        let stage = match progress.stage {
            AddStage::Chunking => 0,
            AddStage::Embedding => 1,
            _ => 2,
        };
        (stage, progress.chunks_done)
    };
    assert!(told.is_sorted_by_key(place), "{told:?}");
    assert_eq!(told.first().map(|first| first.stage), Some(AddStage::Chunking));
    let last = told.last().expect("something is told");
    assert_eq!((last.stage, last.chunks_total), (AddStage::Storing, added.chunks));
    assert!(told.iter().all(|progress| progress.chunks_done <= added.chunks));
}

/// Additions of one document at once leave one version, whole.
pub async fn parallel_adds_leave_one_version(index: &Index) {
    in_parallel(8, |n| {
        let index = Arc::clone(index);
        async move {
            let text = format!("Version number{n} says this. ").repeat(40);
            add(&index, &document("d", &text)).await;
        }
    })
    .await;
    let known = list(index).await;
    assert_eq!(known.len(), 1);
    let snippets = ask(index, &question("version").with_limit(100)).await;
    let versions: std::collections::BTreeSet<&str> =
        snippets.iter().filter_map(|snippet| snippet.text.split(' ').nth(1)).collect();
    assert_eq!(versions.len(), 1, "{versions:?}");
    assert_eq!(snippets.len(), usize::try_from(known[0].chunks).expect("fits"));
}

/// A caller that goes away in the middle of an addition leaves an index that works.
pub async fn dropped_add_leaves_the_index_healthy(index: &Index) {
    for polls in 0..20 {
        let text = format!("Alpha version{polls}.");
        let (scope, dropped) = (scope(), document("d", &text));
        let call = pin!(index.add(&scope, &dropped, &|_| {}));
        let mut call = call;
        for _ in 0..polls {
            let mut context = Context::from_waker(Waker::noop());
            if call.as_mut().poll(&mut context).is_ready() {
                break;
            }
        }
    }
    let last = add(index, &document("d", "Omega at the end.")).await;
    assert_eq!(last.chunks, 1);
    assert_eq!(found(index, "omega").await, ["d"]);
}
