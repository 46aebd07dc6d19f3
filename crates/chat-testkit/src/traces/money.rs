//! Accounts, credits, holds, settlements and usage rows, beside and for the turns.

use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, Credit, CreditKind, Extension, HoldRequest, LegRequest,
    PRIORITY, Posting, Settlement,
};
use chat_types::{AttemptKey, Money, Purpose, Scope, Tokens};
use chat_usage::{UsageQuery, UsageRow};

use super::operation::Operation;
use super::world::World;
use crate::fixtures::id;

const NAMES: [&str; 4] = ["main", "Team", "quota:requests", "other_1"];

impl World {
    pub(super) fn move_money(&mut self) -> Option<Operation> {
        let accounts = self.accounts.clone();
        let known = self.maybe_pick(&accounts);
        if known.is_none() || self.chance(30) {
            let scope = self.scope();
            return Some(self.open_account(scope));
        }
        let (scope, name) = known?;
        let credit = Credit {
            account: id(&name),
            kind: if self.chance(70) { CreditKind::Grant } else { CreditKind::Refund },
            key: self.pick(&["k-1", "k-2", "k-3", "opening", "a/b"]).into(),
            amount: money(self.pick(&[0, 1, 500_000, 500_000, 5_000_000])),
            at: self.tick(),
            priority: PRIORITY,
            expires_at: None,
        };
        Some(Operation::Credit { scope, credit })
    }

    fn open_account(&mut self, scope: Scope) -> Operation {
        let name = self.pick(&NAMES);
        let user = if self.chance(90) { scope.user.clone() } else { self.scope().user };
        let spec = AccountSpec {
            id: id(name),
            owner: self.chance(70).then_some(user),
            kind: if self.chance(70) { AccountKind::Limited } else { AccountKind::Unlimited },
            opening: if self.chance(97) { self.money() } else { money(-1) },
            unit: AccountUnit::Usd,
            refill: None,
            warn_below: None,
        };
        self.accounts.push((scope.clone(), name.to_owned()));
        Operation::OpenAccount { scope, spec, at: self.tick() }
    }

    /// Accounts that this user should find, in any order; sometimes one more, or one twice.
    fn accounts_for(&mut self, scope: &Scope) -> Vec<String> {
        let mine = self.accounts.iter().filter(|(whose, _)| whose == scope);
        let mut names: Vec<String> = mine.map(|(_, name)| name.clone()).collect();
        names.sort();
        names.dedup();
        self.rng.shuffle(&mut names);
        names.truncate(self.pick(&[1, 1, 1, 2, 3]));
        if self.chance(8) {
            names.push(self.pick(&NAMES).to_owned());
        }
        names
    }

    /// A hold for the next step of a turn, or an extension of one that should be there.
    pub(super) fn hold_for(&mut self, run: usize) -> Option<Operation> {
        let scope = self.scope_near_run(run);
        let at = self.tick();
        let held = self.runs[run].holds.clone();
        if self.chance(25)
            && let Some(step) = self.maybe_pick(&held)
        {
            let key = self.runs[run].step_key(step);
            let (attempt, amount) = (self.rng.u32(..4), self.money());
            let extension = Extension { attempt, amount, tokens: Tokens::ZERO, at };
            return Some(Operation::Extend { scope, key, extension });
        }
        let names = self.accounts_for(&scope);
        if names.is_empty() && self.chance(90) {
            return Some(self.open_account(scope));
        }
        let steps = u32::try_from(self.runs[run].steps.len()).expect("a few steps");
        let step = self.rng.u32(steps.max(1)..=steps + 1);
        self.runs[run].holds.push(step);
        let key = self.runs[run].step_key(step);
        let mut legs = Vec::new();
        for name in names {
            let amount = self.money();
            let floor = self.floor_below(amount);
            let warn_below = self.chance(50).then(|| self.money());
            legs.push(LegRequest { account: id(&name), amount, floor, refill: None, warn_below });
        }
        Some(Operation::Hold { scope, request: HoldRequest { key, legs, at } })
    }

    /// Mostly below the amount.
    fn floor_below(&mut self, amount: Money) -> Money {
        money(self.pick(&[0, 0, 1, 100, amount.nano_usd()]))
    }

    /// Settles with what was decided (or anything), releases, or records the usage.
    pub(super) fn resolve_hold(&mut self, run: usize) -> Option<Operation> {
        let scope = self.scope_near_run(run);
        let held = self.runs[run].holds.clone();
        let number = match self.maybe_pick(&held).filter(|_| self.chance(90)) {
            Some(number) => number,
            None => self.rng.u32(1..3),
        };
        let key = self.runs[run].step_key(number);
        let step = self.runs[run].steps.iter().find(|step| step.number == number);
        let decided = step.map(|step| step.amounts.clone()).filter(|amounts| !amounts.is_empty());
        let at = self.tick();
        let what = if held.is_empty() && self.chance(90) { 9 } else { self.rng.u32(..10) };
        match what {
            0..=4 => {
                let decided = decided.filter(|_| self.chance(85)).unwrap_or_else(|| {
                    vec![(1, self.rng.i64(-1..3_000_000)), (self.rng.u32(..6), 7)]
                });
                let postings = decided
                    .into_iter()
                    .map(|(attempt, amount)| Posting {
                        attempt,
                        amount: money(amount),
                        tokens: Tokens::ZERO,
                    })
                    .collect();
                Some(Operation::Settle { scope, settlement: Settlement { key, postings, at } })
            }
            5 | 6 => Some(Operation::Release { scope, key, at }),
            _ => {
                let conversation = self.runs[run].accept.turn.conversation.clone();
                let mut rows = Vec::new();
                for attempt in 1..=self.rng.u32(1..3) {
                    rows.push(UsageRow {
                        key: AttemptKey { step: key.clone(), attempt },
                        conversation: conversation.clone(),
                        purpose: Purpose::Reply,
                        model: self.model(),
                        usage: self.usage(),
                        source: self.source(),
                        amount: self.money(),
                        price_version: "2026-01".into(),
                        provider_request_id: self.chance(50).then(|| "req-1".into()),
                        at,
                    });
                }
                Some(Operation::RecordUsage { scope, rows })
            }
        }
    }

    pub(super) fn read_usage(&mut self) -> Operation {
        let talk = self.talk();
        let query = UsageQuery {
            conversation: talk.map(|talk| self.talks[talk].id.clone()).filter(|_| self.chance(50)),
            from: self.chance(20).then(|| self.about_now()),
            until: self.chance(20).then(|| self.about_now()),
            after: None,
            limit: self.pick(&[0, 1, 10]),
        };
        Operation::UsageRows { scope: self.scope(), query }
    }
}

fn money(nano_usd: i64) -> Money {
    Money::from_nano_usd(nano_usd)
}
