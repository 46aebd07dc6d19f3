//! Where the weights are, and a cheap check that they are whole.
//!
//! Promises: an explicit path is used or refused, never replaced by another file; without one the
//! user's cache folder is looked at; nothing is downloaded and nothing is written here.
//! A file cut short is found before the first tensor is read.
//! Not here: fetching and checksums (the fetch command does both), decoding (`load`).

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::LocalError;

/// The file name of the model this crate is made for.
pub const WEIGHTS_FILE_NAME: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// Length in bytes of [`WEIGHTS_FILE_NAME`]; any other length is a damaged file.
pub const WEIGHTS_LENGTH_BYTES: u64 = 98_362_432;

/// SHA-256 of [`WEIGHTS_FILE_NAME`], for whoever fetches it. It is not computed at each load.
pub const WEIGHTS_SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

/// The first four bytes of every GGUF file.
const GGUF_MAGIC: [u8; 4] = *b"GGUF";

/// Finds the weights: `explicit` if given, else the user's cache folder.
///
/// The file is checked as [`check_weights`] does. Calling it again looks again.
///
/// # Errors
/// `WeightsMissing` names the place looked at and the command that fetches the weights;
/// otherwise as [`check_weights`].
pub fn find_weights(explicit: Option<&Path>) -> Result<PathBuf, LocalError> {
    let path = match explicit {
        Some(path) => path.to_path_buf(),
        None => cached_weights_path().ok_or_else(|| {
            LocalError::weights_missing(
                "the user's cache folder (neither XDG_CACHE_HOME nor HOME is set)",
            )
        })?,
    };
    check_weights(&path)?;
    Ok(path)
}

/// Where the weights are kept when no path is given:
/// `$XDG_CACHE_HOME/chat-runtime/models/`, with `$HOME/.cache` when the first is unset.
///
/// `None` when the environment names no home. The only place this crate reads the environment.
#[must_use]
pub fn cached_weights_path() -> Option<PathBuf> {
    let folder = cache_folder_from(std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME"))?;
    Some(folder.join("chat-runtime").join("models").join(WEIGHTS_FILE_NAME))
}

/// A relative `XDG_CACHE_HOME` is ignored, as the XDG base directory rules ask.
fn cache_folder_from(xdg_cache_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |value: OsString| Some(PathBuf::from(value)).filter(|path| path.is_absolute());
    xdg_cache_home
        .and_then(absolute)
        .or_else(|| home.and_then(absolute).map(|path| path.join(".cache")))
}

/// Checks that `path` is a readable GGUF file of a believable length, reading four bytes of it.
///
/// # Errors
/// `WeightsMissing`, `WeightsUnreadable`, or `WeightsInvalid` for a wrong start or, for the known
/// file name, a wrong length. Each names the path.
pub fn check_weights(path: &Path) -> Result<(), LocalError> {
    let mut file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => LocalError::weights_missing(&path.display().to_string()),
        _ => LocalError::weights_unreadable(path, error),
    })?;
    let metadata = file.metadata().map_err(|error| LocalError::weights_unreadable(path, error))?;
    if !metadata.is_file() {
        return Err(LocalError::weights_invalid(path, "this is not a file"));
    }
    let length_bytes = metadata.len();
    let is_known_file = path.file_name().is_some_and(|name| name == WEIGHTS_FILE_NAME);
    if is_known_file && length_bytes != WEIGHTS_LENGTH_BYTES {
        return Err(LocalError::weights_invalid(
            path,
            &format!("it has {length_bytes} bytes instead of {WEIGHTS_LENGTH_BYTES}"),
        ));
    }
    let mut magic = [0_u8; 4];
    match file.read_exact(&mut magic) {
        Ok(()) if magic == GGUF_MAGIC => Ok(()),
        Ok(()) => Err(LocalError::weights_invalid(path, "it does not start like a GGUF file")),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(LocalError::weights_invalid(path, &format!("it has only {length_bytes} bytes")))
        }
        Err(error) => Err(LocalError::weights_unreadable(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(xdg_cache_home: Option<&str>, home: Option<&str>) -> Option<PathBuf> {
        cache_folder_from(xdg_cache_home.map(OsString::from), home.map(OsString::from))
    }

    #[test]
    fn cache_folder_prefers_xdg_and_ignores_relative_values() {
        assert_eq!(folder(Some("/x"), Some("/h")), Some(PathBuf::from("/x")));
        assert_eq!(folder(Some("x"), Some("/h")), Some(PathBuf::from("/h/.cache")));
        assert_eq!(folder(Some(""), Some("/h")), Some(PathBuf::from("/h/.cache")));
        assert_eq!(folder(None, Some("/h")), Some(PathBuf::from("/h/.cache")));
        assert_eq!(folder(None, Some("")), None);
        assert_eq!(folder(None, None), None);
    }
}
