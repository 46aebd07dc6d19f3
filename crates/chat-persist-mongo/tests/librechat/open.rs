//! Listing, reading, continuing, and what the models see of it.

use chat_persist::{
    Accept, Accepted, ConversationQuery, EventSegment, Fence, NewStep, NewTurn, PersistenceAdapter,
    StepClose, TurnClose,
};
use chat_persist_mongo::MongoStore;
use chat_types::{
    ContentHash, ContentPart, Conversation, EVENT_VERSION, EventKind, FileId, FinishReason,
    Message, MessageId, MessageStatus, Purpose, Role, Scope, Summary, Timestamp, Tokens, TurnEvent,
    TurnId, TurnKind, TurnState,
};
use serde_json::{Value, json};

use crate::models::Peer;

/// The ids that the peer gives.
fn uuid(n: u32) -> MessageId {
    format!("5f3c0000-0000-4000-8000-{n:012}").parse().expect("valid")
}

fn at(unix_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(unix_ms)
}

async fn list(store: &MongoStore, scope: &Scope) -> Vec<Conversation> {
    let page = store.conversations(scope, &ConversationQuery::default()).await.expect("lists");
    page.conversations
}

fn segment(turn: &TurnId, seq: u64) -> EventSegment {
    let event = TurnEvent {
        v: EVENT_VERSION,
        turn: turn.clone(),
        epoch: 1,
        seq,
        event: EventKind::TextDelta { part: 0, text: "delta".into() },
    };
    EventSegment::encode(&[event]).expect("encodes")
}

