//! The ladder: applies the rungs of a policy to a history that is read newest first.
//!
//! Reading goes on while a unit fits in its shortest form, so rungs that shorten make the reading
//! go further back, and a turn still costs what its window holds. What is really shortened and
//! where history is cut is decided at the end (`finish`).
//! Invariant: what is taken in its shortest form is at most the budget, for any numbers.
//! Not here: whole lists (`whole`), what a unit is (`unit`).

use chat_types::{ContentPart, MessageId, Role, Tokens};

use crate::cut::wide_share;
use crate::entry::{Entry, Standing};
use crate::fill::Offer;
use crate::plan::{DropReason, GAP_TEXT, TooLarge};
use crate::policy::{TruncationPolicy, WindowStart};
use crate::reserve::{Reservation, Shares, reserve};
use crate::rung::{Rung, Summarise};
use crate::shrink::{CountMessage, Place, Shrinker};
use crate::start::{LadderStart, Reserve, SizedMessage};

/// Why nothing more is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Full,
    EarlierCut,
    TooLarge,
}

/// Takes units newest first; [`Ladder::finish`] says what becomes of each.
#[derive(Debug)]
pub struct Ladder {
    pub(crate) start: WindowStart,
    pub(crate) block_percent: u32,
    pub(crate) summarise: Option<Summarise>,
    pub(crate) shrinkers: Vec<Shrinker>,
    pub(crate) budget: Tokens,
    /// The budget without priming. Sums are held in a type that cannot overflow.
    pub(crate) room: u128,
    pub(crate) cut_before: Option<MessageId>,
    /// What is taken, by how many of the shrinkers are applied; never empty.
    pub(crate) taken: Vec<u128>,
    /// Oldest first.
    pub(crate) required: Vec<Entry>,
    pub(crate) required_tokens: u128,
    /// Oldest first; those that were offered since are gone from here.
    pub(crate) reserved: Vec<Entry>,
    /// The size of the mark that stands where the middle was left out; none: nothing stands there.
    pub(crate) gap_tokens: Option<Tokens>,
    /// Newest first.
    pub(crate) offered: Vec<Entry>,
    turns: u32,
    is_answered: bool,
    pub(crate) end: Option<End>,
    pub(crate) too_large: Option<TooLarge>,
    pub(crate) notes: Vec<String>,
}

impl Ladder {
    /// Starts with what must be sent and what is reserved.
    ///
    /// If what must be sent does not fit, its tool results are shortened by the policy's rungs,
    /// never what the user said; if it does not fit even so, every offer is `Full`.
    #[must_use]
    pub fn new(
        policy: &TruncationPolicy,
        start: &LadderStart<'_>,
        count: &CountMessage<'_>,
    ) -> Self {
        let rungs = policy.rungs();
        let shrinkers: Vec<Shrinker> =
            rungs.iter().filter_map(|rung| Shrinker::of(rung, start.shares_of)).collect();
        let middle_out = policy.middle_out();
        let summarise = rungs.iter().find_map(|rung| match rung {
            Rung::Summarise(summarise) => Some(summarise.clone()),
            _ => None,
        });
        let room = start.budget.checked_minus(start.priming);
        let mut ladder = Self {
            // A gap ends where a turn begins, so that its mark stands before a user's words.
            start: if middle_out.is_some() { WindowStart::User } else { policy.start },
            block_percent: policy.block_percent(),
            summarise,
            taken: vec![0; shrinkers.len().saturating_add(1)],
            shrinkers,
            budget: start.budget,
            room: room.map_or(0, wide),
            cut_before: start.cut_before.clone(),
            required: Vec::new(),
            required_tokens: 0,
            reserved: Vec::new(),
            gap_tokens: None,
            offered: Vec::new(),
            turns: 0,
            is_answered: false,
            end: room.is_none().then_some(End::Full),
            too_large: None,
            notes: Vec::new(),
        };
        ladder.require(start, count);
        let has_first = ladder.reserve(policy, start);
        if ladder.taken.first().is_some_and(|taken| *taken > ladder.room)
            || (room.is_none() && !ladder.required.is_empty())
        {
            ladder.refuse();
        }
        if middle_out.is_some() && has_first {
            ladder.gap_tokens = Some(count(Role::User, &[ContentPart::text(GAP_TEXT)]));
        }
        ladder
    }

    /// Takes `tokens` for what is no message but stands among them, for example a summary. `Full`:
    /// they do not fit, and nothing was taken; something smaller still may.
    pub fn take(&mut self, tokens: Tokens) -> Offer {
        if self.end == Some(End::TooLarge) || !self.fits(wide(tokens)) {
            return Offer::Full;
        }
        self.charge(wide(tokens));
        Offer::Kept
    }

