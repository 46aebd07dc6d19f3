//! The conductor's limits, each with its reason.

use serde::{Deserialize, Serialize};

/// Limits of turns and of the process that runs them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TurnConfig {
    /// A process that has not said for this long that it lives has lost its turns. Long enough
    /// for a stalled disk, short enough that a user waits.
    pub lease_ms: u32,
    /// How often the owner reads its stop flags: half of what a person calls at once.
    pub stop_poll_ms: u32,
    /// Events are made durable at the latest after this long: what a crash may lose.
    pub checkpoint_ms: u32,
    /// Events are made durable at the latest after this much text.
    pub checkpoint_bytes: usize,
    /// No turn is longer: vendors cut streams well before.
    pub turn_deadline_ms: u32,
    /// Rounds of tool calls in one turn; then the reply ends as it is. A model that goes in circles is
    /// paid for.
    pub tool_rounds_max: u32,
    /// How long a turn that has its reply waits for its other calls (a title) before it ends them.
    pub side_calls_ms: u32,
    /// As `side_calls_ms`, where a summary is under way: it was paid for, and without it the next turns
    /// forget. A model in this process reads a window in about this time.
    pub summary_ms: u32,
    /// How long running turns may go on once the process is asked to end.
    pub drain_ms: u32,
    /// Event logs are deleted this long after their turn ended; then replay is a snapshot.
    pub event_log_ttl_ms: u32,
    /// The largest user message. Far above every model's window, far below what hurts a database.
    pub message_bytes_max: usize,
    /// Turns that run at a time in this process; more are refused with `overloaded`.
    pub turns_max: usize,
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            lease_ms: 10_000,
            stop_poll_ms: 200,
            checkpoint_ms: 250,
            checkpoint_bytes: 2_048,
            turn_deadline_ms: 1_800_000,
            tool_rounds_max: 16,
            side_calls_ms: 3_000,
            summary_ms: 20_000,
            drain_ms: 30_000,
            event_log_ttl_ms: 86_400_000,
            message_bytes_max: 4 * 1024 * 1024,
            turns_max: 10_000,
        }
    }
}
