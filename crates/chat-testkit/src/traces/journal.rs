//! Turns: begun, gone on with, ended, taken over, and written to by those who lost them.

use chat_persist::{Accept, Checkpoint, Fence, LapsedTurn, NewStep, NewTurn, StepClose, TurnClose};
use chat_types::{
    AttemptKey, Conversation, Message, MessageId, Purpose, Role, StepKey, TenantId, Tokens, TurnId,
    TurnKind, TurnState,
};

use super::operation::Operation;
use super::world::{Run, Step, Talk, World};
use crate::fixtures::{at, id};

impl World {
    pub(super) fn begin_turn(&mut self) -> Option<Operation> {
        let talk = match self.talk().filter(|_| self.chance(75)) {
            Some(talk) => talk,
            None => {
                let (scope, id) = (self.scope(), self.fresh("c"));
                self.talks.push(Talk { scope, id, messages: Vec::new() });
                self.talks.len() - 1
            }
        };
        let scope = self.scope_near(talk);
        let conversation = self.conversation(self.talks[talk].id.clone());
        let accept = self.accept(talk, conversation);
        self.runs.push(Run {
            scope: scope.clone(),
            accept: accept.clone(),
            epoch: 1,
            last_seq: accept.segment.last_seq,
            steps: Vec::new(),
            holds: Vec::new(),
            has_ended: false,
        });
        Some(Operation::Accept { scope, accept: Box::new(accept) })
    }

    /// A new message below a message (an edit, if that has children), or one answered again.
    pub(super) fn accept(&mut self, talk: usize, conversation: Conversation) -> Accept {
        let now = self.tick();
        let turn_id: TurnId = self.fresh("t");
        let reply: MessageId = self.fresh("r");
        let below = self.message_of(talk).filter(|_| self.chance(85));
        let again = below.clone().filter(|_| self.chance(25));
        let (user_message, kind, answered) = match again {
            Some((message, Role::User)) => {
                (None, TurnKind::Regenerate { message: message.clone() }, message)
            }
            // Refused if it is no user message.
            Some((message, _)) if self.chance(10) => {
                (None, TurnKind::Continue { message: message.clone() }, message)
            }
            Some(_) | None => {
                let parent = below.map(|(id, _)| id);
                let name: MessageId = self.fresh("u");
                let message = self.message(
                    conversation.id.clone(),
                    name.clone(),
                    parent.clone(),
                    Role::User,
                    now,
                );
                let message = Message { turn: Some(turn_id.clone()), ..message };
                let parts = if self.chance(30) { message.parts.clone() } else { Vec::new() };
                let kind = match parent.clone() {
                    Some(message) if self.chance(20) => TurnKind::Edit { message, parts },
                    _ => TurnKind::New { parent, parts },
                };
                self.talks[talk].messages.push((name.clone(), Role::User));
                (Some(message), kind, name)
            }
        };
        let segment_end = self.rng.u64(1..4);
        let segment = self.segment(&turn_id, 1, 1, segment_end);
        Accept {
            turn: NewTurn {
                id: turn_id,
                conversation: conversation.id.clone(),
                kind,
                user_message: answered,
                reply,
                model: self.model(),
                owner: id(&self.owner()),
                idempotency_key: self.chance(40).then(|| id(&format!("key-{}", self.rng.u8(..12)))),
                request_hash: self.pick(&["hash-1", "hash-2"]).into(),
                created_at: now,
            },
            conversation,
            user_message,
            segment,
        }
    }

    pub(super) fn go_on(&mut self) -> Option<Operation> {
        let run = self.run()?;
        let mut fence = self.runs[run].fence();
        if self.chance(6) {
            fence.epoch = self.pick(&[0, fence.epoch + 1, fence.epoch.saturating_sub(1)]);
        }
        if self.chance(2) {
            fence.scope = self.scope();
        }
        let open = self.runs[run].steps.iter().position(|step| !step.is_closed);
        let is_first = self.runs[run].steps.is_empty();
        let operation = match self.rng.u32(..100) {
            0..=16 => self.hold_for(run)?,
            17..=24 if is_first => self.open_step(run, fence),
            17..=18 => self.open_step(run, fence),
            19..=26 => {
                let step = open.or(self.runs[run].steps.len().checked_sub(1))?;
                let step = &mut self.runs[run].steps[step];
                step.attempts += 1;
                let (number, next) = (step.number, step.attempts);
                let attempt = if self.chance(85) { next } else { self.rng.u32(..5) };
                let step = self.runs[run].step_key(number);
                let attempt = AttemptKey { step, attempt };
                Operation::Dispatch { fence, attempt }
            }
            27..=50 => self.checkpoint(run, fence)?,
            51..=56 => {
                let step = open?;
                let close = self.close(run, step);
                Operation::CloseStep { fence, close }
            }
            57..=74 if is_first && self.chance(60) => self.open_step(run, fence),
            57..=74 => self.close_turn(run, fence)?,
            75..=79 => {
                let scope = self.scope_near_run(run);
                Operation::RequestStop { scope, turn: self.runs[run].accept.turn.id.clone() }
            }
            80..=82 => {
                let Run { scope, accept, epoch, .. } = &self.runs[run];
                let mut lapsed = LapsedTurn {
                    scope: scope.clone(),
                    turn: accept.turn.id.clone(),
                    epoch: *epoch,
                    // Beyond every lease of a trace, else what is modelled here may not happen.
                    at: at(i64::MAX),
                };
                if self.chance(20) {
                    lapsed.epoch += 1;
                } else {
                    self.runs[run].epoch += u64::from(!self.runs[run].has_ended);
                }
                Operation::TakeOver { lapsed, owner: id(&self.owner()) }
            }
            83..=86 => {
                let steps = self.some_steps(run);
                Operation::MarkSettled { steps }
            }
            _ => self.resolve_hold(run)?,
        };
        Some(operation)
    }

