//! `HttpRag`: the handle; everything it does is in `retrieve` and `files`.

use std::fmt;
use std::sync::Arc;

use chat_rag::Result;
use chat_transport::TransportAdapter;
use chat_types::{Clock, Scope};

use crate::HttpRagConfig;

/// A retrieval service that speaks LibreChat's rag_api contract. Clones share the transport.
///
/// Each call is sent once; put a transport that retries under it if it should be more. The ids of
/// files are the caller's: the service looks at an owner only on some of its ways, so whoever
/// names a file must have checked that the user may read it. What the service says of owners is
/// checked here all the same, and what belongs to others is dropped.
#[derive(Clone)]
pub struct HttpRag {
    pub(crate) config: HttpRagConfig,
    pub(crate) transport: Arc<dyn TransportAdapter>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl HttpRag {
    /// A client of the service that `config` names.
    ///
    /// # Errors
    /// `Invalid` names the setting that cannot work; nothing was sent.
    pub fn new(
        config: HttpRagConfig,
        transport: Arc<dyn TransportAdapter>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        config.check()?;
        Ok(Self { config, transport, clock })
    }

    /// Whether the service knows users of this tenant.
    pub(crate) fn serves(&self, scope: &Scope) -> bool {
        scope.tenant == self.config.tenant
    }

    /// Whether what belongs to `owner` may be shown to the scope's user: their own, the entity's,
    /// and what an open service stores for everybody.
    pub(crate) fn may_see(&self, scope: &Scope, owner: Option<&str>) -> bool {
        match owner {
            Some(owner) => {
                owner == scope.user.as_str()
                    || self.config.entity.as_deref() == Some(owner)
                    || (self.config.secret.is_none() && owner == "public")
            }
            // Written before the service kept owners.
            None => true,
        }
    }
}

impl fmt::Debug for HttpRag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRag").field("config", &self.config).finish_non_exhaustive()
    }
}
