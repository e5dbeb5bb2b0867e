//! Searches for posts. A page goes through the stages of every feed: viewer state, sources, filter, hydrate, page. The
//! sources are lists of the index, and the filter also asks whether the text on the card matches.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    Search,
    join::{Join, Lists, sources},
};
use crate::{
    error::Error,
    metrics,
    model::{CLOCK_DIFFERENCE_MAX, PostId, Timestamp, UserId, search::PostQuery},
    query::{
        feeds::Served,
        pipeline::{FeedPost, Filter, Page, PostsBefore, Ranker, ReadRequest, ViewerState},
    },
    store::{Consistency, cards::PostCard, command_table::Claim},
};

/// Candidates whose cards one page reads at most. After them, a short page has a cursor.
const CANDIDATES_MAX: usize = 300;
/// Candidates of one read at least, if some of them may not match, and of any read at most.
const BATCH: std::ops::RangeInclusive<usize> = 25..=100;
/// The newest posts among which the best come first.
const TOP_WINDOW: usize = 60;

/// Where a walk through the best posts goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopPosition {
    /// The moment for which posts are scored: when the walk began. The walk shows no later ones.
    at: Timestamp,
    /// The posts that the walk has shown.
    served: Served,
    /// The walk shows the best of what matches below this post. None as long as that is the newest of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<PostId>,
}

/// A search under way.
struct Matching<'a> {
    search: &'a Search,
    query: &'a PostQuery,
    state: ViewerState<'a>,
    join: Join<'a>,
    /// The author whom the query names.
    from: Option<UserId>,
    /// Those whose posts the query does not want.
    not_from: Vec<UserId>,
    /// The viewer's posts that projections have not reached, newest first.
    unprojected: Vec<PostId>,
    candidates_left: usize,
    batch: usize,
}

impl Search {
    /// At most `limit` posts that match and are older than `before`, newest first. A page may have fewer although
    /// there are more: then it has a position, too.
    ///
    /// # Errors
    /// [`crate::error::Rejection::SearchOff`]; otherwise as [`ViewerState::read`] and the stores'.
    pub async fn newest(
        &self,
        request: ReadRequest<'_>,
        query: &PostQuery,
        before: Option<PostId>,
        limit: usize,
    ) -> Result<Page<FeedPost, PostId>, Error> {
        let kept = self.kept()?;
        let Some(mut matching) = self.open(request, query, before, kept, limit).await? else {
            return Ok(Page::empty());
        };
        let mut entries = matching.some(limit).await?;
        let next = match entries.len() > limit {
            true => {
                entries.truncate(limit);
                entries.last().map(|post| post.card.post)
            }
            false => matching.position(),
        };
        Ok(Page { entries, next })
    }

    /// At most `limit` of the newest 60 posts that match, best first, from this position on. If few of the newest posts
    /// match, those of them come first that one page can look at. A page may have fewer posts although there are more:
    /// then it has a position, too.
    ///
    /// # Errors
    /// As [`Search::newest`].
    pub async fn top(
        &self,
        request: ReadRequest<'_>,
        query: &PostQuery,
        position: Option<TopPosition>,
        limit: usize,
    ) -> Result<Page<FeedPost, TopPosition>, Error> {
        let kept = self.kept()?;
        let start = || TopPosition { at: self.clock.now(), served: Served::default(), before: None };
        let mut position = position.unwrap_or_else(start);
        // The viewer's own post may come from a process whose clock is ahead of this one.
        let before = position.before.unwrap_or_else(|| PostId::lowest(position.at.after(CLOCK_DIFFERENCE_MAX)));
        let opened = self.open(request, query, Some(before), kept, TOP_WINDOW).await?;
        let Some(mut matching) = opened else { return Ok(Page::empty()) };
        let mut window = matching.some(TOP_WINDOW - 1).await?;
        let served = window.iter().filter(|post| position.served.contains(post.card.post)).count();
        let wanted = TOP_WINDOW.saturating_sub(position.served.len() - served);
        let behind = matching.position().filter(|_| window.len() < wanted);
        window.truncate(wanted);
        let mut entries = Ranker::new(position.at, Default::default()).rank(window, &PostsBefore::new());
        entries.retain(|post| !position.served.contains(post.card.post));
        let more = entries.len() > limit;
        entries.truncate(limit);
        entries.iter().for_each(|post| position.served.insert(post.card.post));
        let next = match (more, behind) {
            (true, _) => Some(position),
            (false, Some(behind)) => Some(TopPosition { before: Some(behind), ..position }),
            (false, None) => None,
        };
        Ok(Page { entries, next })
    }