    fn open_step(&mut self, run: usize, fence: Fence) -> Operation {
        let number = u32::try_from(self.runs[run].steps.len() + 1).expect("a few steps");
        let dispatched = self.chance(60);
        self.runs[run].steps.push(Step {
            number,
            attempts: u32::from(dispatched),
            is_closed: false,
            amounts: Vec::new(),
        });
        let step = NewStep {
            step: number,
            purpose: self.pick(&[
                Purpose::Reply,
                Purpose::Summary,
                Purpose::Title,
                Purpose::ToolRound,
            ]),
            model: self.model(),
            input_bound: Tokens::new(self.rng.u64(..100_000)),
            input_estimate: Tokens::new(self.rng.u64(..1_000)),
            opened_at: self.tick(),
            tier: self.tier(),
            dispatched,
        };
        Operation::OpenStep { fence, step }
    }

    fn checkpoint(&mut self, run: usize, fence: Fence) -> Option<Operation> {
        let turn = self.runs[run].accept.turn.id.clone();
        let last_seq = self.runs[run].last_seq;
        let more = self.rng.u64(1..5);
        // A gap, a repeat, an overlap, an empty range.
        let (first, last) = match self.rng.u32(..20) {
            0 => (last_seq + 2, last_seq + 3),
            1 => (last_seq, last_seq),
            2 => (last_seq, last_seq + 1),
            3 => (last_seq + 1, last_seq),
            _ => (last_seq + 1, last_seq + more),
        };
        let fits = first == last_seq + 1 && last >= first && !self.runs[run].has_ended;
        if fits && fence == self.runs[run].fence() {
            self.runs[run].last_seq = last;
        }
        let segment = self.segment(&turn, fence.epoch, first, last);
        let step = self.runs[run].steps.last().map(|step| step.number);
        let streaming_step = step.filter(|_| self.chance(60));
        Some(Operation::Checkpoint { fence, checkpoint: Checkpoint { segment, streaming_step } })
    }

    /// Amounts for the attempts of the step that should be there, or none.
    fn close(&mut self, run: usize, step: usize) -> StepClose {
        let attempts = self.runs[run].steps[step].attempts;
        let mut amounts = Vec::new();
        for attempt in 1..=attempts {
            if self.chance(90) {
                amounts.push(self.amount(attempt));
            }
        }
        let step = &mut self.runs[run].steps[step];
        step.is_closed = true;
        step.amounts =
            amounts.iter().map(|amount| (amount.attempt, amount.amount.nano_usd())).collect();
        StepClose { step: step.number, amounts }
    }

    fn close_turn(&mut self, run: usize, fence: Fence) -> Option<Operation> {
        let open: Vec<usize> = (0..self.runs[run].steps.len())
            .filter(|step| !self.runs[run].steps[*step].is_closed)
            .collect();
        let fits = self.chance(93) && fence == self.runs[run].fence();
        let mut steps = Vec::new();
        for step in open {
            // Left out, the close is refused.
            if fits || self.chance(50) {
                steps.push(self.close(run, step));
            }
        }
        let now = self.tick();
        let Run { accept, last_seq, .. } = &self.runs[run];
        let (turn, last_seq) = (accept.turn.clone(), *last_seq);
        let end = last_seq + self.rng.u64(1..3);
        let message = self.chance(80).then(|| {
            let parent = Some(turn.user_message.clone());
            let (conversation, reply) = (turn.conversation.clone(), turn.reply.clone());
            let message = self.message(conversation, reply, parent, Role::Assistant, now);
            Message { turn: Some(turn.id.clone()), ..message }
        });
        if fits && !self.runs[run].has_ended {
            self.runs[run].has_ended = true;
            let talk = self.talks.iter_mut().find(|talk| talk.id == turn.conversation);
            if let (Some(talk), Some(message)) = (talk, &message) {
                talk.messages.push((message.id.clone(), Role::Assistant));
            }
        }
        let close = TurnClose {
            state: if self.chance(96) {
                self.pick(&[
                    TurnState::Completed,
                    TurnState::Completed,
                    TurnState::Truncated,
                    TurnState::Aborted,
                    TurnState::Failed,
                    TurnState::Interrupted,
                    TurnState::Rejected,
                ])
            } else {
                TurnState::Running
            },
            message,
            steps,
            segment: self.segment(&turn.id, fence.epoch, last_seq + 1, end),
            failure: self.failure(),
            closed_at: now,
        };
        Some(Operation::CloseTurn { fence, close: Box::new(close) })
    }

    fn some_steps(&mut self, run: usize) -> Vec<(TenantId, StepKey)> {
        let tenant = self.runs[run].scope.tenant.clone();
        let mut steps: Vec<(TenantId, StepKey)> = self.runs[run]
            .steps
            .iter()
            .map(|step| (tenant.clone(), self.runs[run].step_key(step.number)))
            .collect();
        if self.chance(20) {
            steps.push((tenant, StepKey { turn: id("nobody"), step: 1 }));
        }
        steps
    }

    pub(super) fn maintain(&mut self) -> Option<Operation> {
        let owner = id(&self.owner());
        let operation = match self.rng.u32(..10) {
            0..=2 => Operation::Heartbeat { owner, lease_until: self.about_now() },
            3 => Operation::Retire { owner },
            4 => Operation::StopFlags { owner },
            5 | 6 => Operation::LapsedTurns { now: self.about_now() },
            7 => Operation::UnsettledSteps { before: self.about_now() },
            8 => Operation::OpenHolds { before: self.about_now() },
            _ => Operation::Sweep { now: self.about_now(), logs_before: self.about_now() },
        };
        Some(operation)
    }
}
