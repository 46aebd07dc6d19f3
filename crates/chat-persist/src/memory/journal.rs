//! The turn journal and its event log: fenced moves, and one winner at the end.

use chat_types::{AttemptKey, Scope, StepKey, StepState, Timestamp, TurnId, TurnState};

use crate::{
    Checkpoint, EventPage, EventSegment, Fence, NewStep, PersistErrorKind, Result, StepClose,
    StepRecord, StopAck, TurnClose,
};

use super::{State, StepRow, TurnRow, page_rows, refused};

impl TurnRow {
    pub(super) fn has_unsettled_steps(&self) -> bool {
        self.steps.values().any(|step| step.record.state == StepState::Settling)
    }
}

impl State {
    pub(super) fn turn(&self, scope: &Scope, turn: &TurnId) -> Option<&TurnRow> {
        let row = self.turns.get(&(scope.tenant.clone(), turn.clone()))?;
        (row.scope == *scope).then_some(row)
    }

    fn turn_mut(
        &mut self,
        scope: &Scope,
        turn: &TurnId,
        operation: &'static str,
    ) -> Result<&mut TurnRow> {
        match self.turns.get_mut(&(scope.tenant.clone(), turn.clone())) {
            Some(row) if row.scope == *scope => Ok(row),
            _ => refused(PersistErrorKind::NotFound, operation, format!("there is no turn {turn}")),
        }
    }

    /// The turn, if `fence` still holds and the turn goes on.
    fn fenced(&mut self, fence: &Fence, operation: &'static str) -> Result<&mut TurnRow> {
        let row = self.turn_mut(&fence.scope, &fence.turn, operation)?;
        let turn = &row.record.turn.id;
        if row.record.epoch != fence.epoch {
            let detail = format!(
                "turn {turn} is at epoch {}, this write at {}",
                row.record.epoch, fence.epoch
            );
            return refused(PersistErrorKind::Fenced, operation, detail);
        }
        if row.record.state.is_terminal() {
            let detail = format!("turn {turn} has ended as {}", row.record.state.as_str());
            return refused(PersistErrorKind::IllegalState, operation, detail);
        }
        Ok(row)
    }

    pub(super) fn open_step(&mut self, fence: &Fence, step: &NewStep) -> Result<()> {
        const OPERATION: &str = "open step";
        let row = self.fenced(fence, OPERATION)?;
        if let Some(stored) = row.steps.get(&step.step) {
            if is_same_step(&stored.record, step) {
                return Ok(());
            }
            let detail = format!("step {} is there and another one", step.step);
            return refused(PersistErrorKind::Conflict, OPERATION, detail);
        }
        let (state, attempts) =
            if step.dispatched { (StepState::Dispatched, 1) } else { (StepState::Held, 0) };
        let record = StepRecord {
            key: StepKey { turn: fence.turn.clone(), step: step.step },
            purpose: step.purpose,
            model: step.model.clone(),
            state,
            attempts,
            input_bound: step.input_bound,
            input_estimate: step.input_estimate,
            opened_at: step.opened_at,
            tier: step.tier.clone(),
            amounts: Vec::new(),
        };
        row.steps.insert(step.step, StepRow { record, settling_since: None });
        row.record.state = TurnState::Running;
        Ok(())
    }

    pub(super) fn dispatch(&mut self, fence: &Fence, attempt: &AttemptKey) -> Result<()> {
        const OPERATION: &str = "dispatch";
        let row = self.fenced(fence, OPERATION)?;
        let number = attempt.step.step;
        let step = row.steps.get_mut(&number).filter(|_| attempt.step.turn == fence.turn);
        let Some(StepRow { record, .. }) = step else {
            let detail = format!("turn {} has no step {number}", fence.turn);
            return refused(PersistErrorKind::NotFound, OPERATION, detail);
        };
        if !is_open(record.state) {
            let detail = format!("step {number} is closed as {}", record.state.as_str());
            return refused(PersistErrorKind::IllegalState, OPERATION, detail);
        }
        if (1..=record.attempts).contains(&attempt.attempt) {
            return Ok(());
        }
        if Some(attempt.attempt) != record.attempts.checked_add(1) {
            let detail =
                format!("attempt {} does not follow attempt {}", attempt.attempt, record.attempts);
            return refused(PersistErrorKind::IllegalState, OPERATION, detail);
        }
        record.attempts = attempt.attempt;
        if record.state == StepState::Held {
            record.state = StepState::Dispatched;
        }
        Ok(())
    }

    pub(super) fn checkpoint(&mut self, fence: &Fence, checkpoint: &Checkpoint) -> Result<bool> {
        const OPERATION: &str = "checkpoint";
        let row = self.fenced(fence, OPERATION)?;
        let segment = &checkpoint.segment;
        if segment.first_seq <= segment.last_seq && segment.last_seq <= row.record.last_seq {
            return Ok(row.record.stop_requested);
        }
        follows(segment, row.record.last_seq, OPERATION)?;
        row.append(segment);
        let streaming = checkpoint.streaming_step.and_then(|number| row.steps.get_mut(&number));
        if let Some(StepRow { record, .. }) = streaming
            && record.state == StepState::Dispatched
        {
            record.state = StepState::Streaming;
        }
        Ok(row.record.stop_requested)
    }

    pub(super) fn close_step(&mut self, fence: &Fence, close: &StepClose) -> Result<()> {
        const OPERATION: &str = "close step";
        let row = self.fenced(fence, OPERATION)?;
        row.check_close(close, OPERATION)?;
        let since = row.steps.get(&close.step).map(|step| step.record.opened_at);
        row.close(close, since.unwrap_or_default());
        Ok(())
    }