/// One whole turn below `parent`: ids 40 (asked) and 41 (reply), or from `first` on.
async fn whole_turn(
    store: &MongoStore,
    scope: &Scope,
    conversation: &Conversation,
    parent: Option<MessageId>,
    first: u32,
) -> (Message, Message) {
    let turn: TurnId = format!("turn-{first}").parse().expect("valid");
    let asked = Message {
        id: uuid(first),
        conversation: conversation.id.clone(),
        parent: parent.clone(),
        role: Role::User,
        parts: vec![
            ContentPart::text("And this one?"),
            ContentPart::Image {
                file: FileId::new("file-2").expect("valid"),
                media_type: "image/png".into(),
                width_px: Some(3),
                height_px: Some(4),
            },
        ],
        created_at: at(4_000_000_000_000),
        turn: Some(turn.clone()),
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: Vec::new(),
        summary: None,
    };
    let reply = Message {
        id: uuid(first + 1),
        parent: Some(asked.id.clone()),
        role: Role::Assistant,
        parts: vec![
            ContentPart::Reasoning { text: "Let me see.".into(), opaque: None },
            ContentPart::ToolCall {
                call_id: "call_9".into(),
                name: "measure".into(),
                arguments: "{}".into(),
            },
            ContentPart::ToolResult {
                call_id: "call_9".into(),
                text: "12 cm".into(),
                is_error: false,
            },
            ContentPart::text("A mouse."),
        ],
        created_at: at(4_000_000_001_000),
        model: Some("openai/gpt-4o".parse().expect("valid")),
        finish_reason: Some(FinishReason::Stop),
        ..asked.clone()
    };
    let new_turn = NewTurn {
        id: turn.clone(),
        conversation: conversation.id.clone(),
        kind: TurnKind::New { parent, parts: Vec::new() },
        user_message: asked.id.clone(),
        reply: reply.id.clone(),
        model: "openai/gpt-4o".parse().expect("valid"),
        owner: "owner-1".parse().expect("valid"),
        idempotency_key: None,
        request_hash: "hash".into(),
        created_at: asked.created_at,
    };
    let accept = Accept {
        conversation: conversation.clone(),
        user_message: Some(asked.clone()),
        turn: new_turn,
        segment: segment(&turn, 1),
    };
    assert_eq!(store.accept(scope, &accept).await.expect("accepts"), Accepted::New);
    let fence = Fence { scope: scope.clone(), turn: turn.clone(), epoch: 1 };
    let step = NewStep {
        step: 1,
        purpose: Purpose::Reply,
        model: "openai/gpt-4o".parse().expect("valid"),
        input_bound: Tokens::new(10),
        input_estimate: Tokens::new(10),
        opened_at: asked.created_at,
        tier: None,
        dispatched: true,
    };
    store.open_step(&fence, &step).await.expect("opens");
    let close = TurnClose {
        state: TurnState::Completed,
        message: Some(reply.clone()),
        steps: vec![StepClose { step: 1, amounts: Vec::new() }],
        segment: segment(&turn, 2),
        failure: None,
        closed_at: reply.created_at,
    };
    store.close_turn(&fence, &close).await.expect("closes");
    (asked, reply)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_conversations_are_listed_with_their_branches() {
    let peer = Peer::new().await;
    let store = peer.fresh.open().await;
    let scope = store.find_user("ada@EXAMPLE.com").await.expect("finds");
    assert_eq!(scope.user.as_str(), peer.user);
    assert_eq!(scope.tenant.as_str(), "default");
    assert_eq!(store.find_user(&peer.user).await.expect("finds"), scope);
    assert_eq!(store.only_user().await.expect("there is one"), scope);
    assert!(store.find_user("bob@example.com").await.is_err());

    let mut listed = list(&store, &scope).await;
    listed.sort_by(|a, b| a.id.cmp(&b.id));
    let shown: Vec<_> = listed
        .iter()
        .map(|found| {
            let model = found.model.as_ref().map(ToString::to_string);
            let (id, title) = (found.id.as_str(), found.title.as_str());
            (id, title, found.head.as_ref(), model, found.expires_at.is_some())
        })
        .collect();
    let expected = [
        (&*peer.chat, "A cat", Some(&uuid(14)), Some("openai/gpt-4o".to_owned()), false),
        (
            &*peer.short,
            "Soon gone",
            Some(&uuid(20)),
            Some("anthropic/claude-sonnet-4".into()),
            true,
        ),
        (&*peer.old, "Old", Some(&uuid(31)), None, false),
    ];
    assert_eq!(shown, expected);
    let chat = &listed[0];
    assert_eq!(chat.instructions.as_deref(), Some("Be brief."));
    assert_eq!((chat.options.temperature, chat.options.top_p), (Some(1.0), Some(0.5)));

    let branch = async |head: u32| {
        let page = store.branch(&scope, &chat.id, &uuid(head), 10).await.expect("reads");
        assert_eq!(page.next, None);
        page.messages
    };
    let ids = |messages: &[Message]| -> Vec<MessageId> {
        messages.iter().map(|message| message.id.clone()).collect()
    };
    assert_eq!(ids(&branch(13).await), [uuid(13), uuid(12), uuid(11), uuid(10)]);
    let newest = branch(14).await;
    assert_eq!(ids(&newest), [uuid(14), uuid(12), uuid(11), uuid(10)]);
    let [summarised, _, tools, question] = newest.as_slice() else {
        panic!("four messages");
    };
    let [ContentPart::Summary { summary }, ContentPart::Text { text }] = &*summarised.parts else {
        panic!("a summary and a text: {:?}", summarised.parts);
    };
    assert_eq!(summary.text, "They looked at a grey cat.");
    assert_eq!((&summary.covers_to, text.as_str()), (&uuid(14), "Grey, once more."));
    let expected = [
        ContentPart::Reasoning { text: "It is small.".into(), opaque: None },
        ContentPart::text("A cat."),
        ContentPart::ToolCall {
            call_id: "call_1".into(),
            name: "measure".into(),
            arguments: "{\"what\":\"cat\"}".into(),
        },
        ContentPart::ToolResult { call_id: "call_1".into(), text: "42 cm".into(), is_error: false },
        ContentPart::text(" It is 42 cm long."),
    ];
    assert_eq!(tools.parts, expected);
    let picture = FileId::new(uuid(900).as_str()).expect("valid");
    let expected = [
        ContentPart::text("What is on this picture?"),
        ContentPart::Image {
            file: picture.clone(),
            media_type: "image/png".into(),
            width_px: Some(64),
            height_px: Some(32),
        },
    ];
    assert_eq!(question.parts, expected);
    let files = store.files(&scope, &[picture]).await.expect("reads");
    assert_eq!((files.len(), files[0].name.as_str(), files[0].size_bytes), (1, "cat.png", 1234));

    let lost = store.branch(&scope, &listed[2].id, &uuid(31), 10).await.expect("reads");
    assert_eq!(lost.messages.last().map(|root| root.parent.clone()), Some(None), "a root now");
    assert!(matches!(lost.messages[0].parts.last(), Some(ContentPart::Summary { .. })));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_continued_and_its_models_read_it() {
    let peer = Peer::new().await;
    let store = peer.fresh.open().await;
    let scope = store.only_user().await.expect("there is one");
    let id = peer.chat.parse().expect("valid");
    let chat = store.conversation(&scope, &id).await.expect("reads").expect("is there");
    let before = peer.sees(&peer.chat).await;
    let (asked, reply) = whole_turn(&store, &scope, &chat, chat.head.clone(), 40).await;

    let now = store.conversation(&scope, &id).await.expect("reads").expect("is there");
    assert_eq!(now.head.as_ref(), Some(&reply.id));
    assert_eq!(store.message(&scope, &id, &asked.id).await.expect("reads"), Some(asked.clone()));
    assert_eq!(store.message(&scope, &id, &reply.id).await.expect("reads"), Some(reply.clone()));

    let seen = peer.sees(&peer.chat).await;
    let kept = without_ours(&seen["conversation"]);
    assert_eq!(kept, before["conversation"], "what it keeps stays as it is");
    assert_eq!(seen["files"], before["files"]);
    let messages = seen["messages"].as_array().expect("a list");
    let old = before["messages"].as_array().expect("a list");
    assert_eq!(&messages[..old.len()], old, "its own messages are untouched");
    let new: Vec<Value> = messages[old.len()..].iter().map(without_ours).collect();
    let expected = [
        json!({
            "messageId": asked.id, "conversationId": peer.chat, "user": peer.user,
            "parentMessageId": uuid(14), "sender": "User", "text": "And this one?",
            "isCreatedByUser": true, "model": null, "unfinished": false, "error": false,
            "isTemporary": false, "expires": false,
            "files": [{ "file_id": "file-2", "type": "image/png", "width": 3, "height": 4 }],
        }),
        json!({
            "messageId": reply.id, "conversationId": peer.chat, "user": peer.user,
            "parentMessageId": asked.id, "sender": "gpt-4o", "text": "A mouse.",
            "isCreatedByUser": false, "isUserSubmitted": false, "endpoint": "openAI",
            "model": "gpt-4o", "finish_reason": "stop", "unfinished": false, "error": false,
            "isTemporary": false, "expires": false,
            "content": [
                { "type": "think", "think": "Let me see." },
                { "type": "tool_call", "tool_call": {
                    "id": "call_9", "name": "measure", "args": "{}", "type": "tool_call",
                    "output": "12 cm", "progress": 1 } },
                { "type": "text", "text": "A mouse." },
            ],
        }),
    ];
    assert_eq!(new, expected);

    // What it writes next wins: its edit, and its newest message as the head.
    let answer = peer.goes_on(&peer.chat, reply.id.as_str(), reply.id.as_str()).await;
    assert_eq!(answer["saved"], json!(uuid(50)));
    let edited = store.message(&scope, &id, &reply.id).await.expect("reads").expect("is there");
    assert_eq!(edited.parts, [ContentPart::text("Edited by hand.")]);
    assert_eq!(edited.turn, reply.turn);
    let now = store.conversation(&scope, &id).await.expect("reads").expect("is there");
    assert_eq!(now.head, Some(uuid(50)));
    store.close().await;
}

fn summary_up_to(message: &MessageId) -> Summary {
    Summary {
        text: "A cat of 42 cm.".into(),
        covers_to: message.clone(),
        covered: ContentHash::of(["a cat"]),
        prompt_version: Some(1),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_summary_is_what_its_models_read() {
    let peer = Peer::new().await;
    let store = peer.fresh.open().await;
    let scope = store.only_user().await.expect("there is one");
    // The second one has a summary of LibreChat's own in that field.
    for (conversation, name, is_theirs) in [(&peer.chat, 12, false), (&peer.old, 31, true)] {
        let (id, message) = (conversation.parse().expect("valid"), uuid(name));
        let before = store.message(&scope, &id, &message).await.expect("reads").expect("is there");
        let seen_before = peer.sees(conversation).await;
        let summary = summary_up_to(&message);
        store.keep_summary(&scope, &id, &summary).await.expect("keeps");
        let now = store.message(&scope, &id, &message).await.expect("reads");
        assert_eq!(now, Some(Message { summary: Some(summary.clone()), ..before }));
        let mut expected = seen_before["messages"].as_array().expect("a list").clone();
        let kept = expected.iter_mut().find(|seen| seen["messageId"] == json!(message));
        if !is_theirs {
            kept.expect("is there")["summary"] = json!(summary.text);
        }
        let expected: Vec<Value> = expected.iter().map(without_ours).collect();
        let seen = peer.sees(conversation).await;
        let seen = seen["messages"].as_array().expect("a list");
        assert_eq!(seen.iter().map(without_ours).collect::<Vec<Value>>(), expected);
    }
    store.close().await;
}

/// A lean read shows what is stored; our sub-document is nobody's business but ours.
fn without_ours(message: &Value) -> Value {
    let mut message = message.clone();
    if let Some(fields) = message.as_object_mut() {
        fields.remove("chatRuntime");
        fields.remove("_meiliIndex");
    }
    message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_temporary_chat_stays_temporary() {
    let peer = Peer::new().await;
    let store = peer.fresh.open().await;
    let scope = store.only_user().await.expect("there is one");
    let id = peer.short.parse().expect("valid");
    let short = store.conversation(&scope, &id).await.expect("reads").expect("is there");
    whole_turn(&store, &scope, &short, short.head.clone(), 60).await;
    let seen = peer.sees(&peer.short).await;
    let flags: Vec<(Value, Value)> = seen["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|message| (message["isTemporary"].clone(), message["expires"].clone()))
        .collect();
    assert_eq!(flags, vec![(json!(true), json!(true)); 3], "the server deletes them with it");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_are_stored_like_this() {
    let peer = Peer::new().await;
    let store = peer.fresh.open().await;
    let scope = store.only_user().await.expect("there is one");
    let mut new = Conversation::new(uuid(70).as_str().parse().expect("valid"), "New", at(1_000));
    new.model = Some("openai/gpt-4o".parse().expect("valid"));
    new.options.temperature = Some(0.5);
    whole_turn(&store, &scope, &new, None, 71).await;
    let summary = summary_up_to(&uuid(72));
    store.keep_summary(&scope, &new.id, &summary).await.expect("keeps");
    let mut shown = serde_json::Map::new();
    for name in ["conversations", "messages"] {
        let documents = peer.fresh.database().collection(name);
        let found: mongodb::bson::Document = documents
            .find_one(mongodb::bson::doc! { "conversationId": new.id.as_str() })
            .sort(mongodb::bson::doc! { "_id": -1 })
            .await
            .expect("reads")
            .expect("is there");
        shown.insert(name.to_owned(), shape(&mongodb::bson::Bson::Document(found)));
    }
    insta::assert_json_snapshot!(Value::Object(shown));
    store.close().await;
}

/// A value with its BSON type; ids that differ from run to run are left out.
fn shape(value: &mongodb::bson::Bson) -> Value {
    use mongodb::bson::Bson;
    match value {
        Bson::Document(document) => document
            .iter()
            .map(|(name, value)| match name.as_str() {
                "user" => (name.clone(), json!("String(a user)")),
                _ => (name.clone(), shape(value)),
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Bson::Array(values) => values.iter().map(shape).collect(),
        Bson::ObjectId(_) => json!("ObjectId"),
        Bson::DateTime(time) => json!(format!("Date({})", time.timestamp_millis())),
        other => json!(format!("{other:?}")),
    }
}
