//! What the ports of money remember between calls.

use crate::ledger_lanes::Lanes;
use crate::ledger_places::Places;

/// Shortcuts: nothing in it is needed to be right.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) lanes: Lanes,
    pub(crate) entries: Places,
    pub(crate) usage: Places,
}
