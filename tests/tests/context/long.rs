//! 500 turns in a window of 8,192 tokens: nothing fails, nothing that was noted is forgotten, and a
//! fork goes on from the summaries of what it copied.

use chat_runtime::TurnRequest;
use chat_runtime::thread::ForkMode;

use crate::scene::{LADDER, Scene, conversation, copies_facts, filler, policy, summary_steps};

const TURNS: usize = 500;
const FACT_TURN: usize = 3;
const FORK_TURN: usize = 250;
const FACT: &str = "FACT: the harbour master's cat is called Ouzo.";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fact_of_turn_3_is_in_the_prompt_of_turn_500_and_a_fork_reuses_its_summary() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::open(&folder.path().join("chat.db"), policy(LADDER), 60, copies_facts).await;
    let talk = conversation("talk");
    let mut at_fork = None;
    let mut summaries = 0;
    for turn in 1..=TURNS {
        let text = match turn {
            FACT_TURN => format!("{FACT}\n{}", filler(turn, 120)),
            _ => filler(turn, 120),
        };
        let outcome = scene.say(&talk, &text).await;
        summaries += summary_steps(&scene.record(&outcome).await);
        if turn == FORK_TURN {
            at_fork = outcome.message.map(|message| message.id);
        }
    }
    assert!(scene.last_prompt().contains(FACT), "forgotten:\n{}", scene.last_prompt());
    assert!(summaries >= 5, "only {summaries} summaries were made");
    println!("{TURNS} turns, {summaries} summaries, each by a step of its own");

    let notes_before = scene.notes.calls().len();
    let copy = scene
        .client
        .fork(&scene.scope, &talk, &at_fork.unwrap(), ForkMode::DirectPath)
        .await
        .unwrap();
    let request = TurnRequest::text("And on we go.").in_conversation(copy.id.clone());
    let outcome = scene.send(request).await;
    let record = scene.record(&outcome).await;
    assert!(scene.last_prompt().contains(FACT), "the fork forgot");
    assert!(scene.last_prompt().contains("Summary of the conversation so far"));
    assert_eq!(summary_steps(&record), 0, "the copied summary still stands");
    assert_eq!(scene.notes.calls().len(), notes_before, "no model was asked for another");
    scene.client.drain().await;
}
