//! Usage as reported, into buckets that never overlap, and the cost as reported.
//!
//! Chat Completions count cached input inside `prompt_tokens` and reasoning inside
//! `completion_tokens`. A few servers count reasoning beside it; their total gives them away. What
//! is missing is not zero: without both counts there is no usage at all.

use chat_provider::reported_cost;
use chat_types::{Money, Tokens, Usage};

use crate::wire::WireUsage;

/// What the server says that the call cost, in US dollars; none if it says nothing that can be
/// charged, which is warned of.
pub(crate) fn cost(wire: &WireUsage<'_>) -> Option<Money> {
    let text = wire.cost?.get();
    // Some servers write decimals as texts.
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    match reported_cost(text) {
        Ok(cost) => Some(cost),
        Err(error) => {
            tracing::warn!(%error, "a reported cost is ignored: the price book's holds");
            None
        }
    }
}

/// The buckets; none if the server did not say what it consumed.
pub(crate) fn disjoint(wire: &WireUsage<'_>) -> Option<Usage> {
    let input = wire.prompt_tokens.0?;
    let completion = wire.completion_tokens.0?;
    let prompt_details = wire.prompt_tokens_details.unwrap_or_default();
    let cache_read =
        prompt_details.cached_tokens.0.or(wire.prompt_cache_hit_tokens.0).unwrap_or(0).min(input);
    let not_read = input.saturating_sub(cache_read);
    let cache_write = prompt_details.cache_write_tokens.0.unwrap_or(0).min(not_read);
    let reasoning =
        wire.completion_tokens_details.and_then(|details| details.reasoning_tokens.0).unwrap_or(0);
    let total_beside = input.checked_add(completion)?.checked_add(reasoning)?;
    let is_beside =
        reasoning > 0 && (wire.total_tokens.0 == Some(total_beside) || reasoning > completion);
    let output = if is_beside { completion } else { completion.saturating_sub(reasoning) };
    Some(Usage {
        input_uncached: Tokens::new(not_read.saturating_sub(cache_write)),
        cache_read: Tokens::new(cache_read),
        cache_write: Tokens::new(cache_write),
        output: Tokens::new(output),
        reasoning: Tokens::new(reasoning),
    })
}