    /// Reads what a page begins with. None if nothing can match, because nobody has the handle of the author.
    async fn open<'a>(
        &'a self,
        request: ReadRequest<'a>,
        query: &'a PostQuery,
        before: Option<PostId>,
        kept: Duration,
        wanted: usize,
    ) -> Result<Option<Matching<'a>>, Error> {
        let now = self.clock.now();
        let from = async {
            Ok(match &query.from {
                Some(handle) => Some(self.commands.claim(handle).await?.and_then(Claim::owner)),
                None => None,
            })
        };
        let unwanted: Vec<_> = query.not_from.iter().collect();
        let (consistency, since) = (request.consistency(), now.before(kept));
        let lists = Lists { index: &self.index, timelines: &self.timelines, consistency, since };
        let state = ViewerState::read(request, &self.viewers, &self.commands);
        // Only the author has to be known before the lists are read. The viewer item is read before rows that have to
        // show the viewer's own posts.
        let (state, from, not_from, join) = match (consistency, &query.from) {
            (Consistency::Eventual, None) => {
                let join = Join::open(lists, sources(query, None), before, now);
                let (state, not_from, join) = tokio::try_join!(state, self.commands.owners(&unwanted), join)?;
                (state, None, not_from, join)
            }
            _ => {
                let (state, from, not_from) = tokio::try_join!(state, from, self.commands.owners(&unwanted))?;
                if from == Some(None) {
                    return Ok(None);
                }
                let from = from.flatten();
                let join = Join::open(lists, sources(query, from.clone()), before, now).await?;
                (state, from, not_from, join)
            }
        };
        let mut unprojected: Vec<_> = state.unprojected_posts().collect();
        unprojected.retain(|post| before.is_none_or(|before| *post < before) && post.created_at() >= since);
        unprojected.reverse();
        let batch = if query.is_one_list() { wanted + 1 } else { (wanted + 1).max(*BATCH.start()) };
        let candidates_left = CANDIDATES_MAX;
        let search = self;
        Ok(Some(Matching { search, query, state, join, from, not_from, unprojected, candidates_left, batch }))
    }
}

impl Matching<'_> {
    /// The next posts that match: more than `limit`, unless there are no more, or this page has looked at enough.
    async fn some(&mut self, limit: usize) -> Result<Vec<FeedPost>, Error> {
        let mut found = Vec::new();
        loop {
            metrics::PAGE_ROUNDS.add(1);
            let batch = self.batch.min(*BATCH.end()).min(self.candidates_left);
            let mut candidates = self.join.next(batch).await?;
            self.candidates_left -= candidates.len();
            self.add_unprojected(&mut candidates);
            metrics::ROWS_READ.add(candidates.len());
            let shown = self.shown(candidates).await?;
            found.extend(shown);
            if found.len() > limit || self.candidates_left == 0 || !self.join.goes_on() {
                metrics::PAGES.add(1);
                return Ok(found);
            }
            self.batch *= 2;
        }
    }

    /// Where the next page begins, if this one does not end before.
    fn position(&self) -> Option<PostId> {
        self.join.looked_at.filter(|_| !self.join.ends)
    }

    /// The index may not have them. Whether they match is for their texts to say.
    fn add_unprojected(&mut self, candidates: &mut Vec<PostId>) {
        let end = self.position();
        let is_due = |post: &PostId| end.is_none_or(|end| *post >= end);
        let due = self.unprojected.iter().take_while(|post| is_due(post)).count();
        candidates.extend(self.unprojected.drain(..due));
        candidates.sort_unstable_by(|a, b| b.cmp(a));
        candidates.dedup();
    }

    /// Those of the candidates that match, and that the viewer may see, in their order.
    async fn shown(&self, mut candidates: Vec<PostId>) -> Result<Vec<FeedPost>, Error> {
        let Search { commands, recent_cards, .. } = self.search;
        if self.state.consistency() == Consistency::Eventual && !self.query.is_one_list() {
            // Likes are read of what matches only. Its cards are kept from this read.
            let cards = recent_cards.posts(&candidates).await?;
            candidates.retain(|post| cards.get(post).is_some_and(|card| self.matches(card)));
        }
        let mut posts = self.search.hydrator().posts(&self.state, &candidates).await?;
        // Whoever names an author looks that author up, muted or not.
        let filter = if self.from.is_some() { Filter::LookedUp } else { Filter::Visible };
        let authors: BTreeSet<_> = posts.values().map(|post| post.card.author.clone()).collect();
        let blockers = filter.blockers(&self.state, commands, &authors).await?;
        posts.retain(|_, post| {
            let author = &post.card.author;
            filter.admits_author(&self.state, author) && !blockers.contains(author) && self.matches(&post.card)
        });
        metrics::ROWS_HIDDEN.add(candidates.len() - posts.len());
        Ok(candidates.iter().filter_map(|post| posts.remove(post)).collect())
    }

    fn matches(&self, card: &PostCard) -> bool {
        self.from.as_ref().is_none_or(|from| *from == card.author)
            && !self.not_from.contains(&card.author)
            && card.text.as_ref().is_some_and(|text| self.query.matches(text.as_str(), &card.tags))
    }
}
