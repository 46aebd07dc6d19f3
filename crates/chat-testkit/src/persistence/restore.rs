//! Whole stores: scans of everything, and turns that ended elsewhere.

use std::sync::Arc;

use chat_persist::{
    Accepted, EventPage, NewTurn, PersistErrorKind, StepRecord, StopAck, TurnRecord,
};
use chat_types::{
    ContentPart, Conversation, ConversationId, MessageId, Purpose, Scope, StepKey, StepState,
    TenantId, Tokens, TurnFailure, TurnId, TurnKind, TurnState,
};

use crate::Store;
use crate::fixtures::{
    Sent, amount, assert_refused, at, c, conversation, id, import, in_parallel, line, model, scope,
    scope_of, strangers,
};

/// An ended turn of conversation `c` with one settled step.
fn ended(name: &str) -> TurnRecord {
    let turn: TurnId = id(&format!("t-{name}"));
    TurnRecord {
        turn: NewTurn {
            id: turn.clone(),
            conversation: c(),
            kind: TurnKind::New { parent: None, parts: Vec::new() },
            user_message: id("m-0"),
            reply: id("m-1"),
            model: model(),
            owner: id("o-elsewhere"),
            idempotency_key: None,
            request_hash: format!("hash of {name}"),
            created_at: at(1_000),
        },
        state: TurnState::Completed,
        epoch: 1,
        stop_requested: false,
        last_seq: 9,
        failure: None,
        closed_at: Some(at(2_000)),
        steps: vec![settled(&turn, 1)],
    }
}

fn settled(turn: &TurnId, step: u32) -> StepRecord {
    StepRecord {
        key: StepKey { turn: turn.clone(), step },
        purpose: Purpose::Reply,
        model: model(),
        state: StepState::Settled,
        attempts: 1,
        input_bound: Tokens::new(200),
        input_estimate: Tokens::new(150),
        opened_at: at(1_500),
        tier: None,
        amounts: vec![amount(1)],
    }
}

/// Everything a turn may have at its end.
fn rich(name: &str) -> TurnRecord {
    let plain = ended(name);
    let turn = plain.turn.id.clone();
    let steps = vec![
        StepRecord {
            purpose: Purpose::Summary,
            state: StepState::Released,
            attempts: 0,
            amounts: Vec::new(),
            ..settled(&turn, 1)
        },
        StepRecord { attempts: 2, amounts: vec![amount(1), amount(2)], ..settled(&turn, 2) },
        StepRecord {
            purpose: Purpose::ToolRound,
            tier: Some("pri\u{f6}\u{0}rity".to_owned()),
            ..settled(&turn, 11)
        },
    ];
    TurnRecord {
        turn: NewTurn {
            kind: TurnKind::Edit {
                message: id("m-0"),
                parts: vec![ContentPart::text("ü '\"\\ \u{1f600}")],
            },
            idempotency_key: Some(id("key-of-it")),
            ..plain.turn
        },
        state: TurnState::Failed,
        epoch: 7,
        stop_requested: true,
        last_seq: 1_234,
        failure: Some(TurnFailure::new("provider_unavailable", "try again", true)),
        closed_at: Some(at(2_001)),
        steps,
    }
}

async fn restore(store: &Arc<dyn Store>, turns: &[TurnRecord]) {
    let turns: Vec<_> = turns.iter().map(|turn| (scope(), turn.clone())).collect();
    store.restore_turns(&turns).await.expect("restores");
}

async fn refused(store: &Arc<dyn Store>, turns: &[TurnRecord], kind: PersistErrorKind) {
    let before = store.scan_turns(None, 1_000).await.expect("scans");
    let turns: Vec<_> = turns.iter().map(|turn| (scope(), turn.clone())).collect();
    assert_refused(store.restore_turns(&turns).await, kind);
    assert_eq!(store.scan_turns(None, 1_000).await.expect("scans"), before, "nothing was written");
}

async fn turn(store: &Arc<dyn Store>, name: &str) -> Option<TurnRecord> {
    store.turn(&scope(), &id(&format!("t-{name}"))).await.expect("reads")
}

/// A restored turn reads as it was: kind, key, epoch, failure, steps and amounts.
pub async fn restored_turns_round_trip(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    restore(store, &[rich("1"), ended("2")]).await;
    assert_eq!(turn(store, "1").await, Some(rich("1")));
    assert_eq!(turn(store, "2").await, Some(ended("2")));
    let conversation = store.conversation(&scope(), &c()).await.expect("reads");
    assert_eq!(conversation.expect("is there").updated_at, at(1_000), "the rest stays as it was");
}

