//! The JSON of one notice, version 1.
//!
//! Amounts are integers in the account's unit, times whole milliseconds of the Unix epoch. New
//! members may come; a receiver ignores those it does not know.

use chat_balance::Notice;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct NoticeBody<'a> {
    v: u32,
    id: String,
    kind: &'static str,
    text: String,
    tenant: &'a str,
    user: &'a str,
    account: &'a str,
    unit: &'static str,
    amount: i64,
    limit: i64,
    turn: &'a str,
    step: u32,
    at_unix_ms: i64,
}

impl<'a> From<&'a Notice> for NoticeBody<'a> {
    fn from(notice: &'a Notice) -> Self {
        Self {
            v: 1,
            id: id_of(notice),
            kind: notice.kind.as_str(),
            text: notice.text(),
            tenant: notice.scope.tenant.as_str(),
            user: notice.scope.user.as_str(),
            account: notice.account.as_str(),
            unit: notice.unit.as_str(),
            amount: notice.amount.nano_usd(),
            limit: notice.limit.nano_usd(),
            turn: notice.step.turn.as_str(),
            step: notice.step.step,
            at_unix_ms: notice.at.unix_ms(),
        }
    }
}

/// What a notice is known by, over all tenants.
pub(crate) fn id_of(notice: &Notice) -> String {
    format!("{}/{}", notice.scope.tenant, notice.key)
}
