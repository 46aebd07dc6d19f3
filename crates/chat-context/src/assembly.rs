//! Puts sections into the prompt, in the order called, and writes the report beside them.

use chat_instructions::Placement;
use chat_rag::{Retrieved, fence};
use chat_types::{
    ContentHash, ContentPart, Message, Prompt, PromptItem, Role, Section, SystemRole, Tokens,
};

use crate::ContextRequest;
use crate::chosen::Kept;
use crate::hash::{hash_items, hash_tools};
use crate::read::{Counted, SentSummary};
use crate::report::ReportWriter;

/// A prompt that grows section by section.
pub(crate) struct Assembly<'r> {
    request: &'r ContextRequest<'r>,
    pub(crate) prompt: Prompt,
    pub(crate) report: ReportWriter,
    pub(crate) input_tokens: Tokens,
    /// What goes in front of the newest user message's text, for a model without a system role.
    before_user: Option<String>,
}

impl<'r> Assembly<'r> {
    /// An empty prompt; `items_max` is a hint.
    pub(crate) fn new(request: &'r ContextRequest<'r>, items_max: usize) -> Self {
        Self {
            request,
            prompt: Prompt { items: Vec::with_capacity(items_max), tools: Vec::new() },
            report: ReportWriter::new(request.counter.provenance(), items_max),
            input_tokens: request.counter.priming(),
            before_user: None,
        }
    }

    /// Reports the instructions; an item of their own is handed back to be put in its place.
    pub(crate) fn instructions(
        &mut self,
        placement: Placement,
        tokens: Tokens,
    ) -> Option<PromptItem> {
        let (items, hash, reason, item) = match placement {
            Placement::Nowhere => return None,
            Placement::SystemItem(item) => {
                let hash = hash_items([&item].into_iter());
                (1, hash, "always sent", Some(item))
            }
            Placement::InUserMessage { text } => {
                let hash = ContentHash::of([&text]);
                self.before_user = Some(text);
                (0, hash, "merged into the newest message", None)
            }
        };
        let count = self.counted(tokens);
        self.report.sent(Section::Instructions, None, count, reason);
        self.section(Section::Instructions, items, tokens, hash);
        item
    }

    /// Adds the tools, unless the model cannot call any.
    pub(crate) fn tools(&mut self, tokens: Tokens) {
        if !self.request.model.tools || self.request.tools.is_empty() {
            return;
        }
        self.prompt.tools = self.request.tools.to_vec();
        let count = self.counted(tokens);
        self.report.sent(Section::Tools, None, count, "always sent");
        let hash = hash_tools(&self.prompt.tools);
        self.section(Section::Tools, self.prompt.tools.len(), tokens, hash);
    }

    /// Adds the summary, or keeps it for the newest user message.
    pub(crate) fn summary(&mut self, summary: SentSummary) {
        let carrier = Some(summary.carrier);
        let merges = self.request.model.system_role == SystemRole::MergedIntoUser;
        let (items, hash) = if merges {
            let hash = ContentHash::of([&summary.text]);
            let before_user = self.before_user.get_or_insert_default();
            if !before_user.is_empty() {
                before_user.push_str("\n\n");
            }
            before_user.push_str(&summary.text);
            (0, hash)
        } else {
            let item = PromptItem {
                section: Section::Summary,
                role: Role::System,
                parts: vec![ContentPart::Text { text: summary.text }],
                source: carrier.clone(),
                cache_mark: false,
            };
            let hash = hash_items([&item].into_iter());
            self.prompt.items.push(item);
            (1, hash)
        };
        let reason = "stands for what is older";
        self.report.sent(Section::Summary, carrier, summary.count, reason);
        self.section(Section::Summary, items, summary.count.tokens, hash);
    }

    /// Adds what was retrieved: said by the user, since nothing in it may have more rank.
    pub(crate) fn retrieval(&mut self, retrieved: &Retrieved) {
        let text = fence(&retrieved.snippets);
        if text.is_empty() {
            return;
        }
        for snippet in &retrieved.snippets {
            let tokens = self.request.counter.count_text(&snippet.text);
            self.report.snippet(snippet, self.counted(tokens));
        }
        let parts = vec![ContentPart::Text { text }];
        let tokens = self.request.counter.count_message(Role::User, &parts);
        let item = PromptItem {
            section: Section::Retrieval,
            role: Role::User,
            parts,
            source: None,
            cache_mark: false,
        };
        let hash = hash_items([&item].into_iter());
        self.prompt.items.push(item);
        self.section(Section::Retrieval, 1, tokens, hash);
    }

    /// Adds the messages that are always sent, with what goes in front of the newest user message.
    pub(crate) fn always(&mut self, mut always: Vec<Kept>) {
        if let Some(text) = self.before_user.take() {
            match always.first_mut() {
                Some(newest) if newest.message.role == Role::User => {
                    Placement::InUserMessage { text }.merge_into_user(&mut newest.message.parts);
                }
                // Nothing to merge into: the user says it, since nobody else may.
                _ => self.prompt.items.push(PromptItem {
                    section: Section::Instructions,
                    role: Role::User,
                    parts: vec![ContentPart::Text { text }],
                    source: None,
                    cache_mark: false,
                }),
            }
        }
        self.messages(Section::User, always, "always sent");
    }

    /// Moves messages into the prompt; says nothing of a section without any.
    pub(crate) fn messages(
        &mut self,
        section: Section,
        messages: Vec<Kept>,
        whole_reason: &'static str,
    ) {
        if messages.is_empty() {
            return;
        }
        let first = self.prompt.items.len();
        let mut tokens = Tokens::ZERO;
        for kept in messages {
            self.report.message(section, &kept, whole_reason);
            tokens = tokens.plus(kept.count.tokens);
            let Message { id, role, parts, .. } = kept.message;
            self.prompt.items.push(PromptItem {
                section,
                role,
                parts,
                source: Some(id),
                cache_mark: false,
            });
        }
        let items = self.prompt.items.len().saturating_sub(first);
        let hash = hash_items(self.prompt.items.iter().skip(first));
        self.section(section, items, tokens, hash);
    }

    fn counted(&self, tokens: Tokens) -> Counted {
        Counted { tokens, provenance: self.request.counter.provenance() }
    }

    fn section(&mut self, section: Section, items: usize, tokens: Tokens, hash: ContentHash) {
        self.input_tokens = self.input_tokens.plus(tokens);
        self.report.section(section, items, tokens, hash);
    }
}
