//! A conversation is gone on with by `chat`, and LibreChat's models read the whole of it.

use serde_json::{Value, json};

use crate::peer::{Peer, uuid};
use crate::program::{Program, each};

/// The model of the conversations; the temporary one's own is of a provider that is not set up.
const MODEL: &str = "openai/gpt-4o";

/// What is asked, and the tokens of it in the model's own vocabulary.
const TOKENS: [(&str, usize); 4] =
    [("Is it a tom?", 5), ("Dark grey?", 3), ("And me", 2), ("Good morning", 2)];

/// What the model's chat format puts around a message: it is part of what one takes.
const FRAME_TOKENS: usize = 4;

/// The ids of the newest turn's two messages, as the store has them.
fn newest_turn(chat: &Program, conversation: &str) -> (String, String) {
    let shown = chat.ok(&["tree", conversation, "--json"]).json().remove(0);
    let head = shown["conversation"]["head"].as_str().unwrap().to_owned();
    let messages = shown["messages"].as_array().unwrap();
    let reply = messages.iter().find(|message| message["id"] == head.as_str()).unwrap();
    (reply["parent"].as_str().unwrap().to_owned(), head)
}

/// The last line of the branch that a message would follow.
fn head_of(tree: &str) -> &str {
    tree.lines().rfind(|line| line.starts_with('*')).unwrap_or_default()
}

/// What LibreChat shows of a message, without what only we look at.
fn shown(message: &Value) -> Value {
    let mut message = message.clone();
    message.as_object_mut().unwrap().remove("chatRuntime");
    message
}

/// A question of ours as LibreChat's models see it.
fn question(peer: &Peer, place: (&str, &str, &str), text: &str, is_temporary: bool) -> Value {
    let (conversation, id, parent) = place;
    let tokens = TOKENS.iter().find(|(known, _)| *known == text).unwrap().1 + FRAME_TOKENS;
    json!({
        "messageId": id, "conversationId": conversation, "user": peer.user,
        "parentMessageId": parent, "sender": "User", "text": text, "isCreatedByUser": true,
        "tokenCount": tokens, "model": null, "unfinished": false, "error": false,
        "isTemporary": is_temporary, "expires": is_temporary,
    })
}

/// A reply of the fake provider's, with as many tokens as it said.
fn reply(peer: &Peer, place: (&str, &str, &str), text: &str, is_temporary: bool) -> Value {
    let (conversation, id, parent) = place;
    json!({
        "messageId": id, "conversationId": conversation, "user": peer.user,
        "parentMessageId": parent, "sender": "gpt-4o", "text": text,
        "content": [{ "type": "text", "text": text }],
        "isCreatedByUser": false, "isUserSubmitted": false, "endpoint": "openAI", "model": "gpt-4o",
        "tokenCount": text.split_whitespace().count() + FRAME_TOKENS, "finish_reason": "stop",
        "unfinished": false, "error": false,
        "isTemporary": is_temporary, "expires": is_temporary,
    })
}

#[test]
fn what_is_sent_below_a_branch_is_read_by_its_models() {
    let peer = Peer::new();
    let before = peer.messages(&peer.chat);
    let settings = peer.conversation(&peer.chat);
    let chat = Program::that_talks(Some(peer.url()));
    let answer = chat.ok(&["send", "-c", &peer.chat, "Is it a tom?"]).stdout;
    let (asked, replied) = newest_turn(&chat, &peer.chat);
    let other = chat.ok(&["send", "-c", &peer.chat, "--parent", &uuid(13), "Dark grey?"]).stdout;
    let (asked_there, replied_there) = newest_turn(&chat, &peer.chat);

    let seen = peer.messages(&peer.chat);
    let (old, new) = seen.split_at(before.len());
    assert_eq!(
        old.iter().map(shown).collect::<Vec<_>>(),
        before,
        "what LibreChat wrote stays as it is"
    );
    let id = peer.chat.as_str();
    let expected = [
        question(&peer, (id, &asked, &uuid(14)), "Is it a tom?", false),
        reply(&peer, (id, &replied, &asked), answer.trim_end(), false),
        question(&peer, (id, &asked_there, &uuid(13)), "Dark grey?", false),
        reply(&peer, (id, &replied_there, &asked_there), other.trim_end(), false),
    ];
    assert_eq!(new.iter().map(shown).collect::<Vec<_>>(), expected);

    let now = peer.conversation(&peer.chat);
    for name in ["title", "temperature", "top_p", "promptPrefix", "tags", "user", "expires"] {
        assert_eq!(now[name], settings[name], "{name} stays as it was");
    }
    assert_eq!((&now["endpoint"], &now["model"]), (&json!("openAI"), &json!("gpt-4o")));
    let counted = chat.audit();
    assert_eq!((&counted["usage_rows"], &counted["holds_open"]), (&json!(2), &json!(0)));
}

