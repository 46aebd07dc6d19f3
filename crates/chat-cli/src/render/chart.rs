//! Amounts as bars, for a terminal or a log.

use crate::render::first_line;

/// The least a bar gets, however long the labels are.
const BAR_CHARS_LEAST: usize = 8;

/// One line a bar: the label, the bar, what it stands for. The longest bar fills what `width`
/// characters leave; whatever is above zero has one block at least.
pub(crate) fn bars(rows: &[(String, i64, String)], width: usize, block: char) -> Vec<String> {
    let longest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or_default();
    let labels = longest(&mut rows.iter().map(|(label, ..)| label.chars().count()));
    let labels = labels.min(width / 3).max(1);
    let shown = longest(&mut rows.iter().map(|(.., shown)| shown.chars().count()));
    let room = width.saturating_sub(labels).saturating_sub(shown).saturating_sub(4);
    let room = room.max(BAR_CHARS_LEAST);
    let most = rows.iter().map(|(_, value, _)| *value).max().unwrap_or_default();
    let line = |(label, value, shown): &(String, i64, String)| {
        let bar: String = std::iter::repeat_n(block, blocks(*value, most, room)).collect();
        let label = first_line(label, labels);
        format!("{label:<labels$}  {bar}  {shown}")
    };
    rows.iter().map(line).collect()
}

/// So many of `room` blocks as `value` is of `most`, rounded up.
fn blocks(value: i64, most: i64, room: usize) -> usize {
    let (Ok(value), Ok(most)) = (u128::try_from(value), u128::try_from(most)) else {
        return 0;
    };
    let Some(room) = u128::try_from(room).ok().filter(|_| most > 0) else {
        return 0;
    };
    let blocks = value.saturating_mul(room).div_ceil(most);
    usize::try_from(blocks.min(room)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: &str, value: i64) -> (String, i64, String) {
        (label.to_owned(), value, format!("${value}"))
    }

    #[test]
    fn bars_are_as_long_as_their_share_and_never_vanish() {
        let rows = [row("a", 100), row("long label", 50), row("b", 1), row("none", 0)];
        assert_eq!(
            bars(&rows, 30, '#'),
            [
                "a           ############  $100",
                "long label  ######  $50",
                "b           #  $1",
                "none          $0",
            ]
        );
    }

    #[test]
    fn the_largest_amounts_fit_and_what_is_below_zero_has_no_bar() {
        let rows = [row("a", i64::MAX), row("b", i64::MIN)];
        let lines = bars(&rows, 80, '█');
        assert_eq!(lines.iter().map(|line| line.matches('█').count()).max(), Some(54));
        assert_eq!(lines.last().map(|line| line.contains('█')), Some(false));
        assert_eq!(bars(&[row("a", 0)], 10, '#'), ["a    $0"]);
        assert_eq!(bars(&[], 10, '#'), [""; 0]);
    }
}