/// Every end may be restored.
pub async fn every_end_is_restored(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    for state in [
        TurnState::Completed,
        TurnState::Truncated,
        TurnState::Aborted,
        TurnState::Failed,
        TurnState::Interrupted,
        TurnState::Rejected,
    ] {
        let record = TurnRecord { state, ..ended(state.as_str()) };
        restore(store, std::slice::from_ref(&record)).await;
        assert_eq!(turn(store, state.as_str()).await, Some(record));
    }
}

/// Restoring again changes nothing, also twice in one call and beside new ones.
pub async fn restoring_again_changes_nothing(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    restore(store, &[]).await;
    restore(store, &[rich("1")]).await;
    restore(store, &[rich("1"), ended("2"), rich("1"), ended("2")]).await;
    let scanned = store.scan_turns(None, 10).await.expect("scans");
    assert_eq!(scanned, [(scope(), rich("1")), (scope(), ended("2"))]);
}

/// A step that the ledger got meanwhile is the same step: it is not settled back.
pub async fn restoring_again_leaves_settled_steps(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    let mut settling = ended("1");
    settling.steps[0].state = StepState::Settling;
    restore(store, std::slice::from_ref(&settling)).await;
    store.mark_settled(&[(scope().tenant, settling.steps[0].key.clone())]).await.expect("marks");
    restore(store, &[settling]).await;
    assert_eq!(turn(store, "1").await, Some(ended("1")));
}

/// A restored step that the ledger may not have yet is found from the turn's end on.
pub async fn restored_settling_steps_are_found(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    let mut settling = ended("1");
    settling.steps[0].state = StepState::Settling;
    restore(store, std::slice::from_ref(&settling)).await;
    let unsettled = store.unsettled_steps(at(2_000), 10).await.expect("reads");
    assert_eq!(unsettled, []);
    let unsettled = store.unsettled_steps(at(2_001), 10).await.expect("reads");
    assert_eq!(unsettled.len(), 1);
    assert_eq!(unsettled[0].step, settling.steps[0]);
    assert_eq!((&unsettled[0].scope, &unsettled[0].conversation), (&scope(), &c()));
}

/// A turn that has not ended is refused with all beside it.
pub async fn a_running_turn_is_not_restored(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    for state in [TurnState::Accepted, TurnState::Running, TurnState::Paused] {
        let running = TurnRecord { state, closed_at: None, ..ended("1") };
        refused(store, &[ended("2"), running], PersistErrorKind::IllegalState).await;
    }
    let timeless = TurnRecord { closed_at: None, ..ended("1") };
    refused(store, &[timeless], PersistErrorKind::IllegalState).await;
}

/// A turn whose conversation is not there is refused with all beside it.
pub async fn a_turn_without_its_conversation_is_not_found(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    let mut homeless = ended("1");
    homeless.turn.conversation = id("none");
    refused(store, &[ended("2"), homeless], PersistErrorKind::NotFound).await;
    for stranger in strangers() {
        let theirs = store.restore_turns(&[(stranger, ended("1"))]).await;
        assert_refused(theirs, PersistErrorKind::NotFound);
    }
}

/// An id that stands for another turn is a conflict, also within one call and beside a running one.
pub async fn another_turn_of_one_id_is_a_conflict(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    restore(store, &[ended("1")]).await;
    let other = |name: &str| TurnRecord { epoch: 2, ..ended(name) };
    refused(store, &[ended("2"), other("1")], PersistErrorKind::Conflict).await;
    refused(store, &[ended("2"), other("2")], PersistErrorKind::Conflict).await;
    let running = Sent::named("3").accept(&**store).await;
    let before = running.everything(&**store).await;
    refused(store, &[ended("3")], PersistErrorKind::Conflict).await;
    assert_eq!(running.everything(&**store).await, before);
}

