//! A permit is made of a gate alone.

use std::sync::Arc;

use chat_provider::{CallPermit, OpenGate};

fn main() {
    let _permit = CallPermit::new(Arc::new(OpenGate));
}
