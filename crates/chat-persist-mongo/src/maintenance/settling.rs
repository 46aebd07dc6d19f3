//! Steps whose amounts the ledger may not have yet.

use chat_persist::OpenStep;
use chat_types::{StepKey, StepState, TenantId, Timestamp};
use mongodb::bson::{Document, doc};

use crate::collections::TURNS;
use crate::error::{EngineResult, Outcome};
use crate::index::Index;
use crate::record::plain::date;
use crate::record::turn::TurnDocument;
use crate::refusal::page_rows;
use crate::turn_filters::{key, without_log};
use crate::unit::{Cut, Unit};

pub(super) fn indexes() -> Vec<Index> {
    vec![
        Index::on(TURNS, doc! { "steps.settling_since": 1 })
            .only(doc! { "steps.settling_since": { "$exists": true } }),
    ]
}

pub(super) async fn unsettled_steps(
    unit: &mut Unit<'_>,
    before: Timestamp,
    limit: u32,
) -> Outcome<Vec<OpenStep>> {
    let due = doc! { "steps.settling_since": { "$lt": date(before) } };
    let rows = page_rows(limit);
    // Each turn that is found has at least one such step.
    let stages = vec![
        doc! { "$match": due.clone() },
        doc! { "$project": without_log() },
        doc! { "$sort": { "_id": 1 } },
        doc! { "$limit": rows },
        doc! { "$unwind": "$steps" },
        doc! { "$match": due },
        doc! { "$limit": rows },
        as_list(),
    ];
    open_steps(unit.aggregate(TURNS, stages).await?)
}

/// Turns an unwound step into a list of one, so that it reads like a turn.
pub(super) fn as_list() -> Document {
    doc! { "$set": { "steps": ["$steps"] } }
}

/// Reads turns with the steps that were asked for.
pub(super) fn open_steps(found: Vec<Document>) -> Outcome<Vec<OpenStep>> {
    let mut open = Vec::with_capacity(found.len());
    for found in found {
        let turn = TurnDocument::read(found)?;
        for step in &turn.steps {
            open.push(turn.open_step(step)?);
        }
    }
    Ok(open)
}

pub(super) async fn step(
    unit: &mut Unit<'_>,
    tenant: &TenantId,
    step: &StepKey,
) -> Outcome<Option<OpenStep>> {
    let filter = doc! { "_id": key(tenant, &step.turn)?, "tenant": tenant.as_str() };
    let cut = Cut::default().only(without_log());
    let Some(found) = unit.find_one(TURNS, filter, cut).await? else {
        return Ok(None);
    };
    let turn = TurnDocument::read(found)?;
    Ok(turn.step(step.step).map(|stored| turn.open_step(stored)).transpose()?)
}

pub(super) async fn mark_settled(
    unit: &mut Unit<'_>,
    steps: &[(TenantId, StepKey)],
) -> Outcome<()> {
    let updates = steps.iter().map(settled).collect::<EngineResult<Vec<_>>>()?;
    unit.update_each(TURNS, updates).await?;
    Ok(())
}

/// The filter and the update of one step.
fn settled((tenant, step): &(TenantId, StepKey)) -> EngineResult<(Document, Document)> {
    let settling = doc! { "step": i64::from(step.step), "state": StepState::Settling.as_str() };
    let filter = doc! {
        "_id": key(tenant, &step.turn)?,
        "tenant": tenant.as_str(),
        "steps": { "$elemMatch": settling },
    };
    let update = doc! {
        "$set": { "steps.$.state": StepState::Settled.as_str() },
        "$unset": { "steps.$.settling_since": "" },
    };
    Ok((filter, update))
}
