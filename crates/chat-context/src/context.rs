//! Builds the prompt: instructions, tools, summary, history, retrieval, the newest message.
//!
//! What must be sent is measured first and refused if it cannot fit; history fills what is left.
//! Sections stand in the order static to volatile, so that the prefix keeps its bytes from turn
//! to turn. Not here: reading (`history`), what becomes of what was read (`chosen`), how items and
//! report are written (`assembly`).

use chat_instructions::{Placement, compose, lint, place};
use chat_truncation::{InstructionsPlacement, Reserve, TruncationPolicy};
use chat_types::{
    BudgetReport, ContentPart, ContextReport, FileId, MessageId, Prompt, Role, Section, Tokens,
};

use crate::assembly::Assembly;
use crate::chosen::{Chosen, choose};
use crate::first_turns::first_turns;
use crate::history::History;
use crate::prefix;
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

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &ContextLimits {
        &self.limits
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &TruncationPolicy {
        &self.policy
    }

    /// Builds the prompt of `request`. Writes nothing; dropping the future half-way is safe.
    ///
    /// # Errors
    /// `PromptTooLarge` if the instructions, the tools or the newest message alone do not fit,
    /// `NothingToAnswer` if `tail` is empty, `History` or `Files` if a reader failed.
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
        let fixed = Fixed {
            instructions: instruction_tokens(&placement, &request),
            tools: request.counter.count_tools(offered_tools),
            placement,
            budget,
        };
        let left = fixed.left_for_messages(&request)?;
        let mut history = History::new(&request);
        history.always(always).await?;
        history.reserve(Reserve::Pinned, request.pinned).await?;
        let messages_max = self.limits.history_messages_max;
        let turns = self.policy.first_turns();
        if turns > 0 {
            let first = first_turns(&request, turns, messages_max).await?;
            history.reserve(Reserve::First, &first).await?;
        }
        let mut ladder = history.ladder(&self.policy, left, budget.input, earlier_cut(&request));
        history.read(&mut ladder, in_memory, messages_max).await?;
        let plan = ladder.finish();
        if let Some(too_large) = &plan.too_large {
            return Err(ContextError::PromptTooLarge {
                component: PromptComponent::NewestMessage,
                tokens: too_large.tokens,
                budget: too_large.available,
            });
        }
        if offered_tools.len() < request.tools.len() {
            history.notes.push("tools were left out: the model cannot call any".to_owned());
        }
        history.notes.extend(lint(request.instructions).iter().map(ToString::to_string));
        let chosen = choose(&mut history, plan, request.counter.provenance());
        Ok(self.put_together(&request, fixed, history, chosen))
    }

    fn put_together(
        &self,
        request: &ContextRequest<'_>,
        fixed: Fixed,
        mut history: History<'_>,
        chosen: Chosen,
    ) -> BuiltContext {
        let items_max = chosen.history.len() + chosen.always.len() + chosen.not_sent.len() + 4;
        let mut assembly = Assembly::new(request, items_max);
        let mut system_item = assembly.instructions(fixed.placement, fixed.instructions);
        if self.policy.instructions == InstructionsPlacement::Prepend {
            assembly.prompt.items.extend(system_item.take());
        }
        assembly.tools(fixed.tools);
        if let Some(summary) = history.summary.take() {
            assembly.summary(summary);
        }
        assembly.messages(Section::History, chosen.history, "fits");
        if let Some(last) = assembly.prompt.items.last_mut() {
            last.cache_mark = true;
        }
        assembly.prompt.items.extend(system_item);
        if let Some(retrieval) = request.retrieval {
            assembly.retrieval(retrieval.retrieved);
            let provenance = request.counter.provenance();
            assembly.report.left_out_snippets(retrieval.retrieved, provenance);
            history.notes.extend(retrieval.retrieved.failures.iter().map(|failure| {
                format!("nothing was retrieved from {}: {}", failure.index, failure.detail)
            }));
        }
        assembly.always(chosen.always);
        for message in &chosen.not_sent {
            assembly.report.not_sent(message);
        }
        let (items, mut sections, provenance) = assembly.report.finish();
        let kept = sections.iter_mut().find(|section| section.section == Section::History);
        if let Some(kept) = kept {
            kept.cut_before.clone_from(&chosen.cut_before);
        }
        let prompt = assembly.prompt;
        let prefix = request.previous.map(|previous| {
            prefix::compare(
                previous,
                &request.model.model,
                &prefix::sections_of(&sections, &prompt),
            )
        });
        BuiltContext {
            native_files: native_files(&prompt),
            prompt,
            output_cap: fixed.budget.output_cap,
            report: ContextReport {
                tokenizer: request.counter.tokenizer().clone(),
                budget: fixed.budget,
                input_tokens: assembly.input_tokens,
                provenance,
                input_band: None,
                sections,
                cut_before: chosen.cut_before,
                prefix,
                items,
                notes: history.notes,
            },
            fresh_counts: history.fresh_counts,
            summary_due: chosen.summary_due,
        }
    }
}

impl Fixed {
    /// What remains for messages once everything before them has its place.
    fn left_for_messages(&self, request: &ContextRequest<'_>) -> Result<Tokens, ContextError> {
        let priming = request.counter.priming();
        let mut left = self.budget.input.minus(priming);
        for (component, tokens) in [
            (PromptComponent::Instructions, self.instructions),
            (PromptComponent::Tools, self.tools),
        ] {
            left = left.checked_minus(tokens).ok_or(ContextError::PromptTooLarge {
                component,
                tokens,
                budget: left,
            })?;
        }
        let retrieval = request.retrieval.map_or(Tokens::ZERO, |retrieval| retrieval.tokens_max);
        Ok(left.minus(retrieval).plus(priming))
    }
}

/// Where the branch was cut before this prompt, unless for another model.
fn earlier_cut(request: &ContextRequest<'_>) -> Option<MessageId> {
    let previous = request.previous?;
    if previous.model != request.model.model {
        return None;
    }
    let history = previous.sections.iter().find(|section| section.section == Section::History);
    history?.cut_before.clone()
}

/// Every file whose bytes go along, once, in the order sent.
fn native_files(prompt: &Prompt) -> Vec<FileId> {
    let mut files: Vec<FileId> = Vec::new();
    for file in prompt.items.iter().flat_map(|item| &item.parts).filter_map(ContentPart::file) {
        if !files.contains(file) {
            files.push(file.clone());
        }
    }
    files
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
