//! Who is asking: the pair that every store query carries.

use serde::{Deserialize, Serialize};

use crate::{TenantId, UserId};

/// Tenant and user; no store method can be called without one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The tenant; single-tenant programs use `default`.
    pub tenant: TenantId,
    /// The user within the tenant.
    pub user: UserId,
}

impl Scope {
    /// Joins a tenant and a user.
    #[must_use]
    pub fn new(tenant: TenantId, user: UserId) -> Self {
        Self { tenant, user }
    }
}
