//! Unsettled steps, scans and retention.

use std::sync::Arc;

use chat_persist::{Expired, OpenStep, TurnClose};
use chat_types::{Change, ConversationPatch, StepKey, StepState, TenantId, TurnState};

use crate::Store;
use crate::fixtures::{Sent, at, c, id, released, scope, scope_of, settling, step, strangers};

fn keys(steps: &[OpenStep]) -> Vec<(TenantId, StepKey)> {
    steps.iter().map(|open| (open.scope.tenant.clone(), open.step.key.clone())).collect()
}

/// Steps settling for long enough are found, with their turn and amounts.
pub async fn unsettled_steps_are_found(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").complete(&**store).await;
    Sent::named("2").run(&**store).await;
    let unsettled =
        async |before_ms: i64| store.unsettled_steps(at(before_ms), 100).await.expect("reads");
    assert_eq!(unsettled(2_000).await, []);
    let expected = OpenStep {
        scope: scope(),
        conversation: c(),
        turn_state: TurnState::Completed,
        turn_epoch: 1,
        step: sent.record(&**store).await.steps[0].clone(),
    };
    assert_eq!(unsettled(2_001).await, [expected]);
}

/// A step closed while its turn runs is found as well; no more are listed than asked for.
pub async fn unsettled_steps_of_running_turns_are_found(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    store.open_step(&sent.fence(), &step(2, true)).await.expect("opens");
    store.close_step(&sent.fence(), &settling(1)).await.expect("closes");
    store.close_step(&sent.fence(), &settling(2)).await.expect("closes");
    let unsettled = store.unsettled_steps(at(9_000), 100).await.expect("reads");
    let tenant = scope().tenant;
    let mut found = keys(&unsettled);
    found.sort();
    assert_eq!(found, [(tenant.clone(), sent.step_key(1)), (tenant, sent.step_key(2))]);
    assert_eq!(store.unsettled_steps(at(9_000), 1).await.expect("reads").len(), 1);
}

/// Settled steps are marked once and for all; steps in other states are left alone.
pub async fn mark_settled_leaves_other_states_alone(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    for number in 2..=4 {
        store.open_step(&sent.fence(), &step(number, number == 4)).await.expect("opens");
    }
    store.close_step(&sent.fence(), &settling(1)).await.expect("closes");
    store.close_step(&sent.fence(), &released(2)).await.expect("closes");
    let tenant = scope().tenant;
    let mut all: Vec<_> = (1..=5).map(|n| (tenant.clone(), sent.step_key(n))).collect();
    all.push((id("umbrella"), sent.step_key(1)));
    for _ in 0..2 {
        store.mark_settled(&all).await.expect("marks");
        let record = sent.record(&**store).await;
        let states: Vec<_> = record.steps.iter().map(|step| step.state).collect();
        let expected =
            [StepState::Settled, StepState::Released, StepState::Held, StepState::Dispatched];
        assert_eq!(states, expected);
        assert_eq!(record.steps[0].amounts.len(), 1, "amounts stay");
    }
    assert_eq!(store.unsettled_steps(at(9_000), 100).await.expect("reads"), []);
}

/// Another tenant's step of the same name is not marked.
pub async fn mark_settled_keeps_tenants_apart(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").complete(&**store).await;
    let other = Sent::named("1").by(scope_of("umbrella", "ada")).complete(&**store).await;
    store.mark_settled(&[(id("umbrella"), other.step_key(1))]).await.expect("marks");
    assert_eq!(sent.record(&**store).await.steps[0].state, StepState::Settling);
    assert_eq!(other.record(&**store).await.steps[0].state, StepState::Settled);
}

/// A step is read by the key of its hold.
pub async fn step_is_read_by_its_key(store: &Arc<dyn Store>) {
    let sent = Sent::named("1").run(&**store).await;
    let read =
        async |tenant: &str, key: StepKey| store.step(&id(tenant), &key).await.expect("reads");
    let expected = OpenStep {
        scope: scope(),
        conversation: c(),
        turn_state: TurnState::Running,
        turn_epoch: 1,
        step: sent.record(&**store).await.steps[0].clone(),
    };
    assert_eq!(read("acme", sent.step_key(1)).await, Some(expected));
    assert_eq!(read("acme", sent.step_key(2)).await, None);
    assert_eq!(read("umbrella", sent.step_key(1)).await, None);
}

