//! An archive goes from one engine to the next and comes out the same, byte for byte.

use serde_json::Value;

use crate::database::Database;
use crate::peer::{Peer, uuid};
use crate::program::Program;

/// What the header of the last line says, as the import's report does.
fn counts(archive: &str) -> Value {
    let end: Value = serde_json::from_str(archive.lines().last().unwrap()).unwrap();
    end["end"].clone()
}

/// The archive is imported where nothing is, twice, and exported again.
fn goes_through(archive: &str, there: &Program) -> String {
    let report = there.import(archive);
    assert_eq!((&report["lines"], &report["conversations_there"]), (&counts(archive), &0.into()));
    let exported = there.export();
    there.import(archive);
    assert_eq!(there.export(), exported, "again, nothing is changed");
    let counted = there.audit();
    assert_eq!(counted["usage_rows"], counts(archive)["usage_rows"]);
    exported
}

/// Fails with the first line that differs, not with two files.
fn same(left: &str, right: &str, between: &str) {
    for (left, right) in left.lines().zip(right.lines()) {
        assert_eq!(left, right, "{between}");
    }
    assert_eq!(left.len(), right.len(), "{between}: one has more lines");
}

#[test]
fn sqlite_to_postgres_to_mongo_is_the_same_byte_for_byte() {
    // Turns with branches, a fork, a stopped branch, grants and a second user.
    let file = Program::that_talks(None);
    file.ok(&["send", "--temperature", "0.5", "--instructions", "Be brief.", "first \"ünï\" 👩‍👩‍👧"]);
    let listed = file.ok(&["list", "--json"]).json();
    let id = listed[0]["id"].as_str().unwrap();
    let head = listed[0]["head"].as_str().unwrap();
    file.ok(&["send", "-c", id, "second"]);
    file.ok(&["send", "-c", id, "--parent", head, "another\nsecond\u{2028}"]);
    file.ok(&["fork", id, "--at", head]);
    file.ok(&["balance", "grant", "5.00", "--key", "may"]);
    file.ok(&["--user", "eve", "send", "eve's own"]);
    // And what came from LibreChat.
    let peer = Peer::new();
    file.ok(&["import", "librechat", "--from", peer.url(), "--to", &file.file_url()]);
    file.ok(&["--user", &peer.user, "send", "-c", &peer.chat, "--parent", &uuid(13), "Really?"]);
    file.audit();
    let first = file.export();
    assert!(first.lines().count() > 30, "{first}");

    let (postgres, mongo) = (Database::postgres(), Database::mongo());
    let there = Program::on(&postgres.url);
    let second = goes_through(&first, &there);
    same(&first, &second, "a file and PostgreSQL");
    let there = Program::on(&mongo.url);
    let third = goes_through(&second, &there);
    same(&second, &third, "PostgreSQL and MongoDB");
    let there = Program::on_a_file();
    let fourth = goes_through(&third, &there);
    same(&third, &fourth, "MongoDB and a file");
    assert_eq!(first, fourth);
}

#[test]
fn a_librechat_database_that_went_on_is_exported_whole() {
    let peer = Peer::new();
    let here = Program::that_talks(Some(peer.url()));
    here.ok(&["send", "-c", &peer.chat, "Is it a tom?"]);
    here.ok(&["send", "-c", &peer.old, "Is it you?"]);
    here.ok(&["send", "Good morning"]);
    let first = here.export();
    let there = Program::on_a_file();
    let second = goes_through(&first, &there);
    same(&first, &second, "LibreChat's database and a file");
    for conversation in [&peer.chat, &peer.short, &peer.old] {
        let drawn = there.ok(&["--user", &peer.user, "tree", conversation]).stdout;
        assert_eq!(drawn, here.ok(&["tree", conversation]).stdout);
    }
    let used = |chat: &Program| chat.ok(&["--user", &peer.user, "usage", "--json"]).stdout;
    assert_eq!(used(&there), used(&here));
}
