//! Restoring the rows of another ledger: all or none, in the order given.

use std::collections::BTreeMap;

use chat_balance::{BalanceError, LedgerRows, repeat_restore};
use mongodb::bson::{Document, doc};

use crate::collections::{ACCOUNTS, ENTRIES, HOLDS};
use crate::error::{EngineResult, Outcome};
use crate::ledger_places::Written;
use crate::ledger_rows::{
    account_document, account_of, entry_document, entry_of, hold_document, hold_of,
};
use crate::unit::{Cut, Unit};

/// Keys of one read: a filter of this many stays far below the size of a document.
const KEYS_MAX: usize = 1_000;

pub(crate) async fn restore(unit: &mut Unit<'_>, rows: &LedgerRows) -> Outcome<(), BalanceError> {
    let accounts = rows.accounts.iter().map(|row| (account_document(&row.0, &row.1), row));
    restore_in(unit, ACCOUNTS, accounts.collect(), account_of).await?;
    let holds = rows.holds.iter().map(|row| (hold_document(row), row));
    restore_in(unit, HOLDS, holds.collect(), hold_of).await?;
    let entries = rows.entries.iter().map(|row| (entry_document(row, Document::new()), row));
    restore_in(unit, ENTRIES, entries.collect(), entry_of).await
}

async fn restore_in<Row: PartialEq + Clone + Sync + Send>(
    unit: &mut Unit<'_>,
    collection: &'static str,
    arriving: Vec<(Document, &Row)>,
    read: fn(&Document) -> EngineResult<Row>,
) -> Outcome<(), BalanceError> {
    let mut written = None;
    for chunk in arriving.chunks(KEYS_MAX) {
        let mut tenants = Vec::new();
        let mut ids = Vec::with_capacity(chunk.len());
        for (document, _) in chunk {
            tenants.extend(
                document.get("tenant").filter(|tenant| !tenants.contains(*tenant)).cloned(),
            );
            ids.extend(document.get("_id").cloned());
        }
        let filter = doc! { "_id": { "$in": ids }, "tenant": { "$in": tenants } };
        let mut known = BTreeMap::new();
        for stored in unit.find(collection, filter, Cut::default()).await? {
            known.insert(key_of(&stored), read(&stored)?);
        }
        let mut new = Vec::new();
        for (document, row) in chunk {
            let key = key_of(document);
            if repeat_restore(known.get(&key), *row)? {
                continue;
            }
            known.insert(key, (*row).clone());
            let mut document = document.clone();
            if document.contains_key("written") {
                let written = match &mut written {
                    Some(written) => written,
                    none => none.insert(Written::by(unit)?),
                };
                document.insert("written", written.next());
            }
            new.push(document);
        }
        unit.insert_many(collection, &new).await?;
    }
    Ok(())
}

/// Equal for documents of equal ids, which hold text and integers only.
fn key_of(document: &Document) -> String {
    document.get("_id").map(ToString::to_string).unwrap_or_default()
}
