//! A grant is made of nothing.

use chat_types::StepGrant;

fn main() {
    let _grant = StepGrant::default();
}
