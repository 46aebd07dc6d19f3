//! The line after a turn: model, tokens, cost, context, and where it is.

use crate::follow::Followed;

/// `local/smollm2 · 31 tokens in, 8 out · $0.00 · context 0.4 % · …`
pub(crate) fn status_line(followed: &Followed, place: &str) -> String {
    let mut pieces = Vec::new();
    if let Some(model) = &followed.model {
        pieces.push(model.to_string());
    }
    let usage = &followed.usage;
    let cached = match usage.cache_read.get() {
        0 => String::new(),
        cached => format!(" ({cached} cached)"),
    };
    pieces.push(format!("{} tokens in{cached}, {} out", usage.input_total(), usage.output_total()));
    pieces.push(followed.cost.to_string());
    if let Some((used, window)) = followed.context {
        pieces.push(format!("context {}", percent(used, window)));
    }
    pieces.push(place.to_owned());
    pieces.join(" · ")
}

/// A share with one decimal, rounded up, so that something is never `0.0 %`.
fn percent(part: u64, whole: u64) -> String {
    let per_mille = u128::from(part).saturating_mul(1_000).div_ceil(u128::from(whole.max(1)));
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_up_and_never_divide_by_nothing() {
        for (part, whole, shown) in
            [(0, 8_192, "0.0 %"), (1, 8_192, "0.1 %"), (4_096, 8_192, "50.0 %"), (1, 0, "100.0 %")]
        {
            assert_eq!(percent(part, whole), shown);
        }
    }
}
