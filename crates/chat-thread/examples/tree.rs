//! Builds a small conversation, edits it, and prints the tree: no network, no store.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use chat_thread::{MessageThread, ThreadError};
use chat_types::{
    ContentPart, ConversationId, IdSourceExt as _, Message, MessageId, MessageStatus, Role,
    SequentialIds, Timestamp,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ids = SequentialIds::new("m");
    let mut talk =
        Talk { thread: MessageThread::default(), conversation: ConversationId::new("talk")? };
    let question = ids.message_id()?;
    talk.say(&question, None, Role::User, "What is the capital of France?")?;
    let reply = ids.message_id()?;
    talk.say(&reply, Some(&question), Role::Assistant, "Paris.")?;

    let place = talk.thread.edit(&question)?;
    let edited = ids.message_id()?;
    talk.say(&edited, place.parent.as_ref(), Role::User, "And of Peru?")?;
    let second_reply = ids.message_id()?;
    talk.say(&second_reply, Some(&edited), Role::Assistant, "Lima.")?;

    for leaf in talk.thread.leaves() {
        let path = talk.thread.path(Some(&leaf.id));
        let lines: Vec<String> = path.iter().map(|message| message.text()).collect();
        println!("{}: {}", leaf.id, lines.join(" -> "));
    }
    Ok(())
}

struct Talk {
    thread: MessageThread,
    conversation: ConversationId,
}

impl Talk {
    fn say(
        &mut self,
        id: &MessageId,
        parent: Option<&MessageId>,
        role: Role,
        text: &str,
    ) -> Result<(), ThreadError> {
        self.thread.append(Message {
            id: id.clone(),
            conversation: self.conversation.clone(),
            parent: parent.cloned(),
            role,
            parts: vec![ContentPart::text(text)],
            created_at: Timestamp::from_unix_ms(0),
            turn: None,
            model: None,
            status: MessageStatus::Complete,
            finish_reason: None,
            token_counts: Vec::new(),
            summary: None,
        })
    }
}