#[test]
fn resume_goes_on_where_librechat_stopped_and_librechat_where_resume_did() {
    let peer = Peer::new();
    let chat = Program::that_talks(Some(peer.url()));
    let prompt = "And its tail?\nHow long?\n";
    chat.ok_with_input(&["resume", &peer.chat], prompt);
    let (asked, replied) = newest_turn(&chat, &peer.chat);
    let seen = peer.messages(&peer.chat);
    assert_eq!(each(&seen[5..], "/text")[0], "And its tail?");
    assert_eq!(each(&seen[5..], "/text")[2], "How long?");
    let first_reply = seen[6]["messageId"].as_str().unwrap();
    let parents = each(&seen[5..], "/parentMessageId");
    let first_question = seen[5]["messageId"].as_str().unwrap();
    assert_eq!(parents, [&uuid(14), first_question, first_reply, &asked].map(|id| json!(id)));

    peer.goes_on(&replied, &uuid(13));
    let tree = chat.ok(&["tree", &peer.chat]).stdout;
    assert!(tree.contains("reply 00000013  Edited by hand."), "LibreChat's edit counts: {tree}");
    assert!(
        head_of(&tree).contains("user 00000050  Said elsewhere."),
        "and its newest message: {tree}"
    );
    chat.ok(&["send", "-c", &peer.chat, "Back again"]);
    let seen = peer.messages(&peer.chat);
    let [.., question, _reply] = seen.as_slice() else { panic!("two more: {seen:?}") };
    assert_eq!(question["parentMessageId"], json!(uuid(50)));
    chat.audit();
}

#[test]
fn a_temporary_chat_stays_temporary() {
    let peer = Peer::new();
    let expires_at = |chat: &Program| {
        let tree = chat.ok(&["tree", &peer.short, "--json"]).json().remove(0);
        tree["conversation"]["expires_at"].as_i64().unwrap()
    };
    let chat = Program::that_talks(Some(peer.url()));
    let before = expires_at(&chat);
    let answer = chat.ok(&["--model", MODEL, "send", "-c", &peer.short, "And me"]).stdout;
    let (asked, replied) = newest_turn(&chat, &peer.short);
    let id = peer.short.as_str();
    let seen = peer.messages(id);
    let expected = [
        question(&peer, (id, &asked, &uuid(20)), "And me", true),
        reply(&peer, (id, &replied, &asked), answer.trim_end(), true),
    ];
    assert_eq!(seen[1..].iter().map(shown).collect::<Vec<_>>(), expected);
    let conversation = peer.conversation(id);
    assert_eq!(
        (&conversation["isTemporary"], &conversation["expires"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(expires_at(&chat), before, "nothing lives longer for being talked in");
}

#[test]
fn a_new_conversation_is_one_of_librechats() {
    let peer = Peer::new();
    let chat = Program::that_talks(Some(peer.url()));
    let answer = chat.ok(&["send", "--instructions", "Be kind.", "Good morning"]).stdout;
    let newest = chat.ok(&["list", "-n", "1", "--json"]).json().remove(0);
    let id = newest["id"].as_str().unwrap();
    let (asked, replied) = newest_turn(&chat, id);
    let expected = [
        question(&peer, (id, &asked, ROOT), "Good morning", false),
        reply(&peer, (id, &replied, &asked), answer.trim_end(), false),
    ];
    assert_eq!(peer.messages(id).iter().map(shown).collect::<Vec<_>>(), expected);
    let seen = peer.conversation(id);
    let fields = ["conversationId", "user", "endpoint", "model", "promptPrefix", "title"];
    let expected =
        [id, &peer.user, "openAI", "gpt-4o", "Be kind.", newest["title"].as_str().unwrap()];
    assert_eq!(fields.map(|name| seen[name].clone()), expected.map(|text| json!(text)));
}

/// LibreChat's parent of a message that has none.
const ROOT: &str = "00000000-0000-0000-0000-000000000000";
