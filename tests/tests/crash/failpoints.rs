//! Processes that end themselves right before or right after every durable call of a turn and of recovery:
//! each point is reached, on each engine, and the verdict is the same as after a kill from outside.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use chat_tests::on_every_engine;
use chat_tests::scene::{Engine, LEASE_MS, Scene, Sending, Told, is_full};

use crate::kills::Victim;
use crate::verdict::judge;

/// Processes that run at a time: more than cores, so that they get in each other's way.
const LANES: usize = 3;

/// A short turn, without a checkpoint of its own.
const SHORT: &str = "fake:chunks-12";
/// A turn of a second: checkpoints, a heartbeat in its middle, a sweep.
const LONG: &str = "fake:chunks-200:delay_ms-5";
/// The first attempt is refused, the second answers.
const RETRIED: &str = "fake:chunks-12:error_once";
/// The first attempt may have been charged, the second answers.
const DOUBTFUL: &str = "fake:chunks-12:cut_after-0:fail_times-1";
/// No attempt is answered, nothing is charged.
const REFUSED: &str = "fake:status-400";

/// One place of a turn: the model that leads there, the call, its number, and how often the provider may
/// have been called by then.
struct Place(&'static str, &'static str, usize);

const IN_A_TURN: &[Place] = &[
    Place(SHORT, "heartbeat:1", 1),
    Place(SHORT, "accept:1", 1),
    Place(SHORT, "hold:1", 1),
    Place(SHORT, "open_account:1", 1),
    Place(SHORT, "hold:2", 1),
    Place(SHORT, "open_step:1", 1),
    Place(LONG, "checkpoint:1", 1),
    Place(LONG, "checkpoint:2", 1),
    Place(LONG, "heartbeat:2", 1),
    Place(LONG, "sweep:1", 1),
    Place(SHORT, "close_turn:1", 1),
    Place(SHORT, "settle:1", 1),
    Place(SHORT, "record_usage:1", 1),
    Place(SHORT, "keep_token_counts:1", 1),
    Place(SHORT, "mark_settled:1", 1),
    Place(SHORT, "retire:1", 1),
    Place(RETRIED, "dispatch:1", 2),
    Place(RETRIED, "close_turn:1", 2),
    Place(DOUBTFUL, "extend:1", 2),
    Place(REFUSED, "close_turn:1", 1),
    Place(REFUSED, "release:1", 1),
];

/// Calls of the process that finds a dead one's turn.
const IN_RECOVERY: &[&str] =
    &["heartbeat:1", "take_over:1", "close_turn:1", "settle:1", "record_usage:1", "mark_settled:1"];

/// Processes sent until one reaches its point: on a busy machine one may be taken for dead before.
const TRIES_MAX: usize = 5;

/// Calls of recovery per store.
const RECOVERY_SHARE: usize = 2;

const MOMENTS: [&str; 2] = ["before", "after"];

on_every_engine! {
    an_end_at_any_durable_call_loses_nothing_and_bills_nothing_twice,
}

fn an_end_at_any_durable_call_loses_nothing_and_bills_nothing_twice(engine: Engine) {
    let each = if is_full() { 10 } else { 1 };
    let reached = Mutex::new(BTreeMap::new());
    // Recovery is mostly waiting for leases: its points are shared out over stores of their own.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let scene = Scene::new(engine);
            let victims = in_turns(&scene, each);
            judge_ends(&scene, victims, &reached);
        });
        for points in IN_RECOVERY.chunks(RECOVERY_SHARE) {
            let reached = &reached;
            scope.spawn(move || {
                let scene = Scene::new(engine);
                let victims = in_recovery(&scene, points, each);
                judge_ends(&scene, victims, reached);
            });
        }
    });
    let reached = reached.into_inner().unwrap();
    let all = reached.values().sum::<usize>();
    println!("{engine:?}: {all} ends at {} failpoints:", reached.len());
    for (point, times) in &reached {
        println!("  {times:3} {point}");
    }
    let missed: Vec<_> = reached.iter().filter(|(_, times)| **times < each).collect();
    assert!(missed.is_empty(), "not reached as often as asked: {missed:?}");
}

