//! What comes from another store: files, ended turns and ledger rows, written as they were there.

use chat_balance::{
    Account, AccountKind, AccountSpec, AccountUnit, Entry, EntryKind, Hold, HoldLeg, HoldState,
    LedgerRows, Side,
};
use chat_persist::{StepRecord, TurnRecord};
use chat_types::{ContentHash, FileRecord, Money, Purpose, StepKey, StepState, Tokens, TurnState};

use super::operation::Operation;
use super::world::World;
use crate::fixtures::id;

impl World {
    pub(super) fn carry_over(&mut self) -> Option<Operation> {
        match self.rng.u32(..10) {
            0..=2 => Some(self.keep_files()),
            3 | 4 => {
                let files = self.files.clone();
                let (scope, file) = self.maybe_pick(&files)?;
                let scope = if self.chance(80) { scope } else { self.scope() };
                Some(Operation::Files { scope, ids: vec![id("f-0"), file.id.clone(), file.id] })
            }
            5..=7 => self.restore_turn(),
            _ => Some(self.restore_ledger()),
        }
    }

    fn keep_files(&mut self) -> Operation {
        let known = self.files.clone();
        let mut scope = self.scope();
        let mut files = Vec::new();
        for _ in 0..self.rng.usize(1..4) {
            if let Some((whose, mut file)) = self.maybe_pick(&known).filter(|_| self.chance(25)) {
                // Mostly the same record again; with another size, a conflict.
                file.size_bytes += u64::from(self.chance(30));
                scope = whose;
                files.push(file);
                continue;
            }
            let name = self.fresh("f");
            files.push(FileRecord {
                id: name,
                name: self.text(),
                media_type: "application/pdf".into(),
                size_bytes: self.rng.u64(..1_000_000),
                content: ContentHash::of([self.text().as_str()]),
                created_at: self.tick(),
            });
        }
        self.files.extend(files.iter().map(|file| (scope.clone(), file.clone())));
        Operation::KeepFiles { scope, files }
    }

    fn restore_turn(&mut self) -> Option<Operation> {
        let talk = self.talk()?;
        let scope = self.scope_near(talk);
        let conversation = self.conversation(self.talks[talk].id.clone());
        let turn = self.accept(talk, conversation).turn;
        let attempts = self.rng.u32(1..3);
        let states = [StepState::Settled, StepState::Settling, StepState::Released];
        let mut steps = Vec::new();
        for number in 1..=self.rng.u32(1..3) {
            let state = self.pick(&states);
            let mut amounts = Vec::new();
            if state != StepState::Released {
                amounts = (1..=attempts).map(|attempt| self.amount(attempt)).collect();
            }
            steps.push(StepRecord {
                key: StepKey { turn: turn.id.clone(), step: number },
                purpose: Purpose::Reply,
                model: self.model(),
                state,
                attempts,
                input_bound: Tokens::new(100),
                input_estimate: Tokens::new(50),
                opened_at: turn.created_at,
                tier: self.tier(),
                amounts,
            });
        }
        if self.chance(5) {
            steps.reverse();
        }
        let record = TurnRecord {
            state: if self.chance(93) { TurnState::Completed } else { TurnState::Running },
            epoch: self.rng.u64(1..4),
            stop_requested: self.chance(20),
            last_seq: self.rng.u64(1..50),
            failure: self.failure(),
            closed_at: self.chance(97).then(|| self.tick()),
            steps,
            turn,
        };
        Some(Operation::RestoreTurns { turns: vec![(scope, record)] })
    }

    /// An account with one grant and one settled hold, whose sums fit; the names are few, so that
    /// the second time often differs from the first.
    fn restore_ledger(&mut self) -> Operation {
        let scope = self.scope();
        let name = self.pick(&["restored-1", "restored-2"]);
        let spec = AccountSpec {
            id: id(name),
            owner: None,
            kind: AccountKind::Limited,
            opening: Money::ZERO,
            unit: AccountUnit::Usd,
            refill: None,
            warn_below: None,
        };
        let amount = Money::from_nano_usd(self.pick(&[700, 800]));
        let at = crate::fixtures::at(1_000);
        let granted = Money::from_nano_usd(5_000);
        let account = Account { granted, posted: amount, ..Account::opened(&spec) };
        let key = StepKey { turn: id(&format!("restored-{name}")), step: 1 };
        let reference = format!("{name}/{}/1/1", key.turn);
        let entry = |debit, credit, amount, kind, reference| Entry {
            scope: scope.clone(),
            debit,
            credit,
            amount,
            kind,
            reference,
            at,
        };
        let wallet = Side::Wallet(id(name));
        let grant = entry(
            Side::Source,
            wallet.clone(),
            granted,
            EntryKind::Grant,
            format!("{name}/opening"),
        );
        let usage = entry(wallet, Side::Revenue, amount, EntryKind::Usage, reference);
        let hold = Hold {
            scope: scope.clone(),
            key,
            state: HoldState::Posted,
            legs: vec![HoldLeg {
                account: id(name),
                amount,
                posted: amount,
                unit: AccountUnit::Usd,
                lots: Vec::new(),
                warn_below: None,
                low: None,
            }],
            extended_to: 1,
            opened_at: at,
            closed_at: Some(at),
        };
        let rows = LedgerRows {
            accounts: vec![(scope.tenant.clone(), account)],
            holds: vec![hold],
            entries: vec![grant, usage],
        };
        Operation::RestoreLedger { rows }
    }
}
