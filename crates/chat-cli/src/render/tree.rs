//! A conversation's tree, drawn: one line per message, indented only where it branches.

use std::collections::{HashMap, HashSet};

use chat_runtime::thread::MessageThread;
use chat_runtime::types::Role;
use chat_runtime::{Message, MessageId};

use crate::render::{first_line, message_text};

/// Characters of a message shown.
const TEXT_CHARS_MAX: usize = 72;
/// Deeper forks are drawn at this depth.
const DEPTH_MAX: usize = 40;

/// The end of an id: its random part, which tells messages of one minute apart.
pub(crate) fn short_id(id: &MessageId) -> String {
    let letters = id.as_str().chars().count();
    id.as_str().chars().skip(letters.saturating_sub(8)).collect()
}

/// The lines of the whole tree; `*` marks the branch that ends at `head`. A message with a note has
/// it in brackets.
pub(crate) fn draw_tree(
    thread: &MessageThread,
    head: Option<&MessageId>,
    notes: &HashMap<MessageId, String>,
) -> Vec<String> {
    let current: HashSet<&MessageId> = thread.ancestors(head).map(|message| &message.id).collect();
    let mut lines = Vec::new();
    let mut seen = HashSet::new();
    // Last in, first out: the messages still to draw, with what stands before them.
    let mut waiting: Vec<(&Message, String, String)> = Vec::new();
    push_all(&mut waiting, &thread.roots(), "");
    while let Some((message, before, below)) = waiting.pop() {
        // A cycle is drawn once.
        if !seen.insert(&message.id) {
            continue;
        }
        let mut line = line(message, &before, current.contains(&message.id));
        if let Some(note) = notes.get(&message.id) {
            line = format!("{}  [{note}]", line.trim_end());
        }
        lines.push(line);
        push_all(&mut waiting, &thread.children(&message.id), &below);
    }
    lines
}

/// Puts siblings on the pile, the oldest on top. An only one goes on in its parent's column.
fn push_all<'t>(
    waiting: &mut Vec<(&'t Message, String, String)>,
    siblings: &[&'t Message],
    before: &str,
) {
    let is_fork = siblings.len() > 1 && before.chars().count() < DEPTH_MAX.saturating_mul(3);
    for (position, message) in siblings.iter().enumerate().rev() {
        let is_last = position.saturating_add(1) == siblings.len();
        let (own, below) = match (is_fork, is_last) {
            (false, _) => (before.to_owned(), before.to_owned()),
            (true, true) => (format!("{before}└─ "), format!("{before}   ")),
            (true, false) => (format!("{before}├─ "), format!("{before}│  ")),
        };
        waiting.push((message, own, below));
    }
}

fn line(message: &Message, before: &str, is_current: bool) -> String {
    let who = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "reply",
        Role::Tool => "tool",
    };
    let mark = if is_current { '*' } else { ' ' };
    let text = first_line(&message_text(message), TEXT_CHARS_MAX);
    format!("{mark} {before}{who} {}  {text}", short_id(&message.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_runtime::types::{ContentPart, ConversationId, MessageStatus, Timestamp};

    fn message(id: &str, parent: Option<&str>, role: Role, at: i64) -> Message {
        Message {
            id: MessageId::new(id).expect("valid"),
            conversation: ConversationId::new("c").expect("valid"),
            parent: parent.map(|parent| MessageId::new(parent).expect("valid")),
            role,
            parts: vec![ContentPart::text(format!("text of {id}"))],
            created_at: Timestamp::from_unix_ms(at),
            turn: None,
            model: None,
            status: MessageStatus::Complete,
            finish_reason: None,
            token_counts: Vec::new(),
            summary: None,
        }
    }

    #[test]
    fn only_forks_are_indented_and_the_current_branch_is_marked() {
        let thread = MessageThread::normalise([
            message("u1", None, Role::User, 1),
            message("a1", Some("u1"), Role::Assistant, 2),
            message("a2", Some("u1"), Role::Assistant, 3),
            message("u2", Some("a1"), Role::User, 4),
        ]);
        let head = MessageId::new("a2").expect("valid");
        assert_eq!(
            draw_tree(&thread, Some(&head), &HashMap::new()),
            [
                "* user u1  text of u1",
                "  ├─ reply a1  text of a1",
                "  │  user u2  text of u2",
                "* └─ reply a2  text of a2",
            ]
        );
    }

    #[test]
    fn a_note_stands_behind_its_message() {
        let thread = MessageThread::normalise([message("u1", None, Role::User, 1)]);
        let id = MessageId::new("u1").expect("valid");
        let notes = HashMap::from([(id, "$0.01".to_owned())]);
        assert_eq!(draw_tree(&thread, None, &notes), ["  user u1  text of u1  [$0.01]"]);
    }

    #[test]
    fn a_cycle_is_drawn_once() {
        let thread = MessageThread::normalise([
            message("a", Some("b"), Role::User, 1),
            message("b", Some("a"), Role::User, 2),
        ]);
        // Nothing is above a cycle, so nothing leads into it from the roots.
        assert!(draw_tree(&thread, None, &HashMap::new()).len() <= 2);
    }
}
