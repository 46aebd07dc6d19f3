#![doc = include_str!("../README.md")]

mod error;
mod event;
mod metered;
mod permit;
mod provider;
mod registry;
mod reported_cost;
mod request;
mod scripted;

pub use error::{Exposure, ProviderError, ProviderErrorKind};
pub use event::{CompletionStream, ProviderEvent};
pub use metered::{MeteredCaller, MeteredError, MeteredReply, MeteredRequest};
pub use permit::{AttemptGate, CallPermit, GateRefused, OpenGate};
pub use provider::ModelProvider;
pub use registry::{ProviderRegistry, UnknownModel};
pub use reported_cost::{InvalidCost, REPORTED_COST_MAX, check_reported_cost, reported_cost};
pub use request::{Media, ModelRequest, Prepared};
pub use scripted::{ScriptedCall, ScriptedProvider, ScriptedReply, ScriptedStep};
