//! Viewer items in the shared cache, of viewers who read often. The version of an entry is the item's revision.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{consistency::Consistency, key, viewers::Viewers};
use crate::{
    error::Error,
    model::{Blockers, Unfinished, UserHash, UserId, Version, Viewer},
    shared_cache::{Found, Leases, VIEWER},
};

/// A viewer. Sets are their hashes in order, in base 64.
#[derive(Debug, Serialize, Deserialize)]
struct CachedViewer {
    applied: Version,
    followed: String,
    muted: String,
    blocked: String,
    /// None if the users who block the viewer are not listed.
    blocked_by: Option<String>,
    backfills: BTreeMap<UserId, Version>,
    profile: Option<Version>,
}

impl From<&Viewer> for CachedViewer {
    fn from(viewer: &Viewer) -> Self {
        let Viewer { applied, followed, muted, blocked, blocked_by, unfinished } = viewer;
        let blocked_by = match blocked_by {
            Blockers::Listed(users) => Some(text(users)),
            Blockers::Unlisted => None,
        };
        Self {
            applied: *applied,
            followed: text(followed),
            muted: text(muted),
            blocked: text(blocked),
            blocked_by,
            backfills: unfinished.backfills.clone(),
            profile: unfinished.profile,
        }
    }
}

impl CachedViewer {
    /// The viewer. None if a set is damaged.
    fn viewer(self) -> Option<Viewer> {
        let blocked_by = match self.blocked_by {
            Some(users) => Blockers::Listed(set(&users)?),
            None => Blockers::Unlisted,
        };
        Some(Viewer {
            applied: self.applied,
            followed: set(&self.followed)?,
            muted: set(&self.muted)?,
            blocked: set(&self.blocked)?,
            blocked_by,
            unfinished: Unfinished { backfills: self.backfills, profile: self.profile },
        })
    }
}

impl Viewers {
    /// The viewer, from the shared cache if it has the viewer. The viewer is as old as an eventually consistent read
    /// allows, or as old as an entry may be if a write did not reach the cache.
    ///
    /// # Errors
    /// As [`Viewers::get`].
    pub(crate) async fn through_cache(&self, user: &UserId) -> Result<Viewer, Error> {
        let entry = [self.entry_of(user)];
        let found = self.cache.find::<CachedViewer>(&VIEWER, &entry, None, Leases::Wanted).await.pop();
        match found {
            Some(Found::Value(read)) => {
                if let Some(viewer) = read.value.viewer() {
                    return Ok(viewer);
                }
            }
            Some(Found::Lease(lease)) => {
                let stored = self.get(user, Consistency::Strong).await?;
                if stored.revision > 0 {
                    self.cache.fill(vec![(lease, stored.revision, CachedViewer::from(&stored.viewer))]).await;
                }
                return Ok(stored.viewer);
            }
            Some(Found::Nothing) | None => {}
        }
        Ok(self.get(user, Consistency::Eventual).await?.viewer)
    }

    /// Replaces the entry of a viewer that was written.
    pub(super) async fn viewer_written(&self, user: &UserId, revision: u64, viewer: &Viewer) {
        if self.cache.is_on() {
            self.cache.replace(&VIEWER, &self.entry_of(user), revision, &CachedViewer::from(viewer)).await;
        }
    }

    /// Makes the cache forget a viewer who may have been written.
    pub(super) async fn viewer_in_doubt(&self, user: &UserId) {
        self.cache.forget(&VIEWER, [self.entry_of(user)]).await;
    }

    /// Ends what the cache has of a viewer who was removed.
    pub(super) async fn viewer_removed(&self, user: &UserId) {
        self.cache.block(&VIEWER, &self.entry_of(user)).await;
    }

    fn entry_of(&self, user: &UserId) -> String {
        format!("{}:{}", self.table.get(), key::user(user))
    }
}

fn text(users: &BTreeSet<UserHash>) -> String {
    STANDARD_NO_PAD.encode(users.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>())
}

fn set(text: &str) -> Option<BTreeSet<UserHash>> {
    let bytes = STANDARD_NO_PAD.decode(text).ok()?;
    match bytes.as_chunks::<{ UserHash::BYTES }>() {
        (hashes, []) => Some(hashes.iter().copied().map(UserHash).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reading_a_cached_viewer_is_the_identity(
            applied in 0..=Version::MAX.get(),
            sets in proptest::array::uniform4(proptest::collection::btree_set(any::<[u8; 8]>(), 0..50)),
            is_listed in any::<bool>(),
            backfills in proptest::collection::btree_map("[a-z|#]{1,9}", 1..=Version::MAX.get(), 0..5),
            profile in proptest::option::of(1..=Version::MAX.get()),
        ) {
            let version = |version| Version::new(version).unwrap();
            let backfills = backfills.into_iter().map(|(author, at)| (author.parse().unwrap(), version(at))).collect();
            let unfinished = Unfinished { backfills, profile: profile.map(version) };
            let sets = sets.map(|set| set.into_iter().map(UserHash).collect::<BTreeSet<_>>());
            let [followed, muted, blocked, blocked_by] = sets;
            let blocked_by = if is_listed { Blockers::Listed(blocked_by) } else { Blockers::Unlisted };
            let viewer = Viewer { applied: version(applied), followed, muted, blocked, blocked_by, unfinished };
            let text = serde_json::to_vec(&CachedViewer::from(&viewer)).unwrap();
            prop_assert_eq!(serde_json::from_slice::<CachedViewer>(&text).unwrap().viewer(), Some(viewer));
        }
    }
}
