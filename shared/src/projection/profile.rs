//! What follows from a profile: the user's card, and the author part of the cards of the user's posts of the last
//! 30 days. Older posts keep the author as they last showed it.

use futures::{StreamExt, TryStreamExt, stream};

use super::{Projector, catch_up::Author};
use crate::{
    error::Error,
    model::limits::FEED_AGE_MAX,
    store::{
        Consistency,
        timelines::{Range, Timeline},
    },
};

/// Rows read at a time.
const PAGE: usize = 500;
/// Cards written at once.
const CARDS_AT_ONCE: usize = 8;

impl Projector {
    /// Makes the read model show the profile as the truth has it.
    pub(super) async fn show_profile(&self, author: &Author<'_>) -> Result<(), Error> {
        let profile = author.profile(self).await?;
        self.cards.put_profile(profile).await?;
        let timeline = Timeline::Author(author.user.clone());
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
