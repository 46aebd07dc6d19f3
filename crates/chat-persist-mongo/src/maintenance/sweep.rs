//! Retention: conversations whose time is over, old event logs, and journals nobody owns any more.
//!
//! Conversations may also go without us: the server's own expiry and LibreChat delete them with
//! their messages. So each sweep looks at some turns further on whether their conversation is
//! still there, and begins again at the end.

use std::collections::{BTreeMap, BTreeSet};

use chat_persist::{Expired, Result};
use chat_types::{ConversationId, Scope, StepState, Timestamp};
use mongodb::bson::{Bson, Document, doc};

use crate::MongoStore;
use crate::collections::{CONVERSATIONS, COUNTERS, OWNERS, TURNS};
use crate::deletion;
use crate::error::{EngineResult, Failure, Outcome};
use crate::index::Index;
use crate::journal::{is_busy, remove_events, remove_turns};
use crate::record::event_log::{LOG_EXPIRING, LOG_KEPT};
use crate::record::owned;
use crate::record::plain::date;
use crate::refusal::page_rows;
use crate::unit::{Cut, Unit};

/// How many conversations go in one transaction: each may have thousands of messages, and a
/// transaction has 60 seconds.
const CONVERSATIONS_PER_UNIT: i64 = 10;

/// How many turns a sweep asks for their conversation: its query names each.
const TURNS_PER_SWEEP: i64 = 200;

/// A lease that ended so long ago says nothing any more.
const LEASE_KEPT_MS: i64 = 24 * 60 * 60 * 1_000;

/// Names the place where the next sweep goes on; no counter of numbers has this name.
const PLACE: &str = "turns_swept";

pub(super) fn indexes() -> Vec<Index> {
    vec![
        // Ended turns whose event log is there.
        Index::on(TURNS, doc! { "closed_at": 1 }).only(doc! { "log": { "$exists": true } }),
    ]
}

impl MongoStore {
    pub(super) async fn sweep_all(
        &self,
        now: Timestamp,
        logs_before: Timestamp,
        limit: u32,
    ) -> Result<Expired> {
        let conversations = self.sweep_conversations(now, page_rows(limit)).await?;
        let event_logs = self
            .write_singly("sweep event logs", (logs_before, limit), |unit, (before, limit)| {
                Box::pin(sweep_event_logs(unit, *before, page_rows(*limit)))
            })
            .await?;
        self.write_singly("sweep leases", now.plus_ms(-LEASE_KEPT_MS), |unit, before| {
            Box::pin(sweep_leases(unit, *before))
        })
        .await?;
        self.sweep_orphans().await?;
        Ok(Expired { conversations, event_logs })
    }

    async fn sweep_conversations(&self, now: Timestamp, limit: i64) -> Result<u64> {
        let (mut swept, mut rest): (u64, i64) = (0, limit);
        while rest > 0 {
            let some = rest.min(CONVERSATIONS_PER_UNIT);
            let gone: u64 = self
                .write("sweep conversations", (now, some), |unit, (now, some)| {
                    Box::pin(deletion::sweep_conversations(unit, *now, *some))
                })
                .await?;
            swept = swept.saturating_add(gone);
            rest = rest.saturating_sub(some);
            if i64::try_from(gone).is_ok_and(|gone| gone < some) {
                break;
            }
        }
        Ok(swept)
    }

    /// Removes the journals of conversations that are gone, among the next turns.
    async fn sweep_orphans(&self) -> Result<()> {
        let gone = self
            .write_singly("find journals without conversation", (), |unit, ()| {
                Box::pin(orphans(unit))
            })
            .await?;
        for orphan in gone {
            self.write("remove journal", orphan, |unit, (scope, conversation)| {
                Box::pin(remove_orphan(unit, scope, conversation))
            })
            .await?;
        }
        Ok(())
    }
}

/// Deletes the events of turns that ended before `before` and returns how many logs went. Readers
/// are told first; a log whose events a crash left behind is found again.
async fn sweep_event_logs(unit: &mut Unit<'_>, before: Timestamp, limit: i64) -> Outcome<u64> {
    let filter = doc! { "closed_at": { "$lt": date(before) }, "log": { "$exists": true } };
    let fields = doc! { "tenant": 1, "user": 1, "log": 1 };
    let cut = Cut::sorted(doc! { "closed_at": 1 }, limit).only(fields);
    let found = unit.find(TURNS, filter, cut).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let keys: Vec<&Bson> = found.iter().filter_map(|turn| turn.get("_id")).collect();
    let kept = doc! { "_id": { "$in": keys.clone() }, "log": LOG_KEPT };
    let update = doc! { "$set": { "log": LOG_EXPIRING, "tail": [] } };
    let expired = unit.update_many(TURNS, kept, update).await?.modified_count;
    let mut by_scope: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for turn in &found {
        let (Ok(tenant), Ok(user)) = (turn.get_str("tenant"), turn.get_str("user")) else {
            return Err(Failure::corrupt("a stored turn has no scope").into());
        };
        let name = turn.get_document("_id").ok().and_then(|key| key.get_str("turn").ok());
        by_scope.entry((tenant, user)).or_default().extend(name);
    }
    for (scope, turns) in by_scope {
        remove_events(unit, &scope_of(scope)?, &turns).await?;
    }
    let expiring = doc! { "_id": { "$in": keys }, "log": LOG_EXPIRING };
    unit.update_many(TURNS, expiring, doc! { "$unset": { "log": "" } }).await?;
    Ok(expired)
}

