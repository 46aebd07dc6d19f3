//! What reading costs: the server itself counts the rows it fetched.

use chat_persist::PersistenceAdapter as _;
use chat_types::{Conversation, Message};

use crate::common::{at, conversation_id, message, message_id, number, run, scope};
use crate::database::{Database, shell_at};

const MESSAGES: usize = 2_000;

const PAGE: usize = 20;

const FETCHED: &str = "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
    FROM pg_stat_user_tables WHERE relid = 'chat.messages'::regclass";

fn name(place: usize) -> String {
    format!("m-{place}")
}

fn messages() -> Vec<Message> {
    let at = |place: usize| {
        let parent = (place > 1).then(|| name(place - 1));
        message("long", &name(place), parent.as_deref(), "a line")
    };
    (1..=MESSAGES).map(at).collect()
}

#[tokio::test]
async fn a_branch_page_fetches_what_it_holds_and_not_the_history() {
    let database = Database::create().await;
    let store = database.store().await;
    let mut whole = Conversation::new(conversation_id("long"), "long", at(1));
    whole.head = Some(message_id(&name(MESSAGES)));
    store.import(&scope(), &whole, &messages()).await.expect("imports");
    store.close().await;
    let mut shell = shell_at(&database.url()).await;
    // Without statistics the planner would guess a small table, as it is right after an import.
    run(&mut shell, "ANALYZE chat.messages").await;

    for head in [MESSAGES, MESSAGES / 2] {
        let store = database.store().await;
        run(&mut shell, "SELECT pg_stat_clear_snapshot()").await;
        let before = number(&mut shell, FETCHED).await;
        let head = message_id(&name(head));
        let page = store.branch(&scope(), &whole.id, &head, PAGE).await.expect("reads");
        assert_eq!(page.messages.len(), PAGE);
        // A connection reports what it did when it ends at the latest.
        store.close().await;
        let mut fetched = 0;
        for _ in 0..200 {
            run(&mut shell, "SELECT pg_stat_clear_snapshot()").await;
            fetched = number(&mut shell, FETCHED).await - before;
            if fetched > 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let allowed = i64::try_from(4 * PAGE).expect("small");
        assert!(0 < fetched && fetched <= allowed, "{fetched} fetched for a page of {PAGE}");
    }
}
