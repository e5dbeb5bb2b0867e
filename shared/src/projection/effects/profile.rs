//! Effects of a profile: the user's card, and the author part of the cards of the user's posts. Only posts of the last
//! 30 days are updated; cards of older posts keep the author part that they have.

use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    error::Error,
    model::{Clock, limits::FEED_AGE_MAX},
    projection::owner::LogOwner,
    store::{
        Consistency,
        cards::Cards,
        timelines::{Range, Timeline, Timelines},
    },
};

/// Rows read at a time.
const PAGE: usize = 500;
/// Cards written at once.
const CARDS_AT_ONCE: usize = 8;

/// What profiles change in the read models.
#[derive(Debug, Clone)]
pub(in crate::projection) struct ProfileEffects {
    pub(in crate::projection) cards: Cards,
    pub(in crate::projection) timelines: Timelines,
    pub(in crate::projection) clock: Clock,
}

impl ProfileEffects {
    /// Shows the owner's profile as the truth has it now.
    pub(in crate::projection) async fn show(&self, owner: &LogOwner<'_>) -> Result<(), Error> {
        let profile = owner.profile().await?;
        self.cards.put_profile(profile).await?;
        let timeline = Timeline::Author(owner.user.clone());
        let mut range = Range { before: None, since: self.clock.now().before(FEED_AGE_MAX) };
        loop {
            let page = self.timelines.newest(&timeline, range, PAGE, Consistency::Strong).await?;
            stream::iter(&page.rows)
                .map(|row| self.cards.put_author(row.post, profile))
                .buffer_unordered(CARDS_AT_ONCE)
                .try_collect::<()>()
                .await?;
            match page.rows.last() {
                Some(last) if page.more => range.before = Some(last.post),
                _ => return Ok(()),
            }
        }
    }
}