fn scope_of((tenant, user): (&str, &str)) -> EngineResult<Scope> {
    match (tenant.parse(), user.parse()) {
        (Ok(tenant), Ok(user)) => Ok(Scope::new(tenant, user)),
        _ => Err(Failure::corrupt("a stored turn has no valid scope")),
    }
}

async fn sweep_leases(unit: &mut Unit<'_>, before: Timestamp) -> Outcome<()> {
    unit.delete_many(OWNERS, doc! { "lease_until": { "$lt": date(before) } }).await?;
    Ok(())
}

/// The conversations of the next turns that are not there any more.
async fn orphans(unit: &mut Unit<'_>) -> Outcome<Vec<(Scope, ConversationId)>> {
    let place = unit.find_one(COUNTERS, doc! { "_id": PLACE }, Cut::default()).await?;
    let mut filter = Document::new();
    if let Some(last) = place.as_ref().and_then(|place| place.get("after")) {
        filter.insert("_id", doc! { "$gt": last.clone() });
    }
    let fields = doc! {
        "tenant": 1, "user": 1, "conversation": 1, "unfinished": 1, "steps.state": 1,
    };
    let cut = Cut::sorted(doc! { "_id": 1 }, TURNS_PER_SWEEP).only(fields);
    let turns = unit.find(TURNS, filter, cut).await?;
    let is_page = i64::try_from(turns.len()).is_ok_and(|count| count == TURNS_PER_SWEEP);
    let update = match turns.last().and_then(|turn| turn.get("_id")).filter(|_| is_page) {
        Some(last) => doc! { "$set": { "after": last.clone() } },
        None => doc! { "$unset": { "after": "" } },
    };
    unit.upsert_one(COUNTERS, doc! { "_id": PLACE }, update).await?;
    let mut wanted: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for turn in turns.iter().filter(|turn| is_done(turn)) {
        if let (Ok(tenant), Ok(user), Ok(conversation)) =
            (turn.get_str("tenant"), turn.get_str("user"), turn.get_str("conversation"))
        {
            wanted.entry((tenant, user)).or_default().insert(conversation);
        }
    }
    let mut gone = Vec::new();
    for (scope, conversations) in wanted {
        let scope = scope_of(scope)?;
        let there = conversations_there(unit, &scope, &conversations).await?;
        for conversation in conversations {
            if !there.contains(conversation) {
                let conversation = conversation
                    .parse()
                    .map_err(|_| Failure::corrupt("a stored turn has no valid conversation"))?;
                gone.push((scope.clone(), conversation));
            }
        }
    }
    Ok(gone)
}

fn is_done(turn: &Document) -> bool {
    let is_settling = |step: &Bson| {
        let state = step.as_document().and_then(|step| step.get_str("state").ok());
        state == Some(StepState::Settling.as_str())
    };
    turn.get_bool("unfinished").is_ok_and(|unfinished| !unfinished)
        && turn.get_array("steps").is_ok_and(|steps| !steps.iter().any(is_settling))
}

pub(super) async fn conversations_there(
    unit: &mut Unit<'_>,
    scope: &Scope,
    ids: &BTreeSet<&str>,
) -> EngineResult<BTreeSet<String>> {
    let mut filter = owned(scope);
    filter.insert("conversationId", doc! { "$in": ids.iter().copied().collect::<Vec<_>>() });
    let cut = Cut::default().only(doc! { "_id": 0, "conversationId": 1 });
    let found = unit.find(CONVERSATIONS, filter, cut).await?;
    let id = |found: &Document| found.get_str("conversationId").map(str::to_owned).ok();
    Ok(found.iter().filter_map(id).collect())
}

async fn remove_orphan(
    unit: &mut Unit<'_>,
    scope: &Scope,
    conversation: &ConversationId,
) -> Outcome<()> {
    let ids = BTreeSet::from([conversation.as_str()]);
    let there = conversations_there(unit, scope, &ids).await?;
    if there.is_empty() && !is_busy(unit, scope, conversation).await? {
        remove_turns(unit, scope, conversation).await?;
    }
    Ok(())
}
