//! Another user, and another tenant, sees nothing and changes nothing.
//!
//! What is somebody else's is not found, never forbidden: nobody learns that it is there.

use std::sync::Arc;

use chat_persist::{
    ConversationPage, ConversationQuery, Fence, LapsedTurn, MessagePage, PersistErrorKind,
};
use chat_types::{
    Change, ContentHash, Conversation, ConversationPatch, Provenance, Scope, Summary, TokenCount,
    TokenizerId, Tokens,
};

use crate::Store;
use crate::fixtures::{
    Sent, assert_refused, at, c, conversation, id, message, released, settling, step, strangers,
};

const NOT_FOUND: PersistErrorKind = PersistErrorKind::NotFound;

/// Runs `attempt` as each stranger against a running turn and checks that nothing changed.
async fn check_strangers(store: &Arc<dyn Store>, attempt: impl AsyncFn(&dyn Store, &Scope, &Sent)) {
    let sent = Sent::named("1").keyed("k").run(&**store).await;
    let before = sent.everything(&**store).await;
    for stranger in strangers() {
        attempt(&**store, &stranger, &sent).await;
        assert_eq!(sent.everything(&**store).await, before, "{stranger:?} changed something");
    }
}

/// A stranger reads no conversation and no list of them.
pub async fn strangers_read_no_conversation(store: &Arc<dyn Store>) {
    check_strangers(store, async |store, stranger, _| {
        assert_eq!(store.conversation(stranger, &c()).await.expect("reads"), None);
        let query = ConversationQuery::default();
        let page = store.conversations(stranger, &query).await.expect("lists");
        assert_eq!(page, ConversationPage::default());
    })
    .await;
}

/// A stranger patches and deletes no conversation.
pub async fn strangers_change_no_conversation(store: &Arc<dyn Store>) {
    check_strangers(store, async |store, stranger, _| {
        let patch =
            ConversationPatch { title: Change::Set("mine".into()), ..ConversationPatch::default() };
        let patched = store.patch_conversation(stranger, &c(), &patch, at(9_000)).await;
        assert_refused(patched, NOT_FOUND);
        assert!(!store.delete_conversation(stranger, &c()).await.expect("answers"));
    })
    .await;
}

/// A stranger reads no message: not by id, not by branch, not by page.
pub async fn strangers_read_no_message(store: &Arc<dyn Store>) {
    check_strangers(store, async |store, stranger, _| {
        assert_eq!(store.message(stranger, &c(), &id("u-1")).await.expect("reads"), None);
        assert_refused(store.branch(stranger, &c(), &id("u-1"), 10).await, NOT_FOUND);
        let page = store.messages(stranger, &c(), None, 10).await.expect("reads");
        assert_eq!(page, MessagePage::default());
    })
    .await;
}

/// A stranger deletes no message and keeps no count and no summary with one.
pub async fn strangers_change_no_message(store: &Arc<dyn Store>) {
    check_strangers(store, async |store, stranger, _| {
        assert_eq!(store.delete_subtree(stranger, &c(), &id("u-1")).await.expect("answers"), 0);
        let count = TokenCount {
            tokens: Tokens::new(1),
            tokenizer: TokenizerId::from_static("t"),
            provenance: Provenance::Counted,
        };
        let counts = [(id("u-1"), count)];
        store.keep_token_counts(stranger, &c(), &counts).await.expect("ignores");
        let summary = Summary {
            text: "mine".into(),
            covers_to: id("u-1"),
            covered: ContentHash::of(["mine"]),
            prompt_version: None,
        };
        assert_refused(store.keep_summary(stranger, &c(), &summary).await, NOT_FOUND);
    })
    .await;
}

/// A stranger reads no turn and no events.
pub async fn strangers_read_no_turn(store: &Arc<dyn Store>) {
    check_strangers(store, async |store, stranger, sent| {
        assert_eq!(store.turn(stranger, sent.id()).await.expect("reads"), None);
        assert_refused(store.events(stranger, sent.id(), 0, 10).await, NOT_FOUND);
    })
    .await;
}

/// A stranger stops no turn.
pub async fn strangers_stop_no_turn(store: &Arc<dyn Store>) {
    check_strangers(store, async |store, stranger, sent| {
        assert_refused(store.request_stop(stranger, sent.id()).await, NOT_FOUND);
    })
    .await;
}

/// A stranger's fence opens nothing, whatever epoch it names.
pub async fn strangers_write_to_no_turn(store: &Arc<dyn Store>) {
    check_strangers(store, async |store, stranger, sent| {
        let fence = Fence { scope: stranger.clone(), ..sent.fence() };
        assert_refused(store.open_step(&fence, &step(2, true)).await, NOT_FOUND);
        assert_refused(store.dispatch(&fence, &sent.attempt_key(1, 2)).await, NOT_FOUND);
        assert_refused(store.checkpoint(&fence, &sent.checkpoint(2, 2, true)).await, NOT_FOUND);
        assert_refused(store.close_step(&fence, &settling(1)).await, NOT_FOUND);
        assert_refused(store.close_step(&fence, &released(1)).await, NOT_FOUND);
        assert_refused(store.close_turn(&fence, &sent.close()).await, NOT_FOUND);
    })
    .await;
}

/// A stranger's takeover of somebody's turn finds nothing.
pub async fn takeovers_name_the_right_scope(store: &Arc<dyn Store>) {
    check_strangers(store, async |store, stranger, sent| {
        let lapsed = LapsedTurn { scope: stranger.clone(), ..sent.lapsed(9_000) };
        assert_eq!(store.take_over(&lapsed, &id("o-2")).await.expect("answers"), None);
    })
    .await;
}

/// Two users may use the same conversation and message ids; each has their own.
pub async fn equal_ids_of_two_users_are_two_things(store: &Arc<dyn Store>) {
    check_strangers(store, async |store, stranger, _| {
        let theirs = Conversation { title: "theirs".into(), ..conversation("c", 7_000) };
        let messages = [message("u-1", None, chat_types::Role::User)];
        store.import(stranger, &theirs, &messages).await.expect("imports");
        assert_eq!(store.conversation(stranger, &c()).await.expect("reads"), Some(theirs));
        let page = store.messages(stranger, &c(), None, 10).await.expect("reads");
        assert_eq!(page.messages, messages);
        assert!(store.delete_conversation(stranger, &c()).await.expect("deletes"));
    })
    .await;
}

/// Scopes whose parts join to the same text are two scopes.
pub async fn scopes_do_not_run_together(store: &Arc<dyn Store>) {
    let one = crate::fixtures::scope_of("a:b", "c");
    let two = crate::fixtures::scope_of("a", "b:c");
    Sent::named("1").by(one.clone()).keyed("k").accept(&**store).await;
    assert_eq!(store.conversation(&two, &c()).await.expect("reads"), None);
    let sent = Sent::named("1").by(two).keyed("k").accept(&**store).await;
    assert_eq!(sent.record(&**store).await.turn, sent.accept.turn);
}
