//! The table that every bench prints: a figure beside its target, and the same as JSON.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// What a figure must not exceed or fall below.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// Good at or below.
    AtMost(f64),
    /// Good at or above.
    AtLeast(f64),
    /// Only printed.
    Shown,
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    target: Target,
    met: Option<bool>,
}

/// The figures of one bench.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    bench: &'static str,
    figures: Vec<Figure>,
}

impl Table {
    pub(crate) fn new(bench: &'static str) -> Self {
        Self { bench, figures: Vec::new() }
    }

    /// Adds a figure and judges it.
    pub(crate) fn add(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        target: Target,
    ) {
        let met = match target {
            Target::AtMost(most) => Some(value <= most),
            Target::AtLeast(least) => Some(value >= least),
            Target::Shown => None,
        };
        self.figures.push(Figure { name: name.into(), value, unit, target, met });
    }

    /// The table for people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("bench {}\n", self.bench);
        for figure in &self.figures {
            let target = match figure.target {
                Target::AtMost(most) => format!("<= {most}"),
                Target::AtLeast(least) => format!(">= {least}"),
                Target::Shown => "-".to_owned(),
            };
            let verdict = match figure.met {
                Some(true) => "ok",
                Some(false) => "MISSED",
                None => "",
            };
            let _infallible = writeln!(
                text,
                "  {:<58} {:>12.3} {:<10} {:<10} {verdict}",
                figure.name, figure.value, figure.unit, target
            );
        }
        text
    }

    /// Writes `target/bench/NAME.json`.
    pub(crate) fn save(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder).context("the folder for results cannot be made")?;
        let json = serde_json::to_string_pretty(self)?;
        std::fs::write(folder.join(format!("{}.json", self.bench)), json)?;
        Ok(())
    }
}
