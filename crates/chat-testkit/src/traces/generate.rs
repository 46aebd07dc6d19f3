//! Makes a trace up from a seed: mostly calls that fit, some that must be refused, some again.

use chat_persist::ConversationQuery;
use chat_types::{Scope, TenantId};

use super::operation::Operation;
use super::world::World;

/// The fewest and the most calls of a trace.
const LENGTH: std::ops::RangeInclusive<usize> = 10..=200;

/// Calls in order, and the tenants they are about.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) operations: Vec<Operation>,
    pub(super) scopes: Vec<Scope>,
    pub(super) tenants: Vec<TenantId>,
}

impl Trace {
    /// The same seed gives the same trace.
    pub(super) fn of_seed(seed: u64) -> Self {
        let mut world = World::new(seed);
        let length = world.rng.usize(LENGTH);
        let mut operations: Vec<Operation> = Vec::with_capacity(length);
        while operations.len() < length {
            operations.push(world.next(&operations));
        }
        let mut tenants: Vec<TenantId> =
            world.scopes.iter().map(|scope| scope.tenant.clone()).collect();
        tenants.dedup();
        Self { operations, scopes: world.scopes, tenants }
    }
}

impl World {
    fn next(&mut self, earlier: &[Operation]) -> Operation {
        loop {
            let made = match self.rng.u32(..100) {
                0..=4 => self.maybe_pick(earlier),
                5..=15 => self.begin_turn(),
                16..=60 => self.go_on(),
                61..=65 => self.change_conversation(),
                66..=70 => self.change_messages(),
                71..=77 => self.move_money(),
                78..=82 => self.maintain(),
                83..=85 => self.carry_over(),
                _ => self.read(),
            };
            // Nothing to do of that kind yet; beginning a turn always works.
            if let Some(operation) = made {
                return operation;
            }
        }
    }

    fn read(&mut self) -> Option<Operation> {
        let operation = match self.rng.u32(..12) {
            0 | 1 => {
                let scope = self.scope();
                let query = ConversationQuery {
                    limit: self.pick(&[1, 2, 50]),
                    after: None,
                    archived: self.chance(20),
                    title_contains: self
                        .maybe_pick(&["HELLO", "straße", "%", "", "_"])
                        .map(Into::into),
                };
                Operation::Conversations { scope, query }
            }
            2 => {
                let talk = self.talk()?;
                let scope = self.scope_near(talk);
                Operation::Conversation { scope, id: self.talks[talk].id.clone() }
            }
            3 | 4 => {
                let talk = self.talk()?;
                let (head, _) = self.message_of(talk)?;
                let scope = self.scope_near(talk);
                let conversation = self.talks[talk].id.clone();
                if self.chance(30) {
                    Operation::Message { scope, conversation, id: head }
                } else {
                    Operation::Branch { scope, conversation, head, limit: self.pick(&[1, 2, 50]) }
                }
            }
            5 => {
                let talk = self.talk()?;
                let after = self.message_of(talk).filter(|_| self.chance(40)).map(|(id, _)| id);
                let scope = self.scope_near(talk);
                let conversation = self.talks[talk].id.clone();
                Operation::Messages { scope, conversation, after, limit: self.pick(&[1, 3, 50]) }
            }
            6 => {
                let run = self.run()?;
                let scope = self.scope_near_run(run);
                Operation::Turn { scope, turn: self.runs[run].accept.turn.id.clone() }
            }
            7 | 8 => {
                let run = self.run()?;
                let scope = self.scope_near_run(run);
                let last_seq = self.runs[run].last_seq;
                Operation::Events {
                    scope,
                    turn: self.runs[run].accept.turn.id.clone(),
                    after_seq: self.rng.u64(..=last_seq),
                    limit: self.pick(&[1, 2, 100]),
                }
            }
            9 => {
                let run = self.run()?;
                let key = self.runs[run].step_key(1);
                let scope = self.scope_near_run(run);
                if self.chance(50) {
                    Operation::HoldOf { scope, key }
                } else {
                    Operation::Step { tenant: scope.tenant, key }
                }
            }
            10 => {
                let accounts = self.accounts.clone();
                let (_, name) = self.maybe_pick(&accounts)?;
                Operation::Account { scope: self.scope(), id: crate::fixtures::id(&name) }
            }
            _ => self.read_usage(),
        };
        Some(operation)
    }

    /// The scope of the conversation, rarely another one.
    pub(super) fn scope_near(&mut self, talk: usize) -> Scope {
        if self.chance(8) { self.scope() } else { self.talks[talk].scope.clone() }
    }

    /// The scope of the turn, rarely another one.
    pub(super) fn scope_near_run(&mut self, run: usize) -> Scope {
        if self.chance(8) { self.scope() } else { self.runs[run].scope.clone() }
    }
}
