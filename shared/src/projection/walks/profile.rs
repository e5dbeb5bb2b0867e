//! Profiles: the user's card, and the author part of the cards of all of the user's posts. Until all cards show the
//! profile, the user's own pages take it from the truth.

use futures::{StreamExt, TryStreamExt, stream};

use super::{Completion, Step, Walks};
use crate::{
    error::Error,
    model::{PostId, Profile, Timestamp, UserId, Version},
    projection::trending::merge_soon,
    store::{
        Consistency,
        timelines::{Range, Timeline},
    },
    stream::walk::Walk,
};

/// Cards written at once.
const CARDS_AT_ONCE: usize = 8;
/// All of an author's posts, however old: the old handle may belong to somebody else by now.
const ALL: Timestamp = Timestamp::from_ms(0);

impl Walks {
    /// Shows the profile, as the truth has it now, on the user's card and on the newest posts, and lets a worker show
    /// it on the others.
    pub(in crate::projection) async fn show_profile(&self, profile: &Profile) -> Result<Completion, Error> {
        self.cards.put_profile(profile).await?;
        match self.show_on_posts(profile, None, self.inline_rows()).await? {
            None => Ok(Completion::Complete),
            before => {
                let (user, version) = (profile.user.clone(), profile.version);
                self.send(vec![Walk::Profile { user, version, before }]).await?;
                Ok(Completion::Walking)
            }
        }
    }

    /// One step: shows the profile on the next posts. The profile may be newer than the walk by now. Then the walk
    /// ends, because the newer profile has a walk of its own.
    pub(super) async fn profile_step(
        &self,
        user: UserId,
        version: Version,
        before: Option<PostId>,
        rows: usize,
    ) -> Result<Step, Error> {
        let Some(profile) = self.commands.profile(&user).await?.filter(|profile| profile.version <= version) else {
            return Ok(Step::Done);
        };
        match self.show_on_posts(&profile, before, rows).await? {
            Some(last) => Ok(Step::Next(vec![Walk::Profile { user, version, before: Some(last) }])),
            None => {
                let walk = Walk::Profile { user: user.clone(), version, before };
                self.end(&user, version, walk, |walks| walks.end_profile(version)).await
            }
        }
    }

    /// Shows the profile on at most `rows` posts, from the newest one below `before` on. Returns the last of them if
    /// there may be more.
    async fn show_on_posts(
        &self,
        profile: &Profile,
        before: Option<PostId>,
        rows: usize,
    ) -> Result<Option<PostId>, Error> {
        let timeline = Timeline::Author(profile.user.clone());
        let range = Range { before, since: ALL };
        let page = self.timelines.newest(&timeline, range, rows, Consistency::Strong).await?;
        let now = self.clock.now();
        let may_change_what_trends = stream::iter(&page.rows)
            .map(|row| self.cards.put_author(row.post, profile, now))
            .buffer_unordered(CARDS_AT_ONCE)
            .try_fold(false, async |any, may_change| Ok(any || may_change))
            .await?;
        if may_change_what_trends {
            merge_soon(&self.cards, &self.work_queue, self.clock.now()).await?;
        }
        Ok(page.rows.last().filter(|_| page.more).map(|last| last.post))
    }
}

#[cfg(test)]
mod tests;
