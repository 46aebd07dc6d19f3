//! Who has a place whatever its age: system messages all, pinned units the newest first and first
//! turns the oldest first, the latter two up to their share.

use std::collections::HashSet;

use chat_types::MessageId;

use crate::entry::Entry;
use crate::start::{Reserve, SizedMessage};

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    /// What the required messages leave.
    pub(crate) room: u128,
    pub(crate) pinned: u128,
    pub(crate) first: u128,
}

/// What has its place.
#[derive(Debug, Default)]
pub(crate) struct Reservation {
    /// In the order given.
    pub(crate) units: Vec<Entry>,
    pub(crate) has_first: bool,
    /// How many units are above their share.
    pub(crate) refused: usize,
}

/// Reserves `units`, oldest first; what is `known` has its place already.
pub(crate) fn reserve(
    units: &[(Reserve, Vec<SizedMessage<'_>>)],
    mut known: HashSet<MessageId>,
    shares: Shares,
) -> Reservation {
    let of = |wanted: Reserve| {
        let units = units.iter().enumerate().filter(move |(_, (why, _))| *why == wanted);
        units.map(|(place, (_, unit))| (place, unit))
    };
    let mut reservation = Reservation::default();
    let mut taken: Vec<(usize, Entry)> = Vec::new();
    let mut room = shares.room;
    let mut left = [u128::MAX, shares.pinned, shares.first];
    let in_order = of(Reserve::System).chain(of(Reserve::Pinned).rev()).chain(of(Reserve::First));
    for (place, unit) in in_order {
        if unit.is_empty() || unit.iter().any(|sized| known.contains(&sized.message.id)) {
            continue;
        }
        let why = units.get(place).map_or(Reserve::First, |(why, _)| *why);
        let [system, pinned, first] = &mut left;
        let left = match why {
            Reserve::System => system,
            Reserve::Pinned => pinned,
            Reserve::First => first,
        };
        let entry = Entry::reserved(unit);
        let size = entry.size(0);
        if size > *left || (size > room && why != Reserve::System) {
            reservation.refused = reservation.refused.saturating_add(1);
            if why == Reserve::First {
                // What follows a first turn that is missing is no first turn any more.
                *left = 0;
            }
            continue;
        }
        *left = left.saturating_sub(size);
        room = room.saturating_sub(size);
        reservation.has_first |= why == Reserve::First;
        known.extend(unit.iter().map(|sized| sized.message.id.clone()));
        taken.push((place, entry));
    }
    taken.sort_by_key(|(place, _)| *place);
    reservation.units = taken.into_iter().map(|(_, entry)| entry).collect();
    reservation
}
