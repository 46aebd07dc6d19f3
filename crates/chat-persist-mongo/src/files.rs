//! Files: LibreChat's own documents, metadata only.

use chat_types::{FileId, FileRecord, Scope};

use crate::error::Outcome;
use crate::indexes::Index;
use crate::refusal::not_yet;
use crate::unit::Unit;

pub(crate) fn indexes() -> Vec<Index> {
    Vec::new()
}

pub(crate) async fn keep(_: &mut Unit<'_>, _: &Scope, _: &[FileRecord]) -> Outcome<()> {
    not_yet()
}

pub(crate) async fn read(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &[FileId],
) -> Outcome<Vec<FileRecord>> {
    not_yet()
}

/// Files of all scopes after `after`, in the order of tenant, user and id.
pub(crate) async fn scan(
    _: &mut Unit<'_>,
    _: Option<&(Scope, FileId)>,
    _: u32,
) -> Outcome<Vec<(Scope, FileRecord)>> {
    not_yet()
}
