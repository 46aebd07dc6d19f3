//! Notices: written with the fact, or alone with a refusal; read, delivered and expired.

use chat_balance::{AccountUnit, Notice, NoticeKind};
use chat_types::{Scope, StepKey, TenantId, Timestamp};
use mongodb::bson::{Document, doc};

use crate::collections::NOTICES;
use crate::error::EngineResult;
use crate::index::Index;
use crate::ledger_rows::Exact;
use crate::unit::{Cut, Unit};

pub(crate) fn indexes() -> Vec<Index> {
    vec![Index::on(NOTICES, in_order())]
}

/// Oldest first, then by tenant and key, of which ids are made.
pub(crate) fn in_order() -> Document {
    doc! { "at": 1, "_id": 1 }
}

fn notice_id(tenant: &TenantId, key: &str) -> Document {
    doc! { "tenant": tenant.as_str(), "key": key }
}

/// Writes notices; one that is there stays as it is.
pub(crate) async fn note(unit: &mut Unit<'_>, notices: &[Notice]) -> EngineResult<()> {
    for notice in notices {
        let tenant = &notice.scope.tenant;
        let filter = doc! { "_id": notice_id(tenant, &notice.key), "tenant": tenant.as_str() };
        let update = doc! { "$setOnInsert": fields_of(notice) };
        unit.upsert_one(NOTICES, filter, update).await?;
    }
    Ok(())
}

/// What is beside the id and the tenant.
fn fields_of(notice: &Notice) -> Document {
    doc! {
        "user": notice.scope.user.as_str(),
        "kind": notice.kind.as_str(),
        "account": notice.account.as_str(),
        "unit": notice.unit.as_str(),
        "turn": notice.step.turn.as_str(),
        "step": i64::from(notice.step.step),
        "amount": notice.amount.nano_usd(),
        "limit": notice.limit.nano_usd(),
        "at": notice.at.unix_ms(),
    }
}

pub(crate) fn notice_of(document: &Document) -> EngineResult<Notice> {
    let fields = Exact(document);
    let id = fields.document("_id")?;
    Ok(Notice {
        scope: Scope::new(id.parsed("tenant")?, fields.parsed("user")?),
        key: id.text("key")?.to_owned(),
        kind: fields.named("kind", NoticeKind::from_stored)?,
        account: fields.parsed("account")?,
        unit: fields.named("unit", AccountUnit::from_stored)?,
        step: StepKey { turn: fields.parsed("turn")?, step: fields.small("step")? },
        amount: fields.money("amount")?,
        limit: fields.money("limit")?,
        at: fields.time("at")?,
    })
}

/// How many went.
pub(crate) async fn forget(
    unit: &mut Unit<'_>,
    notices: &[(TenantId, String)],
) -> EngineResult<u64> {
    let ids: Vec<Document> = notices.iter().map(|(tenant, key)| notice_id(tenant, key)).collect();
    let mut tenants: Vec<&str> = notices.iter().map(|(tenant, _)| tenant.as_str()).collect();
    tenants.sort_unstable();
    tenants.dedup();
    let filter = doc! { "_id": { "$in": ids }, "tenant": { "$in": tenants } };
    unit.delete_many(NOTICES, filter).await
}

pub(crate) struct ExpireNotices {
    pub(crate) before: Timestamp,
    pub(crate) limit: i64,
}

pub(crate) async fn expire(unit: &mut Unit<'_>, call: &ExpireNotices) -> EngineResult<u64> {
    let old = doc! { "at": { "$lt": call.before.unix_ms() } };
    let cut = Cut::sorted(in_order(), call.limit).only(doc! { "_id": 1 });
    let found = unit.find(NOTICES, old, cut).await?;
    let key = |document: &Document| {
        let id = Exact(document).document("_id")?;
        Ok((id.parsed("tenant")?, id.text("key")?.to_owned()))
    };
    let expired: Vec<(TenantId, String)> = found.iter().map(key).collect::<EngineResult<_>>()?;
    forget(unit, &expired).await
}
