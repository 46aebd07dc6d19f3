//! A model's window as one bar: what is sent, what is kept free, what is left.

/// A part of the window: its letter and its size in tokens.
pub(crate) type Piece = (char, u64);

/// A bar of `width` characters between two marks: each piece has its share of the window, in order,
/// at least one character if it is anything; what nobody takes is a dot.
pub(crate) fn window_bar(pieces: &[Piece], window: u64, width: usize) -> String {
    let mut bar = String::with_capacity(width.saturating_add(2));
    bar.push('[');
    let mut drawn = 0_usize;
    let mut sum = 0_u64;
    for (letter, tokens) in pieces.iter().filter(|(_, tokens)| *tokens > 0) {
        sum = sum.saturating_add(*tokens);
        let end = share(sum, window, width).max(drawn.saturating_add(1)).min(width);
        bar.extend(std::iter::repeat_n(*letter, end.saturating_sub(drawn)));
        drawn = drawn.max(end);
    }
    bar.extend(std::iter::repeat_n('.', width.saturating_sub(drawn)));
    bar.push(']');
    bar
}

/// `width` times what `tokens` are of `window`, rounded.
fn share(tokens: u64, window: u64, width: usize) -> usize {
    let width_wide = u128::try_from(width).unwrap_or(u128::MAX);
    let window = u128::from(window.max(1));
    let share = (u128::from(tokens).saturating_mul(width_wide) + window / 2) / window;
    usize::try_from(share).unwrap_or(width).min(width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_has_its_share_and_what_is_anything_is_seen() {
        assert_eq!(window_bar(&[('H', 50), ('R', 25)], 100, 20), "[HHHHHHHHHHRRRRR.....]");
        assert_eq!(window_bar(&[('I', 1), ('H', 1), ('R', 0)], 1_000_000, 8), "[IH......]");
        assert_eq!(window_bar(&[], 100, 4), "[....]");
    }

    #[test]
    fn more_than_the_window_holds_fills_the_bar_and_no_more() {
        assert_eq!(window_bar(&[('H', u64::MAX), ('R', u64::MAX)], 10, 5), "[HHHHH]");
        assert_eq!(window_bar(&[('H', 1)], 0, 5), "[HHHHH]");
    }
}
