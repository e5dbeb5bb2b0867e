//! The `viewers` table: what of a viewer's log has been projected, and whom the viewer follows, mutes and blocks. One item a viewer, read
//! with every page.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use super::{
    Consistency, Dynamo,
    dynamo::{Item, failed, n, number, s},
    key::{self, PK},
};
use crate::{
    error::Error,
    model::{UserHash, UserId, Version, Viewer},
};

/// The `viewers` table.
#[derive(Debug, Clone)]
pub struct Viewers {
    dynamo: Dynamo,
    table: String,
}

/// A viewer as it was read, and which of its revisions that is: how a writer tells that nobody came between.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredViewer {
    /// What is projected.
    pub viewer: Viewer,
    /// Counts the writes; 0 if there was none.
    revision: u64,
}

impl Viewers {
    /// The table of this name.
    pub fn new(dynamo: Dynamo, table: String) -> Self {
        Self { dynamo, table }
    }

    /// What is projected of the user; of an unknown user, nothing.
    pub async fn get(&self, user: &UserId, consistency: Consistency) -> Result<StoredViewer, Error> {
        let answer = self
            .dynamo
            .0
            .get_item()
            .table_name(&self.table)
            .key(PK, s(key::user(user)))
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(failed("reading a viewer"))?;
        answer.item.map_or(Ok(StoredViewer::default()), |item| stored_viewer(&item))
    }

    /// Replaces the projection that was read as `before`.
    ///
    /// # Errors
    /// [`Error::Conflict`] if somebody else replaced it meanwhile.
    pub async fn put(&self, user: &UserId, before: &StoredViewer, viewer: &Viewer) -> Result<(), Error> {
        let update = self
            .dynamo
            .0
            .update_item()
            .table_name(&self.table)
            .key(PK, s(key::user(user)))
            .update_expression(
                "SET applied = :applied, followed = :followed, muted = :muted, blocked = :blocked, revision = :next",
            )
            .expression_attribute_values(":applied", n(viewer.applied))
            .expression_attribute_values(":followed", set(&viewer.followed))
            .expression_attribute_values(":muted", set(&viewer.muted))
            .expression_attribute_values(":blocked", set(&viewer.blocked))
            .expression_attribute_values(":next", n(before.revision + 1));
        let update = if before.revision == 0 {
            update.condition_expression("attribute_not_exists(PK)")
        } else {
            update
                .condition_expression("revision = :revision")
                .expression_attribute_values(":revision", n(before.revision))
        };
        update.send().await.map(|_| ()).map_err(failed("writing a viewer"))
    }
}

/// A set of users as one binary attribute: the hashes one after the other, in order. A binary set would cost the same
/// units and more bytes.
fn set(users: &BTreeSet<UserHash>) -> AttributeValue {
    AttributeValue::B(Blob::new(users.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>()))
}

fn stored_viewer(item: &Item) -> Result<StoredViewer, Error> {
    let applied = Version::new(number(item, "applied")?).ok_or_else(|| Error::poison("a viewer", "applied"))?;
    let viewer = Viewer {
        applied,
        followed: stored_set(item, "followed")?,
        muted: stored_set(item, "muted")?,
        blocked: stored_set(item, "blocked")?,
    };
    Ok(StoredViewer { viewer, revision: number(item, "revision")? })
}

fn stored_set(item: &Item, name: &str) -> Result<BTreeSet<UserHash>, Error> {
    let bytes = match item.get(name) {
        Some(AttributeValue::B(bytes)) => bytes.as_ref(),
        _ => return Err(Error::poison("a viewer", format!("no binary attribute {name}"))),
    };
    match bytes.as_chunks::<{ UserHash::BYTES }>() {
        (hashes, []) => Ok(hashes.iter().copied().map(UserHash).collect()),
        _ => Err(Error::poison("a viewer", format!("{name} is cut off"))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reading_a_written_viewer_is_the_identity(
            applied in 0..=Version::MAX.get(),
            sets in proptest::array::uniform3(proptest::collection::btree_set(any::<[u8; 8]>(), 0..50)),
        ) {
            let [followed, muted, blocked] = sets.map(|set| set.into_iter().map(UserHash).collect::<BTreeSet<_>>());
            let item: Item = HashMap::from([
                ("applied".to_owned(), n(applied)),
                ("followed".to_owned(), set(&followed)),
                ("muted".to_owned(), set(&muted)),
                ("blocked".to_owned(), set(&blocked)),
                ("revision".to_owned(), n(3)),
            ]);
            let viewer = Viewer { applied: Version::new(applied).unwrap(), followed, muted, blocked };
            prop_assert_eq!(stored_viewer(&item).unwrap(), StoredViewer { viewer, revision: 3 });
        }
    }
}
