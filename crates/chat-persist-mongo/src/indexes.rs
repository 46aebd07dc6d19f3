//! All indexes of the store, made when it is opened; one that is there stays as it is.
//!
//! Each module lists what its own queries need. On LibreChat's collections the names are those
//! LibreChat gives, so that what it made is recognised.

use std::collections::BTreeMap;

use mongodb::bson::Document;
use mongodb::options::IndexOptions;
use mongodb::{Database, IndexModel};

use crate::error::EngineResult;
use crate::index::Index;

/// Every module's list.
fn all() -> Vec<Index> {
    [
        crate::conversations::indexes(),
        crate::messages::indexes(),
        crate::files::indexes(),
        crate::journal::indexes(),
        crate::events::indexes(),
        crate::maintenance::indexes(),
        crate::ledger::indexes(),
        crate::ledger_notices::indexes(),
        crate::usage::indexes(),
    ]
    .concat()
}

/// Makes those that are missing. This also makes the collections, which a transaction should not.
pub(crate) async fn create_all(database: &Database) -> EngineResult<()> {
    let mut by_collection: BTreeMap<&'static str, Vec<IndexModel>> = BTreeMap::new();
    for index in all() {
        let options = IndexOptions::builder()
            .unique(index.unique.then_some(true))
            .partial_filter_expression(index.partial)
            .build();
        let model = IndexModel::builder().keys(index.keys).options(options).build();
        by_collection.entry(index.collection).or_default().push(model);
    }
    for (name, models) in by_collection {
        database.collection::<Document>(name).create_indexes(models).await?;
    }
    Ok(())
}
