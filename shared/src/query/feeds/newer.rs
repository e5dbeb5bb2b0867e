//! What is new in a home since a client asked last. Clients ask this every minute, and mostly nothing is new. Then one
//! round trip shows it, usually with at most one read unit: the rows of the home since the client's mark, and what
//! celebrities have announced since. A process also reads the list of celebrities once a minute. Only if there is
//! something does the rest of a page follow: viewer state, filter, hydrate.
//!
//! The oldest of the new posts come first: a client that asks again and again with the mark of the last answer gets
//! every post once, however many there are. [`Newest`] says which posts are new.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};

use super::visits::Completeness;
use crate::{
    error::Error,
    metrics,
    model::{
        CelebrityList, PostId, Timestamp, UserId,
        limits::{ANNOUNCEMENT_KEPT, FEED_AGE_MAX, NEW_POSTS_MAX},
    },
    query::{
        newest::{Covered, KNOWN_MAX, Newest},
        pipeline::{AUTHORS_AT_ONCE, FeedPost, Filter, Hydrated, ReadRequest, ViewerState},
        services::Feeds,
    },
    store::{
        Announcements, Consistency,
        timelines::{RowPage, Timeline},
    },
};

/// Rows that one read looks at: enough for all new posts that are counted, and those that are known.
const ROWS: usize = NEW_POSTS_MAX + KNOWN_MAX + 1;
/// Reads of the home at most. More than one is needed only where many of the new posts are hidden.
const READS_MAX: usize = 5;
/// The same as long as nothing new was found: a client takes nothing new for the end.
const READS_OF_HIDDEN_MAX: usize = 20;
/// Announcements that are looked at. If there are more, the timelines of the celebrities are read instead.
const ANNOUNCED_MAX: i32 = 500;

/// What is new in a home.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPosts {
    /// How many posts are new, [`NEW_POSTS_MAX`] at most.
    pub count: usize,
    /// The oldest of them, as many as were asked for: newest first.
    pub posts: Vec<FeedPost>,
    /// The mark to ask with for what comes after these posts.
    pub newest: Newest,
}

/// Rows beside those of the home itself.
struct Others {
    rows: BTreeMap<PostId, UserId>,
    /// All rows up to this post are among them; all at all if none is given.
    until: Option<PostId>,
}

impl Feeds {
    /// What is new in the viewer's home. With a limit, the oldest new posts; without one, only their number, and the
    /// mark stays as long as something is new.
    ///
    /// # Errors
    /// As [`ViewerState::read`] and the stores'.
    pub async fn newer(
        &self,
        request: ReadRequest<'_>,
        mark: &Newest,
        limit: Option<usize>,
    ) -> Result<NewPosts, Error> {
        let (now, home) = (self.clock.now(), Timeline::Home(request.viewer.clone()));
        let first = mark.first().max(PostId::lowest(now.before(FEED_AGE_MAX)));
        // A strongly consistent query reads rows after the viewer state (INV-4).
        let exact = match request.consistency() {
            Consistency::Strong => Some(self.viewer_state(request).await?),
            Consistency::Eventual => None,
        };
        let (page, announced, celebrities) = tokio::try_join!(
            self.timelines.oldest(&home, first, None, ROWS, request.consistency()),
            self.timelines.announced(mark.announced_since(), ANNOUNCED_MAX),
            self.celebrities.list()
        )?;
        // The rows up to the end of the home come with its visit.
        let visit = match page.more {
            true => self.timelines.visit(request.viewer, Consistency::Eventual).await?,
            false => page.visit,
        };
        let completeness = self.note_visit(request.viewer, visit).await;
        let may_be_new = |post: &PostId| *post >= first && mark.is_new(post);
        let is_quiet = !page.rows.iter().map(|row| &row.post).chain(announced_posts(&announced)).any(may_be_new)
            && celebrities.new_since(first.created_at(), self.celebrities.policy()).next().is_none();
        // Announcements are deleted after a while.
        let all_announced = !announced.more && now.since(mark.announced_since()) < ANNOUNCEMENT_KEPT;
        if is_quiet && all_announced && completeness.is_whole() && exact.is_none() {
            let posts = page.rows.iter().map(|row| row.post).filter(|post| !mark.is_new(post)).collect();
            let newest = mark.after(&Covered { posts, ..Covered::default() }, now);
            return Ok(NewPosts { count: 0, posts: Vec::new(), newest });
        }
        let state = match exact {
            Some(state) => state,
            None => self.viewer_state(request).await?,
        };
        let announced = all_announced.then_some(announced);
        let others = self.others(&state, completeness, first, announced, &celebrities).await?;
        let (found, covered) = self.look_through(&state, page, &others, (first, mark)).await?;
        metrics::PAGES.add(1);
        Ok(answer(mark, found, covered, limit, now))
    }

