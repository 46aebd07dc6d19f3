//! Which operation an address means, the work it does, and the status it is answered with.

use std::collections::HashMap;
use std::str::FromStr;

use chat_runtime::balance::{
    BalanceAdapter, BalanceError, BalanceErrorKind, HoldRequest, LedgerMaintenance, MemoryLedger,
    Settlement,
};
use chat_runtime::types::{AccountId, Scope, StepKey};
use hyper::Method;
use serde_json::{Value, json};

use super::bad_request::BadRequest;
use super::bodies::{
    CreditBody, ExtendBody, HoldBody, OpenBody, RefillBody, RefreshBody, ReleaseBody, SettleBody,
};
use super::fault::Operation;
use super::rows::{account_row, at, entry_row, hold_row, rows};

/// The most rows of a page, whatever is asked for.
const PAGE_ROWS_MAX: u32 = 1_000;

/// A status and a JSON body.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Reply {
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        Self { status, body: json!({"error": {"code": code, "message": message}}) }
    }

    fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }
}

impl From<BalanceError> for Reply {
    fn from(error: BalanceError) -> Self {
        let message = error.to_string();
        if let Some(refusal) = error.refusal() {
            let refill_at = refusal.refill_at.map(chat_runtime::types::Timestamp::unix_ms);
            let body = json!({"error": {
                "code": "insufficient_funds",
                "message": message,
                "account": refusal.account,
                "unit": refusal.unit.as_str(),
                "need": refusal.need.nano_usd(),
                "available": refusal.available.nano_usd(),
                "held": refusal.held.nano_usd(),
                "refill_at_unix_ms": refill_at,
            }});
            return Self { status: 402, body };
        }
        match error.kind() {
            BalanceErrorKind::NotFound => Self::error(404, "not_found", &message),
            BalanceErrorKind::Conflict => Self::error(409, "conflict", &message),
            BalanceErrorKind::InvalidAmount => Self::error(400, "invalid_amount", &message),
            _ => Self::error(500, "internal", &message),
        }
    }
}

impl From<BadRequest> for Reply {
    fn from(error: BadRequest) -> Self {
        Self::error(400, "invalid_request", &error.to_string())
    }
}

/// What an address means: the operation and the names in its path.
#[derive(Debug)]
pub(super) struct Route<'a> {
    pub(super) operation: Operation,
    names: Vec<&'a str>,
    query: HashMap<&'a str, &'a str>,
}

impl<'a> Route<'a> {
    pub(super) fn of(method: &Method, path: &'a str, query: &'a str) -> Option<Self> {
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (operation, names) = match (method.as_str(), segments.as_slice()) {
            ("PUT", ["v1", "tenants", t, "users", u, "accounts", a]) => {
                (Operation::OpenAccount, vec![*t, *u, *a])
            }
            ("GET", ["v1", "tenants", t, "users", u, "accounts", a]) => {
                (Operation::ReadAccount, vec![*t, *u, *a])
            }
            ("POST", ["v1", "tenants", t, "users", u, "accounts", a, "refresh"]) => {
                (Operation::Refresh, vec![*t, *u, *a])
            }
            ("POST", ["v1", "tenants", t, "users", u, "accounts", a, "credits"]) => {
                (Operation::Credit, vec![*t, *u, *a])
            }
            ("PUT", ["v1", "tenants", t, "users", u, "holds", turn, step]) => {
                (Operation::Hold, vec![*t, *u, *turn, *step])
            }
            ("GET", ["v1", "tenants", t, "users", u, "holds", turn, step]) => {
                (Operation::ReadHold, vec![*t, *u, *turn, *step])
            }
            ("POST", ["v1", "tenants", t, "users", u, "holds", turn, step, change]) => {
                let operation = match *change {
                    "extend" => Operation::Extend,
                    "settle" => Operation::Settle,
                    "release" => Operation::Release,
                    _ => return None,
                };
                (operation, vec![*t, *u, *turn, *step])
            }
            ("GET", ["v1", "open-holds"]) => (Operation::OpenHolds, vec![]),
            ("GET", ["v1", "accounts"]) => (Operation::ScanAccounts, vec![]),
            ("GET", ["v1", "holds"]) => (Operation::ScanHolds, vec![]),
            ("GET", ["v1", "entries"]) => (Operation::ScanEntries, vec![]),
            ("POST", ["v1", "restore"]) => (Operation::Restore, vec![]),
            ("POST", ["test", "reset"]) => (Operation::Reset, vec![]),
            _ => return None,
        };
        let query = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        Some(Self { operation, names, query })
    }

    fn name<T: FromStr<Err: std::fmt::Display>>(&self, place: usize) -> Result<T, BadRequest> {
        let text = self.names.get(place).copied().unwrap_or_default();
        text.parse().map_err(|error| BadRequest(format!("{text:?} in the path: {error}")))
    }

    fn scope(&self) -> Result<Scope, BadRequest> {
        Ok(Scope::new(self.name(0)?, self.name(1)?))
    }

    fn account(&self) -> Result<AccountId, BadRequest> {
        self.name(2)
    }

    fn step(&self) -> Result<StepKey, BadRequest> {
        Ok(StepKey { turn: self.name(2)?, step: self.name(3)? })
    }

