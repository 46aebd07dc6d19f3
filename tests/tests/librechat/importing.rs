//! `chat import librechat`: what a LibreChat database holds, in another store, once.

use serde_json::{Value, json};

use crate::database::Database;
use crate::peer::{Peer, uuid};
use crate::program::{Program, Said, each};

/// Runs the import; returns its report.
fn import(chat: &Program, peer: &Peer, to: &str, more: &[&str]) -> Value {
    chat.ok(&arguments(peer, to, more)).json().remove(0)
}

fn arguments<'a>(peer: &'a Peer, to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["import", "librechat", "--from", peer.url(), "--to", to, "--json"];
    arguments.extend(more);
    arguments
}

fn lines(conversations: u64, messages: u64, openings: u64) -> Value {
    json!({
        "conversations": conversations, "messages": messages, "files": 1, "turns": 0, "accounts": 0,
        "openings": openings, "holds": 0, "entries": 0, "usage_rows": 2,
    })
}

/// Everything of the peer's only user is in the store of `there`.
fn is_carried_over(peer: &Peer, there: &Program, to: &str) {
    let report = import(there, peer, to, &[]);
    assert_eq!(report["lines"], lines(3, 8, 1), "{report}");
    assert_eq!(report["users"], json!([peer.user]));
    assert_eq!(report["librechat"]["orphans"], 1, "{report}");

    let as_the_user =
        |arguments: &[&str]| -> Said { there.ok(&[&["--user", &peer.user], arguments].concat()) };
    // Branches and texts: what is drawn and shown is the same as on LibreChat's own database.
    let here = Program::on(peer.url());
    for conversation in [&peer.chat, &peer.short, &peer.old] {
        let arguments = ["tree", conversation];
        assert_eq!(as_the_user(&arguments).stdout, here.ok(&arguments).stdout);
        let arguments = ["show", conversation];
        assert_eq!(as_the_user(&arguments).stdout, here.ok(&arguments).stdout);
    }
    let by_id = |said: Said| {
        let mut listed = said.json();
        listed.sort_by_key(|row| row["id"].as_str().map(str::to_owned));
        listed
    };
    let expected = by_id(here.ok(&["list", "--json"]));
    assert_eq!(by_id(as_the_user(&["list", "--json"])), expected, "settings and expiry too");

    let rows = as_the_user(&["usage", "--json"]).json();
    assert_eq!(each(&rows, "/source"), ["imported", "imported"]);
    assert_eq!(each(&rows, "/conversation"), [peer.chat.as_str(), &peer.chat]);
    assert_eq!(each(&rows, "/amount_nano_usd"), [250_000, 70_000], "gpt-4o at LibreChat's rates");
    assert_eq!(each(&rows, "/usage/input_uncached"), [100, 0]);
    assert_eq!(each(&rows, "/usage/output"), [0, 7]);

    // 19,680 credits of a millionth of a dollar.
    let balance = as_the_user(&["balance", "--json"]).json().remove(0);
    assert_eq!(balance["granted_nano_usd"], 19_680_000, "{balance}");
    assert_eq!(balance["available_nano_usd"], 19_680_000, "{balance}");
    let archive = there.export();
    let entry = archive.lines().find(|line| line.starts_with("{\"entry\"")).unwrap();
    assert!(entry.contains("\"kind\":\"grant\"") && entry.contains("/opening\""), "{entry}");
    let file = archive.lines().find(|line| line.starts_with("{\"file\"")).unwrap();
    let file: Value = serde_json::from_str(file).unwrap();
    let row = &file["file"]["row"];
    assert_eq!(
        ["id", "name", "media_type", "size_bytes"].map(|name| row[name].clone()),
        [json!(uuid(900)), json!("cat.png"), json!("image/png"), json!(1234)]
    );
    let counted = there.audit();
    assert_eq!((&counted["accounts"], &counted["usage_rows"]), (&json!(1), &json!(2)));

    let again = import(there, peer, to, &[]);
    assert_eq!(again["lines"], lines(3, 8, 1), "it is read again");
    assert_eq!(again["conversations_there"], 3, "{again}");
    assert_eq!(there.export(), archive, "and nothing is changed");
    there.audit();
}

#[test]
fn everything_is_carried_into_a_file_once() {
    let there = Program::on_a_file();
    is_carried_over(&Peer::new(), &there, &there.file_url());
}

#[test]
fn everything_is_carried_into_postgres_once() {
    let database = Database::postgres();
    is_carried_over(&Peer::new(), &Program::on(&database.url), &database.url);
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let peer = Peer::new();
    let there = Program::on_a_file();
    let report = import(&there, &peer, &there.file_url(), &["--dry-run"]);
    assert_eq!((&report["lines"], &report["dry_run"]), (&lines(3, 8, 1), &json!(true)));
    assert!(!there.has_file(), "not even an empty database");

    import(&there, &peer, &there.file_url(), &["--user", &peer.user]);
    peer.goes_on(&uuid(14), &uuid(11));
    let before = there.export();
    let report = import(&there, &peer, &there.file_url(), &["--dry-run"]);
    assert_eq!(report["lines"], lines(3, 9, 1), "{report}");
    assert_eq!(there.export(), before);
}

