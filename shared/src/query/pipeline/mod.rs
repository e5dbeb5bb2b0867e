//! The stages of a feed's page: viewer state → sources → filter → hydrate → page. [`posts_page`] runs the last four for
//! feeds in the order of creation. Ranked and trending feeds run the same stages around orders of their own.

mod filter;
mod hydrate;
mod page;
mod ranking;
mod sources;
mod viewer_state;

pub(crate) use filter::Filter;
pub use hydrate::{FeedPost, Origin};
pub(crate) use hydrate::{Hydrated, Hydrator};
pub use page::Page;
pub(crate) use page::PageDraft;
pub(crate) use ranking::{PostsBefore, Ranker};
pub(crate) use sources::{AUTHORS_AT_ONCE, Sources};
pub use viewer_state::ReadRequest;
pub(crate) use viewer_state::ViewerState;

use crate::{error::Error, metrics, model::PostId, store::timelines::Row};

/// A page of posts, newest first. The position is the last post that the page covers: the next page begins below it.
pub(crate) type PostPage = Page<FeedPost, PostId>;

/// Fills the page with the posts of the sources that the filter admits. Deleted posts are left out (INV-7).
pub(crate) async fn posts_page(
    draft: PageDraft<FeedPost>,
    sources: &mut Sources<'_>,
    filter: &Filter<'_>,
    hydrator: Hydrator<'_>,
    state: &ViewerState<'_>,
) -> Result<PostPage, Error> {
    let position = |post: &FeedPost| post.card.post;
    let read = async |count| {
        let rows = sources.next(count).await?;
        let authors = rows.rows.iter().map(|row| &row.author);
        let blockers = filter.blockers(state, hydrator.commands, authors).await?;
        let is_admitted = |row: &&Row| filter.admits_author(state, &row.author) && !blockers.contains(&row.author);
        let (admitted, hidden): (Vec<_>, Vec<_>) = rows.rows.iter().partition(is_admitted);
        let ids: Vec<_> = admitted.into_iter().map(|row| row.post).collect();
        let Hydrated { mut posts, without_card: mut not_shown, .. } = hydrator.hydrate(state, &ids).await?;
        not_shown.extend(hidden.into_iter().map(|row| row.post));
        sources.leave_for_later(&not_shown);
        let entries = ids.iter().filter_map(|id| posts.remove(id)).filter(|post| filter.admits_card(&post.card));
        let entries: Vec<_> = entries.collect();
        metrics::ROWS_READ.add(rows.rows.len());
        metrics::ROWS_HIDDEN.add(rows.rows.len() - entries.len());
        Ok(Page { entries, next: sources.position().filter(|_| rows.more) })
    };
    draft.fill(position, read).await
}
