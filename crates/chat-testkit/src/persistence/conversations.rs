//! Conversations: values, patches, listing, search, deletion.

use std::sync::Arc;

use chat_persist::{ConversationQuery, EventPage, PersistErrorKind};
use chat_types::{Change, Conversation, ConversationPatch, ModelOptions, Role, Tokens};

use crate::Store;
use crate::fixtures::{
    Sent, assert_refused, at, c, conversation, id, import, line, message, model, scope,
};

/// What was never written is none.
pub async fn unknown_conversation_is_none(store: &Arc<dyn Store>) {
    assert_eq!(store.conversation(&scope(), &c()).await.expect("reads"), None);
}

/// The first turn creates the conversation with the values it carries.
pub async fn accept_creates_the_conversation(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").at(1_234).accept(&**store).await;
    let expected = Conversation {
        head: Some(id("r-1")),
        updated_at: at(1_234),
        ..sent.accept.conversation.clone()
    };
    assert_eq!(store.conversation(&scope(), &c()).await.expect("reads"), Some(expected));
}

/// Every field of a conversation comes back.
pub async fn every_conversation_field_round_trips(store: &Arc<dyn Store>) {
    let full = Conversation {
        head: Some(id("m-0")),
        model: Some(model()),
        instructions: Some("Be brief.\n\"quoted\"".into()),
        options: ModelOptions {
            temperature: Some(0.7),
            top_p: Some(0.95),
            output_tokens_max: Some(Tokens::new(4_096)),
            stop: vec!["\n\n".into(), "END".into()],
            seed: Some(9_007_199_254_740_993),
            reasoning_effort: Some("low".into()),
        },
        archived: true,
        expires_at: Some(at(99_000)),
        updated_at: at(2_000),
        ..conversation("c", 1_000)
    };
    store.import(&scope(), &full, &line(1)).await.expect("imports");
    assert_eq!(store.conversation(&scope(), &c()).await.expect("reads"), Some(full));
}

/// A patch sets, unsets and keeps, and says what is there now.
pub async fn patch_sets_unsets_and_keeps(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    let set = ConversationPatch {
        title: Change::Set("new".into()),
        model: Change::Set(model()),
        instructions: Change::Set("be kind".into()),
        options: Change::Set(ModelOptions { seed: Some(7), ..ModelOptions::default() }),
        head: Change::Set(id("m-1")),
        archived: Change::Set(true),
        expires_at: Change::Set(at(9_000)),
    };
    let expected = Conversation {
        title: "new".into(),
        model: Some(model()),
        instructions: Some("be kind".into()),
        options: ModelOptions { seed: Some(7), ..ModelOptions::default() },
        head: Some(id("m-1")),
        archived: true,
        expires_at: Some(at(9_000)),
        updated_at: at(5_000),
        ..conversation("c", 1_000)
    };
    let patched = store.patch_conversation(&scope(), &c(), &set, at(5_000)).await;
    assert_eq!(patched.expect("patches"), expected);

    let unset = ConversationPatch {
        instructions: Change::Unset,
        expires_at: Change::Unset,
        archived: Change::Unset,
        ..ConversationPatch::default()
    };
    let expected = Conversation {
        instructions: None,
        expires_at: None,
        archived: false,
        updated_at: at(6_000),
        ..expected
    };
    let patched = store.patch_conversation(&scope(), &c(), &unset, at(6_000)).await;
    assert_eq!(patched.expect("patches"), expected);
    assert_eq!(store.conversation(&scope(), &c()).await.expect("reads"), Some(expected));
}

/// An empty patch changes nothing, not even the time.
pub async fn empty_patch_changes_nothing(store: &Arc<dyn Store>) {
    import(&**store, &line(1)).await;
    let patch = ConversationPatch::default();
    let patched = store.patch_conversation(&scope(), &c(), &patch, at(5_000)).await;
    assert_eq!(patched.expect("patches"), conversation("c", 1_000));
}

/// A conversation that is not there cannot be patched, and is not created.
pub async fn patch_of_nothing_is_not_found(store: &Arc<dyn Store>) {
    let patch =
        ConversationPatch { title: Change::Set("x".into()), ..ConversationPatch::default() };
    let patched = store.patch_conversation(&scope(), &c(), &patch, at(5_000)).await;
    assert_refused(patched, PersistErrorKind::NotFound);
    assert_eq!(store.conversation(&scope(), &c()).await.expect("reads"), None);
}

/// The head must be a message of the conversation.
pub async fn patch_refuses_a_foreign_head(store: &Arc<dyn Store>) {
    import(&**store, &line(1)).await;
    Sent::named("1").into_conversation("d").accept(&**store).await;
    for head in ["nothing", "u-1"] {
        let patch = ConversationPatch {
            title: Change::Set("changed".into()),
            head: Change::Set(id(head)),
            ..ConversationPatch::default()
        };
        let patched = store.patch_conversation(&scope(), &c(), &patch, at(5_000)).await;
        assert_refused(patched, PersistErrorKind::ParentMissing);
    }
    let stored = store.conversation(&scope(), &c()).await.expect("reads");
    assert_eq!(stored, Some(conversation("c", 1_000)));
}

