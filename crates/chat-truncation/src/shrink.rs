//! The rungs that shorten messages: the cap and the mask.
//!
//! A message keeps its parts in number and order, so nothing is torn apart. Every rung works on
//! the stored text, never on what the rung before left of it, so that the mark in the text tells
//! the truth. Not here: when a rung is applied (`ladder`).

use chat_types::{ContentPart, Role, Tokens};

use crate::cut::share;
use crate::plan::TrimReason;
use crate::rung::Rung;
use crate::shorten::{Shortening, shorten};

/// Counts a message as it would be sent: its role and its parts.
pub type CountMessage<'c> = dyn Fn(Role, &[ContentPart]) -> Tokens + 'c;

/// How often the text is shortened further until a cap is met; each try is cut to what the last
/// one measured, so two or three are usual.
const CAP_TRIES_MAX: u32 = 8;

/// Where a message stands, seen from the newest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Turns back from the current one, which is 0.
    pub(crate) turn: u32,
    /// A newer assistant message is there.
    pub(crate) is_answered: bool,
    /// It must be sent, and does not fit as it is.
    pub(crate) is_emergency: bool,
}

/// A message in one of its shorter forms.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Version {
    /// Holds from this many rungs on.
    pub(crate) level: usize,
    pub(crate) parts: Vec<ContentPart>,
    pub(crate) tokens: Tokens,
    pub(crate) by: TrimReason,
}

/// A rung that shortens, with its shares turned into tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shrinker {
    what: What,
    head_percent: u32,
    pub(crate) starts_at_percent: u32,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Cap { tokens_max: Tokens },
    Mask { keep_recent_turns: u32, chars_max: usize },
}

impl Shrinker {
    /// The shrinker of `rung`; none if it shortens nothing. Shares are of `shares_of`.
    pub(crate) fn of(rung: &Rung, shares_of: Tokens) -> Option<Self> {
        match rung {
            Rung::CapMessages(cap) => {
                let share = share(shares_of, cap.share_percent);
                let tokens_max = cap.tokens_max.map_or(share, |tokens| tokens.min(share));
                Some(Self {
                    what: What::Cap { tokens_max },
                    head_percent: cap.head_percent,
                    starts_at_percent: cap.starts_at_percent,
                })
            }
            Rung::MaskToolResults(mask) => Some(Self {
                what: What::Mask {
                    keep_recent_turns: mask.keep_recent_turns,
                    chars_max: usize::try_from(mask.chars_max).unwrap_or(usize::MAX),
                },
                head_percent: mask.head_percent,
                starts_at_percent: mask.starts_at_percent,
            }),
            _ => None,
        }
    }
}

/// The shorter forms of a message of `tokens`, one for each of `shrinkers` that makes it smaller.
pub(crate) fn versions(
    shrinkers: &[Shrinker],
    (role, parts, tokens): (Role, &[ContentPart], Tokens),
    place: Place,
    count: &CountMessage<'_>,
) -> Vec<Version> {
    let mut versions: Vec<Version> = Vec::new();
    if role == Role::System || shrinkers.is_empty() {
        return versions;
    }
    let mut cuts: Vec<Option<Shortening>> = vec![None; parts.len()];
    for (level, shrinker) in (1..).zip(shrinkers) {
        let size = versions.last().map_or(tokens, |version| version.tokens);
        let next = match shrinker.what {
            What::Mask { keep_recent_turns, chars_max } => {
                if !place.is_emergency && place.turn <= keep_recent_turns {
                    continue;
                }
                let how = Shortening { chars_max, head_percent: shrinker.head_percent };
                masked(role, parts, &cuts, (how, place.is_answered))
            }
            What::Cap { tokens_max } => {
                if size <= tokens_max {
                    continue;
                }
                let message = (role, parts, size);
                capped(message, &cuts, tokens_max, (shrinker.head_percent, place), count)
            }
        };
        let Some(next) = next else {
            continue;
        };
        let parts = render(parts, &next);
        let tokens = count(role, &parts);
        if tokens < size {
            cuts = next;
            let by = match shrinker.what {
                What::Cap { .. } => TrimReason::Capped,
                What::Mask { .. } => TrimReason::Masked,
            };
            versions.push(Version { level, parts, tokens, by });
        }
    }
    versions
}

type Cuts = [Option<Shortening>];

