//! The embedded model: no account, no key, no server, nothing configured.

use chat_tests::ChatHome;
use chat_types::{EventKind, TurnState};
use serde_json::Value;

use crate::peer::{told, weights};
use crate::watched::{Watched, distinct};

const QUESTION: &str = "What is the capital of France? Answer in one sentence.";

#[test]
fn a_stranger_is_answered_by_the_embedded_model() {
    weights();
    let folder = tempfile::tempdir().unwrap();
    let home = ChatHome::fresh(folder.path()).unwrap();

    let first = Watched::run(home.command(["send", QUESTION]));
    first.assert_ok();
    let answer = first.stdout();
    println!("{} pieces: {answer:?}\n{}", first.pieces.len(), first.stderr);
    assert!(answer.trim().len() > 3, "{answer:?}");
    assert!(first.pieces.len() >= 5, "the answer came in one piece");
    assert!(first.stderr.contains("tokens"), "no status: {}", first.stderr);

    let second = Watched::run(home.command(["send", "--json", QUESTION]));
    second.assert_ok();
    let times = second.delta_times();
    println!("{} deltas at {} times", times.len(), distinct(&times));
    assert!(distinct(&times) >= 5, "{times:?}");
    let events = second.events();
    let (_, last) = events.last().unwrap();
    let EventKind::Ended { outcome, usage, .. } = &last.event else { panic!("{last:?} is no end") };
    assert_eq!(*outcome, TurnState::Completed);
    assert!(usage.input_total().get() > 0 && usage.output_total().get() >= 5);
    let (_, accepted) = events.first().unwrap();
    let EventKind::Accepted { conversation, .. } = &accepted.event else {
        panic!("{accepted:?} is no acceptance")
    };

    let list = home.run(["list"]).unwrap();
    assert!(list.status.success(), "{}", told(&list));
    let list = String::from_utf8(list.stdout).unwrap();
    assert_eq!(list.matches("What is the capital of France?").count(), 2, "{list}");
    let tree = home.run(["tree", conversation.as_str()]).unwrap();
    assert!(tree.status.success(), "{}", told(&tree));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let start = answer.trim().chars().take(12).collect::<String>();
    assert!(tree.contains("What is the capital of France?"), "{tree}");
    // The same question is answered alike: decoding is greedy unless something else is asked.
    assert!(tree.contains(&start), "{start:?} is not in {tree}");

    let usage = home.run(["--json", "usage"]).unwrap();
    assert!(usage.status.success(), "{}", told(&usage));
    let _: Vec<Value> = String::from_utf8(usage.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let audit = home.run(["audit"]).unwrap();
    assert!(audit.status.success(), "{}", told(&audit));
}
