//! The tree: branches, pages, import, token counts, subtrees.

use std::sync::Arc;

use chat_persist::{MessagePage, PersistErrorKind};
use chat_types::{
    BranchPage, Change, ContentHash, ContentPart, Conversation, ConversationPatch, Message,
    MessageId, Provenance, Role, Summary, TokenCount, TokenizerId, Tokens,
};

use crate::Store;
use crate::fixtures::{
    Sent, assert_refused, at, c, conversation, id, ids, import, line, message, scope,
};

async fn branch(store: &Arc<dyn Store>, head: &str, limit: usize) -> BranchPage {
    store.branch(&scope(), &c(), &id(head), limit).await.expect("reads the branch")
}

async fn all(store: &Arc<dyn Store>) -> Vec<Message> {
    let page = store.messages(&scope(), &c(), None, 1_000).await.expect("reads");
    assert_eq!(page.next, None);
    page.messages
}

/// A message is read by its id and its conversation, whole.
pub async fn message_is_read_in_its_conversation(store: &Arc<dyn Store>) {
    let messages = line(2);
    import(&**store, &messages).await;
    let read = async |conversation: &str, name: &str| {
        store.message(&scope(), &id(conversation), &id(name)).await.expect("reads")
    };
    assert_eq!(read("c", "m-1").await.as_ref(), messages.last());
    assert_eq!(read("d", "m-1").await, None);
    assert_eq!(read("c", "m-9").await, None);
}

/// A branch is read from its head to the root.
pub async fn branch_reads_from_head_to_root(store: &Arc<dyn Store>) {
    let mut messages = line(5);
    import(&**store, &messages).await;
    messages.reverse();
    assert_eq!(branch(store, "m-4", 100).await, BranchPage { messages, next: None });
}

/// Each side of a fork sees its own messages only.
pub async fn branch_leaves_siblings_out(store: &Arc<dyn Store>) {
    let mut messages = line(3);
    messages.push(message("other-1", Some("m-0"), Role::Assistant));
    messages.push(message("other-2", Some("other-1"), Role::User));
    import(&**store, &messages).await;
    assert_eq!(ids(&branch(store, "m-2", 100).await.messages), ["m-2", "m-1", "m-0"]);
    assert_eq!(ids(&branch(store, "other-2", 100).await.messages), ["other-2", "other-1", "m-0"]);
}

/// A page holds what was asked for, however long the branch, and says where the next begins.
pub async fn branch_page_is_as_long_as_asked(store: &Arc<dyn Store>) {
    import(&**store, &line(700)).await;
    let page = branch(store, "m-699", 3).await;
    assert_eq!(ids(&page.messages), ["m-699", "m-698", "m-697"]);
    assert_eq!(page.next, Some(id("m-696")));
}

/// Pages joined are the whole branch; the last one has no next.
pub async fn branch_pages_join_to_the_whole(store: &Arc<dyn Store>) {
    import(&**store, &line(9)).await;
    let mut joined = Vec::new();
    let mut next = Some("m-8".to_owned());
    while let Some(head) = next {
        let page = branch(store, &head, 3).await;
        assert_eq!(page.messages.len(), 3, "nine messages make three full pages");
        joined.extend(page.messages);
        next = page.next.map(String::from);
    }
    joined.reverse();
    assert_eq!(joined, line(9));
}

/// A head that is not in the conversation is not found.
pub async fn branch_of_a_foreign_head_is_not_found(store: &Arc<dyn Store>) {
    import(&**store, &line(1)).await;
    Sent::named("1").into_conversation("d").accept(&**store).await;
    for head in ["nothing", "u-1", "r-1"] {
        let read = store.branch(&scope(), &c(), &id(head), 10).await;
        assert_refused(read, PersistErrorKind::NotFound);
    }
}

