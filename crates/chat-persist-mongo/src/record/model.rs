//! Models: LibreChat's `endpoint` and `model` and our `provider/model`.

use chat_types::{ModelId, ModelRef, ProviderId};

/// Endpoints that LibreChat writes in letters or words of its own.
const ENDPOINTS: [(&str, &str); 3] =
    [("openai", "openAI"), ("gemini", "google"), ("azure-openai", "azureOpenAI")];

/// Endpoints whose `model` names an agent or assistant, not a model.
const INDIRECT: [&str; 3] = ["agents", "assistants", "azureAssistants"];

/// The endpoint of a provider.
pub(super) fn endpoint_of(provider: &ProviderId) -> &str {
    let known = ENDPOINTS.iter().find(|(ours, _)| *ours == provider.as_str());
    known.map_or(provider.as_str(), |(_, theirs)| theirs)
}

/// The model that an endpoint and a model name stand for, if they do.
pub(super) fn model_of(endpoint: Option<&str>, model: Option<&str>) -> Option<ModelRef> {
    let endpoint = endpoint.filter(|endpoint| !INDIRECT.contains(endpoint))?;
    let known = ENDPOINTS.iter().find(|(_, theirs)| *theirs == endpoint);
    let provider = ProviderId::new(known.map_or(endpoint, |(ours, _)| ours)).ok()?;
    Some(ModelRef::new(provider, ModelId::new(model?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_renamed_both_ways() {
        for (provider, endpoint) in
            [("openai", "openAI"), ("gemini", "google"), ("anthropic", "anthropic")]
        {
            let provider = ProviderId::new(provider).expect("valid");
            assert_eq!(endpoint_of(&provider), endpoint);
            let model = model_of(Some(endpoint), Some("m-1")).expect("a model");
            assert_eq!(model.provider, provider);
        }
    }

    #[test]
    fn an_agent_is_no_model() {
        assert_eq!(model_of(Some("agents"), Some("agent_abc")), None);
        assert_eq!(model_of(None, Some("gpt-4o")), None);
        assert_eq!(model_of(Some("openAI"), None), None);
    }
}