/// Counts who ended where, then judges what recovery makes of it.
fn judge_ends(
    scene: &Scene,
    ends: Vec<(String, Victim)>,
    reached: &Mutex<BTreeMap<String, usize>>,
) {
    let mut victims = Vec::new();
    for (point, victim) in ends {
        let mut reached = reached.lock().unwrap();
        *reached.entry(point).or_default() += usize::from(victim.told.was_at_its_failpoint());
        victims.push(victim);
    }
    scene.recover();
    let books = scene.journal.books();
    let charged = scene.provider.ledger().unwrap();
    let captured = scene.provider.captured().unwrap();
    judge(&victims, &books, &charged, &captured).assert();
    println!("{}", scene.audit());

    // Recovery is redo: another one finds nothing to change.
    scene.recover();
    assert_eq!(scene.journal.books(), books);
}

fn in_turns(scene: &Scene, each: usize) -> Vec<(String, Victim)> {
    let mut todo = Vec::new();
    for number in 0..each {
        for place in IN_A_TURN {
            todo.extend(MOMENTS.map(|moment| (place, moment, number)));
        }
    }
    let todo = Mutex::new(todo.into_iter());
    let victims = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                loop {
                    let next = todo.lock().unwrap().next();
                    let Some((Place(model, call, calls_max), moment, number)) = next else {
                        return;
                    };
                    let point = format!("{moment}:{call}");
                    for again in 0..TRIES_MAX {
                        let key = name(&format!("{number} {again} {model} {point}"));
                        let told = send(scene, &key, model, &point).finish();
                        let was_there = told.was_at_its_failpoint();
                        let seen = scene.journal.find(&key);
                        let victim = Victim { key, calls_max: *calls_max, told, seen, hit: None };
                        victims.lock().unwrap().push((format!("{model} {point}"), victim));
                        if was_there {
                            break;
                        }
                    }
                }
            });
        }
    });
    victims.into_inner().unwrap()
}

/// One process dies in its turn; the next one dies at its recovery, the third puts it right.
fn in_recovery(scene: &Scene, calls: &[&str], each: usize) -> Vec<(String, Victim)> {
    let mut victims = Vec::new();
    for number in 0..each {
        for point in calls.iter().flat_map(|call| MOMENTS.map(|moment| format!("{moment}:{call}")))
        {
            let (key, first) = dead_in_its_turn(scene, &format!("{number} recovered {point}"));
            let seen = scene.journal.find(&key);
            std::thread::sleep(std::time::Duration::from_millis(LEASE_MS + 50));
            // It dies before it has sent anything: nothing but the first one's turn is judged.
            let second = send(scene, "never-sent", SHORT, &point).finish();
            let told = Told { status: second.status, ..first };
            let victim = Victim { key, calls_max: 1, told, seen, hit: None };
            victims.push((format!("recovery {point}"), victim));
            // What the second left behind is put right before the next pair.
            std::thread::sleep(std::time::Duration::from_millis(LEASE_MS + 50));
            scene.chat(&["recover"]);
        }
    }
    victims
}

/// A process that died with some text in its turn's log. On a busy machine one may be taken for dead
/// before it gets there; then another one is sent.
fn dead_in_its_turn(scene: &Scene, text: &str) -> (String, Told) {
    for number in 0..TRIES_MAX {
        let key = name(&format!("{number} {text}"));
        let told = send(scene, &key, LONG, "after:checkpoint:1").finish();
        if told.was_at_its_failpoint() {
            return (key, told);
        }
    }
    panic!("{TRIES_MAX} processes for {text} were taken for dead before they had said anything");
}

/// A key of this text: each a user's name too, so that every turn opens an account.
fn name(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

fn send(scene: &Scene, key: &str, model: &str, point: &str) -> Sending {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turn-worker"));
    command
        .arg(scene.home.config())
        .args([key, "1", &format!("openai/{model}"), "1000", &format!("{key} says hello"), key])
        .env("OPENAI_API_KEY", "test-key")
        .env("CHAT_TEST_FAILPOINT", point)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Sending::spawn(command)
}
