//! The folder of one server for one run, and what is left of runs that were killed.
//!
//! The folder's name ends with the id of the process that owns it. Before a new one is made, servers of
//! owners that are gone are stopped, by the pid files in their folders, and the folders are removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::process::{self, PID_FILE};
use super::{ServiceError, programs};

/// Removed when dropped.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// A fresh folder, after the left-overs are gone.
    pub(crate) fn create(name: &str) -> Result<Self, ServiceError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let parent = programs::folder();
        let failed = |path: &Path| ServiceError::system(format!("making {}", path.display()));
        fs::create_dir_all(&parent).map_err(failed(&parent))?;
        let parent = parent.canonicalize().map_err(failed(&parent))?;
        clean(&parent);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{name}-{number}-{}", std::process::id()));
        // The number of this process may have belonged to another one before.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).map_err(failed(&path))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Stops what killed owners have left running, and removes their data.
pub fn clean_left_overs() {
    clean(&programs::folder());
}

fn clean(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        let Some(owner) = owner(&path) else { continue };
        if process::command_line(owner).is_none() {
            stop_servers(&path);
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// `NAME-NUMBER-PID`.
fn owner(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    let (rest, owner) = name.rsplit_once('-')?;
    let (_, number) = rest.rsplit_once('-')?;
    number.parse::<u32>().ok()?;
    owner.parse().ok()
}

fn stop_servers(folder: &Path) {
    let own = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let folders = own.map(|entry| entry.path()).chain([folder.to_owned()]);
    for file in folders.map(|folder| folder.join(PID_FILE)) {
        let Ok(text) = fs::read_to_string(file) else { continue };
        let Some((pid, stop)) = text.trim().split_once(' ') else { continue };
        if let Ok(pid) = pid.parse() {
            process::stop_stranger(pid, stop, folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_from_the_name() {
        assert_eq!(owner(Path::new("/t/mongo-standalone-0-4711")), Some(4711));
        for other in ["/t/up", "/t/mongo-4711", "/t/mongo-x-4711", "/t/mongo-0-x"] {
            assert_eq!(owner(Path::new(other)), None, "{other}");
        }
    }
}
