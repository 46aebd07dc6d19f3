//! What `RagIndex` promises, one function per promise.
//!
//! Each case gets a fresh, empty index. The macro lists every case.

pub mod documents;
pub mod isolation;
pub mod queries;
pub mod ranking;

/// Emits one test per promise of an index of documents. The argument is an expression whose value
/// is a future of a fresh [`RagHarness`](crate::RagHarness); it is evaluated once per test.
#[macro_export]
macro_rules! rag_suite {
    ($open:expr) => {
        mod rag_conformance {
            use super::*;
            $crate::conformance_cases! { rag, $open;
                documents {
                    a_document_is_found_by_its_words,
                    what_is_known_of_a_document_comes_back,
                    adding_again_changes_nothing,
                    new_content_takes_the_place_of_the_old,
                    a_new_label_takes_the_place_of_the_old,
                    removing_removes,
                    a_removed_document_can_be_added_again,
                    pages_follow_each_other,
                    a_document_without_words_is_kept,
                    a_refused_document_changes_nothing,
                    progress_is_told_in_order,
                    parallel_adds_leave_one_version,
                    dropped_add_leaves_the_index_healthy,
                }
                isolation {
                    another_user_gets_nothing,
                    another_tenant_gets_nothing,
                    naming_a_document_of_another_gets_nothing,
                    strangers_list_and_remove_nothing,
                    one_id_of_two_owners_is_two_documents,
                    others_documents_take_no_places,
                }
                queries {
                    a_query_without_words_finds_nothing,
                    syntax_is_data,
                    the_limit_holds,
                    filters_by_document_hold,
                    filters_by_collection_hold,
                    an_empty_filter_allows_nothing,
                    long_queries_are_answered,
                    every_script_is_found,
                    what_is_beyond_the_bounds_is_refused,
                }
                ranking {
                    the_chunk_that_answers_comes_first,
                    ranks_are_counted_and_scores_are_shares,
                    the_same_question_gives_the_same_list,
                    rare_words_decide,
                    a_snippet_is_a_place_of_its_document,
                    ids_stay_when_content_comes_again,
                    the_label_is_searched_too,
                }
            }
        }
    };
}

use std::sync::Arc;

use chat_rag::{Added, Document, RagIndex, RetrievalRequest, Snippet};
use chat_types::Scope;

use crate::fixtures::{id, scope};

/// What every case talks to.
pub(crate) type Index = Arc<dyn RagIndex>;

pub(crate) fn document(name: &str, text: &str) -> Document {
    Document::new(id(name), format!("{name}.txt"), text)
}

pub(crate) async fn add(index: &Index, document: &Document) -> Added {
    add_as(index, &scope(), document).await
}

pub(crate) async fn add_as(index: &Index, scope: &Scope, document: &Document) -> Added {
    index.add(scope, document, &|_| {}).await.expect("adds")
}

pub(crate) fn question(query: &str) -> RetrievalRequest {
    RetrievalRequest::new(scope(), query)
}

pub(crate) async fn ask(index: &Index, request: &RetrievalRequest) -> Vec<Snippet> {
    index.retrieve(request).await.expect("retrieves")
}

/// The documents that answer, best first.
pub(crate) async fn found(index: &Index, query: &str) -> Vec<String> {
    documents_of(&ask(index, &question(query)).await)
}

pub(crate) fn documents_of(snippets: &[Snippet]) -> Vec<String> {
    snippets.iter().map(|snippet| snippet.id.document.to_string()).collect()
}
