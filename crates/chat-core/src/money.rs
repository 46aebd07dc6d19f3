//! Who pays, under which budgets, what a step is billed, and who hears of it.

pub(crate) mod accounts;
pub(crate) mod billing;
pub(crate) mod budgets;
pub(crate) mod notices;
