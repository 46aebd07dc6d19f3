//! `Retrieval`: what stands between the indexes and the prompt.
//!
//! Order: ask all indexes at once, stop waiting at the deadline, fuse, drop doubles, apply the
//! relevance floor, fit the token budget. A search that is late is left to end by itself, so that
//! no database call is dropped half-way; how many may be under way has a bound.
//! Not here: where the text goes in the prompt.

use std::sync::Arc;
use std::time::Duration;

use chat_types::Tokens;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client::{RagClient, RetrievalRequest, SNIPPETS_MAX};
use crate::error::{RagError, RagErrorKind, Result};
use crate::fusion::merge;
use crate::selection::{Dropped, Selection, dedupe, drop_below, fit};
use crate::snippet::Snippet;

/// What a failing index means for the turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailurePolicy {
    /// The turn goes on without its snippets; the report says so.
    #[default]
    BestEffort,
    /// The turn fails: an answer without sources would be worse than none.
    Required,
}

/// Settings of retrieval; every number says why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RetrievalConfig {
    /// How long a turn waits for its sources, in milliseconds. Two seconds: a local index answers
    /// in a tenth of that, and nobody waits longer for a first word.
    pub deadline_ms: u64,
    /// The most snippets in a prompt. Eight chunks hold an answer that is there at all.
    pub limit: u32,
    /// The relevance floor, 0 to 1; snippets that score less are dropped. 0.3 is what keeps small
    /// talk from fetching sources with the embedded model.
    pub score_min: f64,
    /// The most tokens of the whole fenced text; the room a prompt has may be less.
    pub tokens_max: Tokens,
    /// What a failing index means.
    pub on_failure: FailurePolicy,
    /// Searches that may be under way at once, late ones included. 64 outlast any burst one
    /// process serves; an index that answers none of them is down.
    pub searches_max: usize,
}

impl Default for RetrievalConfig {
    fn default() -> Self {
        Self {
            deadline_ms: 2_000,
            limit: 8,
            score_min: 0.3,
            tokens_max: Tokens::new(2_500),
            on_failure: FailurePolicy::BestEffort,
            searches_max: 64,
        }
    }
}

impl RetrievalConfig {
    /// Checks each number against its range.
    ///
    /// # Errors
    /// `Invalid` names the setting.
    pub fn check(&self) -> Result<()> {
        let refuse = |what: &str| {
            Err(RagError::new(RagErrorKind::Invalid, "set up retrieval", what.to_owned()))
        };
        if !(1..=600_000).contains(&self.deadline_ms) {
            return refuse("deadline_ms must be 1 to 600,000");
        }
        if !(1..=SNIPPETS_MAX).contains(&self.limit) {
            return refuse("limit must be 1 to 100");
        }
        if !(0.0..=1.0).contains(&self.score_min) {
            return refuse("score_min must be 0 to 1");
        }
        if !(1..=4_096).contains(&self.searches_max) {
            return refuse("searches_max must be 1 to 4,096");
        }
        Ok(())
    }
}

/// An index that did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFailure {
    /// Which one, as it was named.
    pub index: String,
    /// The error's stable code.
    pub code: String,
    /// What happened, for people.
    pub detail: String,
}

/// What a turn gets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retrieved {
    /// For the prompt, best first. `count(&fence(&snippets))` is within the budget.
    pub snippets: Vec<Snippet>,
    /// Found and left out.
    pub dropped: Vec<Dropped>,
    /// Indexes that did not answer; empty when all did.
    pub failures: Vec<SourceFailure>,
}

/// Retrieval over one or more indexes.
#[derive(Clone, Debug)]
pub struct Retrieval {
    indexes: Vec<(String, Arc<dyn RagClient>)>,
    config: RetrievalConfig,
    searches: Arc<Semaphore>,
}

impl Retrieval {
    /// Retrieval over `index`, called `name` in reports.
    ///
    /// # Errors
    /// As [`RetrievalConfig::check`].
    pub fn new(
        name: impl Into<String>,
        index: Arc<dyn RagClient>,
        config: RetrievalConfig,
    ) -> Result<Self> {
        config.check()?;
        let searches = Arc::new(Semaphore::new(config.searches_max));
        Ok(Self { indexes: vec![(name.into(), index)], config, searches })
    }

