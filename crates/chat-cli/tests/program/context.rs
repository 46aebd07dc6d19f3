//! What is sent, from outside: attached files, documents that are looked up, policies, compaction.

use std::fs;

use crate::support::Home;

#[test]
fn an_attached_file_is_read_in_a_process_of_its_own_and_its_text_is_sent() {
    let home = Home::new();
    let notes = home.path("notes.html");
    fs::write(&notes, "<p>The lighthouse is <b>green</b>.</p><script>no()</script>").unwrap();
    let told = home.ok(&["send", "--attach", notes.to_str().unwrap(), "what colour?"]);
    assert!(told.contains("what colour?"), "{told}");
    let explained =
        home.json(&["explain", "-c", &home.conversation(), "--json", "and before that?"]);
    let prompt = explained[0]["prompt"].to_string();
    assert!(prompt.contains("The lighthouse is"), "{prompt}");
    assert!(!prompt.contains("no()"), "{prompt}");
}

#[test]
fn documents_are_added_found_by_their_owner_only_and_removed() {
    let home = Home::new();
    let folder = home.path("docs");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("harbour.md"), "# Harbour\n\nThe harbour opens at six.\n").unwrap();
    fs::write(folder.join("prices.csv"), "what,price\nticket,12\n").unwrap();
    fs::write(folder.join("broken.pdf"), "%PDF-1.7 nothing").unwrap();
    let folder = folder.to_str().unwrap().to_owned();
    let added = home.json(&["rag", "add", &folder, "--json"]);
    assert_eq!((&added[0]["added"], &added[0]["refused"]), (&2.into(), &1.into()), "{added:?}");
    let again = home.json(&["rag", "add", &folder, "--json"]);
    assert_eq!((&again[0]["added"], &again[0]["unchanged"]), (&0.into(), &2.into()), "{again:?}");

    let question = "when does the harbour open?";
    let mine = home.json(&["explain", "--json", question]);
    let prompt = mine[0]["prompt"].to_string();
    assert!(prompt.contains("The harbour opens at six."), "{prompt}");
    let cited = mine[0]["report"]["items"].as_array().unwrap().iter().any(|item| {
        item["section"] == "retrieval" && item["snippet"].is_string() && item["fate"] == "kept"
    });
    assert!(cited, "{}", mine[0]["report"]);
    let theirs = home.json(&["explain", "--user", "eve", "--json", question]);
    assert!(!theirs[0]["prompt"].to_string().contains("opens at six"));

    let listed = home.json(&["rag", "list", "--json"]);
    assert_eq!(listed.len(), 2);
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    home.ok(&["rag", "remove", &id]);
    home.run(&["rag", "remove", &id]).is_failure(3, "unknown_document");
}

#[test]
fn a_policy_is_checked_by_name_and_simulated_beside_the_one_in_effect() {
    let home = Home::new();
    for text in ["one", "two", "three"] {
        let mut words = vec!["send", text];
        let id = (text != "one").then(|| home.conversation());
        if let Some(id) = &id {
            words.extend(["-c", id]);
        }
        home.ok(&words);
    }
    let policy = home.path("policy.toml");
    fs::write(&policy, "[[rungs]]\nkind = \"drop_blocks\"\nblock_percent = 25\n").unwrap();
    let policy = policy.to_str().unwrap().to_owned();
    assert!(home.ok(&["policy", "check", &policy]).contains("drop_blocks"));
    let id = home.conversation();
    let table = home.ok(&["policy", "simulate", &id, "--policy", &policy]);
    assert!(table.contains("simulated") && table.contains("3 turns"), "{table}");

    let wrong = home.path("wrong.toml");
    fs::write(&wrong, "[[rungs]]\nkind = \"drop_blocks\"\nblock_percents = 25\n").unwrap();
    let refused = home.run(&["policy", "check", wrong.to_str().unwrap()]);
    refused.is_failure(2, "invalid_config");
    assert!(refused.stderr.contains("block_percents"), "{refused:?}");
}

#[test]
fn a_compacted_conversation_starts_from_its_summary() {
    let home = Home::new();
    home.ok(&["send", "my cat is called Ouzo"]);
    let id = home.conversation();
    let summary = home.ok(&["compact", &id]);
    assert!(!summary.trim().is_empty());
    let explained = home.json(&["explain", "-c", &id, "--json", "and now?"]);
    let prompt = explained[0]["prompt"].to_string();
    assert!(prompt.contains("Summary of the conversation so far"), "{prompt}");
    home.run(&["compact", &id]).is_failure(7, "wrong_message");
}
