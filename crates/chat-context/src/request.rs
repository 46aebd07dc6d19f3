//! What a prompt is built from and what comes back.

use chat_instructions::InstructionBlock;
use chat_rag::Retrieved;
use chat_thread::BranchReader;
use chat_tokens::TokenCounter;
use chat_truncation::SummaryDue;
use chat_types::{
    ContextReport, FileId, Message, MessageId, ModelInfo, ModelRef, Prompt, SectionReport,
    TokenCount, Tokens, ToolSpec,
};

use crate::FileReader;

/// What a prompt is built from. [`ContextRequest::new`] has what every prompt needs.
#[derive(Clone, Copy, Debug)]
pub struct ContextRequest<'a> {
    /// Reads what is older than `tail`.
    pub reader: &'a dyn BranchReader,
    /// Messages already in memory, oldest first: the user's message; for a continued reply the
    /// user's message and the reply so far. From the last user message on they are always sent.
    pub tail: &'a [Message],
    /// Where reading starts: the parent of the first of `tail`; none: nothing is older.
    pub below: Option<&'a MessageId>,
    /// Standing instructions, composed and placed by the model's needs.
    pub instructions: &'a [InstructionBlock],
    /// Tools the model may call, in the order sent; left out for a model that cannot.
    pub tools: &'a [ToolSpec],
    /// The model the prompt is for.
    pub model: &'a ModelInfo,
    /// Counts in the model's vocabulary.
    pub counter: &'a dyn TokenCounter,
    /// The output cap wanted; none: the default of the limits.
    pub output_cap: Option<Tokens>,
    /// Messages that are kept also where they are older than the cut, up to the policy's share.
    pub pinned: &'a [Message],
    /// Reads the text of attached files; none: a file stands as its name.
    pub files: Option<&'a dyn FileReader>,
    /// What was retrieved for the newest message; none: nothing is ever retrieved, so that no room
    /// is set aside.
    pub retrieval: Option<RetrievalSection<'a>>,
    /// The branch's prompt before this one: the cut stays where it was while it fits, and the report
    /// says how far the prefix is the same.
    pub previous: Option<&'a PreviousPrompt>,
}

impl<'a> ContextRequest<'a> {
    /// The newest message for a model, after what stands below it; nothing besides.
    #[must_use]
    pub fn new(
        reader: &'a dyn BranchReader,
        tail: &'a [Message],
        model: &'a ModelInfo,
        counter: &'a dyn TokenCounter,
    ) -> Self {
        Self {
            reader,
            tail,
            below: tail.first().and_then(|first| first.parent.as_ref()),
            instructions: &[],
            tools: &[],
            model,
            counter,
            output_cap: None,
            pinned: &[],
            files: None,
            retrieval: None,
            previous: None,
        }
    }
}

/// What retrieval brought, and the room that is set aside for it at every turn, used or not: so
/// that what history has does not change with what was found.
#[derive(Clone, Copy, Debug)]
pub struct RetrievalSection<'a> {
    /// What was found and fits.
    pub retrieved: &'a Retrieved,
    /// The room.
    pub tokens_max: Tokens,
}

/// What the branch's prompt before this one looked like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousPrompt {
    /// Who it was for.
    pub model: ModelRef,
    /// Its sections, as its report had them.
    pub sections: Vec<SectionReport>,
}

/// A prompt, and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct BuiltContext {
    /// What to send.
    pub prompt: Prompt,
    /// What was kept and dropped, and why.
    pub report: ContextReport,
    /// What was kept free for the reply.
    pub output_cap: Tokens,
    /// Counts that no message had yet, newest message first: worth storing, so that they are
    /// never counted again. Each is of the whole stored message.
    pub fresh_counts: Vec<(MessageId, TokenCount)>,
    /// Files whose bytes go along, in the order they are first sent.
    pub native_files: Vec<FileId>,
    /// The policy asks for a summary, best made beside the turn.
    pub summary_due: Option<SummaryDue>,
}
