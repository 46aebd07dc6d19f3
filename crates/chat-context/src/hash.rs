//! Hashes of what is sent: equal hashes mean equal content, in the same order.

use chat_types::{ContentHash, ContentPart, PromptItem, Role, ToolSpec};

/// Hash over items: roles and parts, nothing that is not sent.
pub(crate) fn hash_items<'i>(items: impl Iterator<Item = &'i PromptItem>) -> ContentHash {
    let mut fields = Vec::new();
    for item in items {
        fields.push(role_name(item.role));
        for part in &item.parts {
            push_part(part, &mut fields);
        }
    }
    ContentHash::of(fields)
}

/// Hash over tools, in order.
pub(crate) fn hash_tools(tools: &[ToolSpec]) -> ContentHash {
    ContentHash::of(tools.iter().flat_map(|tool| [&tool.name, &tool.description, &tool.parameters]))
}

/// No part begins with a role's name, so items cannot be mistaken for parts.
const fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "role:system",
        Role::User => "role:user",
        Role::Assistant => "role:assistant",
        Role::Tool => "role:tool",
    }
}

/// Each part gives its kind and a fixed number of fields.
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
        ContentPart::Summary { summary } => fields.extend(["summary", &summary.text]),
        // A kind that is newer than this crate: it is there, and that is all we can say.
        _ => fields.push("other"),
    }
}
