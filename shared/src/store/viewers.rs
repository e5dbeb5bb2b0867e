//! The `viewers` table: how far each user's log is applied, and whom the user follows, mutes and blocks.
//!
//! Each user has a **viewer item**, which is read with every page, and written whenever `applied` moves. DynamoDB
//! charges for the whole item, whatever is written of it. So large sets are in an item of their own, the **item of
//! sets**, which is only written if a set changes. Most users' sets are small. They stay in the viewer item, and to
//! read it costs half a unit. The viewer item tells with which revision of the item of sets it goes together.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::{
    primitives::Blob,
    types::{AttributeValue, TransactWriteItem, Update},
};

use super::{
    consistency::Consistency,
    dynamo::{Dynamo, Item, failed, n, number, s},
    key::{self, PK},
    table::TableName,
};
use crate::{
    error::Error,
    model::{Blockers, Unfinished, UserHash, UserId, Version, Viewer},
    shared_cache::SharedCache,
};

/// Bytes of sets that stay in the viewer item. Its other attributes rarely take more than the rest of the 4 kB that a
/// unit reads.
pub const INLINE_MAX: usize = 3072;
/// How often a viewer is read until both of its items go together.
const READS_MAX: usize = 4;

/// The `viewers` table.
#[derive(Debug, Clone)]
pub struct Viewers {
    pub(super) dynamo: Dynamo,
    pub(super) table: TableName,
    /// Bytes of sets that stay in the viewer item.
    inline_max: usize,
    pub(super) cache: SharedCache,
}

/// A viewer as it was read, with the revision by which a writer notices that another writer came between.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredViewer {
    /// The viewer.
    pub viewer: Viewer,
    /// Number of writes so far.
    pub(super) revision: u64,
    /// The revision of the item of sets. It is that of the viewer item that was written with it. None if the sets are
    /// in the viewer item, or lost.
    sets: Option<u64>,
    /// Whether the item of sets is lost. The next write of the viewer puts an end to that.
    pub has_lost_sets: bool,
}

impl Viewers {
    /// The table of this name. So many bytes of sets stay in the viewer item: [`INLINE_MAX`], or less in tests.
    pub fn new(dynamo: Dynamo, table: TableName, inline_max: usize) -> Self {
        Self { dynamo, table, inline_max, cache: SharedCache::none() }
    }

    /// The same table, whose writes change what the shared cache has of it.
    #[must_use]
    pub fn with_cache(self, cache: SharedCache) -> Self {
        Self { cache, ..self }
    }

    /// The viewer item of the user. Without one, the viewer is that of an empty log.
    ///
    /// # Errors
    /// [`Error::Transient`] if other writers kept replacing the sets; otherwise as the table's.
    pub async fn get(&self, user: &UserId, consistency: Consistency) -> Result<StoredViewer, Error> {
        let mut consistency = consistency;
        for _ in 0..READS_MAX {
            let Some(item) = self.item(key::user(user), consistency).await? else { return Ok(StoredViewer::default()) };
            if !item.contains_key("sets_revision") {
                return stored_viewer(&item, &item, None);
            }
            let revision = number(&item, "sets_revision")?;
            match self.item(key::viewer_sets(user), consistency).await? {
                Some(sets) if number(&sets, "revision")? == revision => {
                    return stored_viewer(&item, &sets, Some(revision));
                }
                None if consistency.is_strong() => {
                    tracing::error!(%user, "the sets of a viewer are lost, so the viewer is read without them");
                    let stored = stored_viewer(&item, &no_sets(), None)?;
                    return Ok(StoredViewer { has_lost_sets: true, ..stored });
                }
                // A read was behind, or another writer came between the two.
                _ => consistency = Consistency::Strong,
            }
        }
        Err(Error::transient("reading a viewer", "its sets were replaced again and again"))
    }

    async fn item(&self, key: String, consistency: Consistency) -> Result<Option<Item>, Error> {
        let request = self.dynamo.0.get_item().table_name(self.table.get()).key(PK, s(key));
        let answer = request.consistent_read(consistency.is_strong()).send().await;
        Ok(answer.map_err(failed("reading a viewer"))?.item)
    }

    /// Replaces the viewer item that was read as `before`. Returns the new item.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another writer replaced it meanwhile.
    pub async fn put(&self, user: &UserId, before: &StoredViewer, viewer: Viewer) -> Result<StoredViewer, Error> {
        let written = self.put_item(user, before, viewer).await;
        match &written {
            Ok(stored) => self.viewer_written(user, stored.revision, &stored.viewer).await,
            // It may be written all the same.
            Err(_) => self.viewer_in_doubt(user).await,
        }
        written
    }

