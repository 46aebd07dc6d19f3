//! Queries are data; limits and filters hold.

use chat_rag::{DocumentFilter, FILTER_IDS_MAX, RagErrorKind, RetrievalRequest, SNIPPETS_MAX};
use chat_types::FileId;

use super::{Index, add, ask, document, documents_of, found, question};
use crate::fixtures::id;

/// Nothing to search for finds nothing, without an error.
pub async fn a_query_without_words_finds_nothing(index: &Index) {
    add(index, &document("d", "Alpha beta gamma.")).await;
    for query in ["", " ", "\n\t", "?", "\"", "***", "()", "-- ;", "\0", "…"] {
        assert_eq!(found(index, query).await, [""; 0], "{query:?}");
    }
}

/// What is syntax to some search engine is words or nothing here.
pub async fn syntax_is_data(index: &Index) {
    add(index, &document("d", "Alpha beta gamma.")).await;
    let hostile = [
        "\" OR NEAR( * beta",
        "beta*",
        "NEAR(alpha beta, 2)",
        "alpha AND NOT beta",
        "text: beta",
        "owner : beta",
        "^beta",
        "{text owner} : beta",
        "- beta",
        "beta'); DROP TABLE chunks; --",
        "beta\" --",
        "beta & !gamma | (alpha",
        "beta <-> ' \\ :*",
        "$1 beta %s {} ${beta}",
        "\"beta\"\"",
        "beta\0gamma",
        "/beta/ [a-z]+ \\d{1000000}",
    ];
    for query in hostile {
        assert_eq!(found(index, query).await, ["d"], "{query:?}");
    }
    // Words of an engine's syntax are words.
    add(index, &document("words", "Not and near or column match.")).await;
    assert_eq!(found(index, "NEAR").await.first().map(String::as_str), Some("words"));
}

/// No more than the limit, and none for zero.
pub async fn the_limit_holds(index: &Index) {
    for n in 0..12 {
        add(index, &document(&format!("d-{n}"), &format!("Kettle number{n}."))).await;
    }
    for limit in [0, 1, 5, 12, SNIPPETS_MAX] {
        let answer = ask(index, &question("kettle").with_limit(limit)).await;
        let expected = usize::try_from(limit.min(12)).expect("fits");
        assert_eq!(answer.len(), expected, "limit {limit}");
    }
}

/// Only the named documents answer; unknown names are no error.
pub async fn filters_by_document_hold(index: &Index) {
    for name in ["a", "b", "c"] {
        add(index, &document(name, "The kettle is hot.")).await;
    }
    let filter = DocumentFilter::documents([id("c"), id("unknown"), id("a")]);
    let answer = ask(index, &question("kettle").with_filter(filter)).await;
    let mut documents = documents_of(&answer);
    documents.sort();
    assert_eq!(documents, ["a", "c"]);
    let filter = DocumentFilter::documents([id("unknown")]);
    assert_eq!(ask(index, &question("kettle").with_filter(filter)).await, []);
}

/// Only documents of the named collections answer; one in none does not. Both filters hold.
pub async fn filters_by_collection_hold(index: &Index) {
    for (name, collection) in [("a", Some("tea")), ("b", Some("coffee")), ("c", None)] {
        let mut kept = document(name, "The kettle is hot.");
        kept.collection = collection.map(id);
        add(index, &kept).await;
    }
    let tea = DocumentFilter::collections([id("tea"), id("unknown")]);
    let answer = ask(index, &question("kettle").with_filter(tea.clone())).await;
    assert_eq!(documents_of(&answer), ["a"]);
    let both = DocumentFilter { documents: Some(vec![id("b"), id("c")]), ..tea };
    assert_eq!(ask(index, &question("kettle").with_filter(both)).await, []);
}

/// A list of no allowed documents allows none; only no list allows all.
pub async fn an_empty_filter_allows_nothing(index: &Index) {
    add(index, &document("d", "The kettle is hot.")).await;
    for filter in [DocumentFilter::documents([]), DocumentFilter::collections([])] {
        assert_eq!(ask(index, &question("kettle").with_filter(filter)).await, []);
    }
    assert_eq!(found(index, "kettle").await, ["d"]);
}

/// A pasted book is no error; what stands at its ends is searched for.
pub async fn long_queries_are_answered(index: &Index) {
    add(index, &document("d", "The kettle is hot.")).await;
    let padding = "word ".repeat(100_000);
    assert_eq!(found(index, &format!("{padding} and the kettle?")).await, ["d"]);
    assert_eq!(found(index, &format!("The kettle: {padding}")).await, ["d"]);
    // One word without an end is no word of the document.
    let endless = ask(index, &question(&"kettle".repeat(50_000))).await;
    assert!(endless.len() <= 1, "{endless:?}");
}

/// Words of every script are found, also in scripts without spaces.
pub async fn every_script_is_found(index: &Index) {
    let texts = [
        ("greek", "Ο βραστήρας καθαρίζεται με ξύδι", "ξύδι"),
        ("cyrillic", "Чайник чистят уксусом", "УКСУСОМ"),
        ("arabic", "تنظف الغلاية بالخل", "الغلاية"),
        ("japanese", "東京都では電気ケトルを酢で洗浄します", "ケトル"),
        ("chinese", "用白醋清洗电热水壶", "热水壶"),
        ("korean", "주전자는 식초로 세척합니다", "식초"),
        ("hindi", "केतली को सिरके से साफ करें", "सिरके"),
        ("thai", "ทำความสะอาดกาต้มน้ำด้วยน้ำส้มสายชู", "กาต้มน้ำ"),
        ("emoji", "kettle 😀 descaled", "descaled 😀"),
    ];
    for (name, text, _) in texts {
        add(index, &document(name, text)).await;
    }
    for (name, _, query) in texts {
        assert_eq!(found(index, query).await.first().map(String::as_str), Some(name), "{query}");
    }
}

/// Limits and filters beyond the bounds are refused before anything is searched.
pub async fn what_is_beyond_the_bounds_is_refused(index: &Index) {
    let many = (0..=FILTER_IDS_MAX).map(|n| id::<FileId>(&format!("d-{n}")));
    let refused: [RetrievalRequest; 2] = [
        question("kettle").with_limit(SNIPPETS_MAX + 1),
        question("kettle").with_filter(DocumentFilter::documents(many)),
    ];
    for request in refused {
        let error = index.retrieve(&request).await.expect_err("refuses");
        assert_eq!((error.kind(), error.is_transient()), (RagErrorKind::Invalid, false));
    }
}
