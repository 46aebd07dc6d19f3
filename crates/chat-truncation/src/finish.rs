//! The end of the ladder: which rungs are applied, where history is cut, what is sent.
//!
//! No more rungs than are needed, and all of them once something was left out: what was sent does
//! not change back and forth from turn to turn. Invariant: what is sent, priming included, is at
//! most the budget, for any numbers.

use chat_types::{MessageId, Tokens};

use crate::cut::{Candidate, CutRule, kept_units, wide_share};
use crate::due::summary_due;
use crate::entry::{Entry, Standing};
use crate::ladder::{End, Ladder, narrow, wide};
use crate::plan::{DropReason, GAP_TEXT, Gap, Plan, PlanOutcome, Planned};
use crate::policy::WindowStart;

impl Ladder {
    /// What becomes of every message that was handed in.
    #[must_use]
    pub fn finish(mut self) -> Plan {
        if self.end == Some(End::TooLarge) {
            return self.nothing_fits();
        }
        let is_cut = self.end.is_some();
        let rungs_applied = self.level(is_cut);
        if is_cut {
            self.cut();
        }
        let gap = if is_cut { self.gap() } else { None };
        let gap_tokens = gap.as_ref().map_or(0, |gap| wide(gap.tokens));
        let sent = self.sent(rungs_applied).saturating_add(gap_tokens);
        let due = summary_due(
            self.summarise.as_ref(),
            (self.room, self.required_tokens, sent),
            &self.offered,
            rungs_applied,
        );
        if let Some(due) = &due
            && is_cut
        {
            self.notes.push(format!(
                "messages were left out without a summary; one up to {} is due",
                due.covers_to
            ));
        }
        let remaining = narrow(self.room.saturating_sub(sent));
        Plan {
            cut_before: if is_cut { self.boundary() } else { None },
            messages: self.planned(rungs_applied),
            gap,
            tokens: self.budget.minus(remaining),
            remaining,
            outcome: if is_cut { PlanOutcome::Cut } else { PlanOutcome::Everything },
            too_large: None,
            summary_due: due,
            rungs_applied,
            repairs: Vec::new(),
            notes: self.notes,
        }
    }

    /// How many of the rungs that shorten are applied.
    fn level(&self, is_cut: bool) -> usize {
        if is_cut {
            return self.shrinkers.len();
        }
        let is_needed = |percent, taken| percent == 0 || taken > wide_share(self.room, percent);
        self.shrinkers
            .iter()
            .zip(&self.taken)
            .take_while(|(shrinker, taken)| is_needed(shrinker.starts_at_percent, **taken))
            .count()
    }

    /// Leaves out more of the oldest units than must be, as the policy says.
    fn cut(&mut self) {
        let level = self.shrinkers.len();
        let candidates: Vec<Candidate<'_>> = self
            .offered
            .iter()
            .filter(|entry| entry.standing == Standing::Fits)
            .filter_map(|entry| entry.candidate(level))
            .collect();
        let sizes: u128 = candidates.iter().map(|unit| unit.size).sum();
        let fixed = self.shortest().saturating_sub(sizes);
        // The mark of the gap takes its place from the oldest, and never from everything.
        let marked = fixed.saturating_add(self.gap_tokens.map_or(0, wide));
        let fixed = if marked <= self.room { marked } else { fixed };
        let kept = if self.end == Some(End::Full) || fixed.saturating_add(sizes) > self.room {
            let rule = CutRule {
                block_percent: self.block_percent,
                is_moved: self.cut_before.is_some(),
                room: self.room,
                fixed,
            };
            kept_units(rule, &candidates)
        } else {
            candidates.len()
        };
        let started = self.started(&candidates, kept);
        let fitting = self.offered.iter_mut().filter(|entry| entry.standing == Standing::Fits);
        for (index, entry) in fitting.enumerate() {
            if index >= kept {
                entry.standing = Standing::Left(DropReason::Block);
            } else if index >= started {
                entry.standing = Standing::Left(DropReason::Start);
            }
        }
    }

    /// How many of the `kept` newest units are left when history begins as the policy says.
    fn started(&self, candidates: &[Candidate<'_>], kept: usize) -> usize {
        if self.start == WindowStart::Any {
            return kept;
        }
        match candidates.iter().take(kept).rposition(|unit| unit.starts_turn) {
            Some(index) => index.saturating_add(1),
            // The required messages then begin it, if they begin with the user.
            None if self.required.first().is_some_and(|entry| entry.starts_turn) => 0,
            None => kept,
        }
    }

    /// Where the middle is left out, if there is room to say so.
    fn gap(&self) -> Option<Gap> {
        let tokens = self.gap_tokens?;
        let sent = self.sent(self.shrinkers.len()).saturating_add(wide(tokens));
        let newest = self.offered.iter().take_while(|entry| !entry.is_left()).last();
        let after = newest.or(self.required.first()).and_then(|entry| entry.messages.first());
        (sent <= self.room).then(|| Gap {
            before: after.map(|piece| piece.id.clone()),
            text: GAP_TEXT,
            tokens,
        })
    }

    /// The newest message that was left out. If everything read beyond the earlier cut is
    /// reserved, that cut still holds.
    fn boundary(&self) -> Option<MessageId> {
        let newest = self.offered.iter().find(|entry| entry.is_left());
        let newest = newest.and_then(|entry| entry.messages.last()).map(|piece| piece.id.clone());
        match self.end {
            Some(End::EarlierCut) => newest.or_else(|| self.cut_before.clone()),
            _ => newest,
        }
    }

    /// What is sent without priming and gap: what was taken minus what was left out since.
    fn sent(&self, level: usize) -> u128 {
        let is_given_back = |entry: &&Entry| {
            matches!(entry.standing, Standing::Left(DropReason::Block | DropReason::Start))
        };
        let given_back: u128 =
            self.offered.iter().filter(is_given_back).map(|entry| entry.size(level)).sum();
        self.taken.get(level).copied().unwrap_or(0).saturating_sub(given_back)
    }

    fn planned(&mut self, level: usize) -> Vec<Planned> {
        let reserved = std::mem::take(&mut self.reserved).into_iter();
        let offered = std::mem::take(&mut self.offered).into_iter().rev();
        let required = std::mem::take(&mut self.required).into_iter();
        reserved.chain(offered).chain(required).flat_map(|entry| entry.planned(level)).collect()
    }

    fn nothing_fits(mut self) -> Plan {
        for entry in self.reserved.iter_mut().chain(&mut self.offered).chain(&mut self.required) {
            entry.standing = Standing::Left(DropReason::NothingFits);
        }
        Plan {
            messages: self.planned(0),
            cut_before: None,
            gap: None,
            tokens: Tokens::ZERO,
            remaining: self.budget,
            outcome: PlanOutcome::TooLarge,
            too_large: self.too_large,
            summary_due: None,
            rungs_applied: 0,
            repairs: Vec::new(),
            notes: self.notes,
        }
    }
}
