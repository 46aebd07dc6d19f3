//! When a summary is due and what it should cover. Making it is somebody else's.

use crate::cut::wide_share;
use crate::entry::{Entry, Standing};
use crate::plan::SummaryDue;
use crate::rung::Summarise;
use chat_types::Tokens;

/// The summary that is due for `offered` (newest first), of which `sent` tokens of `room` are sent.
///
/// Due when more is sent than the rung allows, or when something was left out. What stays word for
/// word begins with a message of the user, if there is one to begin with.
pub(crate) fn summary_due(
    rung: Option<&Summarise>,
    (room, required, sent): (u128, u128, u128),
    offered: &[Entry],
    level: usize,
) -> Option<SummaryDue> {
    let rung = rung?;
    let history: Vec<&Entry> =
        offered.iter().filter(|entry| entry.standing != Standing::Reserved).collect();
    let is_due = sent > wide_share(room, rung.at_percent) || history.iter().any(|e| e.is_left());
    if !is_due {
        return None;
    }
    let kept_max = wide_share(room, rung.keep_percent);
    let mut sum = required;
    let verbatim = history
        .iter()
        .take_while(|entry| {
            sum = sum.saturating_add(entry.size(level));
            !entry.is_left() && sum <= kept_max
        })
        .count();
    let start = history.iter().take(verbatim).rposition(|entry| entry.starts_turn);
    let verbatim = start.map_or(verbatim, |start| start.saturating_add(1));
    let mut covered = history.iter().skip(verbatim).peekable();
    let covers_to = covered.peek()?.messages.last()?.id.clone();
    let tokens =
        covered.flat_map(|entry| &entry.messages).map(|piece| piece.tokens).sum::<Tokens>();
    Some(SummaryDue { covers_to, tokens, model: rung.model.clone() })
}
