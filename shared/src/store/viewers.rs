//! The `viewers` table: how far each user's log is applied, and whom the user follows, mutes and blocks. Each user has
//! one item, which is read with every page.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use super::{
    consistency::Consistency,
    dynamo::{Dynamo, Item, failed, n, number, s},
    key::{self, PK},
    table::TableName,
};
use crate::{
    error::Error,
    model::{Blockers, Unfinished, UserHash, UserId, Version, Viewer},
};

/// The `viewers` table.
#[derive(Debug, Clone)]
pub struct Viewers {
    pub(super) dynamo: Dynamo,
    pub(super) table: TableName,
}

/// A viewer as it was read, with the revision by which a writer notices that another writer came between.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredViewer {
    /// The viewer.
    pub viewer: Viewer,
    /// Number of writes so far.
    revision: u64,
}

impl Viewers {
    /// The table of this name.
    pub fn new(dynamo: Dynamo, table: TableName) -> Self {
        Self { dynamo, table }
    }

    /// The viewer item of the user. Without one, the viewer is that of an empty log.
    pub async fn get(&self, user: &UserId, consistency: Consistency) -> Result<StoredViewer, Error> {
        let answer = self
            .dynamo
            .0
            .get_item()
            .table_name(self.table.get())
            .key(PK, s(key::user(user)))
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(failed("reading a viewer"))?;
        answer.item.map_or(Ok(StoredViewer::default()), |item| stored_viewer(&item))
    }

    /// Replaces the viewer item that was read as `before`. Returns the new item.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another writer replaced it meanwhile.
    pub async fn put(&self, user: &UserId, before: &StoredViewer, viewer: Viewer) -> Result<StoredViewer, Error> {
        let update = self
            .dynamo
            .0
            .update_item()
            .table_name(self.table.get())
            .key(PK, s(key::user(user)))
            .update_expression(
                "SET applied = :applied, followed = :followed, muted = :muted, blocked = :blocked, \
                 blocked_by = :blocked_by, unfinished = :unfinished, revision = :next",
            )
            .expression_attribute_values(":applied", n(viewer.applied))
            .expression_attribute_values(":followed", set(&viewer.followed))
            .expression_attribute_values(":muted", set(&viewer.muted))
            .expression_attribute_values(":blocked", set(&viewer.blocked))
            .expression_attribute_values(":blocked_by", blockers(&viewer.blocked_by))
            .expression_attribute_values(":unfinished", unfinished(&viewer.unfinished))
            .expression_attribute_values(":next", n(before.revision + 1));
        let update = if before.revision == 0 {
            update.condition_expression("attribute_not_exists(PK)")
        } else {
            update
                .condition_expression("revision = :revision")
                .expression_attribute_values(":revision", n(before.revision))
        };
        update.send().await.map_err(failed("writing a viewer"))?;
        Ok(StoredViewer { viewer, revision: before.revision + 1 })
    }
}

impl Viewers {
    /// Deletes the viewer item of a user who has deleted the account.
    pub async fn remove(&self, user: &UserId) -> Result<(), Error> {
        self.dynamo
            .0
            .delete_item()
            .table_name(self.table.get())
            .key(PK, s(key::user(user)))
            .send()
            .await
            .map(|_| ())
            .map_err(failed("deleting a viewer"))
    }
}

/// What walks have not completed: `{profile: 7, backfills: {<user id>: 9}}`.
fn unfinished(unfinished: &Unfinished) -> AttributeValue {
    let backfill = |(author, version): (&UserId, &Version)| (author.as_str().to_owned(), n(*version));
    let backfills = unfinished.backfills.iter().map(backfill).collect();
    let mut parts = Item::from([("backfills".to_owned(), AttributeValue::M(backfills))]);
    parts.extend(unfinished.profile.map(|version| ("profile".to_owned(), n(version))));
    AttributeValue::M(parts)
}

/// Releases up to 0.2 completed every effect before they moved `applied`, and wrote items without this.
fn stored_unfinished(item: &Item) -> Result<Unfinished, Error> {
    let Some(AttributeValue::M(parts)) = item.get("unfinished") else { return Ok(Unfinished::default()) };
    let version = |of: &Item, name: &str| {
        let version = Version::new(number(of, name)?);
        version.ok_or_else(|| Error::poison("a viewer item", "an unfinished walk has no version"))
    };
    let profile = parts.contains_key("profile").then(|| version(parts, "profile")).transpose()?;
    let mut unfinished = Unfinished { profile, ..Unfinished::default() };
    if let Some(AttributeValue::M(backfills)) = parts.get("backfills") {
        for author in backfills.keys() {
            let id = UserId::try_from(author.clone()).map_err(|error| Error::poison("a viewer item", error))?;
            unfinished.backfills.insert(id, version(backfills, author)?);
        }
    }
    Ok(unfinished)
}

