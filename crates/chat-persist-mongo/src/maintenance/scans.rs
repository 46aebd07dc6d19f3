//! All turns and their steps in the order of their keys, page by page: for audits and exports.

use chat_persist::{OpenStep, TurnRecord};
use chat_types::{Scope, StepKey, TenantId, TurnId};
use mongodb::bson::{Document, doc};

use super::settling::{as_list, open_steps};
use crate::collections::TURNS;
use crate::error::{EngineResult, Outcome};
use crate::record::turn::TurnDocument;
use crate::refusal::page_rows;
use crate::turn_filters::{key, without_log};
use crate::unit::{Cut, Unit};

pub(super) async fn scan_turns(
    unit: &mut Unit<'_>,
    after: Option<&(TenantId, TurnId)>,
    limit: u32,
) -> Outcome<Vec<(Scope, TurnRecord)>> {
    let mut filter = Document::new();
    if let Some((tenant, turn)) = after {
        filter.insert("_id", doc! { "$gt": key(tenant, turn)? });
    }
    let cut = Cut::sorted(doc! { "_id": 1 }, page_rows(limit)).only(without_log());
    let found = unit.find(TURNS, filter, cut).await?;
    let turns = found.into_iter().map(|found| {
        let turn = TurnDocument::read(found)?;
        Ok((turn.scope()?, turn.record()?))
    });
    Ok(turns.collect::<EngineResult<_>>()?)
}

pub(super) async fn scan_steps(
    unit: &mut Unit<'_>,
    after: Option<&(TenantId, StepKey)>,
    limit: u32,
) -> Outcome<Vec<OpenStep>> {
    let mut from = Document::new();
    let mut rest = Document::new();
    if let Some((tenant, step)) = after {
        let turn = key(tenant, &step.turn)?;
        from.insert("_id", doc! { "$gte": turn.clone() });
        rest.insert(
            "$or",
            vec![
                doc! { "_id": { "$gt": turn } },
                doc! { "steps.step": { "$gt": i64::from(step.step) } },
            ],
        );
    }
    let rows = page_rows(limit);
    let stages = vec![
        doc! { "$match": from },
        doc! { "$sort": { "_id": 1 } },
        doc! { "$project": without_log() },
        doc! { "$unwind": "$steps" },
        doc! { "$match": rest },
        doc! { "$limit": rows },
        as_list(),
    ];
    open_steps(unit.aggregate(TURNS, stages).await?)
}
