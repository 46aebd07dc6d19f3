//! Two processes, one store: one key is one turn, and a balance is spent once.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use chat_types::{EventKind, Money};
use serde_json::Value;

use crate::engine::{Engine, on_every_engine};
use crate::scene::Scene;
use crate::victim::{Sending, Sign};

/// All sends of a test are decided long before.
const PATIENCE: Duration = Duration::from_secs(60);

/// The least output worth a call: a hold of this cap is taken whole or not at all.
const CAP_LEAST: &str = "16";

/// A worker whose runtime is open and who waits for the word.
struct Worker {
    child: Child,
    lines: Receiver<Value>,
}

impl Worker {
    fn start(config: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_turn-worker"))
            .arg(config)
            .args(arguments)
            .env("OPENAI_API_KEY", "test-key")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = stdout.next().map(Result::unwrap);
        assert_eq!(ready.as_deref(), Some("ready"));
        let (tell, lines) = sync_channel(1_000);
        std::thread::spawn(move || {
            for line in stdout.map_while(Result::ok) {
                if tell.send(serde_json::from_str(&line).unwrap()).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    fn go(&mut self) {
        self.child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn of<'a>(answers: &'a [Value], key: &str) -> BTreeSet<&'a str> {
    answers.iter().filter_map(|answer| answer.get(key)?.as_str()).collect()
}

on_every_engine! {
    one_key_in_two_processes_is_one_call_and_one_reply,
    a_balance_of_ten_holds_pays_ten_of_256_calls,
}

fn one_key_in_two_processes_is_one_call_and_one_reply(engine: Engine) {
    let scene = Scene::of_the_living(engine);
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
    assert_eq!(of(&answers, "outcome"), BTreeSet::from(["completed"]));
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

fn a_balance_of_ten_holds_pays_ten_of_256_calls(engine: Engine) {
    const MODEL: &str = "fake:stall_after-0";
    const HOLDS: i64 = 10;
    let one = hold_of_one(engine, MODEL);
    let opening = Money::from_nano_usd(one.nano_usd() * HOLDS);
    let scene = Scene::with_balance(engine, opening);
    let model = format!("openai/{MODEL}");
    let arguments = ["ada", "128", &model, CAP_LEAST, "hello"];
    let mut workers = [0, 1].map(|_| Worker::start(&scene.home.config(), &arguments));
    for worker in &mut workers {
        worker.go();
    }
    // The ten that are paid for wait for the provider, so that nothing is given back meanwhile.
    let mut refused = Vec::new();
    let give_up = std::time::Instant::now() + PATIENCE;
    while refused.len() < 246 {
        for worker in &workers {
            refused.extend(worker.lines.recv_timeout(Duration::from_millis(20)));
        }
        assert!(std::time::Instant::now() < give_up, "{} refused", refused.len());
    }
    assert_eq!(of(&refused, "outcome"), BTreeSet::from(["rejected"]));
    assert_eq!(of(&refused, "failure"), BTreeSet::from(["insufficient_funds"]));
    let calls = |books: &chat_tests::fake_provider::LedgerSummary| books.totals.requests == 10;
    scene.provider.wait_until(PATIENCE, calls).unwrap();
    println!("{} refused, 10 calls, one hold is {one}", refused.len());
    let books = scene.journal.books();
    assert_eq!(books.accounts.len(), 1);
    assert_eq!(books.accounts[0].held, opening);
    assert_eq!(books.accounts[0].available(), Ok(Money::ZERO));
    drop(workers);
    scene.recover();
    let charged = scene.provider.ledger().unwrap();
    assert_eq!(charged.totals.requests, 10);
    let books = scene.journal.books();
    assert_eq!(books.usage.len(), 10);
    assert_eq!(books.accounts[0].held, Money::ZERO);
    assert!(books.accounts[0].posted <= opening);
    scene.audit();
}

/// What a call of this model holds: told by one that is paid for by somebody else.
fn hold_of_one(engine: Engine, model: &str) -> Money {
    let scene = Scene::new(engine);
    let cap = ["--max-tokens", CAP_LEAST];
    let mut sending = Sending::start_with(&scene, "probe", model, "hello", &cap);
    assert!(sending.wait_for(Sign::Attempt));
    let told = sending.kill();
    let held = told.events.iter().find_map(|event| match &event.event {
        EventKind::Held { amount, .. } => Some(*amount),
        _ => None,
    });
    held.unwrap()
}