    async fn put_item(&self, user: &UserId, before: &StoredViewer, viewer: Viewer) -> Result<StoredViewer, Error> {
        let next = before.revision + 1;
        let sets = (size(&viewer) > self.inline_max)
            .then(|| before.sets.filter(|_| same_sets(&before.viewer, &viewer)).unwrap_or(next));
        let mut update = Assignments::default();
        update.set("applied", n(viewer.applied));
        update.set("unfinished", unfinished(&viewer.unfinished));
        update.set("revision", n(next));
        if let Some(sets) = sets {
            update.set("sets_revision", n(sets));
            update.remove.extend(SETS);
        } else {
            update.set_sets(&viewer);
            update.remove.push("sets_revision");
        }
        if before.revision == 0 {
            update.condition = Some("attribute_not_exists(PK)");
        } else {
            update.condition = Some("revision = :before");
            update.values.insert(":before".to_owned(), n(before.revision));
        }
        if sets == Some(next) {
            let mut with = Assignments::default();
            with.set_sets(&viewer);
            with.set("revision", n(next));
            let updates =
                [update.of(self.table.get(), key::user(user)), with.of(self.table.get(), key::viewer_sets(user))];
            let writes = updates.into_iter().map(|update| Ok(TransactWriteItem::builder().update(update?).build()));
            self.dynamo.transact(writes.collect::<Result<_, Error>>()?).await?;
        } else {
            let request = self.dynamo.0.update_item().table_name(self.table.get()).key(PK, s(key::user(user)));
            let request = request.update_expression(update.expression());
            let request = request.set_condition_expression(update.condition.map(str::to_owned));
            let request = request.set_expression_attribute_values(Some(update.values));
            request.send().await.map_err(failed("writing a viewer"))?;
        }
        Ok(StoredViewer { viewer, revision: next, sets, has_lost_sets: false })
    }

    /// Deletes the items of a user who has deleted the account.
    ///
    /// # Errors
    /// As the table's.
    pub async fn remove(&self, user: &UserId) -> Result<(), Error> {
        for key in [key::viewer_sets(user), key::user(user)] {
            let request = self.dynamo.0.delete_item().table_name(self.table.get()).key(PK, s(key));
            request.send().await.map_err(failed("deleting a viewer"))?;
        }
        self.viewer_removed(user).await;
        Ok(())
    }
}

/// The attributes that are sets of users.
const SETS: [&str; 4] = ["followed", "muted", "blocked", "blocked_by"];

/// What an update of an item writes. Attributes that only a newer release knows stay.
#[derive(Debug, Default)]
struct Assignments {
    values: Item,
    remove: Vec<&'static str>,
    condition: Option<&'static str>,
}

impl Assignments {
    fn set(&mut self, name: &str, value: AttributeValue) {
        self.values.insert(format!(":{name}"), value);
    }

    fn set_sets(&mut self, viewer: &Viewer) {
        let blocked_by = blockers(&viewer.blocked_by);
        let values = [set(&viewer.followed), set(&viewer.muted), set(&viewer.blocked), blocked_by];
        SETS.into_iter().zip(values).for_each(|(name, value)| self.set(name, value));
    }

    fn expression(&self) -> String {
        let names = self.values.keys().filter_map(|name| name.strip_prefix(':')).filter(|name| *name != "before");
        let set: Vec<_> = names.map(|name| format!("{name} = :{name}")).collect();
        let remove = if self.remove.is_empty() { String::new() } else { format!(" REMOVE {}", self.remove.join(", ")) };
        format!("SET {}{remove}", set.join(", "))
    }

    fn of(self, table: &str, key: String) -> Result<Update, Error> {
        let update = Update::builder().table_name(table).key(PK, s(key)).update_expression(self.expression());
        let update = update.set_condition_expression(self.condition.map(str::to_owned));
        let update = update.set_expression_attribute_values(Some(self.values));
        update.build().map_err(|error| Error::poison("the write of a viewer", error))
    }
}

/// Bytes of the viewer's sets.
fn size(viewer: &Viewer) -> usize {
    let Viewer { followed, muted, blocked, blocked_by, .. } = viewer;
    let blockers = match blocked_by {
        Blockers::Listed(users) => users.len(),
        Blockers::Unlisted => 0,
    };
    (followed.len() + muted.len() + blocked.len() + blockers) * UserHash::BYTES
}

fn same_sets(one: &Viewer, other: &Viewer) -> bool {
    one.followed == other.followed
        && one.muted == other.muted
        && one.blocked == other.blocked
        && one.blocked_by == other.blocked_by
}

