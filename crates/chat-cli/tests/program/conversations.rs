//! What is said is there afterwards, in every listing, once.

use crate::support::{Home, json_lines};

#[test]
fn a_message_is_answered_stored_metered_and_audited() {
    let home = Home::new();
    let sent = home.run(&["send", "hello", "big", "world"]);
    assert_eq!((sent.code, sent.stdout.as_str()), (0, "You said: hello big world\n"));
    let id = home.conversation();
    let status = format!(
        "example/echo-1 · 3 tokens in, 5 out · $0.00 · context 0.1 % · conversation {id}\n"
    );
    assert!(sent.stderr.ends_with(&status), "{sent:?}");

    let start = &id[..24];
    let shown = home.ok(&["show", start]);
    for text in ["hello big world", "You said: hello big world"] {
        assert!(shown.contains(text), "{shown}");
    }
    let tree = home.ok(&["tree", start]);
    assert_eq!(tree.lines().filter(|line| line.starts_with("* ")).count(), 2, "{tree}");
    assert!(home.ok(&["list"]).contains(&id));

    let usage = home.json(&["usage", "--json"]);
    assert_eq!(usage.len(), 1);
    assert_eq!(
        (&usage[0]["usage"]["input_uncached"], &usage[0]["usage"]["output"], &usage[0]["source"]),
        (&3.into(), &5.into(), &"provider".into())
    );
    let audit = home.json(&["audit", "--json"]);
    for count in ["accounts", "entries", "holds_closed", "usage_rows", "steps"] {
        assert_eq!(audit[0][count], 1, "{count}: {audit:?}");
    }
    assert_eq!((&audit[0]["sound"], &audit[0]["holds_open"]), (&true.into(), &0.into()));
}

