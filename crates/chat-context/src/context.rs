//! Builds the prompt: instructions, tools, summary, history, the newest message.
//!
//! What must be sent is measured first and refused if it cannot fit; history fills what is left.
//! Sections stand in the order static to volatile, so that the prefix keeps its bytes from turn
//! to turn. Not here: reading (`history`), what of a message is sent (`project`), how
//! items and report are written (`assembly`).

use chat_instructions::{Placement, compose, place};
use chat_truncation::{InstructionsPlacement, TruncationPolicy};
use chat_types::{BudgetReport, ContentPart, ContextReport, Role, Section, Tokens};

use crate::assembly::Assembly;
use crate::history::{History, Kept};
use crate::{BuiltContext, ContextError, ContextLimits, ContextRequest, PromptComponent};

/// Builds prompts. Cheap to make and to clone, holds no state: equal requests give equal prompts.
#[derive(Clone, Debug, Default)]
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
        let offered_tools = if request.model.tools { request.tools } else { &[] };
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
        history.read(left, checkpoint, in_memory, self.limits.history_messages_max).await?;
        if offered_tools.len() < request.tools.len() {
            history.notes.push("tools were left out: the model cannot call any".to_owned());
        }
        Ok(self.put_together(&request, fixed, history))
    }

    fn put_together(
        &self,
        request: &ContextRequest<'_>,
        fixed: Fixed,
        mut history: History<'_>,
    ) -> BuiltContext {
        let items_max = history.kept.len() + fixed.always.len() + history.not_sent.len() + 3;
        let mut assembly = Assembly::new(request, items_max);
        let mut system_item = assembly.instructions(fixed.placement, fixed.instructions);
        if self.policy.instructions == InstructionsPlacement::Prepend {
            assembly.prompt.items.extend(system_item.take());
        }
        assembly.tools(fixed.tools);
        if let Some(summary) = history.summary.take() {
            assembly.summary(summary);
        }
        history.kept.reverse();
        assembly.messages(Section::History, std::mem::take(&mut history.kept), "fits");
        if let Some(last) = assembly.prompt.items.last_mut() {
            last.cache_mark = true;
        }
        assembly.prompt.items.extend(system_item);
        assembly.always(fixed.always);
        for message in &history.not_sent {
            assembly.report.not_sent(message);
        }
        let (items, sections, provenance) = assembly.report.finish();
        BuiltContext {
            prompt: assembly.prompt,
            output_cap: fixed.budget.output_cap,
            report: ContextReport {
                tokenizer: request.counter.tokenizer().clone(),
                budget: fixed.budget,
                input_tokens: assembly.input_tokens,
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
            left = left.checked_minus(tokens).ok_or(ContextError::PromptTooLarge {
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
        Placement::InUserMessage { text } => {
            request.counter.count_message(Role::System, &[ContentPart::text(text)])
        }
    }
}