#[test]
fn what_is_left_out_is_named() {
    let peer = Peer::new();
    let bob = peer.gets_company();
    let there = Program::on_a_file();
    let url = there.file_url();
    let report = import(&there, &peer, &url, &[]);
    assert_eq!(report["lines"], lines(4, 9, 2), "{report}");
    let found: Vec<(String, u64)> = report["librechat"]
        .as_object()
        .unwrap()
        .iter()
        .filter_map(|(name, count)| Some((name.clone(), count.as_u64().filter(|n| *n > 0)?)))
        .collect();
    let expected = [
        ("balances_negative", 1),
        ("conversations_left_out", 1),
        ("credits_left_out", 1),
        ("orphans", 1),
    ];
    assert_eq!(found, expected.map(|(name, count)| (name.to_owned(), count)));

    let said = there.ok(&["import", "librechat", "--from", peer.url(), "--to", &url]).stderr;
    for sentence in [
        "1 conversations had no usable id or user and were left out",
        "1 transactions gave credit and were left out: the balance has it",
        "1 balances were below zero and open at zero",
        "1 messages had no parent there and became roots",
    ] {
        assert!(said.contains(sentence), "{sentence} is not in: {said}");
    }
    let balance = there.ok(&["--user", &bob, "balance", "--json"]).json().remove(0);
    assert_eq!((&balance["granted_nano_usd"], &balance["kind"]), (&json!(0), &json!("limited")));
    there.audit();

    // One of the two alone, and without his balance.
    let there = Program::on_a_file();
    let more = ["--user", &bob, "--without-ledger"];
    let report = import(&there, &peer, &there.file_url(), &more);
    assert_eq!((&report["lines"]["messages"], &report["users"]), (&json!(1), &json!([bob])));
    let archive = there.export();
    assert!(archive.contains("A dog") && !archive.contains("A cat"), "{archive}");
    assert!(!archive.contains("{\"account\""), "{archive}");
}

#[test]
fn what_librechat_wrote_since_is_added_and_an_edit_does_not_stop_it() {
    let peer = Peer::new();
    let there = Program::on_a_file();
    let url = there.file_url();
    import(&there, &peer, &url, &[]);
    peer.goes_on(&uuid(14), &uuid(13));
    let report = import(&there, &peer, &url, &[]);
    assert_eq!((&report["lines"], &report["conversations_there"]), (&lines(3, 9, 1), &json!(3)));
    assert_eq!(report["messages_kept"], 1, "the edited one is named: {report}");
    let tree = there.ok(&["--user", &peer.user, "tree", &peer.chat]).stdout;
    assert!(tree.contains("user 00000050  Said elsewhere."), "what is new is there: {tree}");
    assert!(tree.contains("reply 00000013  Grey."), "what was there stays as it is: {tree}");
    let archive = there.export();
    let said = there.ok(&["import", "librechat", "--from", peer.url(), "--to", &url]).stderr;
    assert!(said.contains("1 messages differ from those that are there, which stay"), "{said}");
    assert_eq!(there.export(), archive);
    there.audit();
}

#[test]
fn a_store_that_went_on_takes_what_is_new_as_well() {
    let peer = Peer::new();
    let there = Program::that_talks(None);
    let url = there.file_url();
    import(&there, &peer, &url, &[]);
    there.ok(&["--user", &peer.user, "send", "-c", &peer.chat, "Is it a tom?"]);
    peer.goes_on(&uuid(14), &uuid(11));
    let report = import(&there, &peer, &url, &[]);
    assert_eq!(report["lines"], lines(3, 9, 1), "{report}");
    let tree = there.ok(&["--user", &peer.user, "tree", &peer.chat]).stdout;
    assert!(tree.contains("Said elsewhere.") && tree.contains("* user"), "{tree}");
    assert!(tree.lines().any(|line| line.starts_with('*') && line.contains("Is it a tom?")));
    let balance = there.ok(&["--user", &peer.user, "balance", "--json"]).json().remove(0);
    assert_eq!(balance["granted_nano_usd"], 19_680_000, "opened once: {balance}");
    there.audit();
}

#[test]
fn its_own_database_gets_the_books_and_keeps_the_rest() {
    let peer = Peer::new();
    let chat = Program::that_talks(Some(peer.url()));
    chat.ok(&["send", "-c", &peer.old, "Is it you?"]);
    let before = (peer.messages(&peer.chat), peer.messages(&peer.old));
    let report = import(&chat, &peer, peer.url(), &[]);
    assert_eq!(report["lines"], lines(3, 10, 1), "{report}");
    let archive = chat.export();
    import(&chat, &peer, peer.url(), &[]);
    assert_eq!(chat.export(), archive);
    assert_eq!((peer.messages(&peer.chat), peer.messages(&peer.old)), before);
    let balance = chat.ok(&["balance", "--json"]).json().remove(0);
    assert_eq!(balance["account"], json!(peer.user));
    assert_eq!(chat.audit()["usage_rows"], 3);
}
