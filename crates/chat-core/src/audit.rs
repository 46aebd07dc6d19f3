//! Audit: the invariants of the books, proven from the rows of ledger, usage and journal.
//!
//! Here: that the three agree with each other. The ledger by itself is `chat-balance`'s.

use std::collections::BTreeMap;

use chat_balance::{AccountUnit, AuditReport, HoldState, LedgerAudit};
use chat_types::{AttemptKey, Money, Scope, StepKey, StepState, TenantId, UsageSource, UserId};

use crate::{BaseClient, Result};

/// Rows read at a time.
const ROWS_PER_READ: u32 = 1_000;

/// How many disagreements are named; the rest are counted.
const BREAKS_MAX: usize = 100;

/// What an audit counted and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditSummary {
    /// The ledger by itself.
    pub ledger: AuditReport,
    /// Usage rows seen.
    pub usage_rows: u64,
    /// Those of them that are history of another system: nothing stands behind them here, so
    /// there is nothing to compare them with.
    pub usage_rows_imported: u64,
    /// Those of deleted conversations: their journal went with them, and the ledger agrees.
    pub usage_rows_deleted: u64,
    /// Steps of the journal seen.
    pub steps: u64,
    /// Steps that are decided and not marked as settled yet.
    pub steps_unsettled: u64,
    /// Where journal, usage and ledger disagree, one line each naming the row.
    pub breaks: Vec<String>,
    /// All of them.
    pub breaks_total: u64,
}

impl AuditSummary {
    /// Every invariant holds.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.ledger.is_sound() && self.breaks_total == 0
    }

    fn break_at(&mut self, line: String) {
        self.breaks_total = self.breaks_total.saturating_add(1);
        if self.breaks.len() < BREAKS_MAX {
            self.breaks.push(line);
        }
    }
}

/// An audit of everything the client's stores hold, all scopes.
#[derive(Debug)]
pub struct Audit<'a> {
    client: &'a BaseClient,
}

impl BaseClient {
    /// An audit of everything the stores hold, all scopes: an operator's call.
    #[must_use]
    pub fn audit(&self) -> Audit<'_> {
        Audit { client: self }
    }
}

type UsageByAttempt = BTreeMap<(TenantId, AttemptKey), Recorded>;

/// What a usage row says.
struct Recorded {
    user: UserId,
    amount: Money,
}

