//! What a summary covers, by content: siblings and forks with the same past can reuse it.
//!
//! The hash is a chain, one link per message, so that it can go on from an earlier summary
//! without reading what that one covers.

use chat_types::{ContentHash, ContentPart, Message, Summary, content_fields};

/// Hash of the content of `messages` (from the root on, oldest first): roles and parts, no ids,
/// no times. Summary parts do not count: they say nothing that is not said before them.
pub fn covered_hash<'m>(messages: impl IntoIterator<Item = &'m Message>) -> ContentHash {
    covered_hash_after(None, messages)
}

/// As [`covered_hash`], where `previous` stands for everything before `messages`: the result is
/// the same as if all had been read from the root on.
pub fn covered_hash_after<'m>(
    previous: Option<&Summary>,
    messages: impl IntoIterator<Item = &'m Message>,
) -> ContentHash {
    let start = previous.map_or_else(root, |previous| previous.covered.clone());
    messages.into_iter().fold(start, |hash, message| link(&hash, message))
}

/// How many messages of `path` (from the root on, oldest first) `summary` covers; none if it was
/// made of something else. Linear in the path.
pub fn covered_prefix<'m>(
    summary: &Summary,
    path: impl IntoIterator<Item = &'m Message>,
) -> Option<usize> {
    let mut hash = root();
    let mut covered = 0;
    for message in path {
        hash = link(&hash, message);
        covered += 1;
        if hash == summary.covered {
            return Some(covered);
        }
    }
    None
}

/// Whether `summary` holds for `path` (from the root on, oldest first): it says something, and
/// what it was made of is how the path begins.
pub fn covers<'m>(summary: &Summary, path: impl IntoIterator<Item = &'m Message>) -> bool {
    !summary.text.trim().is_empty() && covered_prefix(summary, path).is_some()
}

fn root() -> ContentHash {
    ContentHash::of::<&str>([])
}

fn link(before: &ContentHash, message: &Message) -> ContentHash {
    let mut fields = vec![before.as_str()];
    let said = message.parts.iter().filter(|part| !matches!(part, ContentPart::Summary { .. }));
    content_fields(message.role, said, &mut fields);
    ContentHash::of(fields)
}
