//! Files: what is known of them, per scope.

use std::collections::BTreeMap;

use chat_types::{FileId, FileRecord, Scope};

use crate::{PersistErrorKind, Result};

use super::{State, refused};

impl State {
    pub(super) fn keep_files(&mut self, scope: &Scope, files: &[FileRecord]) -> Result<()> {
        let space = self.spaces.entry(scope.clone()).or_default();
        let mut new: BTreeMap<&FileId, &FileRecord> = BTreeMap::new();
        for file in files {
            let known = space.files.get(&file.id).or_else(|| new.get(&file.id).copied());
            match known {
                Some(known) if known == file => {}
                Some(_) => {
                    let detail = format!("file id {} stands for another record", file.id);
                    return refused(PersistErrorKind::Conflict, "keep files", detail);
                }
                None => {
                    new.insert(&file.id, file);
                }
            }
        }
        let new = new.into_iter().map(|(id, file)| (id.clone(), file.clone()));
        space.files.extend(new);
        Ok(())
    }

    pub(super) fn files(&self, scope: &Scope, ids: &[FileId]) -> Vec<FileRecord> {
        let Some(space) = self.spaces.get(scope) else {
            return Vec::new();
        };
        ids.iter().filter_map(|id| space.files.get(id)).cloned().collect()
    }
}
