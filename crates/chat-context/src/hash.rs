//! Hashes of what is sent: equal hashes mean equal content, in the same order.

use chat_types::{ContentHash, PromptItem, ToolSpec, content_fields};

/// Hash over items: roles and parts, nothing that is not sent.
pub(crate) fn hash_items<'i>(items: impl Iterator<Item = &'i PromptItem>) -> ContentHash {
    let mut fields = Vec::new();
    for item in items {
        content_fields(item.role, &item.parts, &mut fields);
    }
    ContentHash::of(fields)
}

/// Hash over tools, in order.
pub(crate) fn hash_tools(tools: &[ToolSpec]) -> ContentHash {
    ContentHash::of(tools.iter().flat_map(|tool| [&tool.name, &tool.description, &tool.parameters]))
}
