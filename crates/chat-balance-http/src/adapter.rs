//! `HttpLedger`: the port of a turn, each operation one call of the contract.
//!
//! A 409 says that the key is known with another body. The port promises more than that (settling
//! twice gives the first result, whatever the amounts), so the ledger then reads what is there and
//! lets the rules of `chat-balance` decide what the repeat means.
//! Not here: the words (`wire`), attempts (`client`), scans (`maintenance`).

use std::sync::Arc;

use async_trait::async_trait;
use chat_balance::rules::{accounts_of, accounts_of_hold, is_visible};
use chat_balance::{
    Account, AccountSpec, BalanceAdapter, BalanceErrorKind, Credit, Entry, Extension, Hold,
    HoldLeg, HoldRequest, HoldState, Refill, Result, Settlement, repeat_hold, repeat_open,
    repeat_release, repeat_settle,
};
use chat_transport::TransportAdapter;
use chat_types::{AccountId, Money, Scope, StepKey, Timestamp};
use http::Method;

use crate::client::Client;
use crate::config::HttpLedgerConfig;
use crate::error::{InvalidHttpLedgerConfig, nonsense};
use crate::place::{self, Write};
use crate::wire::{
    AccountRow, AddCredit, EntryRow, ExtendHold, HoldRow, OpenAccount, Refresh, ReleaseHold,
    SettleHold, TakeHold, credit_kind,
};

/// A ledger in a billing service. Fails closed: what it does not answer is not held.
#[derive(Debug)]
pub struct HttpLedger {
    pub(crate) client: Client,
}

impl HttpLedger {
    /// A ledger that has asked nobody yet.
    ///
    /// # Errors
    /// `InvalidHttpLedgerConfig` naming the field that cannot work.
    pub fn new(
        config: HttpLedgerConfig,
        transport: Arc<dyn TransportAdapter>,
    ) -> Result<Self, InvalidHttpLedgerConfig> {
        Ok(Self { client: Client::new(config, transport)? })
    }

    /// One of `extend`, `settle` and `release`.
    async fn change(
        &self,
        operation: &'static str,
        (write, scope, key): (Write, &Scope, &StepKey),
        more: &[&str],
        body: &(impl serde::Serialize + Sync),
    ) -> Result<Hold> {
        let path = place::hold_change(scope, key, operation);
        let named = write.key_of_step(scope, key, more);
        let row = self.client.write(operation, (Method::POST, &path), &named, body).await?;
        hold_in(operation, row, scope, key)
    }
}

