//! LibreChat's users, read only: whose conversations are whose.

use chat_persist::{PersistError, Result as PersistResult};
use chat_types::{Scope, UserId};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};

use crate::MongoStore;
use crate::collections::USERS;
use crate::error::{EngineResult, Outcome};
use crate::record::tenant_of;
use crate::unit::{Cut, Unit};

/// Why no user could be named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// The database has no user of this email address or id.
    #[error("there is no user {wanted}")]
    Unknown {
        /// What was asked for.
        wanted: String,
    },
    /// Several users fit: in several tenants, or because nobody was named.
    #[error("{count} users fit; name one by email address or id")]
    Several {
        /// How many, up to two dozen.
        count: usize,
    },
    /// The database has no users at all.
    #[error("the database has no users")]
    None,
    /// The store failed.
    #[error("the users could not be read")]
    Store(#[source] PersistError),
}

/// How many are looked at: enough to say "several".
const LOOKED_AT_MAX: i64 = 24;

impl MongoStore {
    /// Finds one of LibreChat's users by email address (letter case ignored) or id, and returns
    /// the scope of what is his.
    ///
    /// # Errors
    /// `Unknown`; `Several` if users of several tenants share the address; `Store`.
    pub async fn find_user(&self, email_or_id: &str) -> Result<Scope, UserError> {
        let wanted = email_or_id.trim().to_owned();
        let found = self.users(by_name(&wanted)).await.map_err(UserError::Store)?;
        one_of(found, || UserError::Unknown { wanted })
    }

    /// The only user of the database.
    ///
    /// # Errors
    /// `None` or `Several` if there is not exactly one; `Store`.
    pub async fn only_user(&self) -> Result<Scope, UserError> {
        let found = self.users(Document::new()).await.map_err(UserError::Store)?;
        one_of(found, || UserError::None)
    }

    async fn users(&self, filter: Document) -> PersistResult<Vec<Scope>> {
        self.read("read users", filter, |unit, filter| Box::pin(read(unit, filter))).await
    }
}

fn by_name(wanted: &str) -> Document {
    match ObjectId::parse_str(wanted) {
        Ok(id) => doc! { "_id": id },
        // LibreChat stores addresses in lower case.
        Err(_) => doc! { "email": wanted.to_lowercase() },
    }
}

fn one_of(mut found: Vec<Scope>, none: impl FnOnce() -> UserError) -> Result<Scope, UserError> {
    match found.len() {
        0 => Err(none()),
        1 => found.pop().ok_or(UserError::None),
        count => Err(UserError::Several { count }),
    }
}

async fn read(unit: &mut Unit<'_>, filter: &Document) -> Outcome<Vec<Scope>> {
    let cut = Cut::sorted(doc! { "_id": 1 }, LOOKED_AT_MAX).only(doc! { "tenantId": 1 });
    let found = unit.find(USERS, filter.clone(), cut).await?;
    Ok(found.iter().map(scope_of_user).collect::<EngineResult<Vec<_>>>()?)
}

/// What belongs to a user carries his `_id` as a text.
pub(crate) fn scope_of_user(document: &Document) -> EngineResult<Scope> {
    let corrupt = || crate::error::Failure::corrupt("a user has no ObjectId for its _id");
    let id = document.get_object_id("_id").map_err(|_| corrupt())?;
    let user = UserId::new(id.to_hex()).map_err(|_| corrupt())?;
    Ok(Scope::new(tenant_of(document)?, user))
}
