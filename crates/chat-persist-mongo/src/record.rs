//! The shape of stored documents: BSON here, the ports' words elsewhere.

mod content;
mod conversation;
pub(crate) mod event_log;
mod field;
mod file;
mod message;
mod model;
pub(crate) mod plain;
mod scope;
mod seen;
pub(crate) mod step;
pub(crate) mod summary;
pub(crate) mod turn;

pub(crate) use conversation::{Found, conversation_of, new_conversation, patched_fields};
pub(crate) use field::{Fields, time};
pub(crate) use file::{file_of, file_scope_of, file_user, new_file};
pub(crate) use message::{
    Stored, count_record, count_update, message_of, new_message, parent_named,
};
pub(crate) use scope::{DEFAULT_TENANT, owned, scope_of, tenant_of, tenant_value};

/// The one sub-document that holds what LibreChat has no field for.
pub(crate) const OURS: &str = "chatRuntime";
