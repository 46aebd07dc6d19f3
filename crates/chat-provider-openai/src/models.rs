//! What each model can do: the table of OpenAI's own models, and what is assumed of all others.
//!
//! OpenAI's names carry dates and variants (`gpt-4o-mini-2024-07-18`), so rows match by their start
//! and the longest one wins. Models that OpenAI serves only elsewhere (Responses, realtime, images)
//! are not served. Not here: prices.

use chat_tokens::{EstimateCounter, OpenAiEncoding};
use chat_types::{
    CacheStyle, Modalities, ModelId, ModelInfo, ModelRef, SystemRole, TokenizerId, Tokens,
};

use crate::config::OpenAiConfig;

/// One family of OpenAI's models.
struct Family {
    prefix: &'static str,
    window: u64,
    output_max: u64,
    encoding: OpenAiEncoding,
    instructions: Instructions,
    caches: bool,
}

/// Families that read text only, though others of their generation see.
const BLIND: [&str; 5] = ["o1-mini", "o3-mini", "gpt-4", "gpt-3.5-turbo", "gpt-5-chat"];

impl Family {
    /// Models that see take images and, page by page, PDF files.
    fn modalities(&self) -> Modalities {
        let sees = !BLIND.contains(&self.prefix);
        Modalities { images: sees, files: sees, audio: false }
    }
}

/// Where a family takes its instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instructions {
    /// The role `system`.
    System,
    /// The role `developer`, which replaced it in reasoning models.
    Developer,
    /// Nowhere: they are merged into the user's message.
    Merged,
}

const fn family(
    prefix: &'static str,
    window: u64,
    output_max: u64,
    instructions: Instructions,
) -> Family {
    Family {
        prefix,
        window,
        output_max,
        encoding: OpenAiEncoding::O200kBase,
        instructions,
        caches: true,
    }
}

const fn older(prefix: &'static str, window: u64, output_max: u64) -> Family {
    Family {
        prefix,
        window,
        output_max,
        encoding: OpenAiEncoding::Cl100kBase,
        instructions: Instructions::System,
        caches: false,
    }
}

/// OpenAI's published limits. Newer members of a family may have more; too little only costs
/// history, too much costs refused calls.
const FAMILIES: [Family; 20] = [
    family("gpt-5", 400_000, 128_000, Instructions::Developer),
    family("gpt-5-mini", 400_000, 128_000, Instructions::Developer),
    family("gpt-5-nano", 400_000, 128_000, Instructions::Developer),
    family("gpt-5-chat", 128_000, 16_384, Instructions::Developer),
    family("gpt-5.1-chat", 128_000, 16_384, Instructions::Developer),
    family("gpt-5.2-chat", 128_000, 16_384, Instructions::Developer),
    family("gpt-4.1", 1_047_576, 32_768, Instructions::System),
    family("gpt-4.1-mini", 1_047_576, 32_768, Instructions::System),
    family("gpt-4.1-nano", 1_047_576, 32_768, Instructions::System),
    family("gpt-4o", 128_000, 16_384, Instructions::System),
    family("gpt-4o-mini", 128_000, 16_384, Instructions::System),
    family("chatgpt-4o", 128_000, 16_384, Instructions::System),
    family("o1", 200_000, 100_000, Instructions::Developer),
    family("o1-mini", 128_000, 32_768, Instructions::Merged),
    family("o3", 200_000, 100_000, Instructions::Developer),
    family("o3-mini", 200_000, 100_000, Instructions::Developer),
    family("o4-mini", 200_000, 100_000, Instructions::Developer),
    older("gpt-4-turbo", 128_000, 4_096),
    older("gpt-4", 8_192, 4_096),
    older("gpt-3.5-turbo", 16_385, 4_096),
];

/// Parts of names that OpenAI serves, but not through Chat Completions in text.
const ELSEWHERE: [&str; 9] = [
    "-pro",
    "codex",
    "deep-research",
    "realtime",
    "audio",
    "transcribe",
    "tts",
    "image",
    "instruct",
];