async fn plant(store: &Arc<dyn Store>, name: &str, title: &str, updated_ms: i64, archived: bool) {
    let planted = Conversation {
        title: title.into(),
        updated_at: at(updated_ms),
        archived,
        ..conversation(name, 1_000)
    };
    store.import(&scope(), &planted, &[]).await.expect("imports");
}

async fn list(store: &Arc<dyn Store>, query: ConversationQuery) -> Vec<String> {
    let page = store.conversations(&scope(), &query).await.expect("lists");
    assert_eq!(page.next, None, "everything fits on one page");
    page.conversations.iter().map(|conversation| conversation.id.to_string()).collect()
}

/// Newest change first; equal times by id, descending.
pub async fn listing_is_newest_change_first(store: &Arc<dyn Store>) {
    for (name, updated_ms) in [("a", 3_000), ("b", 5_000), ("x", 4_000), ("y", 4_000)] {
        plant(store, name, name, updated_ms, false).await;
    }
    assert_eq!(list(store, ConversationQuery::default()).await, ["b", "y", "x", "a"]);
}

/// Pages follow each other without a gap or a repeat, equal times included.
pub async fn listing_pages_without_gap_or_repeat(store: &Arc<dyn Store>) {
    for n in 0..12 {
        plant(store, &format!("n{n:02}"), "t", 2_000 + n / 4, false).await;
    }
    let mut seen = Vec::new();
    let mut query = ConversationQuery { limit: 3, ..ConversationQuery::default() };
    loop {
        let page = store.conversations(&scope(), &query).await.expect("lists");
        assert_eq!(page.conversations.len(), 3, "a full page as long as there are more");
        seen.extend(page.conversations.iter().map(|found| found.id.to_string()));
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    let expected: Vec<String> = (0..12).rev().map(|n| format!("n{n:02}")).collect();
    assert_eq!(seen, expected);
}

/// A title search ignores the case of ASCII letters and takes every character literally.
pub async fn title_search_is_literal(store: &Arc<dyn Store>) {
    for (name, title) in
        [("a", "Rust at 100%_done"), ("b", "rust at 100 done"), ("d", "ÄPFEL"), ("e", "a\\b'c\"")]
    {
        plant(store, name, title, 2_000, false).await;
    }
    for (wanted, found) in [
        ("RUST", vec!["b", "a"]),
        ("100%_", vec!["a"]),
        ("_", vec!["a"]),
        ("Äpfel", vec!["d"]),
        ("\\b'", vec!["e"]),
        ("nowhere", vec![]),
    ] {
        let query = ConversationQuery { title_contains: Some(wanted.into()), ..Default::default() };
        assert_eq!(list(store, query).await, found, "searched for {wanted:?}");
    }
}

/// Archived conversations have a list of their own.
pub async fn archived_are_listed_apart(store: &Arc<dyn Store>) {
    plant(store, "open", "t", 2_000, false).await;
    plant(store, "shut", "t", 3_000, true).await;
    assert_eq!(list(store, ConversationQuery::default()).await, ["open"]);
    let archived = ConversationQuery { archived: true, ..ConversationQuery::default() };
    assert_eq!(list(store, archived).await, ["shut"]);
}

/// Deleting takes messages, turns, events and keys along, and nothing else.
pub async fn delete_removes_everything_of_it(store: &Arc<dyn Store>) {
    let kept = Sent::named("0").into_conversation("d").complete(&**store).await;
    let kept_before = kept.everything(&**store).await;
    let sent = Sent::named("1").keyed("k").complete(&**store).await;
    store.mark_settled(&[(scope().tenant, sent.step_key(1))]).await.expect("marks");

    assert!(store.delete_conversation(&scope(), &c()).await.expect("deletes"));
    let gone = sent.everything(&**store).await;
    assert_eq!((gone.conversation, gone.turn), (None, None));
    assert_eq!(gone.messages.messages, []);
    assert_eq!(gone.events, None::<EventPage>);
    assert_eq!(kept.everything(&**store).await, kept_before);
    Sent::named("1").keyed("k").accept(&**store).await;
}

/// Deleting what is not there says so; the second time as well.
pub async fn delete_of_nothing_is_false(store: &Arc<dyn Store>) {
    assert!(!store.delete_conversation(&scope(), &c()).await.expect("deletes"));
    import(&**store, &[message("m", None, Role::User)]).await;
    assert!(store.delete_conversation(&scope(), &c()).await.expect("deletes"));
    assert!(!store.delete_conversation(&scope(), &c()).await.expect("deletes"));
}

/// A running turn keeps its conversation.
pub async fn delete_is_refused_while_a_turn_runs(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    let before = sent.everything(&**store).await;
    let deleted = store.delete_conversation(&scope(), &c()).await;
    assert_refused(deleted, PersistErrorKind::Conflict);
    assert_eq!(sent.everything(&**store).await, before);
}

/// Amounts the ledger may not have yet are not deleted.
pub async fn delete_is_refused_until_steps_are_settled(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").complete(&**store).await;
    let before = sent.everything(&**store).await;
    let deleted = store.delete_conversation(&scope(), &c()).await;
    assert_refused(deleted, PersistErrorKind::Conflict);
    assert_eq!(sent.everything(&**store).await, before);
    store.mark_settled(&[(scope().tenant, sent.step_key(1))]).await.expect("marks");
    assert!(store.delete_conversation(&scope(), &c()).await.expect("deletes"));
}
