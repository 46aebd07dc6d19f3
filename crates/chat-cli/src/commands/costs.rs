//! What each reply of a conversation cost, and each branch: exact sums of usage rows.
//!
//! A turn's cost is that of all its calls, whatever they were for. It stands at the turn's reply, or
//! at the message it was to answer where there is no reply. What a copy shows was paid for by the
//! original, so copied messages cost nothing here.

use std::collections::{HashMap, HashSet};

use chat_runtime::thread::MessageThread;
use chat_runtime::types::Role;
use chat_runtime::{ConversationId, Message, MessageId, Money, TurnId};
use serde_json::json;

use super::usage::{Selection, each_row, plus};
use crate::app::App;
use crate::errors::Failure;

/// The costs of one conversation.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    own: HashMap<MessageId, Money>,
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
        let mut turns: HashMap<TurnId, Money> = HashMap::new();
        let selection = Selection::of_conversation(id);
        each_row(app, &selection, |_, row| {
            let turn = turns.entry(row.key.step.turn.clone()).or_default();
            *turn = plus(*turn, row.amount)?;
            Ok(())
        })
        .await?;
        Self::of(turns, thread)
    }

    fn of(mut turns: HashMap<TurnId, Money>, thread: &MessageThread) -> Result<Self, Failure> {
        let mut costs = Self::default();
        for amount in turns.values() {
            costs.total = plus(costs.total, *amount)?;
        }
        // Replies first: what is left then belongs to messages without one.
        for wants_reply in [true, false] {
            for message in thread.messages() {
                let is_reply = message.role == Role::Assistant;
                if is_reply == wants_reply
                    && let Some(turn) = &message.turn
                    && let Some(amount) = turns.remove(turn)
                {
                    costs.own.insert(message.id.clone(), amount);
                }
            }
        }
        for amount in turns.into_values() {
            costs.elsewhere = plus(costs.elsewhere, amount)?;
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
            let sum = plus(above, self.own.get(&message.id).copied().unwrap_or_default())?;
            let children = thread.children(&message.id);
            if children.is_empty() {
                self.branches.push((message.id.clone(), sum));
            }
            waiting.extend(children.into_iter().rev().map(|child| (child, sum)));
        }
        Ok(())
    }

    /// What stands behind each message: its own cost, and its branch's where one ends.
    pub(crate) fn notes(&self) -> HashMap<MessageId, String> {
        let mut notes: HashMap<MessageId, String> = HashMap::new();
        for (id, amount) in &self.own {
            notes.insert(id.clone(), amount.to_string());
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

    /// The same for programs; messages without a cost of their own are left out.
    pub(crate) fn json(&self, thread: &MessageThread) -> serde_json::Value {
        let messages = thread.messages().filter_map(|message| {
            let amount = self.own.get(&message.id)?;
            Some(json!({ "message": message.id, "amount_nano_usd": amount }))
        });
        let branches = self
            .branches
            .iter()
            .map(|(id, amount)| json!({ "head": id, "amount_nano_usd": amount }));
        json!({
            "messages": messages.collect::<Vec<_>>(),
            "branches": branches.collect::<Vec<_>>(),
            "elsewhere_nano_usd": self.elsewhere,
            "total_nano_usd": self.total,
        })
    }
}
