//! Bad input: a stable code, a cause, a remedy, the documented exit code, and nothing lost.

use crate::support::{Home, bytes_of};

#[test]
fn an_empty_message_is_refused_and_leaves_no_trace() {
    let home = Home::new();
    for arguments in [&["send", ""][..], &["send", "  \n "], &["send", "-"], &["send"]] {
        home.run(arguments).is_failure(7, "empty_message");
    }
    assert!(!home.database().exists());
}

#[test]
fn a_message_of_10_mb_is_refused() {
    let home = Home::new();
    let input = vec![b'a'; 10 * 1024 * 1024];
    home.run_with_input(&["send", "-"], &input).is_failure(7, "message_too_large");
    assert!(!home.database().exists());
}

#[test]
fn a_message_that_is_no_utf8_is_refused() {
    let home = Home::new();
    let refused = home.run_with_input(&["send"], b"ab\xff\xfe");
    refused.is_failure(7, "invalid_utf8");
    assert!(refused.stderr.contains("from byte 2 on"), "{refused:?}");
    let file = home.path("latin1.txt");
    std::fs::write(&file, b"caf\xe9").unwrap();
    home.run(&["send", "-f", &file.display().to_string()]).is_failure(7, "invalid_utf8");
    home.run(&["send", "-f", "/nowhere/at all"]).is_failure(2, "file_unreadable");
}

#[test]
fn an_unknown_model_is_refused() {
    let home = Home::without_model();
    for model in ["nobody/none", "none", "example/none", "local/none"] {
        let refused = home.run(&["send", "--model", model, "hello"]);
        refused.is_failure(3, "unknown_model");
    }
    home.ok(&["list"]);
    assert!(home.json(&["list", "--json"]).is_empty());
}

#[test]
fn an_unknown_conversation_or_message_is_refused() {
    let home = Home::new();
    home.ok(&["send", "hello"]);
    for arguments in [
        &["show", "c-1"][..],
        &["tree", "c-1"],
        &["send", "-c", "c-1", "hello"],
        &["resume", "c-1"],
        &["fork", "c-1", "--at", "m-1"],
        &["usage", "-c", "c-1"],
    ] {
        home.run(arguments).is_failure(3, "unknown_conversation");
    }
    let id = home.conversation();
    home.run(&["show", &id, "--at", "m-1"]).is_failure(3, "unknown_message");
    home.run(&["stop", "t-1"]).is_failure(3, "unknown_turn");
    home.run(&["show", "no id"]).is_failure(7, "invalid_id");
    home.run(&["show", ""]).is_failure(7, "invalid_id");
}

#[test]
fn a_start_of_several_ids_is_refused() {
    let home = Home::new();
    home.ok(&["send", "hello"]);
    home.ok(&["send", "hello"]);
    home.run(&["show", "0"]).is_failure(7, "ambiguous_id");
}

#[test]
fn a_parent_of_another_conversation_is_refused() {
    let home = Home::new();
    home.ok(&["send", "one"]);
    let one = home.conversation();
    let message = home.json(&["tree", &one, "--json"])[0]["messages"][1]["id"].clone();
    home.ok(&["send", "two"]);
    let list = home.json(&["list", "--json"]);
    let two = list[0]["id"].as_str().unwrap();
    assert_ne!(two, one);
    let refused = home.run(&["send", "-c", two, "--parent", message.as_str().unwrap(), "hello"]);
    refused.is_failure(3, "parent_missing");
    assert_eq!(home.json(&["usage", "--json"]).len(), 2);
}

#[test]
fn what_belongs_to_another_user_is_not_there() {
    let home = Home::new();
    home.ok(&["send", "secret"]);
    let id = home.conversation();
    for arguments in [
        &["--user", "eve", "show", &id][..],
        &["--user", "eve", "tree", &id[..30]],
        &["--user", "eve", "send", "-c", &id, "hello"],
        &["--user", "eve", "fork", &id, "--at", "m"],
    ] {
        let refused = home.run(arguments);
        refused.is_failure(3, "unknown_conversation");
        assert!(!refused.stderr.contains("secret"), "{refused:?}");
    }
    assert!(home.json(&["--user", "eve", "list", "--json"]).is_empty());
    assert!(home.json(&["--user", "eve", "usage", "--json"]).is_empty());
    home.run(&["--user", "e v e", "list"]).is_failure(7, "invalid_id");
}

#[test]
fn a_corrupt_database_is_refused_and_left_untouched() {
    let home = Home::new();
    home.ok(&["send", "hello"]);
    let whole = bytes_of(&home.database());
    let mut damaged = whole.clone();
    for byte in damaged.iter_mut().skip(4_096).take(8_192) {
        *byte = 0x55;
    }
    let garbage = b"this is no database, but somebody's only copy of something".repeat(100);
    for content in [damaged, garbage] {
        std::fs::write(home.database(), &content).unwrap();
        for arguments in [&["list"][..], &["send", "hello"], &["audit"], &["recover"]] {
            home.run(arguments).is_failure(6, "store_corrupt");
        }
        assert!(home.run(&["doctor"]).code != 0);
        assert_eq!(bytes_of(&home.database()), content);
    }
    std::fs::write(home.database(), whole).unwrap();
    assert!(home.ok(&["show", &home.conversation()]).contains("You said: hello"));
}

