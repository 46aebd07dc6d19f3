//! Searching: one call per file, as LibreChat makes them, and one list of all.
//!
//! The service compares owners there, which it does not where several files are searched at once.
//! A file whose search fails does not fail the others; if all fail, the first error is the answer.

use async_trait::async_trait;
use chat_rag::{RagClient, RagError, RagErrorKind, Result, RetrievalRequest, Snippet, clip_query};
use chat_types::{FileId, Scope};
use futures::StreamExt as _;
use http::Method;

use crate::HttpRag;
use crate::call::Call;
use crate::wire::{Hit, Query};

const OPERATION: &str = "retrieve";

#[async_trait]
impl RagClient for HttpRag {
    /// As the port says. The request must name its documents: the service cannot tell which are a
    /// user's. Collections it does not know.
    async fn retrieve(&self, request: &RetrievalRequest) -> Result<Vec<Snippet>> {
        request.check()?;
        if request.is_moot() || !self.serves(&request.scope) {
            return Ok(Vec::new());
        }
        let invalid = |detail| RagError::new(RagErrorKind::Invalid, OPERATION, detail);
        if request.filter.collections.is_some() {
            return Err(invalid("this service knows no collections; name the documents"));
        }
        let documents = request.filter.documents.as_deref().ok_or_else(|| {
            invalid("this service cannot tell whose documents there are; name those to search")
        })?;
        let whole_ms = request.deadline.map_or(self.config.search_ms, |deadline| {
            u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX).clamp(1, self.config.search_ms)
        });
        let query = clip_query(&request.query);
        let mut calls = Vec::with_capacity(documents.len());
        for document in documents {
            calls.push(self.search(request, document, &query, whole_ms));
        }
        let mut searches = futures::stream::iter(calls).buffered(self.config.searches_at_once);
        let mut found: Vec<Snippet> = Vec::new();
        let mut failure: Option<RagError> = None;
        let mut answered = 0_usize;
        while let Some(search) = searches.next().await {
            match search {
                Ok(snippets) => {
                    answered = answered.saturating_add(1);
                    found.extend(snippets);
                }
                Err(error) => {
                    tracing::warn!(code = error.code(), "a file was not searched");
                    failure = failure.or(Some(error));
                }
            }
        }
        match failure {
            Some(error) if answered == 0 => Err(error),
            _ => Ok(ranked(found, request.limit)),
        }
    }
}

/// Distances of all files are of one space, so they make one order. Ties keep the order of the
/// files and of the service.
fn ranked(mut found: Vec<Snippet>, limit: u32) -> Vec<Snippet> {
    found.sort_by(|left, right| right.score.total_cmp(&left.score));
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    found.into_iter().zip(1..).map(|(snippet, rank)| Snippet { rank, ..snippet }).collect()
}

impl HttpRag {
    async fn search(
        &self,
        request: &RetrievalRequest,
        document: &FileId,
        query: &str,
        whole_ms: u64,
    ) -> Result<Vec<Snippet>> {
        let entity_id = self.config.entity.as_deref();
        let body = Query { query, file_id: document.as_str(), k: request.limit, entity_id };
        let call = Call::json(OPERATION, (Method::POST, "/query"), &body, whole_ms)?;
        let answer = self.call(&request.scope, call).await?;
        // Some versions say so when nothing is found.
        if answer.status.as_u16() == 404 {
            return Ok(Vec::new());
        }
        let hits: Vec<Hit> = answer.read("a list of chunks and distances")?;
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let own = hits.into_iter().filter(|hit| self.is_own(&request.scope, document, hit));
        Ok(own
            .take(limit)
            .map(|Hit(chunk, distance)| chunk.into_snippet(document, distance))
            .collect())
    }

    /// The service looks at the owner of its first hit only: each is looked at here.
    fn is_own(&self, scope: &Scope, document: &FileId, Hit(chunk, _): &Hit) -> bool {
        let is_asked = chunk.file_id().is_none_or(|id| id == document.as_str());
        is_asked && self.may_see(scope, chunk.user_id())
    }
}
