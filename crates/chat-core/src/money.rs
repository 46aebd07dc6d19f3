//! Who pays, under which budgets, and what a step is billed.

pub(crate) mod accounts;
pub(crate) mod billing;
pub(crate) mod budgets;
