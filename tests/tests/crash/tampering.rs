//! Somebody changes an amount behind the program's back: the audit names the row.

use chat_tests::on_every_engine;
use chat_tests::scene::{Engine, Scene, Sending, Tampered, told};

fn scene_with_a_turn(engine: Engine) -> Scene {
    let scene = Scene::of_the_living(engine);
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

on_every_engine! {
    a_tampered_entry_is_named_by_the_audit,
    a_tampered_usage_row_is_named_by_the_audit,
}

fn a_tampered_entry_is_named_by_the_audit(engine: Engine) {
    let scene = scene_with_a_turn(engine);
    let books = scene.journal.books();
    let entry = books.entries.last().unwrap();
    let reference = entry.reference.clone();
    scene.database.tamper(Tampered::Entry(&reference));
    // An entry and its hold leg share ACCOUNT/TURN/STEP; which of the two is wrong nobody can know.
    let (leg, _attempt) = reference.rsplit_once('/').unwrap();
    audit_names(&scene, leg);
}

fn a_tampered_usage_row_is_named_by_the_audit(engine: Engine) {
    let scene = scene_with_a_turn(engine);
    let books = scene.journal.books();
    let row = books.usage.last().unwrap();
    let turn = row.key.step.turn.as_str();
    scene.database.tamper(Tampered::Usage(turn));
    audit_names(&scene, &format!("{turn}/1/1"));
}
