//! What is exported is imported whole, once, or not at all.

use std::path::Path;

use crate::support::{Home, Outcome, bytes_of, json_lines};

/// Two conversations with a branch, a grant, and what they cost.
fn busy_home() -> Home {
    let home = Home::new();
    home.ok(&["send", "first"]);
    let id = home.conversation();
    let tree = home.json(&["tree", &id, "--json"]);
    let reply = tree[0]["messages"][1]["id"].as_str().unwrap().to_owned();
    home.ok(&["send", "-c", &id, "second"]);
    home.ok(&["send", "-c", &id, "--parent", &reply, "another \"second\"\u{2028}ünïcode 👩‍👩‍👧"]);
    home.ok(&["--user", "eve", "send", "eve's own"]);
    home.ok(&["balance", "grant", "5.00", "--key", "may"]);
    home
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn report(outcome: &Outcome) -> serde_json::Value {
    assert_eq!(outcome.code, 0, "{outcome:?}");
    json_lines(&outcome.stdout).pop().unwrap()
}

#[test]
fn an_export_is_imported_and_exported_again_byte_for_byte() {
    let (here, there) = (busy_home(), Home::new());
    let (first, second) = (here.path("first.jsonl"), there.path("second.jsonl"));
    let exported = report(&here.run(&["export", "--all", "--out", &text(&first), "--json"]));
    assert_eq!(
        [&exported["lines"]["conversations"], &exported["lines"]["messages"]].map(|n| n.as_u64()),
        [Some(2), Some(8)],
        "{exported}"
    );
    let imported = report(&there.run(&["import", &text(&first), "--json"]));
    assert_eq!(imported["lines"], exported["lines"], "{imported}");
    assert_eq!(imported["conversations_there"], 0, "{imported}");
    there.ok(&["export", "--all", "--out", &text(&second)]);
    assert_eq!(bytes_of(&first), bytes_of(&second));

    // And what a user sees is the same.
    let id = there.conversation();
    assert_eq!(there.ok(&["tree", &id]), here.ok(&["tree", &id]));
    assert_eq!(there.ok(&["usage", "--json"]), here.ok(&["usage", "--json"]));
    assert_eq!(there.ok(&["balance", "--json"]), here.ok(&["balance", "--json"]));
    assert_eq!(there.ok(&["audit", "--json"]), here.ok(&["audit", "--json"]));
    assert_eq!(there.json(&["--user", "eve", "list", "--json"]).len(), 1);
    there.ok(&["send", "-c", &id, "third"]);
}

#[test]
fn an_import_again_adds_nothing() {
    let (here, there) = (busy_home(), Home::new());
    let archive = here.ok(&["export", "--all"]);
    for _ in 0..2 {
        let imported = there.run_with_input(&["import", "-"], archive.as_bytes());
        assert_eq!(imported.code, 0, "{imported:?}");
    }
    assert_eq!(there.ok(&["export", "--all"]), archive);
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let (here, there) = (busy_home(), Home::new());
    let archive = here.ok(&["export", "--all"]);
    let dry = there.run_with_input(&["import", "-", "--dry-run", "--json"], archive.as_bytes());
    assert_eq!(report(&dry)["lines"]["messages"], 8, "{dry:?}");
    assert!(there.json(&["list", "--json"]).is_empty());
    let without = ["import", "-", "--without-ledger", "--json"];
    let without = report(&there.run_with_input(&without, archive.as_bytes()));
    assert!(without["ledger_left_out"].as_u64() > Some(0), "{without}");
    assert_eq!(there.json(&["list", "--json"]).len(), 1);
    let balance = there.run(&["balance", "--json"]);
    assert!(!balance.stdout.contains("5000000000"), "{balance:?}");
}

#[test]
fn without_all_one_user_is_exported() {
    let home = busy_home();
    let archive = home.ok(&["--user", "eve", "export"]);
    assert!(archive.contains("eve's own") && !archive.contains("first"), "{archive}");
    home.run(&["--user", "eve", "export", "--all"]).is_failure(2, "conflicting_flags");
}

#[test]
fn an_archive_that_was_cut_or_is_none_is_refused() {
    let archive = busy_home().ok(&["export", "--all"]);
    let lines: Vec<&str> = archive.lines().collect();
    let without_end = lines[..lines.len() - 1].join("\n") + "\n";
    let in_a_line = &archive[..archive.len() / 2];
    let newer = archive.replacen("\"version\":4", "\"version\":999", 1);
    assert_ne!(newer, archive);
    for (bytes, code) in [
        (without_end.as_bytes(), "archive_truncated"),
        (in_a_line.as_bytes(), "archive_truncated"),
        (newer.as_bytes(), "archive_version"),
        (b"hello\n".as_slice(), "not_an_archive"),
        (b"".as_slice(), "archive_truncated"),
    ] {
        let home = Home::new();
        home.run_with_input(&["import", "-"], bytes).is_failure(7, code);
    }
    let home = Home::new();
    home.run(&["import", "/nowhere/at all"]).is_failure(2, "file_unreadable");
    assert!(!home.database().exists());
    home.run(&["export", "--out", "/nowhere/at all"]).is_failure(2, "file_unwritable");
}

#[test]
fn a_failed_export_leaves_the_file_that_was_there() {
    let home = Home::new();
    let file = home.path("kept.jsonl");
    std::fs::write(&file, "precious").unwrap();
    let newer = home.run(&["--store", "sqlite:/nowhere/chat.db", "export", "-o", &text(&file)]);
    assert_eq!(newer.code, 0, "an absent database is an empty one: {newer:?}");
    std::fs::write(&file, "precious").unwrap();
    std::fs::create_dir_all(home.database().parent().unwrap()).unwrap();
    std::fs::write(home.database(), b"no database").unwrap();
    home.run(&["export", "-o", &text(&file)]).is_failure(6, "store_corrupt");
    assert_eq!(bytes_of(&file), b"precious");
    let left: Vec<_> = std::fs::read_dir(home.path("")).unwrap().collect();
    assert!(left.len() <= 2, "no half-written file is left: {left:?}");
}
