//! The models a server says it has.

use std::collections::BTreeSet;

use chat_provider::ProviderError;
use chat_transport::TransportRequest;
use chat_types::ModelId;

use crate::provider::OpenAiProvider;
use crate::wire::ModelList;

/// The largest list that is read, in bytes: OpenRouter's, the longest known, is under 1 MiB.
const LIST_BYTES_MAX: usize = 8 * 1024 * 1024;

impl OpenAiProvider {
    /// Asks the server for its models, sorted by name; names that no model can have are left out.
    ///
    /// Asked once, without retries: it costs nothing and a person is waiting.
    ///
    /// # Errors
    /// As for a call, `Protocol` if the answer is no list.
    pub async fn list_models(&self) -> Result<Vec<ModelId>, ProviderError> {
        let shared = &self.shared;
        let failed = |error| *shared.server.transport_error("", &error).error;
        let request = TransportRequest {
            headers: shared.headers.clone(),
            timeouts: shared.config.timeouts,
            ..TransportRequest::get(shared.config.url("models"))
        };
        let response = shared.transport.send(request).await.map_err(failed)?;
        let response = response.error_for_status().await.map_err(failed)?;
        let body = response.read_full(LIST_BYTES_MAX).await.map_err(failed)?;
        let list: ModelList<'_> = serde_json::from_slice(&body)
            .map_err(|_| *shared.server.malformed("its list of models is no list").error)?;
        let names = list.data.iter().filter_map(|entry| entry.id.non_empty());
        let models: BTreeSet<ModelId> = names.filter_map(|name| ModelId::new(name).ok()).collect();
        Ok(models.into_iter().collect())
    }
}
