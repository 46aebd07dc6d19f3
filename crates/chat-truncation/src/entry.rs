//! A unit as the ladder remembers it: ids and sizes, and its shorter forms if it has any.

use chat_types::{MessageId, Role, Tokens};

use crate::cut::Candidate;
use crate::plan::{DropReason, Fate, Planned};
use crate::shrink::{CountMessage, Place, Shrinker, Version, versions};
use crate::start::SizedMessage;
use crate::unit::starts_turn;

/// Where a unit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has its place, whatever else is left out.
    Reserved,
    /// It fits.
    Fits,
    /// It is not sent.
    Left(DropReason),
}

/// One message of a unit.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) id: MessageId,
    pub(crate) role: Role,
    pub(crate) tokens: Tokens,
    /// By rising level.
    versions: Vec<Version>,
}

impl Piece {
    fn at(&self, level: usize) -> Option<&Version> {
        self.versions.iter().rfind(|version| version.level <= level)
    }

    fn size(&self, level: usize) -> u128 {
        let tokens = self.at(level).map_or(self.tokens, |version| version.tokens);
        u128::from(tokens.get())
    }
}

/// A unit; `level` is how many of the rungs that shorten are applied.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Oldest first, never empty.
    pub(crate) messages: Vec<Piece>,
    pub(crate) starts_turn: bool,
    pub(crate) has_assistant: bool,
    pub(crate) standing: Standing,
}

impl Entry {
    /// A unit and its shorter forms.
    pub(crate) fn new(
        unit: &[SizedMessage<'_>],
        shrinkers: &[Shrinker],
        mut place: Place,
        count: &CountMessage<'_>,
    ) -> Self {
        let mut messages = Vec::with_capacity(unit.len());
        let mut has_assistant = false;
        for SizedMessage { message, tokens } in unit.iter().rev() {
            let whole = (message.role, message.parts.as_slice(), *tokens);
            messages.push(Piece {
                id: message.id.clone(),
                role: message.role,
                tokens: *tokens,
                versions: versions(shrinkers, whole, place, count),
            });
            has_assistant |= message.role == Role::Assistant;
            place.is_answered |= has_assistant;
        }
        messages.reverse();
        let starts_turn = unit.first().is_some_and(|sized| starts_turn(sized.message));
        Self { messages, starts_turn, has_assistant, standing: Standing::Fits }
    }

    /// A unit that is never shortened and always has its place.
    pub(crate) fn reserved(unit: &[SizedMessage<'_>]) -> Self {
        let place = Place { turn: 0, is_answered: false, is_emergency: false };
        let entry = Self::new(unit, &[], place, &|_, _| Tokens::ZERO);
        Self { standing: Standing::Reserved, ..entry }
    }

    /// Gives it its place in the form that it has at `level`.
    pub(crate) fn fix(&mut self, level: usize) {
        self.standing = Standing::Reserved;
        for piece in &mut self.messages {
            piece.versions.retain(|version| version.level <= level);
            for version in &mut piece.versions {
                version.level = 0;
            }
        }
    }

    pub(crate) fn size(&self, level: usize) -> u128 {
        self.messages.iter().map(|piece| piece.size(level)).sum()
    }

    pub(crate) fn is_left(&self) -> bool {
        matches!(self.standing, Standing::Left(_))
    }

    pub(crate) fn holds(&self, unit: &[SizedMessage<'_>]) -> bool {
        unit.iter().any(|sized| self.messages.iter().any(|piece| piece.id == sized.message.id))
    }

    pub(crate) fn candidate(&self, level: usize) -> Option<Candidate<'_>> {
        let oldest = &self.messages.first()?.id;
        Some(Candidate { size: self.size(level), starts_turn: self.starts_turn, oldest })
    }

    /// What becomes of its messages.
    pub(crate) fn planned(self, level: usize) -> impl Iterator<Item = Planned> {
        let standing = self.standing;
        self.messages.into_iter().map(move |mut piece| {
            let (tokens, fate) = if let Standing::Left(reason) = standing {
                (Tokens::ZERO, Fate::Drop { reason })
            } else {
                let version = piece.versions.iter().rposition(|version| version.level <= level);
                match version.map(|index| piece.versions.swap_remove(index)) {
                    Some(Version { parts, tokens, by, .. }) => (tokens, Fate::Trim { parts, by }),
                    None => (piece.tokens, Fate::Keep),
                }
            };
            Planned { message: piece.id, tokens_stored: piece.tokens, tokens, fate }
        })
    }
}
