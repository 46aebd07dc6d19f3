//! Finds what looks like a date, a time, an id or a counter in a line of text.
//!
//! A scanner by hand: every pattern starts where a word starts, is tried once there, and looks at a
//! bounded number of characters, so a text costs time in proportion. Works on lower-case ASCII.
//! Not here: whether a date is today's or history (`cue`).

use std::ops::Range;

use crate::VolatileKind;

/// A value in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) kind: VolatileKind,
    /// Bytes of the line.
    pub(crate) place: Range<usize>,
    /// It changes wherever it stands; otherwise the words before it must say so.
    pub(crate) is_certain: bool,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// What is counted from turn to turn. Singular: a plural is mostly a limit.
const COUNTED: [&str; 8] =
    ["message", "turn", "request", "session", "conversation", "call", "iteration", "visit"];
/// Digits that a hash or random id has at least; fewer hex digits are colours and small numbers.
const HEX_DIGITS_MIN: usize = 16;
/// Ids with a prefix (`req_8fJ2…`) have at least this many characters after it.
const PREFIXED_CHARS_MIN: usize = 12;

/// The values of `line`, in order, none within another.
pub(crate) fn values(line: &str) -> Vec<Found> {
    let lower = line.to_ascii_lowercase();
    let mut found: Vec<Found> = Vec::new();
    let mut free_from = 0;
    let mut before = ' ';
    for (at, character) in lower.char_indices() {
        let starts_word = character.is_ascii_alphanumeric() && !is_of_word(before);
        before = character;
        if !starts_word || at < free_from {
            continue;
        }
        let Some(rest) = lower.get(at..) else {
            continue;
        };
        if let Some((kind, length, is_certain)) = value(rest) {
            free_from = at.saturating_add(length);
            found.push(Found { kind, place: at..free_from, is_certain });
        }
    }
    found
}

/// Neither a letter nor what joins letters and numbers to one name.
fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '#' | '.' | '-' | '/' | ':' | '$')
}

type Match = (VolatileKind, usize, bool);

fn value(rest: &str) -> Option<Match> {
    uuid(rest)
        .or_else(|| dated(rest))
        .or_else(|| hex_id(rest))
        .or_else(|| prefixed_id(rest))
        .or_else(|| unix_time(rest))
        .or_else(|| clock_time(rest).map(|length| (VolatileKind::Time, length, false)))
        .or_else(|| weekday(rest))
        .or_else(|| counter(rest))
}

/// A date, with the time of day if one follows.
fn dated(rest: &str) -> Option<Match> {
    let date = numeric_date(rest).or_else(|| written_date(rest))?;
    let after = rest.get(date..)?;
    let gap = [" at ", ", ", "t", " "].into_iter().find(|gap| after.starts_with(gap));
    let time = gap.and_then(|gap| Some(gap.len() + clock_time(after.get(gap.len()..)?)?));
    Some(match time {
        Some(time) => (VolatileKind::Timestamp, date + time, true),
        None if ends_word(after) => (VolatileKind::Date, date, false),
        None => return None,
    })
}

/// `2026-11-28`, `2026/11/28`, `28.11.2026`, `11/28/2026`.
fn numeric_date(rest: &str) -> Option<usize> {
    let (first, first_length) = number(rest, 4)?;
    let mut after = rest.get(first_length..)?;
    let separator = after.chars().next().filter(|c| matches!(c, '-' | '/' | '.'))?;
    after = after.get(1..)?;
    let (second, second_length) = number(after, 2)?;
    after = after.get(second_length..)?.strip_prefix(separator)?;
    let (third, third_length) = number(after, 4)?;
    let is_date = if first_length == 4 {
        is_year(first)
            && (1..=12).contains(&second)
            && (1..=31).contains(&third)
            && third_length <= 2
    } else {
        // Day and month in either order.
        third_length == 4
            && first_length <= 2
            && is_year(third)
            && (1..=31).contains(&first)
            && (1..=31).contains(&second)
            && first.min(second) <= 12
    };
    is_date.then_some(first_length + second_length + third_length + 2)
}