/// What is read in place of an item of sets that is lost. The audit finds it.
fn no_sets() -> Item {
    let unlisted = ("blocked_by".to_owned(), AttributeValue::Null(true));
    SETS.into_iter().map(|name| (name.to_owned(), set(&BTreeSet::new()))).chain([unlisted]).collect()
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

/// The viewer of these items. `sets` is the viewer item itself, or the item of sets of this revision.
fn stored_viewer(item: &Item, sets: &Item, revision_of_sets: Option<u64>) -> Result<StoredViewer, Error> {
    let applied = Version::new(number(item, "applied")?)
        .ok_or_else(|| Error::poison("a viewer item", "applied is not a version"))?;
    let viewer = Viewer {
        applied,
        followed: stored_set(sets, "followed")?,
        muted: stored_set(sets, "muted")?,
        blocked: stored_set(sets, "blocked")?,
        blocked_by: stored_blockers(sets)?,
        unfinished: stored_unfinished(item)?,
    };
    let revision = number(item, "revision")?;
    Ok(StoredViewer { viewer, revision, sets: revision_of_sets, has_lost_sets: false })
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
    use crate::{
        samples::user,
        test_world::{Calls, World},
    };

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
            let stored = StoredViewer { viewer, revision: 3, ..StoredViewer::default() };
            prop_assert_eq!(stored_viewer(&item, &item, None).unwrap(), stored);
        }
    }

    /// Bob, who follows so many users of whom nothing else is known.
    async fn follows(world: &World, count: u64, applied: u64) -> Viewer {
        let before = world.tested.viewers.get(&user("bob"), Consistency::Strong).await.unwrap();
        let followed = (0..count).map(|number| UserHash(number.to_be_bytes())).collect();
        let viewer = Viewer { followed, applied: Version::new(applied).unwrap(), ..before.viewer.clone() };
        world.tested.viewers.put(&user("bob"), &before, viewer.clone()).await.unwrap();
        viewer
    }

    async fn read(world: &World) -> Viewer {
        world.tested.viewers.get(&user("bob"), Consistency::Eventual).await.unwrap().viewer
    }

    const MANY: u64 = INLINE_MAX as u64 / 8 + 1;
    const TRANSACTION: Calls = Calls("TransactWriteItems", "SETS#bob");

    #[tokio::test(start_paused = true)]
    async fn large_sets_are_written_only_if_they_change() {
        let world = World::new();
        for (count, applied, written) in [(MANY, 1, 1), (MANY, 2, 1), (MANY + 1, 3, 2), (MANY + 1, 4, 2)] {
            let viewer = follows(&world, count, applied).await;
            assert!(read(&world).await == viewer, "{count} at {applied}");
            assert_eq!(world.network.count(TRANSACTION), written, "{count} at {applied}");
        }
        let size = world.items("viewers").iter().find(|item| item["PK"]["S"] == "USER#bob").unwrap().to_string().len();
        assert!(size < 400, "the viewer item has {size} bytes");
    }

    #[tokio::test(start_paused = true)]
    async fn sets_move_out_of_the_viewer_item_and_back() {
        let world = World::new();
        for (applied, count) in [3, MANY, 3, MANY + 5, 0].into_iter().enumerate() {
            let viewer = follows(&world, count, applied as u64 + 1).await;
            assert!(read(&world).await == viewer, "{count} follows");
        }
        assert_eq!(world.network.count(TRANSACTION), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_between_the_two_reads_is_noticed() {
        let world = World::new();
        follows(&world, MANY, 1).await;
        let other = world.other.clone();
        world.network.before(Calls("GetItem", "SETS#bob"), async move || {
            let before = other.viewers.get(&user("bob"), Consistency::Strong).await.unwrap();
            let mut viewer = before.viewer.clone();
            viewer.followed.insert(UserHash([0xff; 8]));
            other.viewers.put(&user("bob"), &before, viewer).await.unwrap();
        });
        assert!(read(&world).await.followed.contains(&UserHash([0xff; 8])));
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_writers_at_once_one_has_to_read_again() {
        let world = World::new();
        follows(&world, MANY, 1).await;
        let before = world.other.viewers.get(&user("bob"), Consistency::Strong).await.unwrap();
        follows(&world, MANY + 1, 2).await;
        let put = world.tested.viewers.put(&user("bob"), &before, Viewer::default()).await;
        assert!(matches!(put, Err(Error::Conflict)), "{put:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn lost_sets_are_empty_and_nobody_knows_who_blocks_the_viewer() {
        let world = World::new();
        follows(&world, MANY, 1).await;
        world.meddle("DeleteItem", &serde_json::json!({"TableName": "viewers", "Key": {"PK": {"S": "SETS#bob"}}}));
        let viewer = read(&world).await;
        assert_eq!((viewer.followed.len(), viewer.blocked_by), (0, Blockers::Unlisted));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_of_a_removed_viewer() {
        let world = World::new();
        follows(&world, MANY, 1).await;
        world.other.viewers.remove(&user("bob")).await.unwrap();
        assert_eq!(world.items("viewers"), Vec::<serde_json::Value>::new());
    }

    #[test]
    fn an_item_of_an_older_release_lists_no_blockers_and_no_walks() {
        let empty = || set(&BTreeSet::new());
        let item = ["followed", "muted", "blocked"].map(|name| (name.to_owned(), empty()));
        let item = HashMap::from(item);
        let viewer = stored_viewer(&item, &item, None).unwrap().viewer;
        assert_eq!((viewer.blocked_by, viewer.unfinished), (Blockers::Unlisted, Unfinished::default()));
    }
}