impl Audit<'_> {
    /// Reads every row once and judges. Turns that run meanwhile may show as disagreements.
    ///
    /// # Errors
    /// `Store`, `Usage`, `Balance` if rows cannot be read.
    pub async fn run(&self) -> Result<AuditSummary> {
        let mut summary =
            AuditSummary { ledger: self.audit_ledger().await?, ..AuditSummary::default() };
        let mut usage = self.read_usage(&mut summary).await?;
        self.compare_steps(&mut summary, &mut usage).await?;
        self.explain_rest(&mut summary, usage).await?;
        Ok(summary)
    }

    async fn audit_ledger(&self) -> Result<AuditReport> {
        let ledger = &self.client.inner.ledger_maintenance;
        let mut audit = LedgerAudit::new();
        let mut after = None;
        loop {
            let accounts = ledger.scan_accounts(after.as_ref(), ROWS_PER_READ).await?;
            let Some((tenant, last)) = accounts.last() else {
                break;
            };
            after = Some((tenant.clone(), last.id.clone()));
            for (tenant, account) in &accounts {
                audit.account(tenant, account);
            }
        }
        let mut after = None;
        loop {
            let holds = ledger.scan_holds(after.as_ref(), ROWS_PER_READ).await?;
            let Some(last) = holds.last() else { break };
            after = Some((last.scope.tenant.clone(), last.key.clone()));
            for hold in &holds {
                audit.hold(hold);
            }
        }
        let mut read = 0_u64;
        loop {
            let entries = ledger.scan_entries(read, ROWS_PER_READ).await?;
            if entries.is_empty() {
                break;
            }
            for entry in &entries {
                audit.entry(entry);
                read = read.saturating_add(1);
            }
        }
        Ok(audit.finish())
    }

    async fn read_usage(&self, summary: &mut AuditSummary) -> Result<UsageByAttempt> {
        let store = self.client.inner.recorder.store();
        let mut usage = UsageByAttempt::new();
        loop {
            let rows = store.scan_rows(summary.usage_rows, ROWS_PER_READ).await?;
            if rows.is_empty() {
                return Ok(usage);
            }
            for (scope, row) in rows {
                summary.usage_rows = summary.usage_rows.saturating_add(1);
                if row.source == UsageSource::Imported {
                    summary.usage_rows_imported = summary.usage_rows_imported.saturating_add(1);
                    continue;
                }
                let recorded = Recorded { user: scope.user, amount: row.amount };
                usage.insert((scope.tenant, row.key), recorded);
            }
        }
    }

    /// Every decided attempt has its usage row with the same amount; no other attempt has one.
    async fn compare_steps(
        &self,
        summary: &mut AuditSummary,
        usage: &mut UsageByAttempt,
    ) -> Result<()> {
        let maintenance = &self.client.inner.maintenance;
        let mut after: Option<(TenantId, StepKey)> = None;
        loop {
            let steps = maintenance.scan_steps(after.as_ref(), ROWS_PER_READ).await?;
            let Some(last) = steps.last() else {
                return Ok(());
            };
            after = Some((last.scope.tenant.clone(), last.step.key.clone()));
            for open in &steps {
                summary.steps = summary.steps.saturating_add(1);
                let unsettled = open.step.state == StepState::Settling;
                if unsettled {
                    summary.steps_unsettled = summary.steps_unsettled.saturating_add(1);
                }
                for amount in &open.step.amounts {
                    let key = (open.scope.tenant.clone(), open.step.attempt_key(amount.attempt));
                    match usage.remove(&key) {
                        Some(recorded) if recorded.amount == amount.amount => {}
                        Some(recorded) => summary.break_at(format!(
                            "usage row {}: {} recorded, {} decided in the journal",
                            name(&key.0, &key.1),
                            recorded.amount,
                            amount.amount
                        )),
                        None if unsettled => {}
                        None => summary.break_at(format!(
                            "usage row {}: missing, {} decided in the journal",
                            name(&key.0, &key.1),
                            amount.amount
                        )),
                    }
                }
            }
        }
    }

    /// Rows without an attempt in the journal: their conversation was deleted, so the ledger must
    /// have posted exactly them for their step, or they are made up.
    async fn explain_rest(&self, summary: &mut AuditSummary, rest: UsageByAttempt) -> Result<()> {
        let mut steps: BTreeMap<(Scope, StepKey), Vec<(AttemptKey, Money)>> = BTreeMap::new();
        for ((tenant, key), recorded) in rest {
            let step = (Scope::new(tenant, recorded.user), key.step.clone());
            steps.entry(step).or_default().push((key, recorded.amount));
        }
        for ((scope, step), rows) in steps {
            let total = Money::sum(rows.iter().map(|(_, amount)| *amount)).ok();
            let hold = self.client.inner.ledger.hold_of(&scope, &step).await?;
            let is_posted = hold.is_some_and(|hold| {
                hold.state == HoldState::Posted
                    && hold
                        .legs
                        .iter()
                        .filter(|leg| leg.unit == AccountUnit::Usd)
                        .all(|leg| Some(leg.posted) == total)
            });
            for (key, _) in rows {
                if is_posted {
                    summary.usage_rows_deleted = summary.usage_rows_deleted.saturating_add(1);
                } else {
                    summary.break_at(format!(
                        "usage row {}: the journal has no such attempt and the ledger did not \
                         post it",
                        name(&scope.tenant, &key)
                    ));
                }
            }
        }
        Ok(())
    }
}

fn name(tenant: &TenantId, key: &AttemptKey) -> String {
    format!("{tenant}/{}/{}/{}", key.step.turn, key.step.step, key.attempt)
}
