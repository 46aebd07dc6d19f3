//! What is acknowledged is read: also from a primary that does not know yet that a majority has it.

use chat_persist::PersistenceAdapter as _;
use chat_types::{Conversation, ConversationId, Scope, Timestamp};
use mongodb::bson::{Bson, Document, doc};

use crate::fresh::{Fresh, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_names_the_time_of_what_was_acknowledged_before_it() {
    let fresh = Fresh::on(Server::ReplicaSet).await;
    let store = fresh.open().await;
    let scope = Scope::new("acme".parse().expect("an id"), "ada".parse().expect("an id"));
    let id: ConversationId = "c-1".parse().expect("an id");
    let conversation = Conversation::new(id.clone(), "hello", Timestamp::from_unix_ms(1));
    store.import(&scope, &conversation, &[]).await.expect("writes");
    let database = fresh.database();
    database.run_command(doc! { "profile": 2 }).await.expect("profiles");
    store.conversation(&scope, &id).await.expect("reads").expect("is there");
    database.run_command(doc! { "profile": 0 }).await.expect("profiles");

    let profile = database.collection::<Document>("system.profile");
    let reads = doc! { "command.find": "conversations" };
    let read = profile.find_one(reads).await.expect("reads").expect("was profiled");
    let command = read.get_document("command").expect("a command");
    let concern = command.get_document("readConcern").expect("a read concern");
    assert_eq!(concern.get_str("level").ok(), Some("majority"), "{command:?}");
    assert!(matches!(concern.get("afterClusterTime"), Some(Bson::Timestamp(_))), "{command:?}");
}
