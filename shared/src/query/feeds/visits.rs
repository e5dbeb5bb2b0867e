//! Visits: reading a home keeps it alive. Pushes leave out homes that nobody has read for long, so what such a home
//! lacks is read from the timelines of all followed authors, until a walk has copied it (docs/decisions/0086).

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::{
    error::Error,
    model::{EdgeKind, UserId, Visit},
    query::services::Feeds,
};

/// Followed users that are read at once.
const FOLLOWED_PER_READ: i32 = 1000;

/// How often followed users are read for a page at most. Ended follows are among them.
const READS_MAX: usize = 100;

/// A page waits no longer until its visit is noted.
const NOTED_WITHIN: Duration = Duration::from_millis(500);

/// Whether a home has all rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Completeness {
    /// It has.
    #[default]
    Whole,
    /// It may lack rows of any followed author.
    Incomplete,
}

impl Completeness {
    /// For cursors, which say nothing of most homes.
    pub(super) fn is_whole(&self) -> bool {
        *self == Self::Whole
    }
}

impl Feeds {
    /// Notes that the viewer has read this home, and tells whether it has all rows. A note that fails does no harm to
    /// this page; the next one tries again.
    pub(super) async fn note_visit(&self, viewer: &UserId, visit: Option<Visit>) -> Completeness {
        let Some(visit) = visit else { return Completeness::Whole };
        let change = self.dormancy.visit(&visit, self.clock.now());
        if let Some(after) = change {
            match timeout(NOTED_WITHIN, self.timelines.change_visit(viewer, &visit, &after)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%viewer, %error, "a visit is not noted"),
                Err(_) => tracing::warn!(%viewer, "a visit is not noted in time"),
            }
        }
        match change.unwrap_or(visit).incomplete_since {
            Some(_) => Completeness::Incomplete,
            None => Completeness::Whole,
        }
    }

    /// All users whom the viewer follows.
    pub(super) async fn followed(&self, viewer: &UserId) -> Result<BTreeSet<UserId>, Error> {
        let (mut followed, mut after) = (BTreeSet::new(), None);
        for _ in 0..READS_MAX {
            let follows = self.commands.edges_from(viewer, EdgeKind::Follows, after.as_ref(), FOLLOWED_PER_READ);
            let page = follows.await?;
            followed.extend(page.users);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(followed),
            }
        }
        Err(Error::transient("reading whom the viewer follows", "there are too many ended follows"))
    }
}