    /// Offers the next older unit, its messages oldest first.
    ///
    /// `Kept`: it may be sent, read on. `Full`: nothing older is sent except what is reserved, so
    /// stop reading. Offering more is safe; it is planned as left out.
    pub fn offer(&mut self, unit: &[SizedMessage<'_>], count: &CountMessage<'_>) -> Offer {
        if !unit.is_empty() {
            self.offer_unit(unit, count);
        }
        if self.end.is_some() { Offer::Full } else { Offer::Kept }
    }

    fn offer_unit(&mut self, unit: &[SizedMessage<'_>], count: &CountMessage<'_>) {
        let is_reserved = self.release(unit);
        if self.end.is_none() && self.block_percent > 0 && self.holds_cut(unit) {
            self.end = Some(End::EarlierCut);
        }
        let turn = self.turns.saturating_add(1);
        let is_whole = is_reserved || self.end.is_some();
        let shrinkers: &[Shrinker] = if is_whole { &[] } else { &self.shrinkers };
        let place = Place { turn, is_answered: self.is_answered, is_emergency: false };
        let mut entry = Entry::new(unit, shrinkers, place, count);
        self.is_answered |= entry.has_assistant;
        if entry.starts_turn {
            self.turns = turn;
        }
        let may_take = match self.end {
            None => true,
            Some(End::Full | End::EarlierCut) => is_reserved,
            Some(End::TooLarge) => false,
        };
        entry.standing = if may_take && self.fits(entry.size(self.shrinkers.len())) {
            for (level, taken) in self.taken.iter_mut().enumerate() {
                *taken = taken.saturating_add(entry.size(level));
            }
            if is_reserved { Standing::Reserved } else { Standing::Fits }
        } else {
            Standing::Left(match self.end.get_or_insert(End::Full) {
                End::Full => DropReason::DoesNotFit,
                End::EarlierCut => DropReason::BeforeCut,
                End::TooLarge => DropReason::NothingFits,
            })
        };
        self.offered.push(entry);
    }

    /// What is left of the budget if everything is in its shortest form.
    #[must_use]
    pub fn remaining(&self) -> Tokens {
        narrow(self.room.saturating_sub(self.shortest()))
    }

    /// There is no reason to read on.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.end.is_some()
    }

    /// Takes what must be sent, in the longest form that fits beside the system messages.
    fn require(&mut self, start: &LadderStart<'_>, count: &CountMessage<'_>) {
        let size_of = |unit: &[SizedMessage<'_>]| -> u128 {
            unit.iter().map(|sized| wide(sized.tokens)).sum()
        };
        let systems = start.reserved.iter().filter(|(why, _)| *why == Reserve::System);
        let room = self.room.saturating_sub(systems.map(|(_, unit)| size_of(unit)).sum());
        let required = &start.required;
        let is_emergency = size_of(required) > room;
        let shrinkers: &[Shrinker] = if is_emergency { &self.shrinkers } else { &[] };
        for sized in required.iter().rev() {
            let place = Place { turn: 0, is_answered: self.is_answered, is_emergency };
            let entry = Entry::new(&[*sized], shrinkers, place, count);
            self.is_answered |= entry.has_assistant;
            self.required.push(entry);
        }
        self.required.reverse();
        let size = |level| self.required.iter().map(|entry| entry.size(level)).sum::<u128>();
        let level = (0..shrinkers.len()).find(|level| size(*level) <= room);
        let level = level.unwrap_or(shrinkers.len());
        self.required_tokens = size(level);
        if level > 0 {
            self.notes
                .push("the current turn did not fit: its tool results were shortened".to_owned());
        }
        for entry in &mut self.required {
            entry.fix(level);
        }
        self.charge(self.required_tokens);
    }

    /// Takes what has its place besides. True if a first turn was taken.
    fn reserve(&mut self, policy: &TruncationPolicy, start: &LadderStart<'_>) -> bool {
        let pieces = self.required.iter().flat_map(|entry| &entry.messages);
        let known = pieces.map(|piece| piece.id.clone()).collect();
        let first_percent = policy.middle_out().map_or(0, |middle| middle.first_percent);
        let shares = Shares {
            room: self.room.saturating_sub(self.required_tokens),
            pinned: wide_share(self.room, policy.pinned_percent()),
            first: wide_share(self.room, first_percent),
        };
        let Reservation { units, has_first, refused } = reserve(&start.reserved, known, shares);
        if refused > 0 {
            self.notes.push(format!(
                "{refused} pinned or first unit(s) are above their share of the budget and were \
                 treated as any other"
            ));
        }
        self.charge(units.iter().map(|entry| entry.size(0)).sum());
        self.reserved = units;
        has_first
    }

    /// Nothing can be sent; says which of what must be is the largest.
    fn refuse(&mut self) {
        let pieces = self.reserved.iter().chain(&self.required).flat_map(|entry| &entry.messages);
        self.too_large = pieces.max_by_key(|piece| piece.tokens).map(|piece| TooLarge {
            message: piece.id.clone(),
            role: piece.role,
            message_tokens: piece.tokens,
            tokens: narrow(self.shortest()),
            available: narrow(self.room),
        });
        self.end = Some(End::TooLarge);
    }

    /// Gives back what was reserved for this unit: it is counted where it stands. True if it was.
    fn release(&mut self, unit: &[SizedMessage<'_>]) -> bool {
        let before = self.reserved.len();
        if before == 0 {
            return false;
        }
        let mut size = 0_u128;
        self.reserved.retain(|entry| {
            let is_here = entry.holds(unit);
            if is_here {
                size = size.saturating_add(entry.size(0));
            }
            !is_here
        });
        for taken in &mut self.taken {
            *taken = taken.saturating_sub(size);
        }
        self.reserved.len() < before
    }

    fn holds_cut(&self, unit: &[SizedMessage<'_>]) -> bool {
        self.cut_before.as_ref().is_some_and(|cut| unit.iter().any(|s| &s.message.id == cut))
    }

    /// What is taken if everything is in its shortest form.
    pub(crate) fn shortest(&self) -> u128 {
        self.taken.last().copied().unwrap_or(0)
    }

    fn fits(&self, size: u128) -> bool {
        self.shortest().saturating_add(size) <= self.room
    }

    fn charge(&mut self, size: u128) {
        for taken in &mut self.taken {
            *taken = taken.saturating_add(size);
        }
    }
}

pub(crate) fn wide(tokens: Tokens) -> u128 {
    u128::from(tokens.get())
}

pub(crate) fn narrow(tokens: u128) -> Tokens {
    Tokens::new(u64::try_from(tokens).unwrap_or(u64::MAX))
}
