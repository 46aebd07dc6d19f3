//! The fields that are hashed of a content.

use crate::{ContentPart, Role};

/// What a role says with these parts, as fields to hash: roles and content, no ids of messages and
/// no times, so that equal content hashes alike wherever it stands.
pub fn content_fields<'p>(
    role: Role,
    parts: impl IntoIterator<Item = &'p ContentPart>,
    fields: &mut Vec<&'p str>,
) {
    fields.push(role_name(role));
    for part in parts {
        push_part(part, fields);
    }
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
        ContentPart::Quote { text } => fields.extend(["quote", text]),
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
    }
}
