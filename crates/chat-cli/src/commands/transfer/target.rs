//! A file that is written beside its place and moved there when it is whole.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::errors::Failure;

/// A file on its way to its place.
pub(crate) struct Target {
    file: PathBuf,
    partial: PathBuf,
    handle: File,
    is_kept: bool,
}

impl Target {
    pub(crate) fn create(file: &Path) -> Result<Self, Failure> {
        let mut partial = file.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let handle = create_private(&partial).map_err(|error| unwritable(&partial, &error))?;
        Ok(Self { file: file.to_owned(), partial, handle, is_kept: false })
    }

    pub(crate) fn writer(&self) -> Result<File, Failure> {
        self.handle.try_clone().map_err(|error| unwritable(&self.partial, &error))
    }

    /// Makes it durable, then moves it over what was there.
    pub(crate) fn keep(mut self) -> Result<(), Failure> {
        self.handle.sync_all().map_err(|error| unwritable(&self.partial, &error))?;
        std::fs::rename(&self.partial, &self.file)
            .map_err(|error| unwritable(&self.file, &error))?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.is_kept {
            // The next export writes over it.
            let _stays = std::fs::remove_file(&self.partial);
        }
    }
}

/// Conversations are nobody else's business.
fn create_private(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new("file_unwritable", format!("{} cannot be written: {error}", path.display()))
}
