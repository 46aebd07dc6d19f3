//! What a generator remembers of the calls it has made up: enough to make most of the next ones
//! fit. It may be wrong (a store refuses what it must), and never asks a store.

use std::fmt::Debug;
use std::str::FromStr;

use chat_persist::{Accept, Fence};
use chat_types::{ConversationId, FileRecord, MessageId, Role, Scope, StepKey, Timestamp};
use fastrand::Rng;

use crate::fixtures::{at, id};

/// A conversation and the messages that should be in it.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) scope: Scope,
    pub(super) id: ConversationId,
    pub(super) messages: Vec<(MessageId, Role)>,
}

/// A turn as far as it should have come.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) scope: Scope,
    pub(super) accept: Accept,
    pub(super) epoch: u64,
    pub(super) last_seq: u64,
    pub(super) steps: Vec<Step>,
    /// The steps that should have a hold.
    pub(super) holds: Vec<u32>,
    pub(super) has_ended: bool,
}

/// A step of a turn, its attempts, and whether it should be closed.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) number: u32,
    pub(super) attempts: u32,
    pub(super) is_closed: bool,
    pub(super) amounts: Vec<(u32, i64)>,
}

impl Run {
    pub(super) fn fence(&self) -> Fence {
        Fence { scope: self.scope.clone(), turn: self.accept.turn.id.clone(), epoch: self.epoch }
    }

    pub(super) fn step_key(&self, step: u32) -> StepKey {
        StepKey { turn: self.accept.turn.id.clone(), step }
    }
}

/// Chance, time, names, and what was written so far.
#[derive(Debug)]
pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) scopes: Vec<Scope>,
    pub(super) owners: Vec<String>,
    pub(super) talks: Vec<Talk>,
    pub(super) runs: Vec<Run>,
    /// Accounts that should be there, and who finds them.
    pub(super) accounts: Vec<(Scope, String)>,
    pub(super) files: Vec<(Scope, FileRecord)>,
    now_ms: i64,
    names: u32,
}

/// The clock of a trace begins here.
const START_MS: i64 = 1_767_225_600_000;

impl World {
    /// Two tenants with two users each; tenants and owners are named after the seed, everything
    /// else has the same names in every trace and every scope.
    pub(super) fn new(seed: u64) -> Self {
        let mut scopes = Vec::new();
        for tenant in ["a", "B"] {
            for user in ["ada", "Bob"] {
                scopes.push(Scope::new(id(&format!("trace-{seed}-{tenant}")), id(user)));
            }
        }
        let owners = (1..=3).map(|n| format!("trace-{seed}-owner-{n}")).collect();
        Self {
            rng: Rng::with_seed(seed),
            scopes,
            owners,
            talks: Vec::new(),
            runs: Vec::new(),
            accounts: Vec::new(),
            files: Vec::new(),
            now_ms: START_MS,
            names: 0,
        }
    }

    /// True in `percent` of a hundred cases.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(..100) < percent
    }

    pub(super) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.rng.usize(..choices.len())].clone()
    }

    pub(super) fn maybe_pick<T: Clone>(&mut self, choices: &[T]) -> Option<T> {
        (!choices.is_empty()).then(|| self.pick(choices))
    }

    /// The time of the next call: sometimes the same as before, sometimes much later.
    pub(super) fn tick(&mut self) -> Timestamp {
        self.now_ms += match self.rng.u32(..10) {
            0 | 1 => 0,
            2..=8 => self.rng.i64(1..2_000),
            _ => self.rng.i64(1..40_000_000),
        };
        at(self.now_ms)
    }

    /// Before, at, or after now.
    pub(super) fn about_now(&mut self) -> Timestamp {
        let offset = self.pick(&[-90_000_000, -5_000, -1, 0, 1, 5_000, 90_000_000]);
        at(self.now_ms + offset)
    }

    /// A name that no call had before, in one of the shapes an id may have.
    pub(super) fn fresh<T>(&mut self, kind: &str) -> T
    where
        T: FromStr,
        T::Err: Debug,
    {
        self.names += 1;
        let n = self.names;
        let name = match n % 5 {
            0 => format!("{n}{kind}"),
            1 => format!("{kind}-{n}"),
            2 => format!("{}_{n}", kind.to_uppercase()),
            3 => format!("{kind}:{n}"),
            _ => format!("-{n}_{kind}"),
        };
        id(&name)
    }

    pub(super) fn scope(&mut self) -> Scope {
        let scopes = self.scopes.clone();
        self.pick(&scopes)
    }

    pub(super) fn owner(&mut self) -> String {
        let owners = self.owners.clone();
        self.pick(&owners)
    }

    /// The place of a conversation, if there is one.
    pub(super) fn talk(&mut self) -> Option<usize> {
        let count = self.talks.len();
        (count > 0).then(|| self.rng.usize(..count))
    }

    /// The place of a turn: mostly of one that should be running, and a young one.
    pub(super) fn run(&mut self) -> Option<usize> {
        let places: Vec<usize> = (0..self.runs.len()).collect();
        let running: Vec<usize> =
            places.iter().copied().filter(|place| !self.runs[*place].has_ended).collect();
        let young = &running[running.len().saturating_sub(2)..];
        if self.chance(60)
            && let Some(place) = self.maybe_pick(young)
        {
            return Some(place);
        }
        if self.chance(70)
            && let Some(place) = self.maybe_pick(&running)
        {
            return Some(place);
        }
        self.maybe_pick(&places)
    }

    /// A message of the conversation, mostly a recent one.
    pub(super) fn message_of(&mut self, talk: usize) -> Option<(MessageId, Role)> {
        let messages = self.talks[talk].messages.clone();
        if self.chance(50) {
            return messages.last().cloned();
        }
        self.maybe_pick(&messages)
    }
}
