//! `PriceBook`: which price applies to a model at a moment.
//!
//! A book is read from TOML and checked as a whole; one wrong price refuses the book. A model
//! without a price has none: nothing here guesses, and free of charge must be said.
//! Not here: how it is written (`book_file`), what a call costs (`price`).

use std::collections::BTreeSet;

use chat_types::{ModelRef, Timestamp};

use crate::book_file::{BookFile, entry_of};
use crate::{PriceEntry, Result, UsageError};

/// A public table of all providers has some thousand models; a book above this is no book.
const ENTRIES_MAX: usize = 20_000;

/// Dated prices, checked when they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceBook {
    /// Books in the order they are asked. A lookup reads them whole: once a call, a few entries.
    layers: Vec<Layer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Layer {
    info: BookInfo,
    entries: Vec<PriceEntry>,
}

/// What a book says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BookInfo {
    /// The first part of every version of its entries.
    pub name: String,
    /// Where its prices are from, in its author's words.
    pub source: Option<String>,
    /// Under which terms they may be passed on.
    pub licence: Option<String>,
}

impl PriceBook {
    /// A book without any price: every call is refused.
    #[must_use]
    pub fn empty() -> Self {
        Self { layers: Vec::new() }
    }

    /// Reads a book; see the crate's README for the format.
    ///
    /// # Errors
    /// `InvalidPriceBook` naming the line or the model: unknown keys, a price that is absent,
    /// negative or not a decimal text, a pattern or date that is none, a pattern twice at one date.
    pub fn from_toml(text: &str) -> Result<Self> {
        let file: BookFile = toml::from_str(text).map_err(|error| invalid(error.to_string()))?;
        if file.prices.len() > ENTRIES_MAX {
            return Err(invalid(format!("it has more than {ENTRIES_MAX} prices")));
        }
        if file.book.is_empty() || file.book.contains(|c: char| !c.is_ascii_graphic() || c == ':') {
            return Err(invalid("`book` must be visible ASCII characters without ':'"));
        }
        let mut seen = BTreeSet::new();
        let mut entries = Vec::with_capacity(file.prices.len());
        for row in &file.prices {
            let entry = entry_of(&file.book, row)
                .map_err(|detail| invalid(format!("{}: {detail}", row.model)))?;
            if !seen.insert(entry.version.clone()) {
                return Err(invalid(format!("{}: two prices from the same date", row.model)));
            }
            entries.push(entry);
        }
        let info = BookInfo { name: file.book, source: file.source, licence: file.licence };
        Ok(Self { layers: vec![Layer { info, entries }] })
    }

    /// The prices this crate ships with; their source, date and licence are in `prices.toml`.
    ///
    /// # Errors
    /// `InvalidPriceBook` never happens for the file as tested.
    pub fn shipped() -> Result<Self> {
        Self::from_toml(include_str!("../prices.toml"))
    }

    /// A book that asks `overrides` first and this one for what is not in there.
    #[must_use]
    pub fn with_overrides(self, overrides: Self) -> Self {
        let layers = overrides.layers.into_iter().chain(self.layers).collect();
        Self { layers }
    }

    /// The prices of a model at a moment: the first layer that has one; in it the exact name before
    /// the longest prefix, then the newest date. `None` if nobody has said what it costs.
    #[must_use]
    pub fn lookup(&self, model: &ModelRef, at: Timestamp) -> Option<&PriceEntry> {
        self.layers.iter().find_map(|layer| {
            layer
                .entries
                .iter()
                .filter(|entry| entry.valid_from <= at)
                .filter_map(|entry| Some(((entry.rank_for(model)?, entry.valid_from), entry)))
                .max_by_key(|(rank, _)| *rank)
                .map(|(_, entry)| entry)
        })
    }

    /// The entry a usage row names, with or without a tier, so that an old row can be worked out
    /// again; [`tier_of`](crate::tier_of) says in which tier.
    #[must_use]
    pub fn by_version(&self, version: &str) -> Option<&PriceEntry> {
        self.entries().find(|entry| entry.goes_by(version))
    }

    /// All entries, overrides first.
    pub fn entries(&self) -> impl Iterator<Item = &PriceEntry> {
        self.layers.iter().flat_map(|layer| &layer.entries)
    }

    /// The books it is made of, overrides first.
    pub fn books(&self) -> impl Iterator<Item = &BookInfo> {
        self.layers.iter().map(|layer| &layer.info)
    }
}

fn invalid(detail: impl Into<String>) -> UsageError {
    UsageError::InvalidPriceBook { detail: detail.into() }
}