/// Turn ids are the tenant's: another user's turn of the same id is another turn.
pub async fn a_turn_id_of_another_user_is_a_conflict(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    restore(store, &[ended("1")]).await;
    for stranger in strangers() {
        store.import(&stranger, &conversation("c", 1_000), &line(2)).await.expect("imports");
    }
    let bob = store.restore_turns(&[(scope_of("acme", "bob"), ended("1"))]).await;
    assert_refused(bob, PersistErrorKind::Conflict);
    let umbrella = scope_of("umbrella", "ada");
    store.restore_turns(&[(umbrella.clone(), ended("1"))]).await.expect("another tenant's");
    assert_eq!(store.turn(&umbrella, &id("t-1")).await.expect("reads"), Some(ended("1")));
}

/// An idempotency key that stands for another turn is a conflict, also within one call.
pub async fn a_taken_key_is_a_conflict(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    Sent::named("1").keyed("k").accept(&**store).await;
    let keyed = |name: &str, key: &str| {
        let mut record = ended(name);
        record.turn.idempotency_key = Some(id(key));
        record
    };
    refused(store, &[keyed("2", "k")], PersistErrorKind::Conflict).await;
    refused(store, &[keyed("2", "l"), keyed("3", "l")], PersistErrorKind::Conflict).await;
}

/// A restored key works: the same request gives the restored turn, another is a conflict.
pub async fn a_restored_key_gives_the_turn(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    restore(store, &[rich("1")]).await;
    let mut again = Sent::named("2").keyed("key-of-it").accept;
    again.turn.request_hash = "hash of 1".into();
    let accepted = store.accept(&scope(), &again).await.expect("accepts");
    assert_eq!(accepted, Accepted::Existing(Box::new(rich("1"))));
    let other = Sent::named("3").keyed("key-of-it").accept;
    let refused = store.accept(&scope(), &other).await;
    assert_refused(refused, PersistErrorKind::IdempotencyConflict);
}

/// Steps that are not the turn's, or not in order, are a conflict.
pub async fn steps_that_do_not_fit_are_refused(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    let with = |steps: Vec<StepRecord>| TurnRecord { steps, ..ended("1") };
    let turn: TurnId = id("t-1");
    let foreign = settled(&id("t-2"), 1);
    for steps in [
        vec![foreign],
        vec![settled(&turn, 2), settled(&turn, 1)],
        vec![settled(&turn, 1), settled(&turn, 1)],
        vec![settled(&turn, 0)],
    ] {
        refused(store, &[with(steps)], PersistErrorKind::Conflict).await;
    }
}

/// The event log of a restored turn has expired; a stop finds its end.
pub async fn a_restored_log_has_expired(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    restore(store, &[rich("1")]).await;
    let page = store.events(&scope(), &id("t-1"), 0, 10).await.expect("reads");
    let expected = EventPage {
        segments: Vec::new(),
        state: Some(TurnState::Failed),
        last_seq: 1_234,
        epoch: 7,
        expired: true,
    };
    assert_eq!(page, expected);
    let ack = store.request_stop(&scope(), &id("t-1")).await.expect("answers");
    assert_eq!(ack, StopAck::AlreadyEnded(TurnState::Failed));
    assert_eq!(store.lapsed_turns(at(9_000), 10).await.expect("reads"), []);
}

/// A restored turn belongs to its conversation and goes with it; its steps are read by key.
pub async fn restored_turns_go_with_their_conversation(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    restore(store, &[rich("1")]).await;
    let step = store.step(&scope().tenant, &rich("1").steps[1].key).await.expect("reads");
    assert_eq!(step.expect("is there").step, rich("1").steps[1]);
    assert!(store.delete_conversation(&scope(), &c()).await.expect("deletes"));
    assert_eq!(turn(store, "1").await, None);
    assert_eq!(store.scan_steps(None, 10).await.expect("scans"), []);
}

/// The same turns restored 8 times at once are there once.
pub async fn parallel_restores_are_one(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    in_parallel(8, |_| {
        let store = Arc::clone(store);
        async move { restore(&store, &[rich("1"), ended("2")]).await }
    })
    .await;
    let scanned = store.scan_turns(None, 10).await.expect("scans");
    assert_eq!(scanned, [(scope(), rich("1")), (scope(), ended("2"))]);
}

