//! Accepting a turn: one transaction, idempotency keys, parents, ids.

use std::sync::Arc;

use chat_persist::{Accepted, EventPage, MessagePage, PersistErrorKind, TurnRecord};
use chat_types::{Conversation, TurnKind, TurnState};

use crate::Store;
use crate::fixtures::{
    Everything, Sent, assert_refused, at, c, conversation, id, import, line, scope, scope_of,
    segment, strangers,
};

/// Conversation, message, turn and first events are there at once.
pub async fn accept_writes_everything(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").keyed("k").at(1_500).accept(&**store).await;
    let accept = sent.accept.clone();
    let expected = Everything {
        conversation: Some(Conversation {
            head: Some(id("r-1")),
            updated_at: at(1_500),
            ..conversation("c", 1_000)
        }),
        messages: MessagePage { messages: accept.user_message.into_iter().collect(), next: None },
        turn: Some(TurnRecord {
            turn: accept.turn,
            state: TurnState::Accepted,
            epoch: 1,
            stop_requested: false,
            last_seq: 1,
            failure: None,
            closed_at: None,
            steps: Vec::new(),
        }),
        events: Some(EventPage {
            segments: vec![accept.segment],
            state: Some(TurnState::Accepted),
            last_seq: 1,
            epoch: 1,
            expired: false,
        }),
    };
    assert_eq!(sent.everything(&**store).await, expected);
}

/// A conversation that is there keeps its values; its head and time move on.
pub async fn accept_keeps_the_conversation_that_is_there(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    let mut sent = Sent::named("1").below("m-1").at(3_000);
    sent.accept.conversation.title = "other".into();
    sent.accept(&**store).await;
    let expected =
        Conversation { head: Some(id("r-1")), updated_at: at(3_000), ..conversation("c", 1_000) };
    assert_eq!(store.conversation(&scope(), &c()).await.expect("reads"), Some(expected));
}

/// Every kind of turn comes back as it was asked.
pub async fn every_turn_kind_round_trips(store: &Arc<dyn Store>) {
    let parts = line(1)[0].parts.clone();
    let kinds = [
        TurnKind::New { parent: None, parts: parts.clone() },
        TurnKind::Edit { message: id("m-0"), parts },
        TurnKind::Regenerate { message: id("m-1") },
        TurnKind::Continue { message: id("m-1") },
    ];
    for (n, kind) in kinds.into_iter().enumerate() {
        let mut sent = Sent::named(&n.to_string());
        sent.accept.turn.kind = kind;
        let sent = sent.accept(&**store).await;
        assert_eq!(sent.record(&**store).await.turn, sent.accept.turn);
    }
}

/// The same key for the same request gives the first turn; nothing new is written.
pub async fn same_key_same_request_gives_the_first_turn(store: &Arc<dyn Store>) {
    let first = Sent::named("1").keyed("k").run(&**store).await;
    let before = first.everything(&**store).await;
    let mut second = Sent::named("2").keyed("k").at(9_000);
    second.accept.turn.request_hash.clone_from(&first.accept.turn.request_hash);

    let accepted = store.accept(&scope(), &second.accept).await.expect("answers");
    assert_eq!(accepted, Accepted::Existing(Box::new(first.record(&**store).await)));
    assert_eq!(first.everything(&**store).await, before);
    assert_eq!(store.turn(&scope(), second.id()).await.expect("reads"), None);
}

/// A key stands for its request also after the turn has ended.
pub async fn same_key_gives_the_turn_that_has_ended(store: &Arc<dyn Store>) {
    let first = Sent::named("1").keyed("k").complete(&**store).await;
    let accepted = store.accept(&scope(), &first.accept).await.expect("answers");
    let Accepted::Existing(found) = accepted else { panic!("a second turn was made") };
    assert_eq!(found.state, TurnState::Completed);
    assert_eq!(*found, first.record(&**store).await);
}

/// The same key for another request is refused; nothing is written.
pub async fn same_key_other_request_is_a_conflict(store: &Arc<dyn Store>) {
    let first = Sent::named("1").keyed("k").accept(&**store).await;
    let before = first.everything(&**store).await;
    let second = Sent::named("2").keyed("k");
    let accepted = store.accept(&scope(), &second.accept).await;
    assert_refused(accepted, PersistErrorKind::IdempotencyConflict);
    assert_eq!(first.everything(&**store).await, before);
    assert_eq!(store.turn(&scope(), second.id()).await.expect("reads"), None);
}

/// Another user's key, and another tenant's, is another key.
pub async fn another_users_key_is_another_key(store: &Arc<dyn Store>) {
    Sent::named("1").keyed("k").accept(&**store).await;
    for (n, stranger) in strangers().into_iter().enumerate() {
        let sent = Sent::named(&format!("of-stranger-{n}")).keyed("k").by(stranger);
        let sent = sent.accept(&**store).await;
        assert_eq!(sent.record(&**store).await.turn, sent.accept.turn);
    }
}

/// The very same turn again changes nothing, key or not: a lost answer may be asked for again.
pub async fn the_same_turn_again_changes_nothing(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    let before = sent.everything(&**store).await;
    let accepted = store.accept(&scope(), &sent.accept).await.expect("answers");
    assert_eq!(accepted, Accepted::Existing(Box::new(sent.record(&**store).await)));
    assert_eq!(sent.everything(&**store).await, before);
}