    /// Looks through the home from this page on, together with the other rows, until enough new posts are found.
    /// Returns them, and what the next mark covers.
    async fn look_through(
        &self,
        state: &ViewerState<'_>,
        mut page: RowPage,
        others: &Others,
        (first, mark): (PostId, &Newest),
    ) -> Result<(Vec<FeedPost>, Covered), Error> {
        let home = Timeline::Home(state.request.viewer.clone());
        let (mut found, mut covered, mut from) = (Vec::<FeedPost>::new(), Covered::default(), None);
        for read in 1..=READS_OF_HIDDEN_MAX {
            metrics::PAGE_ROUNDS.add(1);
            let until = page.rows.last().map(|row| row.post).filter(|_| page.more);
            let until = [until, others.until].into_iter().flatten().min();
            let rows = rows(page, others, from, until);
            metrics::ROWS_READ.add(rows.len());
            // The mark forgets rows whose author is not shown: the follow may be on its way to the viewer.
            let admitted = rows.into_iter().filter(|(_, author)| Filter::Home.admits_author(state, author));
            let admitted: Vec<_> = admitted.map(|(post, _)| post).collect();
            let ids: Vec<_> = admitted.iter().copied().filter(|post| *post >= first && mark.is_new(post)).collect();
            let Hydrated { mut posts, without_card, .. } = self.hydrator().hydrate(state, &ids).await?;
            found.extend(ids.iter().filter_map(|id| posts.remove(id)));
            // Whose card is still to come stays new.
            covered.posts.extend(admitted.into_iter().filter(|post| !without_card.contains(post)));
            // Nothing behind this row was looked at.
            covered.unseen = until;
            let most = if found.is_empty() { READS_OF_HIDDEN_MAX } else { READS_MAX };
            let is_enough = found.len() >= NEW_POSTS_MAX || read >= most;
            if until.is_none() || until == others.until || is_enough {
                break;
            }
            from = until;
            page = self.timelines.oldest(&home, first, from, ROWS, state.consistency()).await?;
        }
        Ok((found, covered))
    }

    async fn viewer_state<'a>(&self, request: ReadRequest<'a>) -> Result<ViewerState<'a>, Error> {
        ViewerState::read(request, &self.viewers, &self.commands).await
    }

    /// The new rows beside the home's: posts of celebrities whom the viewer follows, and for a query with a version
    /// what projections have not reached. If not everything was announced, the celebrities' timelines are read, and
    /// those of new celebrities in any case; if the home may lack rows, those of all followed users are.
    async fn others(
        &self,
        state: &ViewerState<'_>,
        home: Completeness,
        first: PostId,
        announced: Option<Announcements>,
        celebrities: &CelebrityList,
    ) -> Result<Others, Error> {
        let unprojected = state.unprojected_posts().map(|post| (post, state.request.viewer.clone()));
        let rows = unprojected.filter(|(post, _)| *post >= first).collect();
        let mut others = Others { rows, until: None };
        let mut authors: BTreeSet<_> = match state.consistency() {
            Consistency::Strong => state.viewer.unfinished.backfills.keys().cloned().collect(),
            Consistency::Eventual => BTreeSet::new(),
        };
        if home == Completeness::Incomplete {
            authors.extend(self.followed(state.request.viewer).await?);
        }
        match announced {
            Some(announced) => {
                let rows = announced.newest.into_iter().map(|announcement| announcement.row);
                others.rows.extend(rows.filter(|row| row.post >= first).map(|row| (row.post, row.author)));
                let new = celebrities.new_since(first.created_at(), self.celebrities.policy());
                authors.extend(new.map(|new| new.author.clone()).filter(|author| state.viewer.follows(author)));
            }
            None => {
                let followed = celebrities.among(&state.viewer.followed);
                authors.extend(followed.into_iter().map(|celebrity| celebrity.author.clone()));
            }
        }
        authors.retain(|author| Filter::Home.admits_author(state, author));
        let read = async |author: UserId| {
            let timeline = Timeline::Author(author);
            self.timelines.oldest(&timeline, first, None, ROWS, state.consistency()).await
        };
        let pages: Vec<RowPage> =
            stream::iter(authors).map(read).buffer_unordered(AUTHORS_AT_ONCE).try_collect().await?;
        for RowPage { rows, more, .. } in pages {
            let last = rows.last().map(|row| row.post).filter(|_| more);
            others.until = [others.until, last].into_iter().flatten().min();
            others.rows.extend(rows.into_iter().map(|row| (row.post, row.author)));
        }
        Ok(others)
    }
}

fn announced_posts(announced: &Announcements) -> impl Iterator<Item = &PostId> {
    announced.newest.iter().map(|announcement| &announcement.row.post)
}

/// The rows of the home and of other sources behind the post `from` up to the post `until`.
fn rows(page: RowPage, others: &Others, from: Option<PostId>, until: Option<PostId>) -> BTreeMap<PostId, UserId> {
    let others = others.rows.iter().map(|(post, author)| (*post, author.clone()));
    let home = page.rows.into_iter().map(|row| (row.post, row.author));
    let within = |post: &PostId| from.is_none_or(|from| *post > from) && until.is_none_or(|until| *post <= until);
    others.chain(home).filter(|(post, _)| within(post)).collect()
}

/// The answer if these posts are new, oldest first, of all that was covered.
fn answer(
    mark: &Newest,
    mut found: Vec<FeedPost>,
    mut covered: Covered,
    limit: Option<usize>,
    now: Timestamp,
) -> NewPosts {
    let count = found.len().min(NEW_POSTS_MAX);
    let Some(limit) = limit else {
        // The new posts stay new.
        let newest = if count == 0 { mark.after(&covered, now) } else { mark.clone() };
        return NewPosts { count, posts: Vec::new(), newest };
    };
    if let Some(unseen) = found.get(limit).map(|post| post.card.post) {
        covered.posts.retain(|post| *post < unseen);
        covered.unseen = Some(unseen);
    }
    found.truncate(limit);
    found.reverse();
    NewPosts { count, posts: found, newest: mark.after(&covered, now) }
}
