//! The port: a query of somebody in, ranked snippets of their own documents out.

use std::borrow::Cow;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use chat_types::{CollectionId, FileId, Scope};

use crate::error::{RagError, RagErrorKind, Result};
use crate::snippet::Snippet;

/// The most snippets of one answer. No prompt has room for more than a hundred.
pub const SNIPPETS_MAX: u32 = 100;

/// The most ids in one filter: the files of a long branch, and few enough for one statement.
pub const FILTER_IDS_MAX: usize = 1_000;

/// Bytes kept of each end of a long query. The question stands at one of them, and what lies
/// between would only blur it.
const QUERY_END_BYTES: usize = 4_096;

/// Which documents may answer. `None` means all of the owner's; an empty list means none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentFilter {
    /// Only these documents.
    pub documents: Option<Vec<FileId>>,
    /// Only documents of these collections.
    pub collections: Option<Vec<CollectionId>>,
}

impl DocumentFilter {
    /// All documents of the owner.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Only these documents.
    #[must_use]
    pub fn documents(ids: impl IntoIterator<Item = FileId>) -> Self {
        Self { documents: Some(ids.into_iter().collect()), collections: None }
    }

    /// Only documents of these collections.
    #[must_use]
    pub fn collections(ids: impl IntoIterator<Item = CollectionId>) -> Self {
        Self { documents: None, collections: Some(ids.into_iter().collect()) }
    }

    /// No document can pass.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.documents.as_ref().is_some_and(Vec::is_empty)
            || self.collections.as_ref().is_some_and(Vec::is_empty)
    }
}

/// A question to an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrievalRequest {
    /// Who asks: only their own documents answer.
    pub scope: Scope,
    /// The question as it was written; nothing in it is syntax.
    pub query: String,
    /// Which documents may answer.
    pub filter: DocumentFilter,
    /// The most snippets wanted, at most [`SNIPPETS_MAX`].
    pub limit: u32,
    /// How long whoever asks will wait. An index may use it to give up in time; [`Retrieval`]
    /// keeps to it whatever the index does.
    ///
    /// [`Retrieval`]: crate::Retrieval
    pub deadline: Option<Duration>,
}

impl RetrievalRequest {
    /// A question to all documents of `scope`, for 8 snippets, without a deadline.
    #[must_use]
    pub fn new(scope: Scope, query: impl Into<String>) -> Self {
        Self { scope, query: query.into(), filter: DocumentFilter::all(), limit: 8, deadline: None }
    }

    /// The same to fewer documents.
    #[must_use]
    pub fn with_filter(mut self, filter: DocumentFilter) -> Self {
        self.filter = filter;
        self
    }

    /// The same for `limit` snippets.
    #[must_use]
    pub const fn with_limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Checks the bounds that hold for every index.
    ///
    /// # Errors
    /// `Invalid` for a limit beyond [`SNIPPETS_MAX`] or a filter of more than [`FILTER_IDS_MAX`]
    /// ids.
    pub fn check(&self) -> Result<()> {
        let refuse = |detail| Err(RagError::new(RagErrorKind::Invalid, "retrieve", detail));
        if self.limit > SNIPPETS_MAX {
            return refuse(format!("{} snippets, {SNIPPETS_MAX} are allowed", self.limit));
        }
        let documents = self.filter.documents.as_ref().map_or(0, Vec::len);
        let collections = self.filter.collections.as_ref().map_or(0, Vec::len);
        if documents.max(collections) > FILTER_IDS_MAX {
            return refuse(format!(
                "a filter of {documents} documents and {collections} collections; \
                 {FILTER_IDS_MAX} of each are allowed"
            ));
        }
        Ok(())
    }

    /// Nothing can answer: no word in the query, no document allowed, or no snippet wanted.
    #[must_use]
    pub fn is_moot(&self) -> bool {
        self.limit == 0 || self.filter.is_none() || !self.query.chars().any(char::is_alphanumeric)
    }
}

/// The part of a query that is searched for: all of it, or both ends of a very long one.
#[must_use]
pub fn clip_query(query: &str) -> Cow<'_, str> {
    if query.len() <= 2 * QUERY_END_BYTES {
        return Cow::Borrowed(query);
    }
    let head = query.floor_char_boundary(QUERY_END_BYTES);
    let tail = query.ceil_char_boundary(query.len().saturating_sub(QUERY_END_BYTES));
    let end = |range: Option<&str>| range.unwrap_or_default().to_owned();
    Cow::Owned(end(query.get(..head)) + "\n" + &end(query.get(tail..)))
}

/// Finds snippets.
#[async_trait]
pub trait RagClient: Debug + Send + Sync + 'static {
    /// The best snippets of the owner's documents, best first, ranks from 1 without gaps.
    ///
    /// Asking again with nothing changed gives the same list. A request that is moot
    /// ([`RetrievalRequest::is_moot`]) gives none. Dropping the future stops the waiting, never
    /// a database call half-way.
    ///
    /// # Errors
    /// `Invalid` as [`RetrievalRequest::check`]; else as the kinds say. Never because nothing was
    /// found.
    async fn retrieve(&self, request: &RetrievalRequest) -> Result<Vec<Snippet>>;
}

const _DYN: fn(&dyn RagClient) = |_| {};
