//! Builds the prompt: instructions, tools, summary, history, the newest message.
//!
//! What must be sent is measured first and refused if it cannot fit; history fills what is left.
//! Sections stand in the order static to volatile, so that the prefix keeps its bytes from turn
//! to turn. Not here: reading (`history`), what of a message is sent (`project`).

use chat_instructions::{Placement, compose, place};
use chat_truncation::{InstructionsPlacement, TruncationPolicy};
use chat_types::{
    BudgetReport, ContentHash, ContentPart, ContextReport, Message, Prompt, PromptItem, Role,
    Section, SystemRole, Tokens,
};

use crate::hash::{hash_items, hash_tools};
use crate::history::{Counted, History, Kept};
use crate::report::ReportWriter;
use crate::{BuiltContext, ContextError, ContextLimits, ContextRequest, PromptComponent};

/// Builds prompts. Cheap to make and to clone, holds no state: equal requests give equal prompts.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConversationContext {
    limits: ContextLimits,
    policy: TruncationPolicy,
}

/// What is sent besides history, with sizes.
struct Fixed {
    placement: Placement,
    instructions: Tokens,
    tools: Tokens,
    always: Vec<Kept>,
    budget: BudgetReport,
}

impl ConversationContext {
    /// The default limits and policy.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(self, limits: ContextLimits) -> Self {
        Self { limits, ..self }
    }

    /// The same with another policy.
    #[must_use]
    pub fn with_policy(self, policy: TruncationPolicy) -> Self {
        Self { policy, ..self }
    }

    /// Builds the prompt of `request`. Writes nothing; dropping the future half-way is safe.
    ///
    /// # Errors
    /// `PromptTooLarge` if the instructions, the tools or the newest message alone do not fit,
    /// `NothingToAnswer` if `tail` is empty, `History` if the reader failed.
    pub async fn build(&self, request: ContextRequest<'_>) -> Result<BuiltContext, ContextError> {
        let budget = self.limits.budget(request.model, request.output_cap);
        // From the newest user message on everything is sent; what stands before may be cut.
        let newest_user = request.tail.iter().rposition(|m| m.role == Role::User);
        let (in_memory, always) = request.tail.split_at(newest_user.unwrap_or_default());
        if always.is_empty() {
            return Err(ContextError::NothingToAnswer);
        }
        let placement = place(compose(request.instructions), request.model);
        let offered_tools = if request.model.tools {
            request.tools
        } else {
            &[]
        };
        let mut history = History::new(&request);
        let (always, checkpoint) = history.always(always);
        let fixed = Fixed {
            instructions: instruction_tokens(&placement, &request),
            tools: request.counter.count_tools(offered_tools),
            placement,
            always,
            budget,
        };
        let left = fixed.what_is_left(request.counter.priming())?;
        history
            .read(
                left,
                checkpoint,
                in_memory,
                self.limits.history_messages_max,
            )
            .await?;
        if offered_tools.len() < request.tools.len() {
            history
                .notes
                .push("tools were left out: the model cannot call any".to_owned());
        }
        Ok(self.put_together(&request, fixed, history))
    }

    fn put_together(
        &self,
        request: &ContextRequest<'_>,
        fixed: Fixed,
        mut history: History<'_>,
    ) -> BuiltContext {
        let provenance = request.counter.provenance();
        let items_max = history.kept.len() + fixed.always.len() + history.not_sent.len() + 2;
        let mut report = ReportWriter::new(provenance, items_max);
        let mut prompt = Prompt {
            items: Vec::with_capacity(items_max),
            tools: if request.model.tools {
                request.tools.to_vec()
            } else {
                Vec::new()
            },
        };
        let mut input_tokens = request.counter.priming();
        let counted = |tokens| Counted { tokens, provenance };

        let mut system_item = None;
        let mut before_user = None;
        match fixed.placement {
            Placement::SystemItem(item) => {
                let hash = hash_items([&item].into_iter());
                report.sent(
                    Section::Instructions,
                    None,
                    counted(fixed.instructions),
                    "always sent",
                );
                report.section(Section::Instructions, 1, fixed.instructions, hash);
                system_item = Some(item);
            }
            Placement::InUserMessage { text } => {
                let hash = ContentHash::of([&text]);
                let reason = "merged into the newest message";
                report.sent(
                    Section::Instructions,
                    None,
                    counted(fixed.instructions),
                    reason,
                );
                report.section(Section::Instructions, 0, fixed.instructions, hash);
                before_user = Some(text);
            }
            Placement::Nowhere => {}
        }
        input_tokens = input_tokens.plus(fixed.instructions);
        let instructions_first = self.policy.instructions == InstructionsPlacement::Prepend;
        if instructions_first {
            prompt.items.extend(system_item.take());
        }

        if !prompt.tools.is_empty() {
            report.sent(Section::Tools, None, counted(fixed.tools), "always sent");
            report.section(
                Section::Tools,
                prompt.tools.len(),
                fixed.tools,
                hash_tools(&prompt.tools),
            );
            input_tokens = input_tokens.plus(fixed.tools);
        }

        if let Some(summary) = history.summary.take() {
            let item = PromptItem {
                section: Section::Summary,
                role: Role::System,
                parts: vec![ContentPart::Text { text: summary.text }],
                source: Some(summary.carrier.clone()),
                cache_mark: false,
            };
            let hash = hash_items([&item].into_iter());
            let merges = request.model.system_role == SystemRole::MergedIntoUser;
            report.sent(
                Section::Summary,
                Some(summary.carrier),
                summary.count,
                "stands for what is older",
            );
            report.section(
                Section::Summary,
                usize::from(!merges),
                summary.count.tokens,
                hash,
            );
            input_tokens = input_tokens.plus(summary.count.tokens);
            if merges {
                let text = before_user.get_or_insert_default();
                if !text.is_empty() {
                    text.push_str("\n\n");
                }
                if let Some(ContentPart::Text { text: summary }) = item.parts.first() {
                    text.push_str(summary);
                }
            } else {
                prompt.items.push(item);
            }
        }

        history.kept.reverse();
        input_tokens = input_tokens.plus(push_messages(
            Section::History,
            std::mem::take(&mut history.kept),
            "fits",
            &mut prompt,
            &mut report,
        ));
        if let Some(last) = prompt.items.last_mut() {
            last.cache_mark = true;
        }
        prompt.items.extend(system_item);

        let mut always = fixed.always;
        if let Some(text) = before_user {
            match always.first_mut() {
                Some(newest) if newest.message.role == Role::User => {
                    Placement::InUserMessage { text }.merge_into_user(&mut newest.message.parts);
                }
                // Nothing to merge into: the user says it, since nobody else may.
                _ => prompt.items.push(PromptItem {
                    section: Section::Instructions,
                    role: Role::User,
                    parts: vec![ContentPart::Text { text }],
                    source: None,
                    cache_mark: false,
                }),
            }
        }
        input_tokens = input_tokens.plus(push_messages(
            Section::User,
            always,
            "always sent",
            &mut prompt,
            &mut report,
        ));
        for message in &history.not_sent {
            report.not_sent(message);
        }
        let (items, sections, provenance) = report.finish();
        BuiltContext {
            prompt,
            output_cap: fixed.budget.output_cap,
            report: ContextReport {
                tokenizer: request.counter.tokenizer().clone(),
                budget: fixed.budget,
                input_tokens,
                provenance,
                sections,
                cut_before: history.cut_before,
                items,
                notes: history.notes,
            },
            fresh_counts: history.fresh_counts,
        }
    }
}