/// `28 November 2026`, `28th of Nov. 2026`, `November 28, 2026`.
fn written_date(rest: &str) -> Option<usize> {
    let mut cursor = Cursor { rest, taken: 0 };
    if cursor.day() {
        cursor.skip(&[" of ", " ", "-"])?;
        cursor.month()?;
        cursor.skip(&[". ", ", ", " ", "-"])?;
    } else {
        cursor.month()?;
        cursor.skip(&[". ", " "])?;
        cursor.day().then_some(())?;
        cursor.skip(&[", ", " "])?;
    }
    let (year, length) = number(cursor.rest, 4)?;
    (length == 4 && is_year(year)).then_some(cursor.taken + length)
}

struct Cursor<'t> {
    rest: &'t str,
    taken: usize,
}

impl Cursor<'_> {
    fn take(&mut self, length: usize) -> Option<()> {
        self.rest = self.rest.get(length..)?;
        self.taken += length;
        Some(())
    }

    fn skip(&mut self, one_of: &[&str]) -> Option<()> {
        let gap = one_of.iter().find(|gap| self.rest.starts_with(**gap))?;
        self.take(gap.len())
    }

    fn day(&mut self) -> bool {
        let Some((1..=31, length)) = number(self.rest, 2) else {
            return false;
        };
        let ending = self.rest.get(length..).is_some_and(|after| {
            ["st", "nd", "rd", "th"].iter().any(|ending| after.starts_with(ending))
        });
        self.take(length + if ending { 2 } else { 0 }).is_some()
    }

    fn month(&mut self) -> Option<()> {
        let begins = |month: &str| month.get(..3).is_some_and(|s| self.rest.starts_with(s));
        let month = MONTHS.iter().find(|month| begins(month))?;
        let word = self.rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(self.rest.len());
        let is_month = self.rest.get(..word).is_some_and(|word| {
            word == *month || word.len() == 3 || (word == "sept" && *month == "september")
        });
        is_month.then_some(())?;
        self.take(word)
    }
}

/// `14:03`, `14:03:22`, `2:03 pm`; a zone or a fraction after it belongs to it.
fn clock_time(rest: &str) -> Option<usize> {
    let (hour, hour_length) = number(rest, 2)?;
    let after = rest.get(hour_length..)?.strip_prefix(':')?;
    let (minute, minute_length) = number(after, 2)?;
    if hour > 24 || minute > 59 || minute_length != 2 {
        return None;
    }
    let mut length = hour_length + 1 + minute_length;
    let mut after = after.get(minute_length..)?;
    if let Some((second, 2)) = after.strip_prefix(':').and_then(|after| number(after, 2))
        && second <= 60
    {
        length += 3;
        after = after.get(3..)?;
        if let Some((_, digits)) = after.strip_prefix('.').and_then(|after| number(after, 9)) {
            length += 1 + digits;
            after = after.get(1 + digits..)?;
        }
    }
    let zone = ["z", " am", " pm", "am", "pm", " utc", " gmt", "+00:00"];
    let zone = zone.into_iter().find(|zone| after.starts_with(zone));
    length += zone.map_or(0, str::len);
    let after = rest.get(length..)?;
    // `10:15:20:1` is no time of day.
    (ends_word(after) && !after.starts_with(':')).then_some(length)
}

/// 8-4-4-4-12 hex digits. The one of nothing and the one that every manual shows are no ids.
fn uuid(rest: &str) -> Option<Match> {
    let text = rest.get(..36)?;
    let lengths = text.split('-').map(|group| {
        let is_hex = group.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then_some(group.len())
    });
    let is_uuid = lengths.eq([8, 4, 4, 4, 12].map(Some)) && ends_word(rest.get(36..)?);
    let is_shown = text.bytes().all(|byte| matches!(byte, b'0' | b'-'))
        || text == "123e4567-e89b-12d3-a456-426614174000";
    (is_uuid && !is_shown).then_some((VolatileKind::Uuid, 36, true))
}