/// A set of users as one binary attribute: their hashes in order, without separators. A binary set would take more
/// bytes.
fn set(users: &BTreeSet<UserHash>) -> AttributeValue {
    AttributeValue::B(Blob::new(users.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>()))
}

/// The users who block a viewer; null if they are not listed.
fn blockers(blockers: &Blockers) -> AttributeValue {
    match blockers {
        Blockers::Listed(users) => set(users),
        Blockers::Unlisted => AttributeValue::Null(true),
    }
}

/// Releases before this list wrote items without it. Such an item lists nobody, although somebody may block the viewer.
fn stored_blockers(item: &Item) -> Result<Blockers, Error> {
    match item.get("blocked_by") {
        None | Some(AttributeValue::Null(_)) => Ok(Blockers::Unlisted),
        Some(_) => stored_set(item, "blocked_by").map(Blockers::Listed),
    }
}

fn stored_viewer(item: &Item) -> Result<StoredViewer, Error> {
    let applied = Version::new(number(item, "applied")?)
        .ok_or_else(|| Error::poison("a viewer item", "applied is not a version"))?;
    let viewer = Viewer {
        applied,
        followed: stored_set(item, "followed")?,
        muted: stored_set(item, "muted")?,
        blocked: stored_set(item, "blocked")?,
        blocked_by: stored_blockers(item)?,
        unfinished: stored_unfinished(item)?,
    };
    Ok(StoredViewer { viewer, revision: number(item, "revision")? })
}

fn stored_set(item: &Item, name: &str) -> Result<BTreeSet<UserHash>, Error> {
    let bytes = match item.get(name) {
        Some(AttributeValue::B(bytes)) => bytes.as_ref(),
        _ => return Err(Error::poison("a viewer item", format!("it has no binary attribute {name}"))),
    };
    match bytes.as_chunks::<{ UserHash::BYTES }>() {
        (hashes, []) => Ok(hashes.iter().copied().map(UserHash).collect()),
        _ => Err(Error::poison("a viewer item", format!("the last hash in {name} is cut off"))),
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
            sets in proptest::array::uniform4(proptest::collection::btree_set(any::<[u8; 8]>(), 0..50)),
            is_listed in any::<bool>(),
            backfills in proptest::collection::btree_map("[a-z|#]{1,9}", 1..=Version::MAX.get(), 0..5),
            profile in proptest::option::of(1..=Version::MAX.get()),
        ) {
            let version = |version| Version::new(version).unwrap();
            let backfills = backfills.into_iter().map(|(author, at)| (author.parse().unwrap(), version(at))).collect();
            let walks = Unfinished { backfills, profile: profile.map(version) };
            let sets = sets.map(|set| set.into_iter().map(UserHash).collect::<BTreeSet<_>>());
            let [followed, muted, blocked, blocked_by] = sets;
            let blocked_by = if is_listed { Blockers::Listed(blocked_by) } else { Blockers::Unlisted };
            let item: Item = HashMap::from([
                ("applied".to_owned(), n(applied)),
                ("followed".to_owned(), set(&followed)),
                ("muted".to_owned(), set(&muted)),
                ("blocked".to_owned(), set(&blocked)),
                ("blocked_by".to_owned(), blockers(&blocked_by)),
                ("unfinished".to_owned(), unfinished(&walks)),
                ("revision".to_owned(), n(3)),
            ]);
            let applied = version(applied);
            let viewer = Viewer { applied, followed, muted, blocked, blocked_by, unfinished: walks };
            prop_assert_eq!(stored_viewer(&item).unwrap(), StoredViewer { viewer, revision: 3 });
        }
    }
    #[test]
    fn an_item_of_an_older_release_lists_no_blockers_and_no_walks() {
        let empty = || set(&BTreeSet::new());
        let item = ["followed", "muted", "blocked"].map(|name| (name.to_owned(), empty()));
        let viewer = stored_viewer(&HashMap::from(item)).unwrap().viewer;
        assert_eq!((viewer.blocked_by, viewer.unfinished), (Blockers::Unlisted, Unfinished::default()));
    }
}
