//! Who lives and who shall stop: leases, stop flags, lapsed turns, takeovers.

use chat_persist::{Fence, LapsedTurn};
use chat_types::{OwnerId, Timestamp, TurnId};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use crate::collections::{OWNERS, TURNS};
use crate::error::{EngineResult, Failure, Outcome};
use crate::index::Index;
use crate::journal::pending;
use crate::record::plain::{date, int64, unsigned};
use crate::record::turn::TurnDocument;
use crate::refusal::{PAGE_ROWS_MAX, page_rows};
use crate::turn_filters::{OPEN_TURN, by_id, changed_meanwhile, without_log};
use crate::turns::read;
use crate::unit::{Cut, Unit};

/// The most processes that live at one time; a query names each. Beyond, some turns of live owners
/// would count as lapsed, so the read is refused.
const LIVE_OWNERS_MAX: i64 = 10_000;

pub(super) fn indexes() -> Vec<Index> {
    vec![
        // Running turns by owner, and among them those that shall stop.
        Index::on(TURNS, doc! { "owner": 1, "stop_requested": 1, "_id": 1 })
            .only(doc! { "unfinished": true }),
        Index::on(OWNERS, doc! { "lease_until": 1 }),
    ]
}

pub(super) async fn heartbeat(
    unit: &mut Unit<'_>,
    owner: &OwnerId,
    lease_until: Timestamp,
) -> Outcome<()> {
    let update = doc! { "$set": { "lease_until": date(lease_until) } };
    unit.upsert_one(OWNERS, doc! { "_id": owner.as_str() }, update).await?;
    Ok(())
}

pub(super) async fn retire(unit: &mut Unit<'_>, owner: &OwnerId) -> Outcome<()> {
    unit.delete_many(OWNERS, doc! { "_id": owner.as_str() }).await?;
    Ok(())
}

pub(super) async fn stop_flags(unit: &mut Unit<'_>, owner: &OwnerId) -> Outcome<Vec<TurnId>> {
    let filter = doc! {
        "owner": owner.as_str(),
        "unfinished": true,
        "stop_requested": true,
        "state": { "$in": OPEN_TURN.to_vec() },
    };
    let cut = Cut::sorted(doc! { "_id": 1 }, 0).only(doc! { "_id": 1 });
    let found = unit.find(TURNS, filter, cut).await?;
    Ok(found.iter().map(turn_of).collect::<EngineResult<_>>()?)
}

fn turn_of(found: &Document) -> EngineResult<TurnId> {
    found
        .get_document("_id")
        .ok()
        .and_then(|key| key.get_str("turn").ok())
        .and_then(|turn| turn.parse().ok())
        .ok_or_else(|| Failure::corrupt("a stored turn has no valid id"))
}

/// Finds lapsed turns; on a server without transactions it first finishes what they left pending.
pub(super) async fn lapsed_turns(
    unit: &mut Unit<'_>,
    now: Timestamp,
    limit: u32,
    has_transactions: bool,
) -> Outcome<Vec<LapsedTurn>> {
    let live = live_owners(unit, now, None).await?;
    let lapsed = || doc! { "unfinished": true, "owner": { "$nin": live.clone() } };
    if !has_transactions {
        pending::finish_all(unit, lapsed(), PAGE_ROWS_MAX).await?;
    }
    let mut filter = lapsed();
    filter.insert("state", doc! { "$in": OPEN_TURN.to_vec() });
    let cut = Cut::sorted(doc! { "_id": 1 }, page_rows(limit)).only(without_log());
    let found = unit.find(TURNS, filter, cut).await?;
    let found = found.into_iter().map(TurnDocument::read).collect::<EngineResult<Vec<_>>>()?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    // An owner whose first heartbeat came between the two reads is alive.
    let owners = found.iter().map(|turn| Bson::from(turn.owner.as_str())).collect();
    let live = live_owners(unit, now, Some(owners)).await?;
    let lapsed = found.iter().filter(|turn| !live.contains(&Bson::from(turn.owner.as_str())));
    let lapsed = lapsed.map(|turn| {
        let epoch = unsigned(turn.epoch)?;
        Ok(LapsedTurn { scope: turn.scope()?, turn: turn.id()?, epoch, at: now })
    });
    Ok(lapsed.collect::<EngineResult<_>>()?)
}

/// The owners, all or of `among`, whose lease goes beyond `now`.
async fn live_owners(
    unit: &mut Unit<'_>,
    now: Timestamp,
    among: Option<Vec<Bson>>,
) -> EngineResult<Vec<Bson>> {
    let mut filter = doc! { "lease_until": { "$gt": date(now) } };
    if let Some(among) = among {
        filter.insert("_id", doc! { "$in": among });
    }
    let cut = Cut::sorted(doc! { "lease_until": -1 }, LIVE_OWNERS_MAX).only(doc! { "_id": 1 });
    let found = unit.find(OWNERS, filter, cut).await?;
    if i64::try_from(found.len()).is_ok_and(|count| count >= LIVE_OWNERS_MAX) {
        return Err(Failure::corrupt("there are more live owners than processes can be"));
    }
    Ok(found.into_iter().filter_map(|mut owner| owner.remove("_id")).collect())
}

/// Raises the epoch; `call` names this call, also when it runs again.
pub(super) async fn take_over(
    unit: &mut Unit<'_>,
    lapsed: &LapsedTurn,
    owner: &OwnerId,
    call: ObjectId,
) -> Outcome<Option<Fence>> {
    let Some(epoch) = lapsed.epoch.checked_add(1) else {
        return Ok(None);
    };
    let LapsedTurn { scope, turn, at, .. } = lapsed.clone();
    let Some(found) = read(unit, &scope, &turn).await? else {
        return Ok(None);
    };
    // This same call, when it ran before and its acknowledgement was lost.
    let is_own = found.calls.take_over == Some(call) && unsigned(found.epoch)? == epoch;
    if is_own {
        return Ok(Some(Fence { scope, turn, epoch }));
    }
    if unsigned(found.epoch)? != lapsed.epoch || found.state()?.is_terminal() {
        return Ok(None);
    }
    let present = vec![Bson::from(found.owner.as_str())];
    if !live_owners(unit, at, Some(present)).await?.is_empty() {
        return Ok(None);
    }
    let mut filter = by_id(&scope, &turn)?;
    filter.insert("epoch", int64(lapsed.epoch)?);
    filter.insert("state", doc! { "$in": OPEN_TURN.to_vec() });
    filter.insert("pending", Bson::Null);
    // An owner that beat since its lease was read may have opened a step since the turn was read.
    filter.insert("steps", doc! { "$size": i64::try_from(found.steps.len()).unwrap_or(i64::MAX) });
    let raised = doc! {
        "epoch": int64(epoch)?, "owner": owner.as_str(), "calls.take_over": call,
    };
    if unit.update_one(TURNS, filter, doc! { "$set": raised }).await?.matched_count == 1 {
        return Ok(Some(Fence { scope, turn, epoch }));
    }
    Err(changed_meanwhile())
}