/// A hash: hex digits without a break, letters and figures mixed.
fn hex_id(rest: &str) -> Option<Match> {
    let start = if rest.starts_with("0x") { 2 } else { 0 };
    let digits = rest.get(start..)?;
    let length = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
    let is_id = length >= HEX_DIGITS_MIN && is_mixed(digits.get(..length)?);
    let end = start + length;
    (is_id && ends_word(rest.get(end..)?)).then_some((VolatileKind::Id, end, true))
}

/// `req_8fj2k4l9x0qa`: a short word, `_`, and letters and figures mixed.
fn prefixed_id(rest: &str) -> Option<Match> {
    let (prefix, _) = rest.split_once('_')?;
    if prefix.is_empty() || prefix.len() > 12 || !prefix.bytes().all(|b| b.is_ascii_lowercase()) {
        return None;
    }
    let start = prefix.len() + 1;
    let id = rest.get(start..)?;
    let length = id.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(id.len());
    let end = start + length;
    let is_id = length >= PREFIXED_CHARS_MIN && is_mixed(id.get(..length)?);
    (is_id && ends_word(rest.get(end..)?)).then_some((VolatileKind::Id, end, true))
}

/// Seconds or milliseconds since 1970, of 2017 to 2039: telephone numbers begin otherwise.
fn unix_time(rest: &str) -> Option<Match> {
    let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let is_time = match length {
        10 => ("1500000000".."2200000000").contains(&rest.get(..10)?),
        13 => ("1500000000000".."2200000000000").contains(&rest.get(..13)?),
        _ => false,
    };
    let is_certain = length == 13;
    let ends = is_time && ends_word(rest.get(length..)?);
    ends.then_some((VolatileKind::Timestamp, length, is_certain))
}

fn weekday(rest: &str) -> Option<Match> {
    let day = WEEKDAYS.iter().find(|day| rest.starts_with(**day))?;
    ends_word(rest.get(day.len()..)?).then_some((VolatileKind::Date, day.len(), false))
}

/// `request #4821`, `message count: 17`, `turn number 12`.
fn counter(rest: &str) -> Option<Match> {
    let counted = COUNTED.iter().find(|counted| rest.starts_with(**counted))?;
    let mut end = counted.len();
    let mut has_sign = false;
    for word in [" number", " count", " counter", " no.", " #", " is", ":", " =", " "] {
        if rest.get(end..)?.starts_with(word) {
            end += word.len();
            has_sign |= !matches!(word, " is" | " " | ":" | " =");
        }
    }
    let (_, digits) = number(rest.get(end..)?, 9)?;
    end += digits;
    (has_sign && ends_word(rest.get(end..)?)).then_some((VolatileKind::Counter, end, true))
}

/// At least three letters and three figures: no word, no number.
fn is_mixed(text: &str) -> bool {
    let figures = text.bytes().filter(u8::is_ascii_digit).count();
    figures >= 3 && text.len().saturating_sub(figures) >= 3
}

/// Up to `digits_max` digits at the start, and how many they are; none if there are more.
fn number(rest: &str, digits_max: usize) -> Option<(u32, usize)> {
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    if length == 0 || length > digits_max {
        return None;
    }
    Some((rest.get(..length)?.parse().ok()?, length))
}

fn is_year(year: u32) -> bool {
    (1900..=2199).contains(&year)
}

/// No letter, figure or joining sign follows that would make it something else.
fn ends_word(after: &str) -> bool {
    let mut next = after.chars();
    match next.next() {
        Some('.' | '-' | '/' | ':') => !next.next().is_some_and(char::is_alphanumeric),
        Some(character) => !character.is_alphanumeric() && character != '_',
        None => true,
    }
}