/// Cuts every consumed result; none if there is none to cut.
fn masked(
    role: Role,
    parts: &[ContentPart],
    cuts: &Cuts,
    (how, is_answered): (Shortening, bool),
) -> Option<Vec<Option<Shortening>>> {
    // Within a reply that holds calls and results, what follows a result answers it.
    let last_said = match role {
        Role::Assistant => parts.iter().rposition(is_said),
        _ => None,
    };
    let mut is_cut = false;
    let cuts = parts
        .iter()
        .zip(cuts)
        .enumerate()
        .map(|(index, (part, cut))| {
            let is_consumed = is_answered || last_said.is_some_and(|said| said > index);
            let is_long = matches!(part, ContentPart::ToolResult { text, .. }
                if text.len() > how.chars_max);
            if is_long && is_consumed {
                is_cut = true;
                Some(cut.map_or(how, |cut| tighter(cut, how)))
            } else {
                *cut
            }
        })
        .collect();
    is_cut.then_some(cuts)
}

fn is_said(part: &ContentPart) -> bool {
    matches!(part, ContentPart::Text { text } if !text.trim().is_empty())
}

/// Cuts the longest texts, all to the same length, until the message counts at most `tokens_max`;
/// if even that is too much (an image, a long tool call), as far as texts go.
fn capped(
    (role, parts, tokens): (Role, &[ContentPart], Tokens),
    cuts: &Cuts,
    tokens_max: Tokens,
    (head_percent, place): (u32, Place),
    count: &CountMessage<'_>,
) -> Option<Vec<Option<Shortening>>> {
    // In an emergency only tool results go: the user's own words are never cut under them.
    let chars: Vec<usize> = parts
        .iter()
        .zip(cuts)
        .map(|(part, cut)| match part {
            ContentPart::ToolResult { text, .. } => left(text, *cut),
            ContentPart::Text { text } if !place.is_emergency => left(text, *cut),
            _ => 0,
        })
        .collect();
    let total: usize = chars.iter().fold(0, |sum, chars| sum.saturating_add(*chars));
    if total == 0 {
        return None;
    }
    let cut_to = |target: usize| -> Vec<Option<Shortening>> {
        let chars_max = common_length(&chars, target);
        let how = Shortening { chars_max, head_percent };
        chars
            .iter()
            .zip(cuts)
            .map(|(chars, cut)| if *chars > chars_max { Some(how) } else { *cut })
            .collect()
    };
    let mut target = scaled(total, tokens_max, tokens);
    for _ in 0..CAP_TRIES_MAX {
        let cuts = cut_to(target);
        let size = count(role, &render(parts, &cuts));
        if size <= tokens_max {
            return Some(cuts);
        }
        // A tenth less at least: marks and framing do not shrink with the text.
        target = scaled(target, tokens_max, size).min(target.saturating_sub(target.div_ceil(10)));
    }
    Some(cut_to(0))
}

/// `chars * tokens_max / tokens`.
fn scaled(chars: usize, tokens_max: Tokens, tokens: Tokens) -> usize {
    let wide = u128::try_from(chars).unwrap_or(u128::MAX);
    let scaled =
        wide.saturating_mul(u128::from(tokens_max.get())) / u128::from(tokens.get().max(1));
    usize::try_from(scaled).unwrap_or(usize::MAX)
}

fn left(text: &str, cut: Option<Shortening>) -> usize {
    let chars = text.chars().count();
    cut.map_or(chars, |cut| chars.min(cut.chars_max))
}

/// The length to which the longest must be cut so that all together are at most `target`.
fn common_length(chars: &[usize], target: usize) -> usize {
    let mut sorted = chars.to_vec();
    sorted.sort_unstable();
    let mut rest = target;
    let mut longer = sorted.len();
    for length in sorted {
        let fair = rest.checked_div(longer).unwrap_or(rest);
        if length > fair {
            return fair;
        }
        rest = rest.saturating_sub(length);
        longer = longer.saturating_sub(1);
    }
    usize::MAX
}

fn tighter(one: Shortening, other: Shortening) -> Shortening {
    if other.chars_max < one.chars_max { other } else { one }
}

fn render(parts: &[ContentPart], cuts: &Cuts) -> Vec<ContentPart> {
    parts.iter().zip(cuts).map(|(part, cut)| rendered(part, *cut)).collect()
}

fn rendered(part: &ContentPart, cut: Option<Shortening>) -> ContentPart {
    let Some(cut) = cut else {
        return part.clone();
    };
    match part {
        ContentPart::Text { text } => {
            shorten(text, cut).map_or_else(|| part.clone(), |text| ContentPart::Text { text })
        }
        ContentPart::ToolResult { call_id, text, is_error } => shorten(text, cut).map_or_else(
            || part.clone(),
            |text| ContentPart::ToolResult { call_id: call_id.clone(), text, is_error: *is_error },
        ),
        _ => part.clone(),
    }
}
