//! The newest cluster time that this process was told of: what its next read must not be older than.
//!
//! A primary that was just elected has every acknowledged write, but for a moment it does not know
//! that a majority has them, and a majority read does not show them. A read that names the time of
//! what was acknowledged before waits until they show ("causal consistency" in MongoDB's manual).

use std::sync::atomic::{AtomicU64, Ordering};

use mongodb::ClientSession;
use mongodb::bson::Timestamp;

/// Shared by all operations of a store. Zero before the server has said anything.
#[derive(Debug, Default)]
pub(crate) struct Heard(AtomicU64);

impl Heard {
    /// Makes what `session` reads include everything that was heard of.
    pub(crate) fn tell(&self, session: &mut ClientSession) {
        let packed = self.0.load(Ordering::Acquire);
        if packed != 0 {
            session.advance_operation_time(unpacked(packed));
        }
    }

    /// Keeps the time of what `session` did.
    pub(crate) fn hear(&self, session: &ClientSession) {
        if let Some(time) = session.operation_time() {
            self.0.fetch_max(packed(time), Ordering::AcqRel);
        }
    }
}

/// In the order of time.
fn packed(at: Timestamp) -> u64 {
    (u64::from(at.time) << 32) | u64::from(at.increment)
}

#[expect(clippy::cast_possible_truncation, reason = "each half is 32 bits")]
fn unpacked(packed: u64) -> Timestamp {
    Timestamp { time: (packed >> 32) as u32, increment: packed as u32 }
}
