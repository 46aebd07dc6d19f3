//! The ledger once more, in obvious code: what a person would do on paper. Amounts are nano-USD.
//!
//! Written for comparison only: it shares nothing with the rules it judges.

use std::collections::{BTreeMap, BTreeSet};

use crate::traces::Step;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wallet {
    pub(crate) is_unlimited: bool,
    pub(crate) granted: i64,
    pub(crate) refunded: i64,
    pub(crate) held: i64,
    pub(crate) posted: i64,
}

impl Wallet {
    pub(crate) fn available(&self) -> i64 {
        self.granted + self.refunded - self.held - self.posted
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Held {
    pub(crate) state: &'static str,
    /// Account, amount, posted.
    pub(crate) legs: Vec<(String, i64, i64)>,
    pub(crate) extended_to: u32,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) wallets: BTreeMap<String, Wallet>,
    pub(crate) holds: BTreeMap<String, Held>,
    /// Kind, reference, amount, in the order they were written.
    pub(crate) entries: Vec<(&'static str, String, i64)>,
}

impl Model {
    /// Does it, or says why not and changes nothing.
    pub(crate) fn apply(&mut self, step: &Step) -> Result<(), &'static str> {
        match step.clone() {
            Step::Open { account, is_unlimited, opening } => {
                self.open(account, is_unlimited, opening)
            }
            Step::Credit { account, kind, key, amount } => {
                self.credit(&account, kind, &key, amount)
            }
            Step::Hold { turn, legs } => self.hold(turn, &legs),
            Step::Extend { turn, attempt, extra } => self.extend(&turn, attempt, extra),
            Step::Settle { turn, amounts } => self.settle(&turn, &amounts),
            Step::Release { turn } => self.release(&turn),
        }
    }

    fn open(&mut self, name: String, is_unlimited: bool, opening: i64) -> Result<(), &'static str> {
        if self.wallets.contains_key(&name) {
            return Ok(());
        }
        if opening > 0 {
            self.entries.push(("grant", format!("{name}/opening"), opening));
        }
        self.wallets.insert(name, Wallet { is_unlimited, granted: opening, ..Wallet::default() });
        Ok(())
    }

    fn credit(
        &mut self,
        name: &str,
        kind: &'static str,
        key: &str,
        amount: i64,
    ) -> Result<(), &'static str> {
        let wallet = self.wallets.get_mut(name).ok_or("not found")?;
        let reference = format!("{name}/{key}");
        let same = |entry: &&(&str, String, i64)| entry.0 == kind && entry.1 == reference;
        if let Some(before) = self.entries.iter().find(same) {
            return if before.2 == amount { Ok(()) } else { Err("conflict") };
        }
        if amount <= 0 {
            return Err("invalid");
        }
        if kind == "grant" {
            wallet.granted += amount;
        } else {
            wallet.refunded += amount;
        }
        self.entries.push((kind, reference, amount));
        Ok(())
    }

    fn hold(&mut self, turn: String, legs: &[(String, i64, i64)]) -> Result<(), &'static str> {
        let names = |legs: &[(String, i64, i64)]| {
            legs.iter().map(|leg| leg.0.clone()).collect::<BTreeSet<_>>()
        };
        if let Some(before) = self.holds.get(&turn) {
            return if names(&before.legs) == names(legs) { Ok(()) } else { Err("conflict") };
        }
        if names(legs).len() != legs.len()
            || legs.is_empty()
            || legs.iter().any(|leg| leg.2 > leg.1)
        {
            return Err("invalid");
        }
        if legs.iter().any(|leg| !self.wallets.contains_key(&leg.0)) {
            return Err("not found");
        }
        let mut given = Vec::new();
        for (name, amount, floor) in legs {
            let wallet = &self.wallets[name];
            let has = if wallet.is_unlimited { *amount } else { wallet.available().max(0) };
            if has < *floor {
                return Err("insufficient");
            }
            given.push((name.clone(), has.min(*amount), 0));
        }
        for (name, amount, _) in &given {
            self.wallets.get_mut(name).unwrap().held += amount;
        }
        self.holds.insert(turn, Held { state: "open", legs: given, extended_to: 1 });
        Ok(())
    }

    fn extend(&mut self, turn: &str, attempt: u32, extra: i64) -> Result<(), &'static str> {
        let held = self.holds.get_mut(turn).ok_or("not found")?;
        if held.state != "open" {
            return Err("conflict");
        }
        if attempt <= held.extended_to {
            return Ok(());
        }
        let can_give = |leg: &(String, i64, i64)| {
            let wallet = &self.wallets[&leg.0];
            // Nothing more is always given.
            wallet.is_unlimited || wallet.available().max(0) >= extra
        };
        if !held.legs.iter().all(can_give) {
            return Err("insufficient");
        }
        for (name, amount, _) in &mut held.legs {
            *amount += extra;
            self.wallets.get_mut(name).unwrap().held += extra;
        }
        held.extended_to = attempt;
        Ok(())
    }

    fn settle(&mut self, turn: &str, amounts: &[i64]) -> Result<(), &'static str> {
        let held = self.holds.get_mut(turn).ok_or("not found")?;
        match held.state {
            "posted" => return Ok(()),
            "released" => return Err("conflict"),
            _ => {}
        }
        if amounts.is_empty() || amounts.iter().any(|amount| *amount < 0) {
            return Err("invalid");
        }
        let total: i64 = amounts.iter().sum();
        held.state = "posted";
        for (name, amount, posted) in &mut held.legs {
            let wallet = self.wallets.get_mut(name).unwrap();
            wallet.held -= *amount;
            wallet.posted += total;
            *posted = total;
            let mut left = *amount;
            for (attempt, cost) in (1..).zip(amounts) {
                let covered = left.min(*cost);
                left -= covered;
                self.entries.push(("usage", format!("{name}/{turn}/1/{attempt}"), covered));
            }
            if total > *amount {
                self.entries.push(("overrun", format!("{name}/{turn}/1"), total - *amount));
            }
        }
        Ok(())
    }

    fn release(&mut self, turn: &str) -> Result<(), &'static str> {
        let held = self.holds.get_mut(turn).ok_or("not found")?;
        match held.state {
            "released" => return Ok(()),
            "posted" => return Err("conflict"),
            _ => {}
        }
        held.state = "released";
        for (name, amount, _) in &held.legs {
            self.wallets.get_mut(name).unwrap().held -= *amount;
        }
        Ok(())
    }
}