/// Turns of all scopes are scanned page by page, whole, by tenant and id, running ones too.
pub async fn scan_pages_through_all_turns(store: &Arc<dyn Store>) {
    let mut expected: Vec<(Scope, TurnRecord)> = Vec::new();
    for (n, owner) in [scope()].into_iter().chain(strangers()).enumerate() {
        for name in ["a", "B", "c_1", "c-1"] {
            let sent = Sent::named(&format!("{name}{n}")).by(owner.clone()).run(&**store).await;
            store.open_step(&sent.fence(), &crate::fixtures::step(2, false)).await.expect("opens");
            expected.push((owner.clone(), sent.record(&**store).await));
        }
        let sent = Sent::named(&format!("stepless{n}")).by(owner.clone()).accept(&**store).await;
        expected.push((owner.clone(), sent.record(&**store).await));
    }
    expected.sort_by_key(|(scope, turn)| (scope.tenant.clone(), turn.turn.id.clone()));
    let mut scanned: Vec<(Scope, TurnRecord)> = Vec::new();
    loop {
        let after: Option<(TenantId, TurnId)> =
            scanned.last().map(|(scope, turn)| (scope.tenant.clone(), turn.turn.id.clone()));
        let page = store.scan_turns(after.as_ref(), 4).await.expect("scans");
        assert!(page.len() <= 4, "{page:?}");
        if page.is_empty() {
            break;
        }
        scanned.extend(page);
    }
    assert_eq!(scanned, expected);
}

/// Conversations of all scopes are scanned page by page, by tenant, user and id; archived ones and
/// those with an end are among them.
pub async fn scan_pages_through_all_conversations(store: &Arc<dyn Store>) {
    let mut expected: Vec<(Scope, Conversation)> = Vec::new();
    let owners = ["acme/ada", "acme/Bob", "Acme/ada", "a/z", "acme/ada_1", "acme/ada-1"];
    for owner in owners {
        let (tenant, user) = owner.split_once('/').expect("two names");
        let owner = scope_of(tenant, user);
        for (n, name) in ["a", "B", "c_1", "c-1", "c:1"].into_iter().enumerate() {
            let conversation = Conversation {
                archived: n == 1,
                expires_at: (n == 2).then(|| at(9_000)),
                ..conversation(name, 1_000)
            };
            store.import(&owner, &conversation, &[]).await.expect("imports");
            expected.push((owner.clone(), conversation));
        }
    }
    expected.sort_by_key(|(scope, conversation)| (scope.clone(), conversation.id.clone()));
    let mut scanned: Vec<(Scope, Conversation)> = Vec::new();
    loop {
        let after: Option<(Scope, ConversationId)> =
            scanned.last().map(|(scope, conversation)| (scope.clone(), conversation.id.clone()));
        let page = store.scan_conversations(after.as_ref(), 4).await.expect("scans");
        assert!(page.len() <= 4, "{page:?}");
        if page.is_empty() {
            break;
        }
        scanned.extend(page);
    }
    assert_eq!(scanned, expected);
}

/// A scan goes on after a place that is not there any more.
pub async fn scans_go_on_after_a_deleted_place(store: &Arc<dyn Store>) {
    for name in ["a", "b", "c"] {
        store.import(&scope(), &conversation(name, 1_000), &[]).await.expect("imports");
    }
    assert!(store.delete_conversation(&scope(), &id("b")).await.expect("deletes"));
    let after = (scope(), id("b"));
    let page = store.scan_conversations(Some(&after), 10).await.expect("scans");
    assert_eq!(page, [(scope(), conversation("c", 1_000))]);
    let nowhere = (scope_of("zzz", "zzz"), id::<ConversationId>("z"));
    assert_eq!(store.scan_conversations(Some(&nowhere), 10).await.expect("scans"), []);
    let no_file = (scope(), id("f"));
    assert_eq!(store.scan_files(Some(&no_file), 10).await.expect("scans"), []);
    let no_turn = (scope().tenant, id("t"));
    assert_eq!(store.scan_turns(Some(&no_turn), 10).await.expect("scans"), []);
}

/// A long conversation is imported in chunks, parents of a later chunk in an earlier one.
pub async fn import_goes_on_chunk_by_chunk(store: &Arc<dyn Store>) {
    let messages = line(25);
    for chunk in messages.chunks(10) {
        import(&**store, chunk).await;
    }
    import(&**store, &messages[7..13]).await;
    let page = store.messages(&scope(), &c(), None, 1_000).await.expect("reads");
    assert_eq!(page.messages, messages);
    let head: MessageId = id("m-24");
    let branch = store.branch(&scope(), &c(), &head, 1_000).await.expect("reads");
    assert_eq!(branch.messages.len(), 25);
}
