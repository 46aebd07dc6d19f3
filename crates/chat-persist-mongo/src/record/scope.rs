//! Whose a document is: LibreChat's string `user`, and `tenantId` where there are tenants.
//!
//! A LibreChat without tenants writes no `tenantId`: absent is our tenant `default`, both ways.

use chat_types::{Scope, TenantId};
use mongodb::bson::{Bson, Document, doc};

use super::field::Fields;
use crate::error::{EngineResult, Failure};

/// The tenant whose documents have no `tenantId`.
pub(crate) const DEFAULT_TENANT: &str = "default";

/// The filter every query starts with: this user, this tenant. Null also matches an absent field.
///
/// Not for upserts: they would write the null.
pub(crate) fn owned(scope: &Scope) -> Document {
    doc! { "user": scope.user.as_str(), "tenantId": tenant_value(&scope.tenant) }
}

/// The value a filter compares `tenantId` with.
pub(crate) fn tenant_value(tenant: &TenantId) -> Bson {
    if tenant.as_str() == DEFAULT_TENANT { Bson::Null } else { Bson::from(tenant.as_str()) }
}

/// Adds whose a new document is.
pub(crate) fn mark(document: &mut Document, scope: &Scope) {
    document.insert("user", scope.user.as_str());
    if scope.tenant.as_str() != DEFAULT_TENANT {
        document.insert("tenantId", scope.tenant.as_str());
    }
}

/// The tenant of a document.
pub(crate) fn tenant_of(document: &Document) -> EngineResult<TenantId> {
    let name = match document.get("tenantId") {
        None | Some(Bson::Null) => DEFAULT_TENANT,
        Some(Bson::String(name)) => name,
        Some(_) => return Err(Failure::corrupt("a tenant is no text")),
    };
    TenantId::new(name).map_err(|_| Failure::corrupt("a tenant has no valid name"))
}

/// Whose a document is.
pub(crate) fn scope_of(document: &Document) -> EngineResult<Scope> {
    let user = Fields(document).parsed("user")?;
    Ok(Scope::new(tenant_of(document)?, user))
}
