//! The bar on stderr while the embedded model's weights are loaded. Silent where nobody looks.

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