    fn asked<T: FromStr<Err: std::fmt::Display>>(&self, key: &str) -> Result<T, BadRequest> {
        let value = self.query.get(key);
        let value = value.ok_or_else(|| BadRequest(format!("{key} is not in the query")))?;
        value.parse().map_err(|error| BadRequest(format!("{key}: {error}")))
    }

    fn limit(&self) -> Result<u32, BadRequest> {
        Ok(self.asked::<u32>("limit")?.min(PAGE_ROWS_MAX))
    }

    /// Does the work; `body` is `null` where there is none.
    pub(super) async fn work(&self, ledger: &MemoryLedger, body: Value) -> Result<Reply, Reply> {
        Ok(Reply::ok(match self.operation {
            Operation::OpenAccount
            | Operation::ReadAccount
            | Operation::Refresh
            | Operation::Credit => self.account_work(ledger, body).await?,
            Operation::Hold
            | Operation::ReadHold
            | Operation::Extend
            | Operation::Settle
            | Operation::Release => self.hold_work(ledger, body).await?,
            Operation::OpenHolds => {
                let before = at(self.asked("before_unix_ms")?);
                let holds = ledger.open_holds(before, self.limit()?).await?;
                json!({"holds": holds.iter().map(hold_row).collect::<Vec<_>>()})
            }
            Operation::ScanAccounts | Operation::ScanHolds | Operation::ScanEntries => {
                self.scan(ledger).await?
            }
            Operation::Restore => {
                ledger.restore(&rows(&body)?).await?;
                json!({})
            }
            Operation::Reset => json!({}),
        }))
    }

    async fn account_work(&self, ledger: &MemoryLedger, body: Value) -> Result<Value, Reply> {
        let (scope, id) = (self.scope()?, self.account()?);
        match self.operation {
            Operation::OpenAccount => {
                let body: OpenBody = read(body)?;
                let now = at(body.at_unix_ms);
                let account = ledger.open_account(&scope, &body.into_spec(id)?, now).await?;
                Ok(account_row(&scope.tenant, &account))
            }
            Operation::Refresh => {
                let body: RefreshBody = read(body)?;
                let now = at(body.at_unix_ms);
                let refill = body.refill.map(RefillBody::into_refill).transpose()?;
                match ledger.refresh(&scope, &id, refill.as_ref(), now).await? {
                    Some(account) => Ok(account_row(&scope.tenant, &account)),
                    None => Err(Reply::error(404, "not_found", "no such account")),
                }
            }
            Operation::Credit => {
                let body: CreditBody = read(body)?;
                Ok(entry_row(&ledger.credit(&scope, &body.into_credit(id)?).await?))
            }
            _ => match ledger.account(&scope, &id).await? {
                Some(account) => Ok(account_row(&scope.tenant, &account)),
                None => Err(Reply::error(404, "not_found", "no such account")),
            },
        }
    }

    async fn hold_work(&self, ledger: &MemoryLedger, body: Value) -> Result<Value, Reply> {
        let (scope, key) = (self.scope()?, self.step()?);
        let hold = match self.operation {
            Operation::Hold => {
                let body: HoldBody = read(body)?;
                let now = at(body.at_unix_ms);
                let request = HoldRequest { key, legs: body.into_legs()?, at: now };
                ledger.hold(&scope, &request).await?
            }
            Operation::Extend => {
                let body: ExtendBody = read(body)?;
                ledger.extend(&scope, &key, &body.into_extension()).await?
            }
            Operation::Settle => {
                let body: SettleBody = read(body)?;
                let postings = body.postings();
                let settlement = Settlement { key, postings, at: at(body.at_unix_ms) };
                ledger.settle(&scope, &settlement).await?
            }
            Operation::Release => {
                let body: ReleaseBody = read(body)?;
                ledger.release(&scope, &key, at(body.at_unix_ms)).await?
            }
            _ => match ledger.hold_of(&scope, &key).await? {
                Some(hold) => hold,
                None => return Err(Reply::error(404, "not_found", "no such hold")),
            },
        };
        Ok(hold_row(&hold))
    }

    async fn scan(&self, ledger: &MemoryLedger) -> Result<Value, Reply> {
        let limit = self.limit()?;
        let goes_on = self.query.contains_key("after_tenant");
        Ok(match self.operation {
            Operation::ScanAccounts => {
                let after = match goes_on {
                    true => Some((self.asked("after_tenant")?, self.asked("after_account")?)),
                    false => None,
                };
                let accounts = ledger.scan_accounts(after.as_ref(), limit).await?;
                let rows = accounts.iter().map(|(tenant, account)| account_row(tenant, account));
                json!({"accounts": rows.collect::<Vec<_>>()})
            }
            Operation::ScanHolds => {
                let after = match goes_on {
                    true => {
                        let (turn, step) = (self.asked("after_turn")?, self.asked("after_step")?);
                        Some((self.asked("after_tenant")?, StepKey { turn, step }))
                    }
                    false => None,
                };
                let holds = ledger.scan_holds(after.as_ref(), limit).await?;
                json!({"holds": holds.iter().map(hold_row).collect::<Vec<_>>()})
            }
            _ => {
                let entries = ledger.scan_entries(self.asked("skip")?, limit).await?;
                json!({"entries": entries.iter().map(entry_row).collect::<Vec<_>>()})
            }
        })
    }
}

fn read<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, BadRequest> {
    Ok(serde_json::from_value(body)?)
}
