//! Two processes, one store: one key is one turn.

use std::collections::BTreeSet;
use std::time::Duration;

use chat_tests::on_every_engine;
use chat_tests::scene::{Engine, Scene, SceneOptions, Worker};
use serde_json::Value;

/// Nobody dies here: two processes of 32 sends each on a busy machine may not be heard for seconds.
const LEASE_MS: u64 = 60_000;

/// All sends of a test are decided long before.
const PATIENCE: Duration = Duration::from_secs(60);

fn of<'a>(answers: &'a [Value], key: &str) -> BTreeSet<&'a str> {
    answers.iter().filter_map(|answer| answer.get(key)?.as_str()).collect()
}

on_every_engine! {
    one_key_in_two_processes_is_one_call_and_one_reply,
}

fn one_key_in_two_processes_is_one_call_and_one_reply(engine: Engine) {
    let scene = Scene::with(engine, &SceneOptions::of_the_living().with_lease_ms(LEASE_MS));
    let model = "openai/fake:chunks-40:delay_ms-5";
    let arguments = ["ada", "32", model, "100", "hello", "the-key"];
    let mut workers = [0, 1].map(|_| Worker::start(&scene.home.config(), &arguments));
    for worker in &mut workers {
        worker.go();
    }
    let answers: Vec<Value> = workers
        .iter()
        .flat_map(|worker| (0..32).map(|_| worker.lines.recv_timeout(PATIENCE).unwrap()))
        .collect();
    let attached = answers.iter().filter(|answer| answer["attached"] == Value::Bool(true)).count();
    println!("{} sends, {attached} attached to another's turn", answers.len());
    assert_eq!((answers.len(), attached), (64, 63));
    assert_eq!(of(&answers, "outcome"), BTreeSet::from(["completed"]), "{answers:?}");
    assert_eq!(of(&answers, "turn").len(), 1, "{answers:?}");
    assert_eq!(of(&answers, "reply").len(), 1, "{answers:?}");
    assert_eq!(of(&answers, "text").len(), 1, "{answers:?}");
    let charged = scene.provider.ledger().unwrap();
    assert_eq!(charged.totals.requests, 1);
    // Orderly ends: nothing is left to recover.
    for worker in &mut workers {
        assert!(worker.child.wait().unwrap().success());
    }
    let books = scene.journal.books();
    assert_eq!(books.turns.len(), 1);
    let messages: Vec<usize> = books.messages.values().map(Vec::len).collect();
    assert_eq!(messages, [2]);
    assert_eq!(books.usage.len(), 1);
    scene.audit();
}
