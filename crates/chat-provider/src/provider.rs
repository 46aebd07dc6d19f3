//! The port: one vendor dialect.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chat_tokens::TokenCounter;
use chat_types::{ModelId, ModelInfo, ModelOptions, ProviderId};

use crate::{CallPermit, CompletionStream, ModelRequest, Prepared, ProviderError};

/// Translates a request into one vendor's dialect, makes the call, and tells the reply in our
/// words. Keeps nothing between calls, knows nothing of storage or money.
#[async_trait]
pub trait ModelProvider: fmt::Debug + Send + Sync + 'static {
    /// The name it is configured under.
    fn id(&self) -> &ProviderId;

    /// The model used when nobody chose one.
    fn model_id(&self) -> &ModelId;

    /// The models it knows of; others may work too.
    fn models(&self) -> Vec<ModelInfo>;

    /// What a model can do; none if this provider surely does not serve it.
    fn model_info(&self, model: &ModelId) -> Option<ModelInfo>;

    /// Makes everything ready that the other calls need (weights, vocabularies). The first turn
    /// waits for it; a second call is free.
    ///
    /// # Errors
    /// `NotReady` with what is missing and how to get it.
    async fn warm_up(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    /// The counter for one of its models. Called after `warm_up`.
    fn counter(&self, model: &ModelInfo) -> Arc<dyn TokenCounter>;

    /// Which of the options are worth keeping with a conversation.
    fn save_options(&self, options: &ModelOptions) -> ModelOptions {
        options.clone()
    }

    /// Translates without calling anybody: pure, and the same bytes for the same request.
    ///
    /// # Errors
    /// `InvalidRequest` if the dialect cannot say it; `UnknownModel`.
    fn prepare(&self, request: &ModelRequest) -> Result<Prepared, ProviderError>;

    /// Makes the call. Every attempt passes the permit's gate before its bytes leave, and the cap
    /// on the wire is the permit's. Retries only before the first delta. Returns at the commit
    /// point: when the first event is there.
    ///
    /// # Errors
    /// `ProviderError` of the last attempt, with what it may have consumed.
    async fn send_completion(
        &self,
        prepared: &Prepared,
        permit: &CallPermit,
    ) -> Result<CompletionStream, ProviderError>;
}

const _DYN_SAFE: fn(&dyn ModelProvider) = |_| {};