    pub(super) fn close_turn(&mut self, fence: &Fence, close: &TurnClose) -> Result<()> {
        const OPERATION: &str = "close turn";
        let row = self.fenced(fence, OPERATION)?;
        if !close.state.is_terminal() {
            let detail = format!("{} is no end", close.state.as_str());
            return refused(PersistErrorKind::IllegalState, OPERATION, detail);
        }
        follows(&close.segment, row.record.last_seq, OPERATION)?;
        for step in &close.steps {
            row.check_close(step, OPERATION)?;
        }
        let forgotten = row.steps.iter().find(|(number, step)| {
            is_open(step.record.state) && close.steps.iter().all(|named| named.step != **number)
        });
        if let Some((number, _)) = forgotten {
            let detail = format!("step {number} is open and not named");
            return refused(PersistErrorKind::IllegalState, OPERATION, detail);
        }
        let turn = row.record.turn.clone();
        let is_reply = close.message.as_ref().is_none_or(|message| {
            message.id == turn.reply
                && message.conversation == turn.conversation
                && message.parent.as_ref() == Some(&turn.user_message)
        });
        if !is_reply {
            let detail = format!("the message is not the reply of turn {}", turn.id);
            return refused(PersistErrorKind::Conflict, OPERATION, detail);
        }

        for step in &close.steps {
            row.close(step, close.closed_at);
        }
        row.append(&close.segment);
        row.record.state = close.state;
        row.record.failure.clone_from(&close.failure);
        row.record.closed_at = Some(close.closed_at);
        let space = self.spaces.entry(fence.scope.clone()).or_default();
        space.unfinished.remove(&turn.reply);
        if let Some(message) = &close.message {
            space.insert(message.clone());
        }
        if let Some(row) = space.conversations.get_mut(&turn.conversation) {
            let head = &mut row.conversation.head;
            if head.as_ref() == Some(&turn.reply) && close.message.is_none() {
                *head = Some(turn.user_message);
            }
            row.conversation.updated_at = close.closed_at;
        }
        Ok(())
    }

    pub(super) fn events(
        &self,
        scope: &Scope,
        turn: &TurnId,
        after_seq: u64,
        limit: u32,
    ) -> Result<EventPage> {
        let Some(row) = self.turn(scope, turn) else {
            let detail = format!("there is no turn {turn}");
            return refused(PersistErrorKind::NotFound, "read events", detail);
        };
        let first = row.segments.partition_point(|segment| segment.last_seq <= after_seq);
        let segments = row.segments.iter().skip(first).take(page_rows(limit)).cloned().collect();
        Ok(EventPage {
            segments,
            state: Some(row.record.state),
            last_seq: row.record.last_seq,
            epoch: row.record.epoch,
            expired: row.log_expired,
        })
    }

    pub(super) fn request_stop(&mut self, scope: &Scope, turn: &TurnId) -> Result<StopAck> {
        let row = self.turn_mut(scope, turn, "request stop")?;
        if row.record.state.is_terminal() {
            return Ok(StopAck::AlreadyEnded(row.record.state));
        }
        row.record.stop_requested = true;
        Ok(StopAck::Requested)
    }
}

impl TurnRow {
    fn append(&mut self, segment: &EventSegment) {
        self.record.last_seq = segment.last_seq;
        self.segments.push(segment.clone());
    }

    /// Open, or closed before in just this way.
    fn check_close(&self, close: &StepClose, operation: &'static str) -> Result<()> {
        let Some(StepRow { record, .. }) = self.steps.get(&close.step) else {
            let detail = format!("turn {} has no step {}", self.record.turn.id, close.step);
            return refused(PersistErrorKind::IllegalState, operation, detail);
        };
        if is_open(record.state) || record.amounts == close.amounts {
            return Ok(());
        }
        let detail = format!("step {} is closed as {}", close.step, record.state.as_str());
        refused(PersistErrorKind::IllegalState, operation, detail)
    }

    /// Closes a step that is open; one that is closed stays as it is.
    fn close(&mut self, close: &StepClose, now: Timestamp) {
        if let Some(StepRow { record, settling_since }) = self.steps.get_mut(&close.step)
            && is_open(record.state)
        {
            record.amounts.clone_from(&close.amounts);
            if close.amounts.is_empty() {
                record.state = StepState::Released;
            } else {
                record.state = StepState::Settling;
                *settling_since = Some(now);
            }
        }
    }
}

/// The segment begins right after `last_seq`.
pub(super) fn follows(
    segment: &EventSegment,
    last_seq: u64,
    operation: &'static str,
) -> Result<()> {
    let is_next = Some(segment.first_seq) == last_seq.checked_add(1);
    if is_next && segment.first_seq <= segment.last_seq {
        return Ok(());
    }
    let detail = format!(
        "the events {} to {} do not follow event {last_seq}",
        segment.first_seq, segment.last_seq
    );
    refused(PersistErrorKind::IllegalState, operation, detail)
}

fn is_open(state: StepState) -> bool {
    matches!(state, StepState::Held | StepState::Dispatched | StepState::Streaming)
}

fn is_same_step(stored: &StepRecord, step: &NewStep) -> bool {
    stored.purpose == step.purpose
        && stored.model == step.model
        && stored.input_bound == step.input_bound
        && stored.input_estimate == step.input_estimate
        && stored.opened_at == step.opened_at
        && stored.tier == step.tier
}