/// The names worth listing: OpenAI has no others that a new conversation should choose.
const LISTED: [&str; 12] = [
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-4o",
    "gpt-4o-mini",
    "o1",
    "o3",
    "o3-mini",
    "o4-mini",
];

/// What the table says about a name, fine-tuned (`ft:`) and dated ones included.
fn family_of(name: &str) -> Option<&'static Family> {
    let base = name.strip_prefix("ft:").unwrap_or(name);
    let base = base.split(':').next().unwrap_or(base);
    if ELSEWHERE.iter().any(|part| base.contains(part)) {
        return None;
    }
    FAMILIES
        .iter()
        .filter(|family| {
            // What follows is a date, a variant or a minor version, never another number or letter.
            base.strip_prefix(family.prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
        })
        .max_by_key(|family| family.prefix.len())
}

/// A model as this server has it; none if OpenAI itself has no such model.
pub(crate) fn model_info(config: &OpenAiConfig, model: &ModelId) -> Option<ModelInfo> {
    let name = model.as_str();
    let known = config.models.get(name);
    let is_official = config.is_official();
    // Routers put the vendor in front: `openai/gpt-4o`.
    let own_name = if is_official { name } else { name.strip_prefix("openai/").unwrap_or(name) };
    let family = family_of(own_name);
    if is_official && family.is_none() && known.is_none() {
        return None;
    }
    let window = known
        .and_then(|known| known.context_window)
        .or_else(|| family.map(|family| Tokens::new(family.window)))
        .unwrap_or(config.default_window);
    let output_max = known
        .and_then(|known| known.output_max)
        .or_else(|| family.map(|family| Tokens::new(family.output_max)))
        .unwrap_or(window)
        .min(window);
    Some(ModelInfo {
        model: ModelRef::new(config.id.clone(), model.clone()),
        context_window: window,
        output_max,
        modalities: known
            .and_then(|known| known.modalities)
            .unwrap_or_else(|| family.map(Family::modalities).unwrap_or_default()),
        system_role: match family.map(|family| family.instructions) {
            Some(Instructions::Merged) => SystemRole::MergedIntoUser,
            Some(Instructions::System | Instructions::Developer) | None => SystemRole::Native,
        },
        tools: known
            .and_then(|known| known.tools)
            .unwrap_or(family.is_none_or(|family| family.instructions != Instructions::Merged)),
        cache: known.and_then(|known| known.cache).unwrap_or(
            if family.is_none_or(|family| family.caches) {
                CacheStyle::Automatic
            } else {
                CacheStyle::None
            },
        ),
        prefill: known.and_then(|known| known.prefill).unwrap_or(false),
        tokenizer: known
            .and_then(|known| known.tokenizer.clone())
            .unwrap_or_else(|| tokenizer(name, family)),
    })
}

fn tokenizer(name: &str, family: Option<&Family>) -> TokenizerId {
    family
        .map(|family| family.encoding)
        .or_else(|| OpenAiEncoding::of_model(name))
        .map_or(EstimateCounter::TOKENIZER, OpenAiEncoding::tokenizer)
}

/// The role that carries a model's instructions. Only OpenAI itself knows `developer`.
pub(crate) fn instructions(config: &OpenAiConfig, model: &ModelId) -> Instructions {
    let name = model.as_str();
    match config.models.get(name).and_then(|known| known.developer_role) {
        Some(true) => Instructions::Developer,
        Some(false) => Instructions::System,
        None if config.is_official() => {
            family_of(name).map_or(Instructions::System, |family| family.instructions)
        }
        None => Instructions::System,
    }
}

/// The models worth listing: the default one, those of the config and, at OpenAI, the table's.
pub(crate) fn models(config: &OpenAiConfig) -> Vec<ModelInfo> {
    let mut names = vec![config.default_model.clone()];
    let table: &[&str] = if config.is_official() { &LISTED } else { &[] };
    let others = config.models.keys().map(String::as_str);
    for name in others.chain(table.iter().copied()) {
        if let Ok(model) = ModelId::new(name)
            && !names.contains(&model)
        {
            names.push(model);
        }
    }
    names.iter().filter_map(|model| model_info(config, model)).collect()
}
