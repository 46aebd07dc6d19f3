//! Conversations and their messages changed beside the turns.

use chat_types::{Change, Conversation, ConversationPatch, Message, Role};

use super::operation::Operation;
use super::world::{Talk, World};

impl World {
    pub(super) fn conversation(&mut self, id: chat_types::ConversationId) -> Conversation {
        let now = self.tick();
        let mut conversation = Conversation::new(id, self.text(), now);
        conversation.model = self.chance(30).then(|| self.model());
        conversation.instructions = self.chance(20).then(|| self.text());
        conversation.options = self.options();
        conversation.archived = self.chance(10);
        conversation.expires_at = self.chance(15).then(|| self.about_now());
        conversation
    }

    fn change<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Change<T> {
        match self.rng.u32(..6) {
            0 => Change::Unset,
            1 | 2 => Change::Set(value(self)),
            _ => Change::Keep,
        }
    }

    pub(super) fn change_conversation(&mut self) -> Option<Operation> {
        let talk = self.talk()?;
        let scope = self.scope_near(talk);
        let id = self.talks[talk].id.clone();
        if self.chance(20) {
            return Some(Operation::DeleteConversation { scope, id });
        }
        let head = self.message_of(talk);
        let patch = ConversationPatch {
            title: self.change(Self::text),
            model: self.change(Self::model),
            instructions: self.change(Self::text),
            options: self.change(Self::options),
            head: match head {
                Some((head, _)) => self.change(|_| head),
                None => Change::Keep,
            },
            archived: self.change(|world| world.chance(50)),
            expires_at: if self.chance(20) { self.change(Self::about_now) } else { Change::Keep },
        };
        Some(Operation::Patch { scope, id, patch: Box::new(patch), now: self.tick() })
    }

    pub(super) fn change_messages(&mut self) -> Option<Operation> {
        match self.rng.u32(..10) {
            0..=3 => self.import(),
            4 | 5 => {
                let talk = self.talk()?;
                let count = self.rng.usize(1..4);
                let mut counts = Vec::new();
                for _ in 0..count {
                    let (message, _) = self.message_of(talk)?;
                    counts.push((message, self.token_count()));
                }
                let scope = self.scope_near(talk);
                let conversation = self.talks[talk].id.clone();
                Some(Operation::KeepTokenCounts { scope, conversation, counts })
            }
            6 | 7 => {
                let talk = self.talk()?;
                let (message, _) = self.message_of(talk)?;
                let summary = self.summary(message);
                let scope = self.scope_near(talk);
                let conversation = self.talks[talk].id.clone();
                Some(Operation::KeepSummary { scope, conversation, summary })
            }
            _ => {
                let talk = self.talk()?;
                let (message, _) = self.message_of(talk)?;
                let scope = self.scope_near(talk);
                let conversation = self.talks[talk].id.clone();
                Some(Operation::DeleteSubtree { scope, conversation, message })
            }
        }
    }

    /// A new conversation with a small tree, or more messages for one that is there.
    fn import(&mut self) -> Option<Operation> {
        let talk = match self.talk().filter(|_| self.chance(50)) {
            Some(talk) => talk,
            None => {
                let (scope, id) = (self.scope(), self.fresh("c"));
                self.talks.push(Talk { scope, id, messages: Vec::new() });
                self.talks.len() - 1
            }
        };
        let id = self.talks[talk].id.clone();
        let mut conversation = self.conversation(id.clone());
        let mut messages: Vec<Message> = Vec::new();
        for _ in 0..self.rng.usize(0..5) {
            let parent = self.message_of(talk).filter(|_| self.chance(90)).map(|(id, _)| id);
            let role = self.pick(&[Role::User, Role::Assistant, Role::System, Role::Tool]);
            let name = self.fresh("i");
            let now = self.tick();
            messages.push(self.message(id.clone(), name, parent, role, now));
            let made = messages.last()?;
            self.talks[talk].messages.push((made.id.clone(), role));
        }
        conversation.head = messages.last().map(|message| message.id.clone());
        if self.chance(5) {
            messages.reverse();
        }
        let scope = self.scope_near(talk);
        Some(Operation::Import { scope, conversation: Box::new(conversation), messages })
    }
}
