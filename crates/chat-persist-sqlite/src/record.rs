//! The stored shapes: what the JSON columns hold. Owned by this leaf, converted field by field.
//!
//! Old programs ignore fields they do not know; a field that is added has a default. Snapshots in
//! the tests pin each shape. Not here: columns (the migrations) and how rows are read (`row`).

mod message;
mod turn;

pub(crate) use message::{MessageRow, message_record, role_name, token_counts_record};
pub(crate) use turn::{
    amounts_of, amounts_record, failure_of, failure_record, kind_of, kind_record, options_of,
    options_record, source_name, source_of,
};

use crate::error::{Failure, FailureKind};

fn no_stored_form(what: &str) -> Failure {
    Failure::new(FailureKind::Unsupported, format!("this kind of {what} has no stored form yet"))
}

fn unknown_name(what: &str, name: &str) -> Failure {
    Failure::corrupt(format!("a stored {what} is unknown: {name}"))
}
