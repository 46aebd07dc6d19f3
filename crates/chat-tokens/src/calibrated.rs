//! A counter whose estimates are scaled by what the provider reported before.

use std::sync::Arc;

use chat_types::{ContentPart, Provenance, Role, TokenizerId, Tokens, ToolSpec};

use crate::calibration::{Calibration, RATIO_MARK};
use crate::counter::TokenCounter;
use crate::media::MediaRules;

/// `counter` scaled by `calibration`: its counts are `calibrated` then.
///
/// It comes back as it is while there is too little to go by, and if it counts with the model's own
/// tokenizer, which nothing improves. Scaled counts are stored under a name that tells the ratio
/// (`estimate:claude@1150`), so that counts of different ratios never mix; the ratio moves in steps,
/// so that they stay good for long.
#[must_use]
pub fn calibrated(
    counter: Arc<dyn TokenCounter>,
    calibration: &Calibration,
) -> Arc<dyn TokenCounter> {
    let Some(permille) = calibration.step_permille() else {
        return counter;
    };
    if counter.provenance() != Provenance::Estimated {
        return counter;
    }
    let name =
        |tokenizer: &TokenizerId| TokenizerId::new(format!("{tokenizer}{RATIO_MARK}{permille}"));
    let tokenizer = name(counter.tokenizer());
    let media_tokenizer = name(counter.media_tokenizer());
    Arc::new(CalibratedCounter { counter, permille, tokenizer, media_tokenizer })
}

#[derive(Debug)]
struct CalibratedCounter {
    counter: Arc<dyn TokenCounter>,
    permille: u32,
    tokenizer: TokenizerId,
    media_tokenizer: TokenizerId,
}

impl CalibratedCounter {
    fn scaled(&self, tokens: Tokens) -> Tokens {
        tokens.scaled_up(self.permille, 1_000)
    }
}

impl TokenCounter for CalibratedCounter {
    fn tokenizer(&self) -> &TokenizerId {
        &self.tokenizer
    }

    fn provenance(&self) -> Provenance {
        Provenance::Calibrated
    }

    fn count_text(&self, text: &str) -> Tokens {
        self.scaled(self.counter.count_text(text))
    }

    fn count_message(&self, role: Role, parts: &[ContentPart]) -> Tokens {
        self.scaled(self.counter.count_message(role, parts))
    }

    fn priming(&self) -> Tokens {
        self.scaled(self.counter.priming())
    }

    fn count_tools(&self, tools: &[ToolSpec]) -> Tokens {
        self.scaled(self.counter.count_tools(tools))
    }

    fn media_tokenizer(&self) -> &TokenizerId {
        &self.media_tokenizer
    }

    fn media_rules(&self) -> &MediaRules {
        self.counter.media_rules()
    }
}
