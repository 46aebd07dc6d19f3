//! `LostAck`: every k-th write is done, its answer lost, and the call made again.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{After, Layer, PortCall};

/// Loses the answer of every `every`-th write; the call is then made once more, and that answer is
/// kept. Reads are left alone.
#[derive(Debug)]
pub struct LostAck {
    every: u64,
    writes: AtomicU64,
}

impl LostAck {
    /// With 1, every write loses its first answer. 0 counts as 1.
    #[must_use]
    pub fn every(every: u64) -> Self {
        Self { every: every.max(1), writes: AtomicU64::new(0) }
    }

    /// Answers lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.writes.load(Ordering::Relaxed).checked_div(self.every).unwrap_or(0)
    }
}

impl Layer for LostAck {
    fn before(&self, _call: PortCall) {}

    fn after(&self, call: PortCall, made: u32) -> After {
        if !call.is_write() || made > 1 {
            return After::Keep;
        }
        let earlier = self.writes.fetch_add(1, Ordering::Relaxed);
        if earlier.saturating_add(1).is_multiple_of(self.every) {
            return After::LoseAndRepeat;
        }
        After::Keep
    }
}
