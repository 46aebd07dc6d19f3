//! What a summary covers, by content: siblings and forks with the same past can reuse it.
//!
//! The hash is a chain, one link per message, so that it can go on from an earlier summary
//! without reading what that one covers.

use chat_types::{ContentHash, ContentPart, Message, Role, Summary};

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
    let mut fields: Vec<&str> = vec![before.as_str(), role_name(message.role)];
    for part in &message.parts {
        push_part(part, &mut fields);
    }
    ContentHash::of(fields)
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

/// Each part gives its kind and a fixed number of fields, so that no two lists look alike.
fn push_part<'p>(part: &'p ContentPart, fields: &mut Vec<&'p str>) {
    match part {
        ContentPart::Text { text } => fields.extend(["text", text]),
        ContentPart::Reasoning { text, opaque } => {
            let sealed = opaque.as_ref().map_or("", |opaque| opaque.data.as_str());
            fields.extend(["reasoning", text, sealed]);
        }
        ContentPart::Image { file, media_type, .. } => {
            fields.extend(["image", file.as_str(), media_type]);
        }
        ContentPart::File { file, name, media_type } => {
            fields.extend(["file", file.as_str(), name, media_type]);
        }
        ContentPart::ToolCall { call_id, name, arguments } => {
            fields.extend(["tool_call", call_id, name, arguments]);
        }
        ContentPart::ToolResult { call_id, text, is_error } => {
            let kind = if *is_error { "tool_error" } else { "tool_result" };
            fields.extend([kind, call_id, text]);
        }
        ContentPart::Summary { .. } => {}
        // A kind that is newer than this crate: it is there, and that is all we can say.
        _ => fields.push("other"),
    }
}
