//! `bench context`: what goes into a prompt, and what it costs to have it: the branch, files, vectors, sources.
//!
//! Each part is a file of its own: `context_prompt`, `context_extraction`, `context_embedding`,
//! `context_retrieval`, `context_hostile`.

use crate::table::Table;
use crate::{
    context_embedding, context_extraction, context_hostile, context_prompt, context_retrieval,
};

pub(crate) async fn run() -> anyhow::Result<Table> {
    let mut table = Table::new("context");
    context_prompt::measure(&mut table).await?;
    context_extraction::measure(&mut table).await?;
    context_embedding::measure(&mut table).await?;
    context_retrieval::measure(&mut table).await?;
    context_hostile::measure(&mut table).await?;
    Ok(table)
}