async fn check_parent_is_refused(store: &Arc<dyn Store>, parent: &str, kind: PersistErrorKind) {
    let sent = Sent::named("refused").below(parent);
    let before = sent.everything(&**store).await;
    assert_refused(store.accept(&scope(), &sent.accept).await, kind);
    assert_eq!(sent.everything(&**store).await, before);
}

/// A parent must be there; a refused turn creates no conversation.
pub async fn parent_must_be_there(store: &Arc<dyn Store>) {
    check_parent_is_refused(store, "nothing", PersistErrorKind::ParentMissing).await;
    assert_eq!(store.conversation(&scope(), &c()).await.expect("reads"), None);
}

/// A parent of another conversation is missing, finished or not.
pub async fn parent_of_another_conversation_is_missing(store: &Arc<dyn Store>) {
    import(&**store, &line(1)).await;
    Sent::named("1").into_conversation("d").accept(&**store).await;
    check_parent_is_refused(store, "u-1", PersistErrorKind::ParentMissing).await;
    check_parent_is_refused(store, "r-1", PersistErrorKind::ParentMissing).await;
}

/// A parent of another user is missing, in a conversation of the same name.
pub async fn parent_of_another_user_is_missing(store: &Arc<dyn Store>) {
    for (n, stranger) in strangers().into_iter().enumerate() {
        Sent::named(&n.to_string()).by(stranger).accept(&**store).await;
        check_parent_is_refused(store, &format!("u-{n}"), PersistErrorKind::ParentMissing).await;
        check_parent_is_refused(store, &format!("r-{n}"), PersistErrorKind::ParentMissing).await;
    }
}

/// A reply that is being written is no parent yet; once it is there, it is.
pub async fn unfinished_parent_is_refused(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    check_parent_is_refused(store, "r-1", PersistErrorKind::ParentUnfinished).await;
    store.close_turn(&sent.fence(), &sent.close()).await.expect("closes");
    Sent::named("2").below("r-1").accept(&**store).await;
}

/// A user message can be answered again; its turn writes no message.
pub async fn an_existing_message_is_answered_again(store: &Arc<dyn Store>) {
    let first = Sent::named("1").complete(&**store).await;
    let second = Sent::named("2").again("u-1").complete(&**store).await;
    let page = store.messages(&scope(), &c(), None, 10).await.expect("reads");
    let expected: Vec<_> = first
        .accept
        .user_message
        .clone()
        .into_iter()
        .chain([first.reply(), second.reply()])
        .collect();
    assert_eq!(page.messages, expected);
}

/// What is answered again must be a user message of the conversation.
pub async fn only_a_user_message_is_answered_again(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    Sent::named("1").into_conversation("d").accept(&**store).await;
    for asked in ["nothing", "m-1", "u-1"] {
        let sent = Sent::named("refused").again(asked);
        let before = sent.everything(&**store).await;
        let accepted = store.accept(&scope(), &sent.accept).await;
        assert_refused(accepted, PersistErrorKind::NotFound);
        assert_eq!(sent.everything(&**store).await, before);
    }
}

/// New ids must be free: of the message, of the reply, of the turn within the tenant.
pub async fn taken_ids_are_refused(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    let first = Sent::named("1").accept(&**store).await;
    let before = first.everything(&**store).await;

    let mut message_taken = Sent::named("a");
    message_taken.accept.turn.user_message = id("m-0");
    if let Some(message) = &mut message_taken.accept.user_message {
        message.id = id("m-0");
    }
    let mut reply_taken = Sent::named("b");
    reply_taken.accept.turn.reply = id("m-1");
    let mut reply_promised = Sent::named("d");
    reply_promised.accept.turn.reply = id("r-1");
    let mut turn_taken = Sent::named("e");
    turn_taken.accept.turn.id = id("t-1");
    let mut turn_of_other_user = turn_taken.clone().by(scope_of("acme", "bob"));
    turn_of_other_user.accept.segment = segment(&id("t-1"), 1, 1);
    for sent in [message_taken, reply_taken, reply_promised, turn_taken, turn_of_other_user] {
        let accepted = store.accept(&sent.scope, &sent.accept).await;
        assert_refused(accepted, PersistErrorKind::Conflict);
    }
    assert_eq!(first.everything(&**store).await, before);
    let of_bob = store.conversation(&scope_of("acme", "bob"), &c()).await.expect("reads");
    assert_eq!(of_bob, None);
}

/// Two turns at once below one message are siblings, both whole.
pub async fn two_turns_at_once_are_siblings(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    let one = Sent::named("1").below("m-1").run(&**store).await;
    let two = Sent::named("2").below("m-1").run(&**store).await;
    store.close_turn(&one.fence(), &one.close()).await.expect("closes");
    store.close_turn(&two.fence(), &two.close()).await.expect("closes");
    for sent in [&one, &two] {
        let reply = &sent.accept.turn.reply;
        let page = store.branch(&scope(), &c(), reply, 10).await.expect("reads");
        assert_eq!(page.messages.first(), Some(&sent.reply()));
        assert_eq!(page.messages.len(), 4);
    }
    let stored = store.conversation(&scope(), &c()).await.expect("reads").expect("is there");
    assert_eq!(stored.head, Some(id("r-2")), "the head stays where the later turn put it");
}
