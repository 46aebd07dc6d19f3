//! Another user or tenant gets, lists and removes nothing.

use chat_rag::{DocumentFilter, RetrievalRequest};
use chat_types::Scope;

use super::{Index, add, add_as, ask, document, documents_of, found, question};
use crate::fixtures::{id, scope, scope_of, strangers};

const SECRET: &str = "The launch code is 4711 and nobody else may read it.";

async fn asked_by(index: &Index, scope: Scope, query: &str) -> Vec<String> {
    documents_of(&ask(index, &RetrievalRequest::new(scope, query)).await)
}

/// Another user of the same tenant gets no chunk.
pub async fn another_user_gets_nothing(index: &Index) {
    add(index, &document("secret", SECRET)).await;
    assert_eq!(asked_by(index, scope_of("acme", "bob"), "launch code").await, [""; 0]);
    assert_eq!(asked_by(index, scope(), "launch code").await, ["secret"]);
}

/// The same user name in another tenant gets no chunk.
pub async fn another_tenant_gets_nothing(index: &Index) {
    add(index, &document("secret", SECRET)).await;
    assert_eq!(asked_by(index, scope_of("umbrella", "ada"), "launch code").await, [""; 0]);
}

/// Knowing the id of a document of somebody else, or its words, opens nothing.
pub async fn naming_a_document_of_another_gets_nothing(index: &Index) {
    add(index, &document("secret", SECRET)).await;
    for stranger in strangers() {
        add_as(index, &stranger, &document("own", "The launch party is on Friday.")).await;
        let request = RetrievalRequest::new(stranger, SECRET)
            .with_filter(DocumentFilter::documents([id("secret")]));
        assert_eq!(ask(index, &request).await, []);
    }
}

/// Strangers see no document and take none away.
pub async fn strangers_list_and_remove_nothing(index: &Index) {
    add(index, &document("secret", SECRET)).await;
    for stranger in strangers() {
        assert_eq!(index.list(&stranger, None, 0).await.expect("lists"), []);
        assert!(!index.remove(&stranger, &id("secret")).await.expect("removes"));
    }
    assert_eq!(found(index, "launch code").await, ["secret"]);
}

/// Two owners may use one id: each has their own document, and removing one keeps the other.
pub async fn one_id_of_two_owners_is_two_documents(index: &Index) {
    let bob = scope_of("acme", "bob");
    add(index, &document("notes", "Ada writes about kettles.")).await;
    add_as(index, &bob, &document("notes", "Bob writes about kettles.")).await;
    let texts = |scope: Scope| async move {
        let snippets = ask(index, &RetrievalRequest::new(scope, "kettles")).await;
        snippets.into_iter().map(|snippet| snippet.text).collect::<Vec<_>>()
    };
    assert_eq!(texts(scope()).await, ["Ada writes about kettles."]);
    assert_eq!(texts(bob.clone()).await, ["Bob writes about kettles."]);
    assert!(index.remove(&bob, &id("notes")).await.expect("removes"));
    assert_eq!(texts(scope()).await, ["Ada writes about kettles."]);
    assert_eq!(texts(bob).await, [""; 0]);
}

/// Better answers of other owners do not push out one's own.
pub async fn others_documents_take_no_places(index: &Index) {
    for n in 0..60 {
        let text = "Kettle kettle kettle descaling kettle.";
        add_as(index, &scope_of("acme", "bob"), &document(&format!("b-{n}"), text)).await;
    }
    let text = "Far down, after many other words, a kettle is mentioned once.";
    add(index, &document("mine", text)).await;
    let own = ask(index, &question("descaling a kettle").with_limit(1)).await;
    assert_eq!(documents_of(&own), ["mine"]);
}