/// A scan pages through the steps of all scopes in the order of their keys.
pub async fn scan_pages_through_all_steps(store: &Arc<dyn Store>) {
    let mut expected = Vec::new();
    for (n, owner) in [scope()].into_iter().chain(strangers()).enumerate() {
        for name in ["a", "B", "c_1", "c-1"] {
            let sent = Sent::named(&format!("{name}{n}")).by(owner.clone()).run(&**store).await;
            store.open_step(&sent.fence(), &step(10, false)).await.expect("opens");
            store.open_step(&sent.fence(), &step(2, false)).await.expect("opens");
            for number in [1, 2, 10] {
                expected.push((owner.tenant.clone(), sent.step_key(number)));
            }
        }
    }
    expected.sort();
    let mut scanned: Vec<(TenantId, StepKey)> = Vec::new();
    loop {
        let page = store.scan_steps(scanned.last(), 5).await.expect("scans");
        assert!(page.len() <= 5, "{page:?}");
        if page.is_empty() {
            break;
        }
        scanned.extend(keys(&page));
    }
    assert_eq!(scanned, expected);
}

async fn expire(store: &Arc<dyn Store>, conversation: &str, expires_ms: i64) {
    let patch = ConversationPatch {
        expires_at: Change::Set(at(expires_ms)),
        ..ConversationPatch::default()
    };
    let patched = store.patch_conversation(&scope(), &id(conversation), &patch, at(1_500)).await;
    patched.expect("patches");
}

async fn is_there(store: &Arc<dyn Store>, conversation: &str) -> bool {
    store.conversation(&scope(), &id(conversation)).await.expect("reads").is_some()
}

/// A sweep deletes conversations whose time is over, and no others.
pub async fn sweep_deletes_expired_conversations(store: &Arc<dyn Store>) {
    for (n, name) in ["over", "later", "never"].into_iter().enumerate() {
        let sent = Sent::named(&n.to_string()).into_conversation(name).complete(&**store).await;
        store.mark_settled(&[(scope().tenant, sent.step_key(1))]).await.expect("marks");
    }
    expire(store, "over", 3_000).await;
    expire(store, "later", 3_001).await;
    let swept = store.sweep(at(3_000), at(0), 100).await.expect("sweeps");
    assert_eq!(swept, Expired { conversations: 1, event_logs: 0 });
    assert!(!is_there(store, "over").await);
    assert!(is_there(store, "later").await && is_there(store, "never").await);
    assert_eq!(store.turn(&scope(), &id("t-0")).await.expect("reads"), None);
    let swept = store.sweep(at(3_000), at(0), 100).await.expect("sweeps");
    assert_eq!(swept, Expired::default());
}

/// A sweep spares conversations with a running turn or an unsettled step until they are done.
pub async fn sweep_spares_unfinished_business(store: &Arc<dyn Store>) {
    let running = Sent::named("1").into_conversation("running").run(&**store).await;
    let unsettled = Sent::named("2").into_conversation("unsettled").complete(&**store).await;
    expire(store, "running", 1_600).await;
    expire(store, "unsettled", 1_600).await;
    let sweep = async || store.sweep(at(9_000), at(0), 100).await.expect("sweeps");
    assert_eq!(sweep().await, Expired::default());

    store.close_turn(&running.fence(), &running.close()).await.expect("closes");
    for sent in [&running, &unsettled] {
        store.mark_settled(&[(scope().tenant, sent.step_key(1))]).await.expect("marks");
    }
    assert_eq!(sweep().await, Expired { conversations: 2, event_logs: 0 });
}

/// A sweep takes no more than asked for.
pub async fn sweep_takes_no_more_than_asked(store: &Arc<dyn Store>) {
    for n in 0..5 {
        let name = format!("c-{n}");
        let sent = Sent::named(&n.to_string()).into_conversation(&name).complete(&**store).await;
        store.mark_settled(&[(scope().tenant, sent.step_key(1))]).await.expect("marks");
        expire(store, &name, 3_000).await;
    }
    let mut swept = 0;
    for conversations in [2, 2, 1, 0] {
        let expired = store.sweep(at(3_000), at(0), 2).await.expect("sweeps");
        assert_eq!(expired.conversations, conversations);
        swept += expired.conversations;
    }
    assert_eq!(swept, 5);
}

/// Event logs go some time after their turn's end; messages and journal stay.
pub async fn sweep_deletes_old_event_logs(store: &Arc<dyn Store>) {
    let old = Sent::named("old").complete(&**store).await;
    let running = Sent::named("running").run(&**store).await;
    let new = Sent::named("new").run(&**store).await;
    let close = TurnClose { closed_at: at(5_000), ..new.close() };
    store.close_turn(&new.fence(), &close).await.expect("closes");
    let record = old.record(&**store).await;
    let before = [running.everything(&**store).await, new.everything(&**store).await];

    let swept = store.sweep(at(9_000), at(5_000), 100).await.expect("sweeps");
    assert_eq!(swept, Expired { conversations: 0, event_logs: 1 });
    assert_eq!(old.record(&**store).await, record);
    let after = [running.everything(&**store).await, new.everything(&**store).await];
    assert_eq!(after, before);
    let swept = store.sweep(at(9_000), at(5_000), 100).await.expect("sweeps");
    assert_eq!(swept, Expired::default());
}