#[test]
fn a_newer_schema_is_refused_and_left_untouched() {
    let home = Home::new();
    home.ok(&["send", "hello"]);
    let mut newer = bytes_of(&home.database());
    // `user_version` in the header of a SQLite file.
    newer[60..64].copy_from_slice(&999_u32.to_be_bytes());
    std::fs::write(home.database(), &newer).unwrap();
    for arguments in [&["list"][..], &["send", "hello"]] {
        home.run(arguments).is_failure(6, "store_newer_schema");
    }
    assert_eq!(bytes_of(&home.database()), newer);
}

/// A server that is not there, or whose engine was left out: port 1 is nobody's.
const OTHER_ENGINE: (&str, &str, &str) = if cfg!(feature = "postgres") {
    ("postgres://ada:hunter2@localhost:1/chat", "store_unavailable", "check that the server runs")
} else {
    ("postgres://ada:hunter2@localhost/chat", "feature_off", "`--features postgres`")
};

#[test]
fn a_store_that_does_not_exist_names_the_way_out() {
    let home = Home::new();
    for (url, code, remedy) in [
        ("redis://localhost", "unknown_store", "sqlite:FILE"),
        ("chat.db", "unknown_store", "sqlite:FILE"),
        OTHER_ENGINE,
    ] {
        let refused = home.run(&["--store", url, "list"]);
        refused.is_failure(if code == "store_unavailable" { 6 } else { 2 }, code);
        assert!(refused.stderr.contains(remedy), "{refused:?}");
        assert!(!refused.stderr.contains("hunter2"), "{refused:?}");
    }
    let nowhere = format!("sqlite:{}", home.path("no/such/folder/chat.db").display());
    home.run(&["--store", &nowhere, "send", "hello"]).is_failure(6, "store_unavailable");
}

#[test]
fn an_unknown_key_in_the_configuration_is_refused_by_name() {
    let home = Home::new();
    home.configure("modle = \"example/echo-1\"\n");
    for arguments in [&["list"][..], &["send", "hello"], &["config", "--print"]] {
        let refused = home.run(arguments);
        refused.is_failure(2, "invalid_config");
        assert!(refused.stderr.contains("modle"), "{refused:?}");
    }
    home.run(&["--config", "/nowhere.toml", "list"]).is_failure(2, "file_unreadable");
    assert!(!home.database().exists());
}

#[test]
fn a_wrong_price_book_is_refused() {
    let home = Home::new();
    let prices = home.path("prices.toml");
    std::fs::write(&prices, "book = \"t\"\n[[price]]\nmodel = \"example/*\"\n").unwrap();
    let prices = prices.display().to_string();
    home.run(&["--prices", &prices, "send", "hello"]).is_failure(2, "invalid_price_book");
}

#[test]
fn missing_and_truncated_weights_are_said_before_a_message_is_taken() {
    let home = Home::without_model();
    let missing = home.run(&["send", "hello"]);
    missing.is_failure(5, "provider_not_ready");
    assert!(missing.stderr.contains("cargo xtask weights"), "{missing:?}");

    let folder = home.path("cache/chat-runtime/models");
    std::fs::create_dir_all(&folder).unwrap();
    let weights = folder.join("SmolLM2-135M-Instruct.Q4_1.gguf");
    std::fs::write(&weights, b"GGUF but cut short").unwrap();
    let truncated = home.run(&["send", "hello"]);
    truncated.is_failure(5, "provider_not_ready");
    assert!(truncated.stderr.contains("18 bytes"), "{truncated:?}");

    assert!(home.json(&["list", "--json"]).is_empty());
    let doctor = home.run(&["doctor"]);
    assert_eq!(doctor.code, 5, "{doctor:?}");
    assert!(doctor.stdout.contains("MISSING  provider local"), "{doctor:?}");
}

#[test]
fn the_configuration_is_shown_without_secrets() {
    let home = Home::without_model()
        .with("OPENAI_API_KEY", "sk-hunter2")
        .with("OPENAI_BASE_URL", "http://ada:hunter3@127.0.0.1:1/v1");
    let shown = home.ok(&["config", "--print"]);
    assert!(shown.contains("model = \"openai/gpt-4o-mini\""), "{shown}");
    assert!(shown.contains("http://127.0.0.1:1/v1"), "{shown}");
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn the_help_has_the_exit_codes_and_wrong_flags_are_2() {
    let home = Home::new();
    assert!(home.ok(&["--help"]).contains("130  stopped by Ctrl-C"));
    assert_eq!(home.run(&["send", "--no-such-flag"]).code, 2);
    assert!(home.ok(&["completions", "bash"]).contains("complete"));
}
