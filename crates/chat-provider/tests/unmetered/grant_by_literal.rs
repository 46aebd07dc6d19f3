//! A grant is written down instead of granted.

use chat_types::{GrantTerms, StepGrant};

fn grant(terms: GrantTerms) -> StepGrant {
    StepGrant(terms)
}

fn main() {}
