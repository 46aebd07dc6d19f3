//! `[context]`: how prompts are built, and who summarises what no longer fits.

use std::path::PathBuf;

use chat_context::truncation::{Rung, Summarise, TruncationPolicy};
use chat_context::{ContextLimits, ConversationContext};
use chat_core::Summaries;
use chat_provider::ProviderRegistry;
use chat_types::Tokens;
use serde::{Deserialize, Serialize};

use crate::RuntimeError;
use crate::toml_error::one_line;

/// How prompts are built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ContextConfig {
    /// Limits of every prompt.
    #[serde(skip_serializing_if = "is_default")]
    pub limits: ContextLimits,
    /// How history is made to fit; or name a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<TruncationPolicy>,
    /// A TOML or JSON file with the policy; its rungs are in chat-truncation's README.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_file: Option<PathBuf>,
    /// Who writes the summaries that the policy asks for.
    #[serde(skip_serializing_if = "is_default")]
    pub summaries: SummariesConfig,
}

/// Who writes summaries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SummariesConfig {
    /// As `provider/model` or an alias; none: the turn's own model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The longest summary, in tokens; none: 1,024, and never more than an eighth of the model's
    /// window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_max: Option<Tokens>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl ContextConfig {
    pub(crate) fn is_default(&self) -> bool {
        is_default(self)
    }

    /// The context as configured; reads the policy's file.
    pub(crate) fn context(&self) -> Result<ConversationContext, RuntimeError> {
        let policy = match (&self.policy, &self.policy_file) {
            (Some(_), Some(file)) => {
                let file = file.display();
                let detail = format!(
                    "context.policy and context.policy_file ({file}) are both there; keep one"
                );
                return Err(RuntimeError::InvalidConfig { detail });
            }
            (Some(policy), None) => policy.clone(),
            (None, Some(file)) => read_policy(file)?,
            (None, None) => TruncationPolicy::default(),
        };
        Ok(ConversationContext::new().with_limits(self.limits).with_policy(policy))
    }

    /// Who writes summaries.
    pub(crate) fn summaries(
        &self,
        providers: &ProviderRegistry,
        context: &ConversationContext,
    ) -> Result<Summaries, RuntimeError> {
        for rung in context.policy().rungs() {
            if let Rung::Summarise(Summarise { model: Some(name), .. }) = rung {
                providers.resolve(name)?;
            }
        }
        let summaries = match &self.summaries.model {
            Some(name) => Summaries::by(providers.resolve(name)?),
            None => Summaries::default(),
        };
        Ok(match self.summaries.tokens_max {
            Some(tokens_max) => summaries.of_at_most(tokens_max),
            None => summaries,
        })
    }
}

/// Reads a policy: JSON if the file's name says so, TOML otherwise.
///
/// # Errors
/// `InvalidConfig` naming the file and what is wrong in it.
pub fn read_policy(file: &std::path::Path) -> Result<TruncationPolicy, RuntimeError> {
    let wrong = |detail: &dyn std::fmt::Display| RuntimeError::InvalidConfig {
        detail: format!("{}: {detail}", file.display()),
    };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    let is_json = file.extension().is_some_and(|extension| extension == "json");
    if is_json {
        return serde_json::from_str(&text).map_err(|error| wrong(&error));
    }
    toml::from_str(&text).map_err(|error| wrong(&one_line(&error.to_string())))
}
