//! The `_id`s we make: ObjectIds that ascend in the order of writing.
//!
//! A conversation's messages are read in the order of `_id`, so one of ours is above every one
//! this process made before and above the one it must follow (its parent's), whatever the clocks
//! of other writers say.

use std::sync::{Mutex, PoisonError};

use mongodb::bson::oid::ObjectId;

/// Makes ascending ObjectIds.
#[derive(Debug, Default)]
pub(crate) struct ObjectIds {
    last: Mutex<u128>,
}

impl ObjectIds {
    /// A new one, above `above` and above all before.
    pub(crate) fn next(&self, above: Option<ObjectId>) -> ObjectId {
        let wanted = number(ObjectId::new());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let least = above.map_or(0, |above| number(above).saturating_add(1));
        let made = wanted.max(last.saturating_add(1)).max(least);
        *last = made;
        from_number(made)
    }
}

fn number(id: ObjectId) -> u128 {
    id.bytes().iter().fold(0, |number, byte| (number << 8) | u128::from(*byte))
}

fn from_number(number: u128) -> ObjectId {
    let mut bytes = [0_u8; 12];
    for (place, byte) in bytes.iter_mut().zip(number.to_be_bytes().into_iter().skip(4)) {
        *place = byte;
    }
    ObjectId::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_ascend() {
        let ids = ObjectIds::default();
        let mut last = ids.next(None);
        for _ in 0..1_000 {
            let next = ids.next(None);
            assert!(next > last);
            last = next;
        }
    }

    #[test]
    fn one_is_above_a_parent_from_a_clock_that_runs_ahead() {
        let ahead = ObjectId::from_bytes([0xf0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xff, 0xff]);
        let made = ObjectIds::default().next(Some(ahead));
        let expected = [0xf0, 1, 2, 3, 4, 5, 6, 7, 8, 0x0a, 0, 0];
        assert_eq!(made.bytes(), expected);
    }
}
