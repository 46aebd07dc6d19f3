//! The embedded model as configured: ready if its weights are there, else a provider that says what
//! is missing, so that everything that needs no answer works without them.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use chat_provider::{
    CallPermit, CompletionStream, ModelProvider, ModelRequest, Prepared, ProviderError,
    ProviderErrorKind,
};
use chat_provider_local::{LOCAL_MODEL, LOCAL_PROVIDER, LOCAL_TOKENIZER, LocalProvider};
use chat_tokens::{EstimateCounter, TokenCounter};
use chat_types::{
    CacheStyle, Modalities, ModelId, ModelInfo, ModelRef, ProviderId, SystemRole, Tokens,
};

use crate::RuntimeError;
use crate::extras::LoadProgress;

/// The window and the longest answer that the leaf's own table says, for lists only: without
/// weights nothing is ever sent.
const WINDOW_TOKENS: Tokens = Tokens::new(8_192);
const OUTPUT_TOKENS_MAX: Tokens = Tokens::new(2_048);

pub(crate) fn provider(
    weights: Option<&Path>,
    progress: Option<Arc<LoadProgress>>,
) -> Result<Arc<dyn ModelProvider>, RuntimeError> {
    let opened = LocalProvider::open(weights, move |done_bytes, total_bytes| {
        if let Some(progress) = &progress {
            progress(done_bytes, total_bytes);
        }
    });
    match opened {
        Ok(provider) => Ok(Arc::new(provider)),
        Err(error) => {
            let id = ProviderId::new(LOCAL_PROVIDER)?;
            let model = ModelRef::new(id.clone(), ModelId::new(LOCAL_MODEL)?);
            Ok(Arc::new(WithoutWeights {
                id,
                info: ModelInfo {
                    model,
                    context_window: WINDOW_TOKENS,
                    output_max: OUTPUT_TOKENS_MAX,
                    modalities: Modalities::default(),
                    system_role: SystemRole::Native,
                    tools: false,
                    cache: CacheStyle::None,
                    prefill: true,
                    tokenizer: LOCAL_TOKENIZER,
                },
                detail: error.to_string(),
            }))
        }
    }
}

/// The embedded model without usable weights.
#[derive(Debug)]
struct WithoutWeights {
    id: ProviderId,
    info: ModelInfo,
    detail: String,
}

impl WithoutWeights {
    fn not_ready(&self) -> ProviderError {
        ProviderError::new(ProviderErrorKind::NotReady, self.detail.clone())
    }
}

#[async_trait]
impl ModelProvider for WithoutWeights {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn model_id(&self) -> &ModelId {
        &self.info.model.model
    }

    fn models(&self) -> Vec<ModelInfo> {
        vec![self.info.clone()]
    }

    fn model_info(&self, model: &ModelId) -> Option<ModelInfo> {
        (*model == self.info.model.model).then(|| self.info.clone())
    }

    async fn warm_up(&self) -> Result<(), ProviderError> {
        Err(self.not_ready())
    }

    fn counter(&self, _model: &ModelInfo) -> Arc<dyn TokenCounter> {
        Arc::new(EstimateCounter::new())
    }

    fn prepare(&self, _request: &ModelRequest) -> Result<Prepared, ProviderError> {
        Err(self.not_ready())
    }

    async fn send_completion(
        &self,
        _prepared: &Prepared,
        _permit: &CallPermit,
    ) -> Result<CompletionStream, ProviderError> {
        Err(self.not_ready())
    }
}