impl Fixed {
    /// What remains for history once everything fixed has its place.
    fn what_is_left(&self, priming: Tokens) -> Result<Tokens, ContextError> {
        let newest = self.always.iter().map(|kept| kept.count.tokens).sum();
        let mut left = self.budget.input.minus(priming);
        for (component, tokens) in [
            (PromptComponent::Instructions, self.instructions),
            (PromptComponent::Tools, self.tools),
            (PromptComponent::NewestMessage, newest),
        ] {
            left = left
                .checked_minus(tokens)
                .ok_or(ContextError::PromptTooLarge {
                    component,
                    tokens,
                    budget: left,
                })?;
        }
        Ok(left)
    }
}

fn instruction_tokens(placement: &Placement, request: &ContextRequest<'_>) -> Tokens {
    match placement {
        Placement::Nowhere => Tokens::ZERO,
        Placement::SystemItem(item) => request.counter.count_message(item.role, &item.parts),
        // Counted as a message of its own: a little more than what merging really adds.
        Placement::InUserMessage { text } => request
            .counter
            .count_message(Role::System, &[ContentPart::text(text)]),
    }
}

/// Moves messages into the prompt and sums them up; says nothing of a section without any.
fn push_messages(
    section: Section,
    messages: Vec<Kept>,
    whole_reason: &'static str,
    prompt: &mut Prompt,
    report: &mut ReportWriter,
) -> Tokens {
    let first = prompt.items.len();
    let mut tokens = Tokens::ZERO;
    for kept in messages {
        report.message(section, &kept, whole_reason);
        tokens = tokens.plus(kept.count.tokens);
        let Message {
            id, role, parts, ..
        } = kept.message;
        prompt.items.push(PromptItem {
            section,
            role,
            parts,
            source: Some(id),
            cache_mark: false,
        });
    }
    let items = prompt.items.len().saturating_sub(first);
    if items > 0 {
        let hash = hash_items(prompt.items.iter().skip(first));
        report.section(section, items, tokens, hash);
    }
    tokens
}
