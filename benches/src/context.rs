//! `bench context`: what goes into a prompt, and what it costs to have it: the branch, files, vectors, sources.

mod corpus;
mod embedding;
mod extraction;
mod files;
mod hostile;
mod hostile_files;
mod prompt;
mod retrieval;

use crate::table::Table;

pub(crate) async fn run() -> anyhow::Result<Table> {
    let mut table = Table::new("context");
    prompt::measure(&mut table).await?;
    extraction::measure(&mut table).await?;
    embedding::measure(&mut table).await?;
    retrieval::measure(&mut table).await?;
    hostile::measure(&mut table).await?;
    Ok(table)
}
