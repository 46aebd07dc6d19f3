//! Usage rows of one user or of all, page by page, and their exact sum.

use std::fmt;

use chat_runtime::types::Timestamp;
use chat_runtime::usage::{UsageQuery, UsageRow};
use chat_runtime::{ConversationId, Money, Scope};

use crate::app::App;
use crate::arguments::UsageRange;
use crate::errors::Failure;

/// Rows read at a time.
const ROWS_PER_READ: u32 = 1_000;

/// Which rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub(crate) conversation: Option<ConversationId>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    all_users: bool,
}

impl Selection {
    /// All rows of one conversation.
    pub(crate) fn of_conversation(id: &ConversationId) -> Self {
        Self { conversation: Some(id.clone()), ..Self::default() }
    }

    /// The rows of a range, of every conversation.
    pub(crate) fn of(range: &UsageRange) -> Self {
        Self {
            conversation: None,
            from: range.from,
            until: range.until,
            all_users: range.all_users,
        }
    }
}

/// A sum of rows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    pub(crate) usage: chat_runtime::Usage,
    pub(crate) cost: Money,
}

impl Sum {
    /// Adds a row.
    ///
    /// # Errors
    /// `invalid_amount` if the sum does not fit.
    pub(crate) fn add(&mut self, row: &UsageRow) -> Result<(), Failure> {
        self.rows = self.rows.saturating_add(1);
        self.usage = self.usage.plus(&row.usage);
        self.cost = plus(self.cost, row.amount)?;
        Ok(())
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (input, output) = (self.usage.input_total(), self.usage.output_total());
        write!(f, "{} calls, {input} tokens in, {output} out, {}", self.rows, self.cost)
    }
}

/// Two amounts together.
///
/// # Errors
/// `invalid_amount` if they do not fit.
pub(crate) fn plus(one: Money, other: Money) -> Result<Money, Failure> {
    one.plus(other).map_err(|error| Failure::new("invalid_amount", error.to_string()))
}

/// Shows every selected row to `see`, in the order they were written.
///
/// Of all users means of the tenant: it reads every row of the store and leaves the others out.
///
/// # Errors
/// The store's, and the first of `see`.
pub(crate) async fn each_row(
    app: &App<'_>,
    selection: &Selection,
    mut see: impl FnMut(&Scope, &UsageRow) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let store = app.client().usage().store();
    if selection.all_users {
        let mut seen = 0_u64;
        loop {
            let rows = store.scan_rows(seen, ROWS_PER_READ).await?;
            if rows.is_empty() {
                return Ok(());
            }
            for (scope, row) in &rows {
                seen = seen.saturating_add(1);
                let is_wanted = scope.tenant == app.scope.tenant
                    && selection.from.is_none_or(|from| row.at >= from)
                    && selection.until.is_none_or(|until| row.at < until);
                if is_wanted {
                    see(scope, row)?;
                }
            }
        }
    }
    let mut query = UsageQuery {
        conversation: selection.conversation.clone(),
        from: selection.from,
        until: selection.until,
        limit: ROWS_PER_READ,
        ..UsageQuery::default()
    };
    loop {
        let rows = store.rows(&app.scope, &query).await?;
        for row in &rows {
            see(&app.scope, row)?;
        }
        match rows.last() {
            Some(last) => query.after = Some(last.key.clone()),
            None => return Ok(()),
        }
    }
}
