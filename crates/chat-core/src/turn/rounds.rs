//! Tool rounds: a reply that calls tools is followed by their answers and another call to the model,
//! each a step of its own with its own hold, until the model asks for nothing more.

use chat_types::{ContentPart, FinishReason, Purpose, StepKey, TurnState};
use futures::future::join_all;

use crate::events::listen::{Heard, wait_for};
use crate::step::FencedOut;
use crate::tools::{ToolCall, ToolFailure, ToolResult, Toolbox};
use crate::turn::conductor::Conductor;
use crate::turn::ending::End;
use crate::turn::prompt::build_prompt;

/// Calls of one round that are run; the model is told that the rest were not.
const CALLS_MAX: usize = 32;

impl Conductor<'_> {
    /// Answers the calls of a reply and asks again, as long as the model calls tools.
    pub(crate) async fn go_rounds(&mut self, mut end: End) -> Result<End, FencedOut> {
        let Some(toolbox) = self.inner.toolbox.clone() else {
            return Ok(end);
        };
        for _ in 0..self.inner.config.tool_rounds_max {
            let wants_tools = end.state == TurnState::Completed
                && end.finish_reason == Some(FinishReason::ToolCalls);
            let calls = self.open_calls();
            if !wants_tools || calls.is_empty() {
                break;
            }
            self.leave_step(end).await?;
            self.purpose = Purpose::ToolRound;
            match self.answer(toolbox.as_ref(), calls).await {
                Ok(results) => self.tell(results),
                Err(heard) => return self.between_calls(heard),
            }
            let plan = self.plan.going_on_from(self.log.parts());
            let answerer = self.answerer.clone();
            end = self.ask(build_prompt(self.inner, &plan, &answerer)).await?;
            if matches!(end.state, TurnState::Rejected | TurnState::Failed) {
                // The rounds before were made and paid: what they said is kept.
                end.state = self.broken();
            }
        }
        Ok(end)
    }

    /// The calls of the step under way that nobody has answered.
    fn open_calls(&self) -> Vec<ToolCall> {
        let step = StepKey { turn: self.plan.fence.turn.clone(), step: self.step };
        let parts = self.log.parts();
        let answered = |id: &str| {
            parts.iter().any(
                |part| matches!(part, ContentPart::ToolResult { call_id, .. } if call_id == id),
            )
        };
        let calls = parts.iter().filter_map(|part| match part {
            ContentPart::ToolCall { call_id, name, arguments } if !answered(call_id) => {
                Some(ToolCall {
                    step: step.clone(),
                    call_id: call_id.clone(),
                    name: name.clone(),
                    arguments: arguments.clone(),
                })
            }
            _ => None,
        });
        calls.collect()
    }

    /// Runs the calls, all at the same time; a stop or the deadline ends the turn instead.
    async fn answer(
        &mut self,
        toolbox: &dyn Toolbox,
        calls: Vec<ToolCall>,
    ) -> Result<Vec<ToolResult>, Heard> {
        let scope = &self.plan.fence.scope;
        let running = calls.into_iter().enumerate().map(|(place, call)| async move {
            let call_id = call.call_id.clone();
            let answer = if place < CALLS_MAX {
                toolbox.call(scope, call).await
            } else {
                Err(ToolFailure::new(format!("not run: more than {CALLS_MAX} calls at once")))
            };
            ToolResult::new(call_id, answer)
        });
        wait_for(join_all(running), &mut self.log, self.live, self.deadline).await
    }

    fn tell(&mut self, results: Vec<ToolResult>) {
        let mut told = Vec::with_capacity(results.len());
        for result in results {
            self.narrator.tool_result(result, &mut told);
        }
        self.log.append(told);
    }
}
