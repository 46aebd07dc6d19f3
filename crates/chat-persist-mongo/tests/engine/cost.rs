//! What reading costs: the server itself says how many documents it looked at.

use chat_persist::PersistenceAdapter as _;
use chat_types::{
    ContentPart, Conversation, ConversationId, Message, MessageId, MessageStatus, Role, Scope,
    Timestamp,
};
use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};

use crate::fresh::{Fresh, Server};

const MESSAGES: i64 = 2_000;

const PAGE: usize = 20;

fn scope() -> Scope {
    Scope::new("acme".parse().expect("an id"), "ada".parse().expect("an id"))
}

fn conversation() -> ConversationId {
    "long".parse().expect("an id")
}

fn name(number: i64) -> MessageId {
    format!("m-{number}").parse().expect("an id")
}

fn message(number: i64) -> Message {
    Message {
        id: name(number),
        conversation: conversation(),
        parent: (number > 1).then(|| name(number - 1)),
        role: if number % 2 == 1 { Role::User } else { Role::Assistant },
        parts: vec![ContentPart::text(format!("line {number}"))],
        created_at: Timestamp::from_unix_ms(number),
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: Vec::new(),
        summary: None,
    }
}

/// Documents and index keys that reads of `messages` have looked at since profiling began.
async fn looked_at(fresh: &Fresh) -> i64 {
    let profile = fresh.database().collection::<Document>("system.profile");
    let reads =
        doc! { "ns": format!("{}.messages", fresh.name), "op": { "$in": ["query", "command"] } };
    let rows: Vec<Document> =
        profile.find(reads).await.expect("reads").try_collect().await.expect("reads");
    assert!(!rows.is_empty(), "nothing was profiled");
    let number = |row: &Document, key: &str| {
        row.get_i32(key).map(i64::from).or_else(|_| row.get_i64(key)).unwrap_or_default()
    };
    rows.iter().map(|row| number(row, "docsExamined").max(number(row, "keysExamined"))).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_page_looks_at_what_it_holds_and_not_at_the_history() {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    let store = fresh.open().await;
    let messages: Vec<Message> = (1..=MESSAGES).map(message).collect();
    let mut whole = Conversation::new(conversation(), "long", Timestamp::from_unix_ms(1));
    whole.head = Some(name(MESSAGES));
    store.import(&scope(), &whole, &messages).await.expect("imports");

    // From the newest message, and from one far below it.
    for head in [name(MESSAGES), name(MESSAGES / 2)] {
        let database = fresh.database();
        database.run_command(doc! { "profile": 2 }).await.expect("profiles");
        let page = store.branch(&scope(), &conversation(), &head, PAGE).await.expect("reads");
        database.run_command(doc! { "profile": 0 }).await.expect("profiles");
        assert_eq!(page.messages.len(), PAGE);
        let seen = looked_at(&fresh).await;
        let allowed = 4 * i64::try_from(PAGE).expect("small");
        assert!(seen <= allowed, "{seen} looked at for a page of {PAGE} from {head}");
        database.collection::<Document>("system.profile").drop().await.expect("drops");
    }
}
