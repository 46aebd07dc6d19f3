//! Bars on stderr: weights that are loaded, rows that are moved. Silent where nobody looks.

use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};

/// Appears with the first progress, goes with the last.
#[derive(Debug, Default)]
pub(crate) struct LoadBar {
    bar: Mutex<Option<ProgressBar>>,
}

impl LoadBar {
    /// Shows how far it is, in bytes.
    pub(crate) fn show(&self, done_bytes: u64, total_bytes: u64) {
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        if done_bytes >= total_bytes {
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
            return;
        }
        bar.get_or_insert_with(|| {
            let style = "loading the model {bar:30} {bytes} of {total_bytes}";
            let bar = ProgressBar::new(total_bytes);
            match ProgressStyle::with_template(style) {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        })
        .set_position(done_bytes);
    }
}

/// Rows that have gone through.
#[derive(Debug)]
pub(crate) struct RowBar {
    bar: ProgressBar,
}

impl RowBar {
    /// Of an unknown number.
    pub(crate) fn new(doing: &'static str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(doing);
        let style = "{spinner} {msg} {human_pos} rows, {per_sec} {elapsed}";
        Self {
            bar: match ProgressStyle::with_template(style) {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            },
        }
    }

    /// The same where it is about known how many there will be.
    #[cfg(feature = "mongo")]
    pub(crate) fn up_to(doing: &'static str, rows: u64) -> Self {
        let bar = ProgressBar::new(rows).with_message(doing);
        let style = "{msg} {bar:30} {human_pos} of about {human_len} rows, {eta}";
        Self {
            bar: match ProgressStyle::with_template(style) {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            },
        }
    }

    /// Shows how many rows have gone through.
    pub(crate) fn show(&self, rows: u64) {
        self.bar.set_position(rows);
    }
}

impl Drop for RowBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Documents that are taken in, one after the other.
#[cfg(feature = "rag-local")]
#[derive(Debug)]
pub(crate) struct DocumentBar {
    bar: ProgressBar,
}

#[cfg(feature = "rag-local")]
impl DocumentBar {
    /// Of so many.
    pub(crate) fn of(documents: usize) -> Self {
        let bar = ProgressBar::new(u64::try_from(documents).unwrap_or(u64::MAX));
        let style = "{bar:30} {human_pos} of {human_len} documents, {eta}  {msg}";
        Self {
            bar: match ProgressStyle::with_template(style) {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            },
        }
    }

    /// What is being done with the one under way.
    pub(crate) fn says(&self, doing: String) {
        self.bar.set_message(doing);
    }

    /// One is done.
    pub(crate) fn next(&self) {
        self.bar.inc(1);
    }

    /// All are.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
