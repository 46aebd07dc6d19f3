//! T7: two tabs do what they like in one conversation; every reply stays with its question.

use std::collections::BTreeSet;

use chat_core::{BaseClient, Placement, Turn, TurnRequest};
use chat_persist::PersistenceAdapter;
use chat_provider::{ScriptedReply, ScriptedStep};
use chat_types::{Cursor, FinishReason, Message, MessageId, Role, TurnState};
use tokio::time::Duration;

use crate::common::*;

/// Interleavings in the ordinary run; each is one seed.
const SEEDS: u64 = 200;

/// Moves per interleaving: enough for a few turns in flight at once.
const MOVES: u32 = 16;

fn replies() -> Vec<ScriptedReply> {
    vec![ScriptedReply::new(vec![
        ScriptedStep::Wait { ms: 40 },
        say("so "),
        ScriptedStep::Wait { ms: 40 },
        say("be it"),
        finish(FinishReason::Stop),
    ])]
}

fn pick(rng: &mut fastrand::Rng, ids: &[MessageId]) -> MessageId {
    ids[rng.usize(..ids.len())].clone()
}

async fn make_a_move(
    rng: &mut fastrand::Rng,
    tab: &BaseClient,
    number: u32,
    turns: &mut Vec<Turn>,
) {
    let first = &turns[0];
    let users: Vec<_> = turns.iter().map(|turn| turn.user_message().clone()).collect();
    let replies: Vec<_> = turns.iter().map(|turn| turn.reply().clone()).collect();
    let parts = text(&format!("question {number}"));
    let placement = match rng.u32(..8) {
        0 | 1 => Placement::AfterHead { parts },
        2 => Placement::After { parent: pick(rng, &replies), parts },
        3 => Placement::Edit { message: pick(rng, &users), parts },
        4 => Placement::Regenerate {
            message: {
                let among = if rng.bool() { &users } else { &replies };
                pick(rng, among)
            },
        },
        5 => Placement::Continue { message: pick(rng, &replies) },
        6 => {
            let turn = &turns[rng.usize(..turns.len())];
            tab.stop(&ada(), turn.id()).await.expect("asked");
            return;
        }
        _ => {
            tokio::time::sleep(Duration::from_millis(rng.u64(1..120))).await;
            return;
        }
    };
    let request = TurnRequest::placed(placement).in_conversation(first.conversation().clone());
    match tab.send_message(&ada(), request).await {
        Ok(turn) => turns.push(turn),
        Err(error) => {
            // A reply that is being written, or was never kept, cannot be built upon.
            let allowed = ["parent_unfinished", "unknown_message", "parent_missing"];
            assert!(allowed.contains(&error.code()), "{error}");
        }
    }
}

async fn check(world: &World, client: &BaseClient, turns: &[Turn], seed: u64) {
    let conversation = turns[0].conversation();
    let page = world.store.messages(&ada(), conversation, None, 1_000).await;
    let messages = page.expect("reads").messages;
    let find = |id: &MessageId| messages.iter().find(|message| message.id == *id);
    let ids: BTreeSet<&MessageId> = messages.iter().map(|message| &message.id).collect();
    assert_eq!(ids.len(), messages.len());
    for turn in turns {
        let outcome = end_of(turn).await;
        let allowed = [TurnState::Completed, TurnState::Aborted];
        assert!(allowed.contains(&outcome.state), "seed {seed}: {outcome:?}");
        assert_whole(&read(client, turn.id(), Cursor::START).await);
        let asked = find(turn.user_message()).expect("kept");
        assert_eq!(asked.role, Role::User, "seed {seed}");
        let stored = find(turn.reply());
        assert_eq!(stored, outcome.message.as_ref(), "seed {seed}");
        if let Some(reply) = stored {
            assert_eq!(reply.parent.as_ref(), Some(turn.user_message()), "seed {seed}");
            assert_eq!(reply.turn.as_ref(), Some(turn.id()), "seed {seed}");
        }
    }
    let has_parent = |message: &Message| message.parent.as_ref().is_none_or(|id| ids.contains(id));
    assert!(messages.iter().all(has_parent), "seed {seed}");
    let questions: BTreeSet<&MessageId> = turns.iter().map(Turn::user_message).collect();
    for call in world.provider.calls() {
        let items = &call.request.prompt.items;
        let asked = items.iter().rev().find(|item| item.role == Role::User);
        let source = asked.and_then(|item| item.source.as_ref());
        assert!(source.is_some_and(|id| questions.contains(id)), "seed {seed}");
    }
    let head = world.store.conversation(&ada(), conversation).await;
    let head = head.expect("reads").expect("is there").head.expect("has one");
    assert!(ids.contains(&head), "seed {seed}: the head is a message");
    assert_sound(client).await;
}

#[tokio::test(start_paused = true)]
async fn t7_each_reply_answers_its_own_question_whatever_two_tabs_do() {
    for seed in 0..SEEDS {
        let mut rng = fastrand::Rng::with_seed(seed);
        let world = World::new(replies());
        let tabs = [world.start().await, world.start().await];
        let mut turns = vec![send(&tabs[0], TurnRequest::text("question 0")).await];
        for number in 1..=MOVES {
            let tab = &tabs[rng.usize(..2)];
            make_a_move(&mut rng, tab, number, &mut turns).await;
        }
        for turn in &turns {
            end_of(turn).await;
        }
        check(&world, &tabs[0], &turns, seed).await;
    }
}
