//! Turns that ended in another store.

use std::collections::{BTreeMap, BTreeSet};

use chat_persist::{PersistErrorKind, TurnRecord};
use chat_types::{Scope, TenantId, TurnId};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};

use super::sweep::conversations_there;
use crate::collections::TURNS;
use crate::error::{EngineResult, Outcome};
use crate::record::plain::document;
use crate::record::turn::TurnDocument;
use crate::refusal::refused;
use crate::turn_filters::{key, without_log};
use crate::unit::{Cut, Unit};

const OPERATION: &str = "restore turns";

/// How many turns one query or insert names: their documents stay far below a command's 48 MB.
const TURNS_PER_COMMAND: usize = 500;

/// What the store has of the ids and keys that arrive.
#[derive(Default)]
struct There {
    conversations: BTreeSet<(Scope2, String)>,
    turns: BTreeMap<(String, String), TurnDocument>,
    keys: BTreeSet<(Scope2, String)>,
}

/// Tenant and user; scopes have no order of their own.
type Scope2 = (String, String);

fn ordered(scope: &Scope) -> Scope2 {
    (scope.tenant.as_str().to_owned(), scope.user.as_str().to_owned())
}

pub(super) async fn restore_turns(
    unit: &mut Unit<'_>,
    turns: &[(Scope, TurnRecord)],
) -> Outcome<()> {
    let there = look(unit, turns).await?;
    let new = check(&there, turns)?;
    for some in new.chunks(TURNS_PER_COMMAND) {
        let documents = some
            .iter()
            .map(|(scope, record)| {
                document(&TurnDocument::restored(scope, record, ObjectId::new())?)
            })
            .collect::<EngineResult<Vec<_>>>()?;
        unit.insert_many(TURNS, &documents).await?;
    }
    Ok(())
}

/// Those that are to be written; the others are there alike.
fn check<'t>(
    there: &There,
    turns: &'t [(Scope, TurnRecord)],
) -> Outcome<Vec<(&'t Scope, &'t TurnRecord)>> {
    let mut arriving: BTreeMap<(&TenantId, &TurnId), (&Scope, &TurnRecord)> = BTreeMap::new();
    let mut arriving_keys = BTreeSet::new();
    for (scope, record) in turns {
        record.check_ended()?;
        let turn = &record.turn;
        let conversation = (ordered(scope), turn.conversation.as_str().to_owned());
        if !there.conversations.contains(&conversation) {
            let detail = format!("there is no conversation {}", turn.conversation);
            return refused(PersistErrorKind::NotFound, OPERATION, detail);
        }
        let name = (scope.tenant.as_str().to_owned(), turn.id.as_str().to_owned());
        let is_same = match (there.turns.get(&name), arriving.get(&(&scope.tenant, &turn.id))) {
            (Some(found), _) => Some(found.is_of(scope) && found.record()?.is_same_end(record)),
            (None, Some((first, same))) => Some(*first == scope && same.is_same_end(record)),
            (None, None) => None,
        };
        match is_same {
            Some(true) => continue,
            Some(false) => {
                let detail = format!("turn id {} is taken", turn.id);
                return refused(PersistErrorKind::Conflict, OPERATION, detail);
            }
            None => {}
        }
        if let Some(wanted) = &turn.idempotency_key {
            let wanted = (ordered(scope), wanted.as_str().to_owned());
            if there.keys.contains(&wanted) || !arriving_keys.insert(wanted) {
                let detail = format!("the idempotency key of turn {} is taken", turn.id);
                return refused(PersistErrorKind::Conflict, OPERATION, detail);
            }
        }
        arriving.insert((&scope.tenant, &turn.id), (scope, record));
    }
    Ok(arriving.into_values().collect())
}

async fn look(unit: &mut Unit<'_>, turns: &[(Scope, TurnRecord)]) -> Outcome<There> {
    let mut there = There::default();
    let mut by_scope: BTreeMap<Scope2, (&Scope, BTreeSet<&str>, Vec<&str>)> = BTreeMap::new();
    for (scope, record) in turns {
        let entry = by_scope.entry(ordered(scope)).or_insert((scope, BTreeSet::new(), Vec::new()));
        entry.1.insert(record.turn.conversation.as_str());
        entry.2.extend(record.turn.idempotency_key.as_ref().map(|key| key.as_str()));
    }
    for (name, (scope, conversations, keys)) in by_scope {
        let found = conversations_there(unit, scope, &conversations).await?;
        there.conversations.extend(found.into_iter().map(|id| (name.clone(), id)));
        for some in keys.chunks(TURNS_PER_COMMAND) {
            let filter = doc! {
                "tenant": scope.tenant.as_str(),
                "user": scope.user.as_str(),
                "idempotency_key": { "$in": some.to_vec() },
            };
            let cut = Cut::default().only(doc! { "_id": 0, "idempotency_key": 1 });
            let found = unit.find(TURNS, filter, cut).await?;
            let key = |found: &Document| found.get_str("idempotency_key").map(str::to_owned).ok();
            there.keys.extend(found.iter().filter_map(key).map(|key| (name.clone(), key)));
        }
    }
    for some in turns.chunks(TURNS_PER_COMMAND) {
        let keys = some
            .iter()
            .map(|(scope, record)| key(&scope.tenant, &record.turn.id))
            .collect::<EngineResult<Vec<_>>>()?;
        let cut = Cut::default().only(without_log());
        for found in unit.find(TURNS, doc! { "_id": { "$in": keys } }, cut).await? {
            let found = TurnDocument::read(found)?;
            there.turns.insert((found.key.tenant.clone(), found.key.turn.clone()), found);
        }
    }
    Ok(there)
}
