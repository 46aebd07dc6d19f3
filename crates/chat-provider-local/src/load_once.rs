//! A value that is loaded at its first use; a load that failed is tried again.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::LocalError;

/// Holds the lock while loading, so that everyone else waits for the one load.
pub(crate) fn load_once<T>(
    slot: &Mutex<Option<Arc<T>>>,
    load: impl FnOnce() -> Result<T, LocalError>,
) -> Result<Arc<T>, LocalError> {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = slot.as_ref() {
        return Ok(Arc::clone(loaded));
    }
    let loaded = Arc::new(load()?);
    *slot = Some(Arc::clone(&loaded));
    Ok(loaded)
}