    /// The same over one more index; all are asked at once and their lists fused.
    #[must_use]
    pub fn with_index(mut self, name: impl Into<String>, index: Arc<dyn RagClient>) -> Self {
        self.indexes.push((name.into(), index));
        self
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &RetrievalConfig {
        &self.config
    }

    /// Finds what answers `request` and fits into `budget` tokens as `count` counts them.
    ///
    /// The request's limit and deadline hold where they are stricter than the settings.
    ///
    /// # Errors
    /// `Invalid` as [`RetrievalRequest::check`]. What an index failed with, `Timeout` and `Busy`
    /// included, only if failures are `Required` to end the turn; else it is in
    /// [`Retrieved::failures`].
    pub async fn retrieve(
        &self,
        request: &RetrievalRequest,
        budget: Tokens,
        count: &(dyn Fn(&str) -> Tokens + Send + Sync),
    ) -> Result<Retrieved> {
        request.check()?;
        let mut retrieved = Retrieved::default();
        let budget = budget.min(self.config.tokens_max);
        if request.is_moot() || budget == Tokens::ZERO {
            return Ok(retrieved);
        }
        let patience = Duration::from_millis(self.config.deadline_ms);
        let patience = request.deadline.map_or(patience, |deadline| deadline.min(patience));
        let limit = request.limit.min(self.config.limit);
        // Room for what the next steps drop.
        let wanted = limit.saturating_mul(2).min(SNIPPETS_MAX);
        let request =
            RetrievalRequest { limit: wanted, deadline: Some(patience), ..request.clone() };
        let give_up = Instant::now() + patience;
        let searches: Vec<_> =
            self.indexes.iter().map(|(name, index)| (name, self.start(index, &request))).collect();
        let mut lists = Vec::new();
        for (name, search) in searches {
            match finish(search, give_up).await {
                Ok(list) => lists.push(list),
                Err(error) if self.config.on_failure == FailurePolicy::Required => {
                    return Err(error);
                }
                Err(error) => retrieved.failures.push(failure(name, &error)),
            }
        }
        let deduped = keep(&mut retrieved.dropped, dedupe(merge(lists)));
        let relevant = keep(&mut retrieved.dropped, drop_below(deduped, self.config.score_min));
        let mut fitting = keep(&mut retrieved.dropped, fit(relevant, budget, count));
        fitting.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        retrieved.snippets = fitting;
        Ok(retrieved)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a late search ends by itself; the permits bound how many there are"
    )]
    fn start(
        &self,
        index: &Arc<dyn RagClient>,
        request: &RetrievalRequest,
    ) -> Result<JoinHandle<Result<Vec<Snippet>>>> {
        let permit = Arc::clone(&self.searches).try_acquire_owned().map_err(|_| {
            let detail = format!("{} searches are under way", self.config.searches_max);
            RagError::new(RagErrorKind::Busy, "retrieve", detail)
        })?;
        let (index, request) = (Arc::clone(index), request.clone());
        Ok(tokio::spawn(async move {
            let found = index.retrieve(&request).await;
            drop(permit);
            found
        }))
    }
}

async fn finish(
    search: Result<JoinHandle<Result<Vec<Snippet>>>>,
    give_up: Instant,
) -> Result<Vec<Snippet>> {
    match tokio::time::timeout_at(give_up, search?).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            let detail = "the search broke off";
            Err(RagError::new(RagErrorKind::Unavailable, "retrieve", detail).with_source(error))
        }
        Err(_elapsed) => {
            let detail = "the index did not answer before the deadline";
            Err(RagError::new(RagErrorKind::Timeout, "retrieve", detail))
        }
    }
}

fn failure(index: &str, error: &RagError) -> SourceFailure {
    let (code, detail) = (error.code().to_owned(), error.to_string());
    SourceFailure { index: index.to_owned(), code, detail }
}

fn keep(dropped: &mut Vec<Dropped>, selection: Selection) -> Vec<Snippet> {
    dropped.extend(selection.dropped);
    selection.kept
}
