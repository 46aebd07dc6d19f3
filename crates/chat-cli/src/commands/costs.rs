//! What each message of a conversation cost, and each branch: exact sums of usage rows.
//!
//! A turn's cost is that of all its calls, whatever they were for. It stands at the turn's reply, or
//! at the message it was to answer where there is no reply. What a copy shows was paid for by the
//! original, so copied messages cost nothing here.

use std::collections::{BTreeMap, HashMap, HashSet};

use chat_runtime::thread::MessageThread;
use chat_runtime::types::{Purpose, Role};
use chat_runtime::{ConversationId, Message, MessageId, Money, TurnId};
use serde_json::json;

use super::usage::{Selection, each_row, plus};
use crate::app::App;
use crate::errors::Failure;

/// What one turn cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct TurnCost {
    sum: Money,
    by_purpose: BTreeMap<Purpose, Money>,
}

impl TurnCost {
    fn add(&mut self, purpose: Purpose, amount: Money) -> Result<(), Failure> {
        self.sum = plus(self.sum, amount)?;
        let part = self.by_purpose.entry(purpose).or_default();
        *part = plus(*part, amount)?;
        Ok(())
    }

    /// The sum, and what it is made of where that is more than the reply.
    fn shown(&self) -> String {
        if self.by_purpose.keys().all(|purpose| *purpose == Purpose::Reply) {
            return self.sum.to_string();
        }
        let parts = self.by_purpose.iter();
        let parts = parts.map(|(purpose, amount)| format!("{} {amount}", purpose.as_str()));
        format!("{} ({})", self.sum, parts.collect::<Vec<_>>().join(", "))
    }

    fn json(&self, message: &MessageId) -> serde_json::Value {
        json!({
            "message": message,
            "amount_nano_usd": self.sum,
            "by_purpose_nano_usd": self.by_purpose,
        })
    }
}

/// The costs of one conversation.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    own: HashMap<MessageId, TurnCost>,
    /// From the root down to each last message.
    branches: Vec<(MessageId, Money)>,
    total: Money,
    /// Of turns that have no message in the tree.
    elsewhere: Money,
}

impl Costs {
    /// Adds the usage rows of a conversation up along its tree.
    ///
    /// # Errors
    /// The store's; `invalid_amount` if a sum does not fit.
    pub(crate) async fn read(
        app: &App<'_>,
        id: &ConversationId,
        thread: &MessageThread,
    ) -> Result<Self, Failure> {
        let mut turns: HashMap<TurnId, TurnCost> = HashMap::new();
        let selection = Selection::of_conversation(id);
        each_row(app, &selection, |_, row| {
            let turn = turns.entry(row.key.step.turn.clone()).or_default();
            turn.add(row.purpose, row.amount)
        })
        .await?;
        Self::of(turns, thread)
    }

    fn of(mut turns: HashMap<TurnId, TurnCost>, thread: &MessageThread) -> Result<Self, Failure> {
        let mut costs = Self::default();
        for turn in turns.values() {
            costs.total = plus(costs.total, turn.sum)?;
        }
        // Replies first: what is left then belongs to messages without one.
        for wants_reply in [true, false] {
            for message in thread.messages() {
                let is_reply = message.role == Role::Assistant;
                if is_reply == wants_reply
                    && let Some(turn) = &message.turn
                    && let Some(cost) = turns.remove(turn)
                {
                    costs.own.insert(message.id.clone(), cost);
                }
            }
        }
        for turn in turns.into_values() {
            costs.elsewhere = plus(costs.elsewhere, turn.sum)?;
        }
        costs.add_up(thread)?;
        Ok(costs)
    }

    /// The sums of all branches, each message visited once.
    fn add_up(&mut self, thread: &MessageThread) -> Result<(), Failure> {
        let mut seen = HashSet::new();
        let mut waiting: Vec<(&Message, Money)> = Vec::new();
        waiting.extend(thread.roots().into_iter().rev().map(|root| (root, Money::ZERO)));
        while let Some((message, above)) = waiting.pop() {
            // A cycle is added up once.
            if !seen.insert(&message.id) {
                continue;
            }
            let sum = plus(above, self.sum_of(&message.id))?;
            let children = thread.children(&message.id);
            if children.is_empty() {
                self.branches.push((message.id.clone(), sum));
            }
            waiting.extend(children.into_iter().rev().map(|child| (child, sum)));
        }
        Ok(())
    }

    fn sum_of(&self, message: &MessageId) -> Money {
        self.own.get(message).map(|cost| cost.sum).unwrap_or_default()
    }

    /// What stands behind a message's name: what its turn cost, and for what.
    pub(crate) fn note(&self, message: &MessageId) -> Option<String> {
        self.own.get(message).map(TurnCost::shown)
    }

    /// What these messages cost together.
    ///
    /// # Errors
    /// `invalid_amount` if the sum does not fit.
    pub(crate) fn sum(&self, messages: &[Message]) -> Result<Money, Failure> {
        messages.iter().try_fold(Money::ZERO, |sum, message| plus(sum, self.sum_of(&message.id)))
    }

    /// The same of one branch for programs; messages without a cost of their own are left out.
    ///
    /// # Errors
    /// As [`Costs::sum`].
    pub(crate) fn branch_json(&self, messages: &[Message]) -> Result<serde_json::Value, Failure> {
        Ok(json!({
            "messages": self.messages_json(messages.iter()),
            "branch_nano_usd": self.sum(messages)?,
        }))
    }

    fn messages_json<'a>(
        &self,
        messages: impl Iterator<Item = &'a Message>,
    ) -> Vec<serde_json::Value> {
        messages.filter_map(|one| Some(self.own.get(&one.id)?.json(&one.id))).collect()
    }

    /// What stands behind each message of a tree: its own cost, and its branch's where one ends.
    pub(crate) fn notes(&self) -> HashMap<MessageId, String> {
        let mut notes: HashMap<MessageId, String> = HashMap::new();
        for (id, cost) in &self.own {
            notes.insert(id.clone(), cost.sum.to_string());
        }
        for (id, amount) in &self.branches {
            let note = notes.entry(id.clone()).or_default();
            let comma = if note.is_empty() { "" } else { ", " };
            note.push_str(&format!("{comma}branch {amount}"));
        }
        notes
    }

    /// The last line under a tree.
    pub(crate) fn total_line(&self) -> String {
        if self.elsewhere == Money::ZERO {
            return format!("{} in all", self.total);
        }
        format!("{} in all, {} of it for messages that are not here", self.total, self.elsewhere)
    }

    /// The whole tree for programs; messages without a cost of their own are left out.
    pub(crate) fn json(&self, thread: &MessageThread) -> serde_json::Value {
        let branches = self
            .branches
            .iter()
            .map(|(id, amount)| json!({ "head": id, "amount_nano_usd": amount }));
        json!({
            "messages": self.messages_json(thread.messages()),
            "branches": branches.collect::<Vec<_>>(),
            "elsewhere_nano_usd": self.elsewhere,
            "total_nano_usd": self.total,
        })
    }
}
