//! Where the prompt is, for its status line.

use chat_runtime::ConversationId;

use crate::app::App;
use crate::find;

/// `branch 2 of 3`; nothing said where it cannot be read: a status line is no reason to fail.
pub(crate) async fn branch(app: &App<'_>, id: &ConversationId) -> String {
    let Ok(Some(conversation)) = app.client().store().conversation(&app.scope, id).await else {
        return String::new();
    };
    let Ok(thread) = find::thread(app, id).await else {
        return String::new();
    };
    let leaves = thread.leaves();
    let current = leaves.iter().position(|leaf| Some(&leaf.id) == conversation.head.as_ref());
    match current {
        Some(current) => format!("branch {} of {}", current.saturating_add(1), leaves.len()),
        None => format!("{} branches", leaves.len()),
    }
}