#[async_trait]
impl BalanceAdapter for HttpLedger {
    async fn open_account(
        &self,
        scope: &Scope,
        spec: &AccountSpec,
        at: Timestamp,
    ) -> Result<Account> {
        const OPERATION: &str = "open account";
        let path = place::account(scope, &spec.id);
        let own = [scope.tenant.as_str(), scope.user.as_str(), spec.id.as_str()];
        let key = Write::Open.key(&own);
        let body = OpenAccount::new(spec, at);
        let opened = self.client.write(OPERATION, (Method::PUT, &path), &key, &body).await;
        match opened {
            Ok(row) => account_in(OPERATION, row, scope, &spec.id),
            Err(error) if error.kind() == BalanceErrorKind::Conflict => {
                match self.account(scope, &spec.id).await? {
                    Some(existing) => repeat_open(scope, &existing),
                    None => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn account(&self, scope: &Scope, id: &AccountId) -> Result<Option<Account>> {
        const OPERATION: &str = "read account";
        match found(self.client.get(OPERATION, &place::account(scope, id)).await)? {
            Some(row) => account_in(OPERATION, row, scope, id).map(Some),
            None => Ok(None),
        }
    }

    async fn refresh(
        &self,
        scope: &Scope,
        id: &AccountId,
        refill: Option<&Refill>,
        at: Timestamp,
    ) -> Result<Option<Account>> {
        const OPERATION: &str = "refresh";
        let path = place::refresh(scope, id);
        match found(self.client.post(OPERATION, &path, &Refresh::new(refill, at)).await)? {
            Some(row) => account_in(OPERATION, row, scope, id).map(Some),
            None => Ok(None),
        }
    }

    async fn credit(&self, scope: &Scope, credit: &Credit) -> Result<Entry> {
        const OPERATION: &str = "credit";
        let path = place::credits(scope, &credit.account);
        let body = AddCredit::from(credit);
        let (tenant, user) = (scope.tenant.as_str(), scope.user.as_str());
        let kind = credit_kind(credit.kind);
        let key = Write::Credit.key(&[tenant, user, credit.account.as_str(), kind, &credit.key]);
        let row: EntryRow =
            self.client.write(OPERATION, (Method::POST, &path), &key, &body).await?;
        let entry = Entry::try_from(row).map_err(|what| nonsense(OPERATION, what.to_string()))?;
        let is_ours = entry.scope.tenant == scope.tenant && entry.amount == credit.amount;
        if !is_ours {
            return Err(nonsense(OPERATION, "the answer is another entry than was asked for"));
        }
        Ok(entry)
    }

    async fn hold(&self, scope: &Scope, request: &HoldRequest) -> Result<Hold> {
        const OPERATION: &str = "hold";
        let path = place::hold(scope, &request.key);
        let key = Write::Hold.key_of_step(scope, &request.key, &[]);
        let body = TakeHold::from(request);
        match self.client.write(OPERATION, (Method::PUT, &path), &key, &body).await {
            Ok(row) => {
                let hold = hold_in(OPERATION, row, scope, &request.key)?;
                // What is not held on every account would be spent without cover.
                if accounts_of_hold(&hold) != accounts_of(request) {
                    return Err(nonsense(OPERATION, "the answer holds on other accounts"));
                }
                Ok(hold)
            }
            Err(error) if error.kind() == BalanceErrorKind::Conflict => {
                match self.hold_of(scope, &request.key).await? {
                    Some(existing) => repeat_hold(scope, &existing, request),
                    None => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn extend(&self, scope: &Scope, key: &StepKey, extension: &Extension) -> Result<Hold> {
        let (body, attempt) = (ExtendHold::from(extension), extension.attempt);
        let more = [&*attempt.to_string()];
        match self.change("extend", (Write::Extend, scope, key), &more, &body).await {
            Err(error) if error.kind() == BalanceErrorKind::Conflict => {
                match self.hold_of(scope, key).await? {
                    Some(existing)
                        if existing.state == HoldState::Open && attempt <= existing.extended_to =>
                    {
                        Ok(existing)
                    }
                    _ => Err(error),
                }
            }
            // A hold that does not reach this attempt would let it go out unpaid.
            Ok(hold) if hold.state != HoldState::Open || hold.extended_to < attempt => {
                Err(nonsense("extend", "the answer is a hold that was not extended"))
            }
            answered => answered,
        }
    }

    async fn settle(&self, scope: &Scope, settlement: &Settlement) -> Result<Hold> {
        let (body, key) = (SettleHold::from(settlement), &settlement.key);
        match self.change("settle", (Write::Settle, scope, key), &[], &body).await {
            Err(error) if error.kind() == BalanceErrorKind::Conflict => {
                match self.hold_of(scope, key).await? {
                    Some(existing) => repeat_settle(&existing)?.ok_or(error),
                    None => Err(error),
                }
            }
            answered => in_state("settle", HoldState::Posted, answered?),
        }
    }

    async fn release(&self, scope: &Scope, key: &StepKey, at: Timestamp) -> Result<Hold> {
        let body = ReleaseHold { at_unix_ms: at.unix_ms() };
        match self.change("release", (Write::Release, scope, key), &[], &body).await {
            Err(error) if error.kind() == BalanceErrorKind::Conflict => {
                match self.hold_of(scope, key).await? {
                    Some(existing) => repeat_release(&existing)?.ok_or(error),
                    None => Err(error),
                }
            }
            answered => in_state("release", HoldState::Released, answered?),
        }
    }

    async fn hold_of(&self, scope: &Scope, key: &StepKey) -> Result<Option<Hold>> {
        const OPERATION: &str = "read hold";
        match found(self.client.get(OPERATION, &place::hold(scope, key)).await)? {
            Some(row) => hold_in(OPERATION, row, scope, key).map(Some),
            None => Ok(None),
        }
    }
}

/// What is not found is none.
fn found<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == BalanceErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The account of an answer, if it is the one that was asked for.
fn account_in(
    operation: &'static str,
    row: AccountRow,
    scope: &Scope,
    id: &AccountId,
) -> Result<Account> {
    let (tenant, account) =
        row.into_account().map_err(|what| nonsense(operation, what.to_string()))?;
    if tenant != scope.tenant || account.id != *id || !is_visible(&account, scope) {
        return Err(nonsense(operation, "the answer is another account than was asked for"));
    }
    Ok(account)
}

/// The hold of an answer, if it is the one that was asked for and its amounts can be.
fn hold_in(operation: &'static str, row: HoldRow, scope: &Scope, key: &StepKey) -> Result<Hold> {
    let hold = Hold::try_from(row).map_err(|what| nonsense(operation, what.to_string()))?;
    if hold.scope != *scope || hold.key != *key {
        return Err(nonsense(operation, "the answer is another hold than was asked for"));
    }
    if hold.legs.is_empty() {
        return Err(nonsense(operation, "the answer is a hold on no account"));
    }
    let is_negative = |leg: &HoldLeg| {
        let lots = leg.lots.iter().map(|lot| lot.amount);
        lots.chain([leg.amount, leg.posted]).any(Money::is_negative)
    };
    if hold.legs.iter().any(is_negative) {
        return Err(nonsense(operation, "the answer has a negative amount"));
    }
    Ok(hold)
}

fn in_state(operation: &'static str, state: HoldState, hold: Hold) -> Result<Hold> {
    if hold.state != state {
        let is = hold.state.as_str();
        return Err(nonsense(operation, format!("the answer is a hold that is {is}")));
    }
    Ok(hold)
}
