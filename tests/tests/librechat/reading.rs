//! `list`, `tree` and `show` on a database of LibreChat's, and whose conversations they are about.

use std::collections::BTreeSet;

use crate::peer::{Peer, uuid};
use crate::program::{Program, Said, each};

fn titles(said: &Said) -> BTreeSet<String> {
    each(&said.json(), "/title").iter().map(|title| title.as_str().unwrap().to_owned()).collect()
}

fn set(titles: &[&str]) -> BTreeSet<String> {
    titles.iter().map(ToString::to_string).collect()
}

#[test]
fn the_only_user_is_meant_and_his_conversations_are_listed() {
    let peer = Peer::new();
    let chat = Program::on(peer.url());
    let listed = chat.ok(&["list", "--json"]);
    assert_eq!(titles(&listed), set(&["A cat", "Soon gone", "Old"]));
    let ids: BTreeSet<String> =
        each(&listed.json(), "/id").iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, BTreeSet::from([peer.chat.clone(), peer.short.clone(), peer.old.clone()]));

    let shown = chat.ok(&["list"]).stdout;
    let line = shown.lines().find(|line| line.contains("A cat")).unwrap();
    assert!(line.starts_with(&peer.chat) && line.contains("openai/gpt-4o"), "{shown}");
    assert_eq!(titles(&chat.ok(&["list", "--title", "cat", "--json"])), set(&["A cat"]));
    assert!(chat.ok(&["doctor"]).stdout.contains(&format!("user {}", peer.user)));
}

#[test]
fn among_two_users_one_is_chosen_by_address_or_id() {
    let peer = Peer::new();
    let bob = peer.gets_company();
    let chat = Program::on(peer.url());

    for command in [&["list"][..], &["show", &peer.chat], &["send", "Hello"]] {
        let refused = chat.run(command);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert_eq!(refused.stdout, "");
        assert!(refused.stderr.starts_with("error[user_not_named]: "), "{refused:?}");
        assert!(refused.stderr.contains("--user EMAIL|ID"), "{refused:?}");
    }

    let of = |user: &str| titles(&chat.ok(&["--user", user, "list", "--json"]));
    let ada = set(&["A cat", "Soon gone", "Old"]);
    assert_eq!(of("Ada@Example.COM"), ada);
    assert_eq!(of(&peer.user), ada);
    assert_eq!(of("bob@example.com"), set(&["A dog"]), "what cannot be read is left out");
    assert_eq!(of(&bob), set(&["A dog"]));

    let unknown = chat.run(&["--user", "eve@example.com", "list"]);
    assert_eq!(unknown.code, Some(3), "{unknown:?}");
    assert!(unknown.stderr.starts_with("error[unknown_user]: "), "{unknown:?}");
    let foreign = chat.run(&["--user", "bob@example.com", "show", &peer.chat]);
    assert_eq!((foreign.code, &*foreign.stdout), (Some(3), ""), "{foreign:?}");
}

#[test]
fn a_tree_has_all_branches() {
    let peer = Peer::new();
    let chat = Program::on(peer.url());
    let drawn = chat.ok(&["tree", &peer.chat]).stdout;
    let title = format!("{}  A cat", peer.chat);
    let expected = [
        &*title,
        "* user 00000010  What is on this picture?[image]",
        "* reply 00000011  A cat.[calls measure][result] 42 cm It is 42 cm long.",
        "* user 00000012  And its colour?",
        "  ├─ reply 00000013  Grey.",
        "* └─ reply 00000014  [summary] They looked at a grey cat.Grey, once more.",
    ];
    assert_eq!(drawn.lines().collect::<Vec<_>>(), expected);

    let tree = chat.ok(&["tree", &peer.chat, "--json"]).json().remove(0);
    let messages = tree["messages"].as_array().unwrap();
    let parents: Vec<(String, Option<String>)> = messages
        .iter()
        .map(|message| {
            let text = |name: &str| message[name].as_str().map(str::to_owned);
            (text("id").unwrap(), text("parent"))
        })
        .collect();
    let expected = [(10, None), (11, Some(10)), (12, Some(11)), (13, Some(12)), (14, Some(12))]
        .map(|(id, parent)| (uuid(id), parent.map(uuid)));
    assert_eq!(parents, expected);
    let orphan = chat.ok(&["tree", &peer.old]).stdout;
    assert!(orphan.contains("\n* user 00000030  Its parent was deleted"), "{orphan}");
}

#[test]
fn each_branch_is_shown_with_its_text() {
    let peer = Peer::new();
    let chat = Program::on(peer.url());
    let texts = |arguments: &[&str]| -> Vec<String> {
        let shown = chat.ok(arguments).stdout;
        shown.lines().filter(|line| !line.starts_with("── ")).map(str::to_owned).collect()
    };
    let before = [
        "What is on this picture?[image]",
        "A cat.[calls measure][result] 42 cm It is 42 cm long.",
        "And its colour?",
    ];
    let newest = texts(&["show", &peer.chat]);
    assert_eq!(newest[..3], before);
    assert_eq!(newest[3..], ["[summary] They looked at a grey cat.Grey, once more."]);
    let other = texts(&["show", &peer.chat, "--at", &uuid(13)]);
    assert_eq!(
        (&other[..3], &other[3..]),
        (&before.map(str::to_owned)[..], &["Grey.".to_owned()][..])
    );
}

#[test]
fn looking_writes_no_message_and_no_conversation() {
    let peer = Peer::new();
    let before = (peer.conversation(&peer.chat), peer.messages(&peer.chat));
    let chat = Program::on(peer.url());
    for command in [&["list"][..], &["show", &peer.chat], &["tree", &peer.chat], &["usage"]] {
        chat.ok(command);
    }
    assert_eq!((peer.conversation(&peer.chat), peer.messages(&peer.chat)), before);
}