/// All branches in the order they were written, page by page, parents first.
pub async fn messages_page_in_written_order(store: &Arc<dyn Store>) {
    import(&**store, &line(4)).await;
    let sibling = message("a-sibling", Some("m-0"), Role::Assistant);
    import(&**store, &[sibling]).await;
    Sent::named("1").below("m-3").complete(&**store).await;

    let expected = ["m-0", "m-1", "m-2", "m-3", "a-sibling", "u-1", "r-1"];
    assert_eq!(ids(&all(store).await), expected);
    let mut joined = Vec::new();
    let mut after: Option<MessageId> = None;
    loop {
        let page = store.messages(&scope(), &c(), after.as_ref(), 2).await.expect("reads");
        assert!(page.messages.len() <= 2, "{page:?}");
        joined.extend(page.messages);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(joined, all(store).await);
}

/// A conversation that is not there has an empty page.
pub async fn messages_of_nothing_are_an_empty_page(store: &Arc<dyn Store>) {
    let page = store.messages(&scope(), &c(), None, 10).await.expect("reads");
    assert_eq!(page, MessagePage::default());
}

/// A message before its parent is refused, and nothing of the import is written.
pub async fn import_refuses_a_child_before_its_parent(store: &Arc<dyn Store>) {
    let mut messages = line(3);
    messages.swap(1, 2);
    let imported = store.import(&scope(), &conversation("c", 1_000), &messages).await;
    assert_refused(imported, PersistErrorKind::ParentMissing);
    assert_eq!(store.conversation(&scope(), &c()).await.expect("reads"), None);
    assert_eq!(all(store).await, []);
}

/// A parent in another conversation is no parent.
pub async fn import_refuses_a_parent_of_another_conversation(store: &Arc<dyn Store>) {
    Sent::named("1").into_conversation("d").accept(&**store).await;
    let child = message("m", Some("u-1"), Role::Assistant);
    let imported = store.import(&scope(), &conversation("c", 1_000), &[child]).await;
    assert_refused(imported, PersistErrorKind::ParentMissing);
    assert_eq!(store.conversation(&scope(), &c()).await.expect("reads"), None);
}

/// The same import again changes nothing; a longer one adds what is new.
pub async fn import_again_adds_only_what_is_new(store: &Arc<dyn Store>) {
    import(&**store, &line(3)).await;
    import(&**store, &line(3)).await;
    assert_eq!(all(store).await, line(3));
    import(&**store, &line(5)).await;
    assert_eq!(all(store).await, line(5));
}

/// A conversation that is there stays as it is.
pub async fn import_keeps_the_conversation_that_is_there(store: &Arc<dyn Store>) {
    import(&**store, &line(1)).await;
    let other = Conversation { title: "other".into(), ..conversation("c", 7_000) };
    store.import(&scope(), &other, &line(2)).await.expect("imports");
    let stored = store.conversation(&scope(), &c()).await.expect("reads");
    assert_eq!(stored, Some(conversation("c", 1_000)));
    assert_eq!(all(store).await, line(2));
}

/// An id taken by another message is a conflict, and nothing of the import is written.
pub async fn import_refuses_a_taken_id(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    let mut changed = line(2);
    changed[1].parts = vec![ContentPart::text("changed")];
    changed.insert(0, message("new", None, Role::User));
    let imported = store.import(&scope(), &conversation("c", 1_000), &changed).await;
    assert_refused(imported, PersistErrorKind::Conflict);

    let moved = Message { conversation: id("d"), ..message("m-0", None, Role::User) };
    let imported = store.import(&scope(), &conversation("d", 1_000), &[moved]).await;
    assert_refused(imported, PersistErrorKind::Conflict);
    assert_eq!(store.conversation(&scope(), &id("d")).await.expect("reads"), None);
    assert_eq!(all(store).await, line(2));
}

fn count(tokens: u64, tokenizer: &'static str) -> TokenCount {
    TokenCount {
        tokens: Tokens::new(tokens),
        tokenizer: TokenizerId::from_static(tokenizer),
        provenance: Provenance::Counted,
    }
}

/// A count is kept with its message, one per tokenizer; a later one does not replace it.
pub async fn token_counts_are_kept_once(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    let first = [(id("m-0"), count(7, "o200k_base")), (id("m-1"), count(9, "o200k_base"))];
    let later = [
        (id("m-0"), count(8, "o200k_base")),
        (id("m-0"), count(5, "gguf:smollm2")),
        (id("nothing"), count(5, "o200k_base")),
    ];
    store.keep_token_counts(&scope(), &c(), &first).await.expect("keeps");
    store.keep_token_counts(&scope(), &c(), &later).await.expect("keeps");

    let mut messages = all(store).await;
    messages[0].token_counts.sort_by(|a, b| b.tokenizer.cmp(&a.tokenizer));
    let mut expected = line(2);
    expected[0].token_counts = vec![count(7, "o200k_base"), count(5, "gguf:smollm2")];
    expected[1].token_counts = vec![count(9, "o200k_base")];
    assert_eq!(messages, expected);
}

/// Counts kept since do not make an import of the same messages a conflict.
pub async fn import_again_keeps_token_counts(store: &Arc<dyn Store>) {
    import(&**store, &line(1)).await;
    let counts = [(id("m-0"), count(7, "o200k_base"))];
    store.keep_token_counts(&scope(), &c(), &counts).await.expect("keeps");
    let before = all(store).await;
    import(&**store, &line(1)).await;
    assert_eq!(all(store).await, before);
}

fn summary_of(name: &str, text: &str) -> Summary {
    Summary {
        text: text.into(),
        covers_to: id(name),
        covered: ContentHash::of([text]),
        prompt_version: None,
    }
}

async fn keep(store: &Arc<dyn Store>, summary: &Summary) {
    store.keep_summary(&scope(), &c(), summary).await.expect("keeps");
}

/// A summary comes back with its message wherever that is read; nothing else changes, the parts
/// and the counts least of all. The same again changes nothing.
pub async fn a_summary_is_kept_with_its_message(store: &Arc<dyn Store>) {
    let mut messages = line(3);
    messages[1].token_counts = vec![count(7, "o200k_base")];
    import(&**store, &messages).await;
    let conversation = store.conversation(&scope(), &c()).await.expect("reads");
    let summary = Summary { prompt_version: Some(3), ..summary_of("m-1", "so\n\"far\" \0 ü") };
    for _ in 0..2 {
        keep(store, &summary).await;
        messages[1].summary = Some(summary.clone());
        assert_eq!(all(store).await, messages);
        let read = store.message(&scope(), &c(), &id("m-1")).await.expect("reads");
        assert_eq!(read.as_ref(), messages.get(1));
        let upwards: Vec<Message> = messages.iter().rev().cloned().collect();
        assert_eq!(branch(store, "m-2", 10).await.messages, upwards);
        assert_eq!(store.conversation(&scope(), &c()).await.expect("reads"), conversation);
    }
    let later = [(id("m-1"), count(9, "cl100k_base"))];
    store.keep_token_counts(&scope(), &c(), &later).await.expect("keeps");
    messages[1].token_counts.push(count(9, "cl100k_base"));
    assert_eq!(all(store).await, messages);
}

/// Another summary of the same message takes the first one's place, also an empty one.
pub async fn another_summary_takes_its_place(store: &Arc<dyn Store>) {
    let mut messages = line(2);
    import(&**store, &messages).await;
    let first = Summary { prompt_version: Some(1), ..summary_of("m-1", "first") };
    let again = Summary { covered: ContentHash::of(["else"]), ..first.clone() };
    for summary in [first, again, summary_of("m-1", "second"), summary_of("m-1", "")] {
        keep(store, &summary).await;
        messages[1].summary = Some(summary);
        assert_eq!(all(store).await, messages);
    }
}

/// A message that is nowhere, in another conversation or still being written has no summary.
pub async fn a_summary_of_nothing_is_not_found(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    let sent = Sent::named("1").below("m-1").run(&**store).await;
    let before = sent.everything(&**store).await;
    for (conversation, name) in [("c", "nothing"), ("d", "m-1"), ("c", "r-1")] {
        let kept = store.keep_summary(&scope(), &id(conversation), &summary_of(name, "x")).await;
        assert_refused(kept, PersistErrorKind::NotFound);
    }
    assert_eq!(sent.everything(&**store).await, before);
}

/// A message that is written with a summary has it, however it is written.
pub async fn a_summary_comes_with_its_message(store: &Arc<dyn Store>) {
    let mut messages = line(2);
    messages[1].summary = Some(summary_of("m-1", "imported"));
    import(&**store, &messages).await;

    let mut sent = Sent::named("1").below("m-1");
    let asked = sent.accept.user_message.as_mut().expect("is new");
    asked.summary = Some(summary_of("u-1", "asked"));
    messages.push(asked.clone());
    let sent = sent.run(&**store).await;
    let mut close = sent.close();
    let reply = close.message.as_mut().expect("has a reply");
    reply.summary = Some(summary_of("r-1", "answered"));
    messages.push(reply.clone());
    store.close_turn(&sent.fence(), &close).await.expect("closes");
    assert_eq!(all(store).await, messages);
}

/// A summary kept since does not make an import of the same message a conflict, and stays,
/// whatever the import says.
pub async fn import_again_keeps_the_summary_that_is_there(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    keep(store, &summary_of("m-0", "kept")).await;
    let before = all(store).await;
    import(&**store, &line(2)).await;
    assert_eq!(all(store).await, before);
    let mut other = line(2);
    other[0].summary = Some(summary_of("m-0", "other"));
    import(&**store, &other).await;
    assert_eq!(all(store).await, before);
}

/// A message that is there without a summary gets the one that is imported; where an import is
/// refused, none.
pub async fn import_again_brings_a_missing_summary(store: &Arc<dyn Store>) {
    import(&**store, &line(3)).await;
    let mut brought = line(4);
    brought[0].summary = Some(summary_of("m-0", "first"));
    brought[2].summary = Some(summary_of("m-2", "third"));
    let mut refused = brought.clone();
    refused[1].parts = vec![ContentPart::text("changed")];
    let imported = store.import(&scope(), &conversation("c", 1_000), &refused).await;
    assert_refused(imported, PersistErrorKind::Conflict);
    assert_eq!(all(store).await, line(3));
    for _ in 0..2 {
        import(&**store, &brought).await;
        assert_eq!(all(store).await, brought);
    }
}

/// A summary is gone with its message, and does not come back with another of the same id.
pub async fn a_summary_goes_with_its_message(store: &Arc<dyn Store>) {
    import(&**store, &line(3)).await;
    keep(store, &summary_of("m-0", "stays")).await;
    keep(store, &summary_of("m-2", "goes")).await;
    store.delete_subtree(&scope(), &c(), &id("m-1")).await.expect("deletes");
    import(&**store, &line(3)).await;
    let mut expected = line(3);
    expected[0].summary = Some(summary_of("m-0", "stays"));
    assert_eq!(all(store).await, expected);
}

/// A subtree goes with its top; what lies beside it stays, and the head moves up.
pub async fn delete_subtree_moves_the_head_up(store: &Arc<dyn Store>) {
    let mut messages = line(4);
    messages.push(message("other", Some("m-0"), Role::Assistant));
    import(&**store, &messages).await;
    let patch = ConversationPatch { head: Change::Set(id("m-3")), ..ConversationPatch::default() };
    store.patch_conversation(&scope(), &c(), &patch, at(2_000)).await.expect("patches");

    let deleted = store.delete_subtree(&scope(), &c(), &id("m-1")).await;
    assert_eq!(deleted.expect("deletes"), 3);
    assert_eq!(ids(&all(store).await), ["m-0", "other"]);
    let stored = store.conversation(&scope(), &c()).await.expect("reads").expect("is there");
    assert_eq!(stored.head, Some(id("m-0")));
}

/// A head beside the subtree stays; without its root a conversation has no head.
pub async fn delete_subtree_leaves_a_head_beside_it(store: &Arc<dyn Store>) {
    let mut messages = line(2);
    messages.push(message("other", None, Role::User));
    import(&**store, &messages).await;
    let patch =
        ConversationPatch { head: Change::Set(id("other")), ..ConversationPatch::default() };
    store.patch_conversation(&scope(), &c(), &patch, at(2_000)).await.expect("patches");
    let head_after = async |top: &str, count: u64| {
        let deleted = store.delete_subtree(&scope(), &c(), &id(top)).await;
        assert_eq!(deleted.expect("deletes"), count);
        store.conversation(&scope(), &c()).await.expect("reads").expect("is there").head
    };
    assert_eq!(head_after("m-0", 2).await, Some(id("other")));
    assert_eq!(head_after("other", 1).await, None);
}

/// Nothing to delete is zero, the second time as well.
pub async fn delete_subtree_of_nothing_is_zero(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    let delete = async |conversation: &str, name: &str| {
        store.delete_subtree(&scope(), &id(conversation), &id(name)).await.expect("deletes")
    };
    assert_eq!(delete("c", "nothing").await, 0);
    assert_eq!(delete("d", "m-1").await, 0);
    assert_eq!(delete("c", "m-1").await, 1);
    assert_eq!(delete("c", "m-1").await, 0);
}

/// A turn that is writing below keeps what is above it.
pub async fn delete_subtree_is_refused_while_a_turn_writes_below(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    let sent = Sent::named("1").below("m-1").run(&**store).await;
    let before = sent.everything(&**store).await;
    for top in ["m-0", "u-1"] {
        let deleted = store.delete_subtree(&scope(), &c(), &id(top)).await;
        assert_refused(deleted, PersistErrorKind::Conflict);
    }
    assert_eq!(sent.everything(&**store).await, before);
    store.close_turn(&sent.fence(), &sent.close()).await.expect("closes");
    let deleted = store.delete_subtree(&scope(), &c(), &id("m-0")).await;
    assert_eq!(deleted.expect("deletes"), 4);
}
