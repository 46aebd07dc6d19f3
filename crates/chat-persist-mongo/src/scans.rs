//! Reading a whole collection of LibreChat's in the order of tenant, user and id.
//!
//! The tenant `default` has no field in its documents, which the server sorts before all names, so
//! a scan goes through three ranges: the names before `default`, no name, the names after it.

use chat_types::TenantId;
use mongodb::bson::{Bson, Document, doc};

use crate::error::EngineResult;
use crate::record::{DEFAULT_TENANT, tenant_value};
use crate::refusal::page_rows;
use crate::unit::{Cut, Unit};

/// Where a scan goes on: after this one.
#[derive(Clone, Debug)]
pub(crate) struct Position<'p> {
    pub(crate) tenant: &'p TenantId,
    /// As the collection holds it: a text, or an ObjectId.
    pub(crate) user: Bson,
    pub(crate) id: &'p str,
}

/// One range of tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    Before,
    Default,
    After,
}

impl Range {
    const ALL: [Self; 3] = [Self::Before, Self::Default, Self::After];

    fn of(tenant: &TenantId) -> Self {
        match tenant.as_str().cmp(DEFAULT_TENANT) {
            std::cmp::Ordering::Less => Self::Before,
            std::cmp::Ordering::Equal => Self::Default,
            std::cmp::Ordering::Greater => Self::After,
        }
    }

    fn filter(self) -> Document {
        match self {
            Self::Before => doc! { "tenantId": { "$type": "string", "$lt": DEFAULT_TENANT } },
            Self::Default => doc! { "tenantId": Bson::Null },
            Self::After => doc! { "tenantId": { "$type": "string", "$gt": DEFAULT_TENANT } },
        }
    }

    fn is_over(self, after: Option<&Position<'_>>) -> bool {
        let passed = |range: Self| Self::ALL.iter().position(|known| *known == range);
        after.is_some_and(|after| passed(self) < passed(Self::of(after.tenant)))
    }
}

/// Up to `limit` documents after `after`. Users that are texts come before those that are
/// ObjectIds.
pub(crate) async fn scanned_after(
    unit: &mut Unit<'_>,
    collection: &'static str,
    id_field: &'static str,
    after: Option<Position<'_>>,
    limit: u32,
) -> EngineResult<Vec<Document>> {
    let limit = page_rows(limit);
    let mut scanned: Vec<Document> = Vec::new();
    for range in Range::ALL {
        let rest = limit.saturating_sub(i64::try_from(scanned.len()).unwrap_or(limit));
        if rest == 0 || range.is_over(after.as_ref()) {
            continue;
        }
        let mut filter = range.filter();
        filter.insert(id_field, doc! { "$type": "string" });
        filter.insert("user", doc! { "$type": ["string", "objectId"] });
        if let Some(after) = after.as_ref().filter(|after| Range::of(after.tenant) == range) {
            filter = doc! { "$and": [filter, beyond(after, id_field)] };
        }
        let cut = Cut::sorted(doc! { "tenantId": 1, "user": 1, id_field: 1 }, rest);
        scanned.extend(unit.find(collection, filter, cut.only(doc! { "messages": 0 })).await?);
    }
    Ok(scanned)
}

fn beyond(after: &Position<'_>, id_field: &'static str) -> Document {
    let tenant = tenant_value(after.tenant);
    let user = after.user.clone();
    let mut ways = vec![
        doc! { "tenantId": &tenant, "user": &user, id_field: { "$gt": after.id } },
        doc! { "tenantId": &tenant, "user": { "$gt": &user } },
    ];
    if matches!(user, Bson::String(_)) {
        // A comparison with a text finds texts only.
        ways.push(doc! { "tenantId": &tenant, "user": { "$type": "objectId" } });
    }
    if tenant != Bson::Null {
        ways.push(doc! { "tenantId": { "$gt": &tenant } });
    }
    doc! { "$or": ways }
}
