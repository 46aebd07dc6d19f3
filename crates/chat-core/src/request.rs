//! What a caller asks of the conductor.

use chat_types::{ContentPart, ConversationId, IdempotencyKey, MessageId, ModelOptions, Timestamp};
use serde::Serialize;

/// Which conversation a turn belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationChoice {
    /// A new one with a new id.
    #[default]
    New,
    /// The one of this id, created if the scope has none.
    Named(ConversationId),
    /// The one of this id, refused if the scope has none.
    Existing(ConversationId),
}

/// Where the turn goes in the conversation's tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// A new message after the conversation's head.
    AfterHead {
        /// What the user says.
        parts: Vec<ContentPart>,
    },
    /// A new message after this one.
    After {
        /// The message it follows.
        parent: MessageId,
        /// What the user says.
        parts: Vec<ContentPart>,
    },
    /// A new message at the root.
    AtRoot {
        /// What the user says.
        parts: Vec<ContentPart>,
    },
    /// A changed user message, as a sibling of the old one.
    Edit {
        /// The user message.
        message: MessageId,
        /// Its new content.
        parts: Vec<ContentPart>,
    },
    /// Another reply: to the same user message as this reply, or to this user message.
    Regenerate {
        /// A reply or a user message.
        message: MessageId,
    },
    /// Goes on from a reply, as a sibling that starts with its parts.
    Continue {
        /// The reply.
        message: MessageId,
    },
    /// No reply: a summary of the branch, kept with its newest message, so that the next turns start
    /// from it. The conversation's head stays where it is.
    Compact {
        /// The newest message it covers; none: the conversation's head.
        message: Option<MessageId>,
        /// From the root on, instead of going on from the summary before.
        anew: bool,
    },
}

/// One turn, as asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnRequest {
    /// Which conversation.
    pub conversation: ConversationChoice,
    /// What is asked, and where it goes.
    pub placement: Placement,
    /// The model by name; none: the conversation's, else the default. A named one is kept with
    /// the conversation.
    pub model: Option<String>,
    /// Standing instructions of a new conversation.
    pub instructions: Option<String>,
    /// Options of this turn; the conversation's own fill the gaps.
    pub options: ModelOptions,
    /// A repeat with this key re-attaches to the same turn.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Ask the provider for the reply in pieces. The events are the same either way.
    pub stream: bool,
    /// The id the user message gets; none: a new one.
    pub user_message: Option<MessageId>,
    /// The id the reply gets; none: a new one.
    pub reply: Option<MessageId>,
    /// A new conversation deletes itself then.
    pub expires_at: Option<Timestamp>,
    /// Messages of the conversation that the prompt keeps also where they are older than the cut, up
    /// to the policy's share.
    pub pinned: Vec<MessageId>,
}

impl TurnRequest {
    /// A text in a new conversation.
    pub fn text(text: impl Into<String>) -> Self {
        Self::placed(Placement::AfterHead { parts: vec![ContentPart::text(text)] })
    }

    /// A turn placed somewhere.
    #[must_use]
    pub fn placed(placement: Placement) -> Self {
        Self {
            conversation: ConversationChoice::New,
            placement,
            model: None,
            instructions: None,
            options: ModelOptions::default(),
            idempotency_key: None,
            stream: true,
            user_message: None,
            reply: None,
            expires_at: None,
            pinned: Vec::new(),
        }
    }

    /// In this conversation, which must exist.
    #[must_use]
    pub fn in_conversation(mut self, id: ConversationId) -> Self {
        self.conversation = ConversationChoice::Existing(id);
        self
    }

    /// In the conversation of this id, created if there is none.
    #[must_use]
    pub fn in_conversation_named(mut self, id: ConversationId) -> Self {
        self.conversation = ConversationChoice::Named(id);
        self
    }

    /// By this model.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// With these options.
    #[must_use]
    pub fn with_options(mut self, options: ModelOptions) -> Self {
        self.options = options;
        self
    }

    /// With standing instructions, if the conversation is new.
    #[must_use]
    pub fn with_instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = Some(instructions.into());
        self
    }

    /// Named by the caller.
    #[must_use]
    pub fn with_idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }

    /// Asked for in one piece.
    #[must_use]
    pub fn without_streaming(mut self) -> Self {
        self.stream = false;
        self
    }
}
