//! Ctrl-C and SIGTERM: what was said is kept.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::support::{Home, Outcome, json_lines};

/// A home whose answers take a while, and how many words are far too many to wait for.
fn slow_home() -> (Home, String) {
    let home = Home::new();
    home.configure(
        "[providers.example]\nkind = \"example\"\ndelay_ms = 40\n[turns]\ndrain_ms = 200\n",
    );
    (home, "word ".repeat(1_000))
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Starts a send and returns once a few words were shown.
fn started(home: &Home, text: &str) -> Child {
    let mut child = home.command(&["send", "--json", text]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut deltas = 0;
    while deltas < 4 {
        let line = lines.next().unwrap().unwrap();
        deltas += usize::from(line.contains("text_delta"));
    }
    // The rest goes nowhere: a reader that went away.
    child
}

fn kept(home: &Home) -> String {
    let tree = home.json(&["tree", &home.conversation(), "--json"]);
    let reply = &tree[0]["messages"][1];
    assert_eq!(reply["status"], "partial", "{reply}");
    let text = reply["parts"][0]["text"].as_str().unwrap().to_owned();
    let whole = format!("You said: {}", "word ".repeat(1_000));
    assert!(text.starts_with("You said: word") && whole.starts_with(&text), "{text}");
    assert!(text.len() < whole.len() / 2);
    text
}

#[test]
fn ctrl_c_stops_the_turn_and_keeps_what_was_said() {
    let (home, text) = slow_home();
    let child = started(&home, &text);
    signal(&child, "-INT");
    let outcome = Outcome::of(child);
    assert_eq!(outcome.code, 130, "{outcome:?}");
    kept(&home);
    home.ok(&["audit"]);
    let usage = home.json(&["usage", "--json"]);
    assert_eq!(usage.len(), 1, "what was said is metered");
}

#[test]
fn sigterm_ends_the_turn_in_order() {
    let (home, text) = slow_home();
    let child = started(&home, &text);
    signal(&child, "-TERM");
    let outcome = Outcome::of(child);
    assert_eq!(outcome.code, 143, "{outcome:?}");
    kept(&home);
    home.ok(&["audit"]);
}

#[test]
fn a_turn_is_stopped_from_another_process() {
    let (home, text) = slow_home();
    let mut child = home.command(&["send", "--json", &text]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = json_lines(&lines.next().unwrap().unwrap());
    let turn = first[0]["turn"].as_str().unwrap().to_owned();
    while !lines.next().unwrap().unwrap().contains("text_delta") {}
    home.ok(&["stop", &turn]);
    let last = lines.map(Result::unwrap).last().unwrap();
    assert_eq!(json_lines(&last)[0]["event"]["outcome"], "aborted");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(home.ok(&["stop", &turn]).contains("ended already: aborted"));
}

/// Holds the write lock of a database until its stdin ends.
const HOLDER: &str = r#"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"#;

#[test]
fn a_locked_database_can_be_read_at_once_and_a_waiting_message_be_given_up() {
    let home = Home::new();
    home.ok(&["send", "hello"]);
    let mut holder = Command::new("python3")
        .args(["-c", HOLDER])
        .arg(home.database())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    let mut held = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut held).unwrap();
    assert_eq!(held, "held\n");

    let before = Instant::now();
    home.ok(&["show", &home.conversation()]);
    assert!(before.elapsed().as_secs() < 4, "{:?}", before.elapsed());

    let mut waiting = home.command(&["send", "again"]).spawn().unwrap();
    let mut said = String::new();
    let mut stderr = BufReader::new(waiting.stderr.take().unwrap());
    stderr.read_line(&mut said).unwrap();
    assert_eq!(said, "waiting for the database\n");
    signal(&waiting, "-INT");
    assert_eq!(waiting.wait().unwrap().code(), Some(130));

    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    home.ok(&["send", "and on it goes"]);
    home.ok(&["audit"]);
}
