//! What a prompt is built from and what comes back.

use chat_instructions::InstructionBlock;
use chat_thread::BranchReader;
use chat_tokens::TokenCounter;
use chat_types::{
    ContextReport, Message, MessageId, ModelInfo, Prompt, TokenCount, Tokens, ToolSpec,
};

/// What a prompt is built from.
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
}
