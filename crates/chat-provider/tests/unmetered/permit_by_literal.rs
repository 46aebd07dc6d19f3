//! A permit is put together without its constructor.

use std::sync::Arc;

use chat_provider::{AttemptGate, CallPermit};
use chat_types::StepGrant;

fn permit(grant: StepGrant, gate: Arc<dyn AttemptGate>) -> CallPermit {
    CallPermit { grant, gate }
}

fn main() {}
