//! Somebody changes an amount behind the program's back: the audit names the row.

use crate::scene::{Scene, told};
use crate::victim::Sending;

fn scene_with_a_turn() -> Scene {
    let scene = Scene::of_the_living();
    for key in ["one", "two", "three"] {
        let sent = Sending::start(&scene, key, "fake:chunks-12", "hello").finish();
        assert!(sent.status.success(), "{}", sent.stderr);
    }
    scene.audit();
    scene
}

fn audit_names(scene: &Scene, row: &str) {
    let output = scene.home.run(["audit"]).unwrap();
    assert!(!output.status.success(), "{}", told(&output));
    let said = told(&output);
    assert!(said.contains(row), "{row} is not in: {said}");
    println!("{}", said.trim());
}

#[test]
fn a_tampered_entry_is_named_by_the_audit() {
    let scene = scene_with_a_turn();
    let books = scene.journal.books(&[]);
    let entry = books.entries.last().unwrap();
    let reference = entry.reference.clone();
    scene.tamper(&format!(
        "DROP TRIGGER entries_are_never_changed;\
             UPDATE entries SET amount = amount + 1 WHERE reference = '{reference}';"
    ));
    // An entry and its hold leg share ACCOUNT/TURN/STEP; which of the two is wrong nobody can know.
    let (leg, _attempt) = reference.rsplit_once('/').unwrap();
    audit_names(&scene, leg);
}

#[test]
fn a_tampered_usage_row_is_named_by_the_audit() {
    let scene = scene_with_a_turn();
    let books = scene.journal.books(&[]);
    let row = books.usage.last().unwrap();
    let turn = row.key.step.turn.as_str();
    scene.tamper(&format!("UPDATE usage SET amount = amount - 1 WHERE turn = '{turn}';"));
    audit_names(&scene, &format!("{turn}/1/1"));
}
