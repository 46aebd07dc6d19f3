//! The beginning of a branch, for policies that keep it: the one reader that pays for what is stored.

use chat_thread::{BRANCH_PAGE_MESSAGES_MAX, BranchErrorKind};
use chat_types::{Message, Role};

use crate::{ContextError, ContextRequest};

/// The first `turns` of the branch, oldest first; none if it is longer than `messages_max`. Walks the
/// whole branch, by pages.
pub(crate) async fn first_turns(
    request: &ContextRequest<'_>,
    turns: u32,
    messages_max: usize,
) -> Result<Vec<Message>, ContextError> {
    let mut oldest_last: Vec<Message> = Vec::new();
    let mut next = request.below.cloned();
    let mut walked = 0_usize;
    while let Some(head) = next {
        let page = match request.reader.page(&head, BRANCH_PAGE_MESSAGES_MAX).await {
            Ok(page) => page,
            // A broken branch has no first turn; reading it says so.
            Err(error) if error.kind() == BranchErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(ContextError::History(error)),
        };
        walked = walked.saturating_add(page.messages.len());
        if page.messages.is_empty() || walked > messages_max {
            return Ok(Vec::new());
        }
        oldest_last.extend(page.messages);
        // Enough for the turns asked for, tool rounds included; what is newer is not needed.
        let spare = oldest_last.len().saturating_sub(BRANCH_PAGE_MESSAGES_MAX);
        oldest_last.drain(..spare);
        next = page.next;
    }
    let mut left = turns;
    let mut first = Vec::new();
    for message in oldest_last.into_iter().rev() {
        if message.role == Role::User {
            let Some(fewer) = left.checked_sub(1) else { break };
            left = fewer;
        }
        first.push(message);
    }
    Ok(first)
}
