//! The shape of stored documents: BSON here, the ports' words elsewhere.

mod field;
mod scope;

pub(crate) use field::{Fields, time, whole};
pub(crate) use scope::{owned, tenant_of, tenant_value};
