//! A counter with the media rules of one model, around the counter of its vocabulary.

use std::sync::Arc;

use chat_types::{ContentPart, Provenance, Role, TokenizerId, Tokens, ToolSpec};

use crate::counter::TokenCounter;
use crate::media::MediaRules;

/// `counter` as it counts for `model`: text as before, images and files by the model's own rules.
///
/// Models share vocabularies and differ in their formulas: a stored count of a message with an
/// image is therefore kept under a key that names the rules too (`o200k_base+gpt-4o-mini`).
#[must_use]
pub fn count_for_model(counter: Arc<dyn TokenCounter>, model: &str) -> Arc<dyn TokenCounter> {
    let rules = MediaRules::of_model(model);
    let media_tokenizer = TokenizerId::new(format!("{}+{}", counter.tokenizer(), rules.name));
    Arc::new(ForModel { counter, rules, media_tokenizer })
}

#[derive(Debug)]
struct ForModel {
    counter: Arc<dyn TokenCounter>,
    rules: &'static MediaRules,
    media_tokenizer: TokenizerId,
}

impl TokenCounter for ForModel {
    fn tokenizer(&self) -> &TokenizerId {
        self.counter.tokenizer()
    }

    fn provenance(&self) -> Provenance {
        self.counter.provenance()
    }

    fn count_text(&self, text: &str) -> Tokens {
        self.counter.count_text(text)
    }

    fn count_message(&self, role: Role, parts: &[ContentPart]) -> Tokens {
        if !has_media(parts) {
            return self.counter.count_message(role, parts);
        }
        let said: Vec<ContentPart> = parts.iter().filter(|part| !is_media(part)).cloned().collect();
        let media = parts.iter().filter_map(|part| {
            let name = match part {
                ContentPart::File { name, .. } => self.counter.count_text(name),
                _ => Tokens::ZERO,
            };
            self.rules.part(part).map(|tokens| tokens.plus(name))
        });
        self.counter.count_message(role, &said).plus(media.sum())
    }

    fn priming(&self) -> Tokens {
        self.counter.priming()
    }

    fn count_tools(&self, tools: &[ToolSpec]) -> Tokens {
        self.counter.count_tools(tools)
    }

    fn media_tokenizer(&self) -> &TokenizerId {
        &self.media_tokenizer
    }

    fn media_rules(&self) -> &MediaRules {
        self.rules
    }
}

/// Images or files are among `parts`: they are counted by formula.
pub(crate) fn has_media(parts: &[ContentPart]) -> bool {
    parts.iter().any(is_media)
}

fn is_media(part: &ContentPart) -> bool {
    matches!(part, ContentPart::Image { .. } | ContentPart::File { .. })
}