#[test]
fn the_events_are_one_line_each_with_one_end() {
    let home = Home::new();
    let events = json_lines(&home.ok(&["send", "--json", "one two three four five six"]));
    let kinds: Vec<&str> =
        events.iter().map(|event| event["event"]["type"].as_str().unwrap()).collect();
    let count = |kind: &str| kinds.iter().filter(|found| **found == kind).count();
    assert_eq!(kinds.first(), Some(&"accepted"));
    assert_eq!((kinds.last(), count("ended")), (Some(&"ended"), 1));
    assert!(count("text_delta") >= 5, "{kinds:?}");
    let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_key_is_sent_once_and_belongs_to_one_message() {
    let home = Home::new();
    let send = ["send", "--idempotency-key", "k-1", "hello"];
    assert_eq!(home.ok(&send), home.ok(&send));
    assert_eq!(home.json(&["usage", "--json"]).len(), 1);
    assert_eq!(home.json(&["list", "--json"]).len(), 1);
    let other = home.run(&["send", "--idempotency-key", "k-1", "bye"]);
    other.is_failure(7, "idempotency_conflict");
}

#[test]
fn a_conversation_branches_where_it_is_told_to() {
    let home = Home::new();
    home.ok(&["send", "first"]);
    let id = home.conversation();
    let tree = home.json(&["tree", &id, "--json"]);
    let reply = tree[0]["messages"][1]["id"].as_str().unwrap().to_owned();
    home.ok(&["send", "-c", &id, "second"]);
    home.ok(&["send", "-c", &id, "--parent", &reply, "another second"]);
    let tree = home.ok(&["tree", &id]);
    assert!(tree.contains("├─ user") && tree.contains("└─ user"), "{tree}");

    let copy = home.ok(&["fork", &id, "--at", &reply[reply.len() - 8..]]);
    let shown = home.ok(&["show", copy.trim()]);
    assert!(shown.contains("You said: first") && !shown.contains("second"), "{shown}");
}

#[test]
fn stdin_and_files_are_joined_to_one_message() {
    let home = Home::new();
    let notes = home.path("notes.txt");
    std::fs::write(&notes, "from a file").unwrap();
    let notes = notes.display().to_string();
    let sent = home.run_with_input(&["send", "-f", &notes, "-f", "-", "and words"], b"from a pipe");
    assert_eq!(sent.code, 0, "{sent:?}");
    for text in ["and words", "from a file", "from a pipe"] {
        assert!(sent.stdout.contains(text), "{sent:?}");
    }
    let piped = home.run_with_input(&["send"], b"only a pipe\n");
    assert_eq!(piped.stdout.trim_end(), "You said: only a pipe", "{piped:?}");
}

#[test]
fn looking_makes_no_database() {
    let home = Home::new();
    for command in [&["list"][..], &["usage"], &["audit"], &["balance"], &["models"], &["doctor"]] {
        let outcome = home.run(command);
        assert!(outcome.code == 0 || command == ["doctor"], "{outcome:?}");
    }
    assert!(!home.path("data").exists());
}

#[test]
fn credit_is_granted_once_per_key_and_spent_by_messages() {
    let home = Home::new();
    let prices = home.path("prices.toml");
    let book = "book = \"t\"\n[[price]]\nmodel = \"example/*\"\nvalid_from = 2020-01-01\n\
                input = \"1000\"\noutput = \"2000\"\n";
    std::fs::write(&prices, book).unwrap();
    home.configure(&format!(
        "prices = \"{}\"\n[accounts]\nkind = \"limited\"\nopening_usd = \"0\"\n",
        prices.display()
    ));
    home.run(&["send", "hello"]).is_failure(4, "insufficient_funds");
    for _ in 0..2 {
        home.ok(&["balance", "grant", "5.00", "--key", "may"]);
    }
    home.run(&["balance", "grant", "6.00", "--key", "may"]).is_failure(6, "ledger_conflict");
    home.run(&["balance", "grant", "-1", "--key", "x"]);
    home.ok(&["send", "a b c"]);
    // Three words in at $0.001, five out at $0.002.
    let balance = home.json(&["balance", "--json"]);
    assert_eq!(
        (
            &balance[0]["granted_nano_usd"],
            &balance[0]["posted_nano_usd"],
            &balance[0]["held_nano_usd"]
        ),
        (&5_000_000_000_u64.into(), &13_000_000.into(), &0.into())
    );
    home.ok(&["audit"]);
}

#[test]
fn a_tampered_amount_is_named_by_the_audit() {
    let home = Home::new();
    home.ok(&["send", "hello"]);
    let program = "import sqlite3, sys\n\
                   db = sqlite3.connect(sys.argv[1])\n\
                   db.execute('UPDATE usage SET amount = amount + 1')\n\
                   db.commit()\n";
    let status = std::process::Command::new("python3")
        .args(["-c", program])
        .arg(home.database())
        .status()
        .expect("python3 is there");
    assert!(status.success());
    let audit = home.run(&["audit"]);
    audit.is_failure(8, "audit_broken");
    assert!(audit.stdout.contains("broken: usage row default/"), "{audit:?}");
}

#[test]
fn an_explanation_writes_nothing() {
    let home = Home::new();
    home.ok(&["send", "hello"]);
    let id = home.conversation();
    let table = home.ok(&["explain", "-c", &id, "and now?"]);
    for text in ["window  8192", "history", "always sent"] {
        assert!(table.contains(text), "{table}");
    }
    assert_eq!(home.json(&["tree", &id, "--json"])[0]["messages"].as_array().unwrap().len(), 2);
    let explained = home.json(&["explain", "-c", &id, "--json", "and now?"]);
    assert_eq!(explained[0]["prompt"]["items"].as_array().unwrap().len(), 3);
}

#[test]
fn a_reader_that_went_away_does_not_stop_the_turn() {
    let home = Home::new();
    let mut child = home.command(&["send", "hello there"]).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    let shown = home.ok(&["show", &home.conversation()]);
    assert!(shown.contains("You said: hello there"), "{shown}");
}
