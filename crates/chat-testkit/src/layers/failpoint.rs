//! `Failpoint`: the process ends itself right before or right after a chosen call.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{After, Layer, PortCall};

/// Which side of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// Nothing of the call has happened.
    Before,
    /// The store has answered, and nobody has heard it.
    After,
}

/// Ends the process at the `nth` call of one method: no destructor runs, nothing is flushed, no
/// connection is closed. Written as `before:checkpoint:2`.
#[derive(Debug)]
pub struct Failpoint {
    moment: Moment,
    call: PortCall,
    nth: u32,
    seen: AtomicU32,
}

/// A text names no failpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailpointError {
    text: String,
}

impl fmt::Display for FailpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not of the form before|after:CALL:NUMBER", self.text)
    }
}

impl std::error::Error for FailpointError {}

impl Failpoint {
    /// At the `nth` call, counted from 1.
    #[must_use]
    pub const fn new(moment: Moment, call: PortCall, nth: u32) -> Self {
        Self { moment, call, nth, seen: AtomicU32::new(0) }
    }

    /// Never returns at the chosen call.
    fn reach(&self, moment: Moment, call: PortCall) {
        if moment == self.moment
            && call == self.call
            && self.seen.fetch_add(1, Ordering::Relaxed).saturating_add(1) == self.nth
        {
            std::process::abort();
        }
    }
}

impl fmt::Display for Failpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = match self.moment {
            Moment::Before => "before",
            Moment::After => "after",
        };
        write!(f, "{moment}:{}:{}", self.call, self.nth)
    }
}

impl FromStr for Failpoint {
    type Err = FailpointError;

    fn from_str(text: &str) -> Result<Self, FailpointError> {
        let parse = || {
            let mut words = text.split(':');
            let moment = match words.next()? {
                "before" => Moment::Before,
                "after" => Moment::After,
                _ => return None,
            };
            let call = words.next()?.parse().ok()?;
            let nth = words.next()?.parse().ok().filter(|nth| *nth > 0)?;
            words.next().is_none().then(|| Self::new(moment, call, nth))
        };
        parse().ok_or_else(|| FailpointError { text: text.to_owned() })
    }
}

impl Layer for Failpoint {
    fn before(&self, call: PortCall) {
        self.reach(Moment::Before, call);
    }

    fn after(&self, call: PortCall, _made: u32) -> After {
        self.reach(Moment::After, call);
        After::Keep
    }
}
