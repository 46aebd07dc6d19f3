//! Kills a database again and again, and starts what it killed.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use chat_tests::services::{Mongo, Postgres};

/// From one kill to the next.
const PERIOD: Duration = Duration::from_secs(5);
/// How long the killed one stays down.
const DOWN: Duration = Duration::from_secs(1);

/// A database that can be killed and started again on its data.
pub(crate) trait Victim: Send + 'static {
    /// Kills what answers now; says which.
    fn kill(&mut self) -> usize;
    /// Starts it again and waits until it takes part.
    fn restart(&mut self, which: usize);
}

impl Victim for Mongo {
    fn kill(&mut self) -> usize {
        let primary = self.wait_for_primary().unwrap();
        Self::kill(self, primary);
        primary
    }

    fn restart(&mut self, which: usize) {
        Self::restart(self, which).unwrap();
    }
}

impl Victim for Postgres {
    fn kill(&mut self) -> usize {
        Self::kill(self);
        0
    }

    fn restart(&mut self, _which: usize) {
        Self::restart(self).unwrap();
    }
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Kills {
    pub(crate) kills: u32,
}

impl Kills {
    /// One kill may fall short at the end, and a busy machine starts servers slowly.
    #[track_caller]
    pub(crate) fn assert_enough(&self, duration: Duration) {
        let wanted = u32::try_from(duration.as_secs() / PERIOD.as_secs()).unwrap() - 1;
        assert!(self.kills * 4 >= wanted * 3, "{self:?} in {duration:?}");
    }
}

/// Kills every [`PERIOD`] until `stop` says so or closes; everything runs when it returns.
pub(crate) fn kill_until(victim: &mut impl Victim, stop: &Receiver<()>) -> Kills {
    let mut kills = Kills::default();
    let mut next = Instant::now() + PERIOD;
    while stop.recv_timeout(next.saturating_duration_since(Instant::now()))
        == Err(RecvTimeoutError::Timeout)
    {
        let which = victim.kill();
        kills.kills += 1;
        std::thread::sleep(DOWN);
        victim.restart(which);
        // Without a time to breathe there is no load to speak of.
        next = (next + PERIOD).max(Instant::now() + DOWN);
    }
    kills
}
