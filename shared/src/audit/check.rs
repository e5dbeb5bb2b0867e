//! Looks at single items: of the command table, and at what follows from it; of the read models, and at what they
//! follow from. Items that changed a moment ago are passed over, because projections are a little behind.

use std::{collections::HashSet, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};

use super::findings::{Finding, Kind};
use crate::{
    celebrities::Celebrities,
    error::Error,
    model::{
        Blockers, Clock, Counts, Edge, EdgeKey, EdgeKind, Post, PostId, Profile, StatisticsPolicy, TallyImage,
        TallyShard, TallySubject, Timestamp, UserId, Version, Viewer, limits::FEED_AGE_MAX,
    },
    projection::notices::{of_follow, of_post},
    read_models::ReadModels,
    store::{
        Consistency,
        cards::{Cards, PostCard},
        command_table::CommandTable,
        comments::CommentOrder,
        scan::TruthItem,
        search::SearchIndex,
        timelines::{Range, Row, Timeline, Timelines},
        viewers::{StoredViewer, Viewers},
    },
    stream::{walk::Walk, work_queue::Task},
};

/// What changed less than this ago is not looked at: it is still on its way.
pub const GRACE: Duration = Duration::from_secs(10 * 60);
/// What expires within this time is not missed: DynamoDB may have deleted it.
pub(super) const LEAVING: Duration = Duration::from_secs(60 * 60);
/// Rows of one author that are compared with a follower's home at most, newest first: pages of so many.
const ROWS_PAGE: usize = 100;
const ROW_PAGES_MAX: usize = 10;
/// Edges of one user that are looked at at once.
const EDGES_AT_ONCE: usize = 8;
/// Edges that are counted at most, in pages of 1000. Of more, nothing is said.
const COUNTED_PAGES_MAX: usize = 10;
const COUNTED_PAGE: i32 = 1000;
/// Comments on a post that are counted at most.
const COMMENTS_COUNTED_MAX: i32 = 200;

/// Compares the read models with the truth.
#[derive(Debug, Clone)]
pub struct Auditor {
    /// Which tables are looked at: those that are read.
    pub read_models: ReadModels,
    /// The truth.
    pub commands: CommandTable,
    /// Which posts stand in which timeline.
    pub timelines: Timelines,
    /// How far each log is applied, and whom each viewer follows, mutes and blocks.
    pub viewers: Viewers,
    /// Contents of posts and profiles.
    pub cards: Cards,
    /// The search index.
    pub search: SearchIndex,
    /// How far back searches go. None if they are off.
    pub search_kept: Option<Duration>,
    /// Authors whose posts are pulled instead of pushed.
    pub celebrities: Celebrities,
    /// How long statistics are kept.
    pub statistics: StatisticsPolicy,
    /// How long an erasure waits before it removes items.
    pub erasure_delay: Duration,
    /// The clock.
    pub clock: Clock,
}

impl Auditor {
    /// What is wrong with what follows from an item of the command table.
    ///
    /// # Errors
    /// As the stores'.
    pub async fn truth_item(&self, item: &TruthItem) -> Result<Vec<Finding>, Error> {
        let (owner, found) = match item {
            TruthItem::Profile(profile) => (&profile.user, self.profile(profile).await?),
            TruthItem::Edge(key, edge) => (&key.from, self.edge(key, *edge).await?),
            TruthItem::Post(post) => (&post.author, self.post_item(post).await?),
            TruthItem::Like(like) => (&like.user, [self.like(like).await?, self.first_like(like).await?].concat()),
            TruthItem::Event(event) => (&event.user, self.event(event).await?),
            TruthItem::Comment(comment) => (&comment.author, self.comment(comment).await?),
            TruthItem::Tally(subject, shard, image) => {
                let found = self.tally(subject, *shard, *image).await?;
                match subject {
                    TallySubject::User(user) => (user, found),
                    TallySubject::Post(_) => return Ok(found),
                }
            }
            TruthItem::Deletion(user, end, at) => return self.erasure(user, *end, *at).await,
        };
        self.unless_deleted(owner, found).await
    }

    /// What is wrong with a user's viewer item, card, followers' count, and home as far as followed users fill it.
    ///
    /// # Errors
    /// As the stores'.
    pub async fn user(&self, user: &UserId) -> Result<Vec<Finding>, Error> {
        let Some(profile) = self.commands.profile(user).await? else { return self.nobody(user).await };
        let mut findings = self.profile(&profile).await?;
        for kind in [EdgeKind::Follows, EdgeKind::Mutes, EdgeKind::Blocks] {
            let mut after = None;
            for _ in 0..COUNTED_PAGES_MAX {
                let page = self.commands.edges_from(user, kind, after.as_ref(), COUNTED_PAGE).await?;
                let keys: Vec<_> = page.users.iter().map(|other| EdgeKey::new(user, kind, other)).collect();
                let edges = self.commands.edges(&keys).await?;
                let found = stream::iter(keys.iter().filter_map(|key| Some((key, edges.get(key)?))))
                    .map(async |(key, edge)| self.edge(key, edge).await)
                    .buffered(EDGES_AT_ONCE)
                    .try_concat();
                findings.extend(found.await?);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(findings)
    }

    /// What is wrong with a post's card, rows and counter.
    ///
    /// # Errors
    /// As the stores'.
    pub async fn post(&self, post: PostId) -> Result<Vec<Finding>, Error> {
        let subject = TallySubject::Post(post);
        let Some(truth) = self.commands.post(post).await? else { return self.card(&subject).await };
        let found = self.post_item(&truth).await?;
        let mut findings = self.unless_deleted(&truth.author, found).await?;
        for (shard, image) in self.commands.tally(&subject).await?.0 {
            findings.extend(self.tally(&subject, shard, image).await?);
        }
        Ok(findings)
    }

    async fn viewer(&self, user: &UserId) -> Result<Viewer, Error> {
        Ok(self.viewers.get(user, Consistency::Eventual).await?.viewer)
    }

    async fn profile(&self, profile: &Profile) -> Result<Vec<Finding>, Error> {
        let user = &profile.user;
        // The item is read first: what is applied of a log is never more than there is of it afterwards.
        let StoredViewer { viewer, has_lost_sets, .. } = self.viewers.get(user, Consistency::Eventual).await?;
        let head = self.commands.head(user).await?;
        let settle = || Task::SettleUser { user: user.clone() };
        if viewer.applied > head.version {
            return Ok(vec![Finding::new(Kind::LogAhead, settle())]);
        }
        if viewer.applied < head.version {
            return Ok(vec![Finding::new(Kind::LogBehind, Task::CatchUp { user: user.clone() })]);
        }
        let mut findings = Vec::new();
        let following = u64::try_from(viewer.followed.len());
        let mut filled = viewer.unfinished.backfills.keys();
        let is_wrong = following != Ok(head.totals.following) || filled.any(|author| !viewer.follows(author));
        if is_wrong || has_lost_sets {
            findings.push(Finding::new(Kind::WrongViewer, settle()));
        }
        if let Some(version) = viewer.unfinished.profile
            && self.is_old(user, version).await?
        {
            findings.push(Finding::new(Kind::LostWalk, settle()));
        }
        let card = self.cards.users(std::slice::from_ref(user), Consistency::Eventual).await?.remove(user);
        let shown = self.cards.tally(&TallySubject::User(user.clone())).await?.tally.counts().followers;
        let is_right = card.is_some_and(|card| {
            card.profile == profile.public
                && card.created_at == profile.created_at
                && card.suspended == profile.suspended
                && card.following == head.totals.following
                && i64::try_from(card.followers) == Ok(shown)
        });
        if !is_right {
            findings.push(Finding::new(Kind::WrongCard, settle()));
        }
        let subject = TallySubject::User(user.clone());
        let contradiction = self
            .truth_contradicts_itself(&subject, shown, |counts| counts.followers, async || self.followers(user).await)
            .await?;
        findings.extend(contradiction);
        findings.extend(self.user_in_index(profile).await?);
        Ok(findings)
    }

    /// Followers of a user. None if they are too many to be counted.
    async fn followers(&self, user: &UserId) -> Result<Option<usize>, Error> {
        let (mut followers, mut after) = (0, None);
        for _ in 0..COUNTED_PAGES_MAX {
            let page = self.commands.followers(user, after.as_ref(), COUNTED_PAGE).await?;
            followers += page.users.len();
            after = page.next;
            if after.is_none() {
                return Ok(Some(followers));
            }
        }
        Ok(None)
    }

    /// Comments on a post that are not deleted. None if they are too many to be counted.
    async fn comments(&self, post: PostId) -> Result<Option<usize>, Error> {
        let (order, limit) = (CommentOrder::OldestFirst, COMMENTS_COUNTED_MAX);
        let page = self.commands.comments(post, order, None, limit, Consistency::Strong).await?;
        Ok((!page.more).then(|| page.comments.iter().filter(|comment| !comment.is_deleted()).count()))
    }

    /// Whether a counter of the command table is the number of what it counts. It is asked only if the card shows
    /// another number, and says nothing if the counter changes meanwhile.
    async fn truth_contradicts_itself(
        &self,
        subject: &TallySubject,
        shown: i64,
        of: fn(&Counts) -> i64,
        count: impl AsyncFn() -> Result<Option<usize>, Error>,
    ) -> Result<Option<Finding>, Error> {
        let is = |counted: i64, found: usize| i64::try_from(found) == Ok(counted);
        if count().await?.is_none_or(|found| is(shown, found)) {
            return Ok(None);
        }
        let before = self.commands.tally(subject).await?;
        let counted = of(&before.counts());
        let Some(found) = count().await?.filter(|found| !is(counted, *found)) else { return Ok(None) };
        if self.commands.tally(subject).await? != before {
            return Ok(None);
        }
        tracing::error!(?subject, found, counted, "a counter of the command table is not the number of what it counts");
        Ok(Some(Finding { kind: Kind::WrongTruth, repair: None }))
    }

    async fn edge(&self, key: &EdgeKey, edge: Edge) -> Result<Vec<Finding>, Error> {
        let EdgeKey { from, kind, to } = key;
        let viewer = self.viewer(from).await?;
        if viewer.applied < edge.version {
            // The log is behind, which is a finding of its own.
            return Ok(Vec::new());
        }
        let redo = || Task::Redo { user: from.clone(), version: edge.version, error: "found by the audit".to_owned() };
        let mut findings = Vec::new();
        let listed = match kind {
            EdgeKind::Follows => viewer.follows(to),
            EdgeKind::Mutes => viewer.mutes(to),
            EdgeKind::Blocks => viewer.blocks(to),
        };
        if listed != edge.active {
            findings.push(Finding::new(Kind::WrongViewer, Task::SettleUser { user: from.clone() }));
        }
        if *kind == EdgeKind::Follows && self.are_wrong(of_follow(from, to, edge).as_slice()).await? {
            findings.push(Finding::new(Kind::WrongNotice, redo()));
        }
        match kind {
            EdgeKind::Follows if edge.active => {
                if self.is_gone(to).await? {
                    let (follower, followee) = (from.clone(), to.clone());
                    findings.push(Finding::new(Kind::LostTask, Task::EndFollow { follower, followee }));
                    return Ok(findings);
                }
                // Rows are missing as long as a walk copies them.
                let found = match viewer.unfinished.backfills.get(to) {
                    Some(version) => self.is_old(from, *version).await?.then_some(Kind::LostWalk),
                    None => self.misses_rows(from, to).await?.then_some(Kind::MissingRow),
                };
                findings.extend(found.map(|kind| Finding::new(kind, redo())));
            }
            EdgeKind::Blocks => {
                let listed = match self.viewer(to).await?.blocked_by {
                    Blockers::Listed(blockers) => blockers.contains(&from.hash()),
                    Blockers::Unlisted => edge.active,
                };
                // A deleted account has no viewer item.
                if listed != edge.active && self.commands.profile(to).await?.is_some() {
                    findings.push(Finding::new(Kind::WrongViewer, redo()));
                }
                if edge.active && self.follows(to, from).await? && self.is_old(from, edge.version).await? {
                    let (follower, followee) = (to.clone(), from.clone());
                    findings.push(Finding::new(Kind::LostTask, Task::EndFollow { follower, followee }));
                }
            }
            EdgeKind::Follows | EdgeKind::Mutes => {}
        }
        Ok(findings)
    }

    /// Whether the follower follows the followee, as the command table has it.
    async fn follows(&self, follower: &UserId, followee: &UserId) -> Result<bool, Error> {
        let key = EdgeKey::new(follower, EdgeKind::Follows, followee);
        Ok(self.commands.edges(std::slice::from_ref(&key)).await?.get(&key).is_some_and(|edge| edge.active))
    }

    /// Whether the event was committed so long ago that what follows from it should be complete.
    async fn is_old(&self, user: &UserId, version: Version) -> Result<bool, Error> {
        let event = self.commands.event(user, version).await?;
        Ok(event.is_none_or(|event| self.clock.now().since(event.at) >= GRACE))
    }

    /// Whether the viewer's home lacks posts of an author whom the viewer follows.
    async fn misses_rows(&self, viewer: &UserId, author: &UserId) -> Result<bool, Error> {
        if !self.celebrities.are_pushed(author).await? {
            return Ok(false);
        }
        let (home, timeline) = (Timeline::Home(viewer.clone()), Timeline::Author(author.clone()));
        let now = self.clock.now();
        let mut range = Range { before: Some(PostId::lowest(now.before(GRACE))), since: stays_since(now) };
        for _ in 0..ROW_PAGES_MAX {
            let page = self.timelines.newest(&timeline, range, ROWS_PAGE, Consistency::Eventual).await?;
            let expected: Vec<_> = page.rows.iter().map(|row| (home.clone(), row.post)).collect();
            if self.timelines.which(&expected).await?.len() < expected.len() {
                // Readers and pushes see to a home that nobody has read for long.
                let visit = self.timelines.visit(viewer, Consistency::Strong).await?;
                return Ok(visit.is_none_or(|visit| visit.is_whole_for(Duration::ZERO, now)));
            }
            match page.rows.last() {
                Some(last) if page.more => range.before = Some(last.post),
                _ => return Ok(false),
            }
        }
        Ok(false)
    }

    async fn post_item(&self, post: &Post) -> Result<Vec<Finding>, Error> {
        let now = self.clock.now();
        let changed_at = [Some(post.post.created_at()), post.edited_at, post.deleted_at].into_iter().flatten().max();
        if changed_at.is_some_and(|at| now.since(at) < GRACE) {
            return Ok(Vec::new());
        }
        let settle = || Task::SettlePost { post: post.post };
        let subject = TallySubject::Post(post.post);
        let mut findings = Vec::new();
        let card = self.cards.posts(&[post.post], Consistency::Eventual).await?.remove(&post.post);
        let stored = self.cards.tally(&subject).await?;
        let counted = stored.tally.counts();
        let shows_counts = |card: &PostCard| {
            let of = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            [of(card.likes), of(card.comments), card.heat] == [counted.likes, counted.comments, counted.heat]
        };
        if stored.is_misplaced() || !card.as_ref().is_some_and(|card| shows(card, post) && shows_counts(card)) {
            findings.push(Finding::new(Kind::WrongCard, settle()));
        }
        if self.miscounts_tags(post).await? {
            findings.push(Finding::new(Kind::WrongStatistics, settle()));
        }
        if post.is_deleted() {
            let (order, some) = (CommentOrder::OldestFirst, Consistency::Eventual);
            let comments = self.commands.comments(post.post, order, None, 1, some).await?.comments;
            if !post.tags_ever.is_empty() || !comments.is_empty() {
                let (post, author) = (post.post, post.author.clone());
                let purge = Walk::Purge { post, author, after: None, until: None };
                findings.push(Finding::new(Kind::LostWalk, purge.into()));
            }
            return Ok(findings);
        }
        let contradiction = self
            .truth_contradicts_itself(
                &subject,
                counted.comments,
                |counts| counts.comments,
                async || self.comments(post.post).await,
            )
            .await?;
        findings.extend(contradiction);
        if post.post.created_at() >= stays_since(now)
            && let Some(card) = &card
            && let Some(author) = self.commands.profile(&post.author).await?
            && (&card.author_profile, card.author_suspended) != (&author.public, author.suspended)
            && let viewer = self.viewer(&post.author).await?
            // The profile may have changed a moment ago.
            && viewer.applied >= author.version
            && viewer.unfinished.profile.is_none()
        {
            findings.push(Finding::new(Kind::WrongCard, settle()));
        }
        let mut expected = vec![(Timeline::Author(post.author.clone()), post.post)];
        if post.post.created_at() >= stays_since(now) {
            expected.push((Timeline::Home(post.author.clone()), post.post));
            expected.extend(post.tags.iter().map(|tag| (Timeline::Tag(tag.clone()), post.post)));
        }
        if self.timelines.which(&expected).await?.len() < expected.len() {
            findings.push(Finding::new(Kind::MissingRow, settle()));
        }
        if self.are_wrong(&of_post(post)).await? {
            findings.push(Finding::new(Kind::WrongNotice, settle()));
        }
        findings.extend(self.post_in_index(post).await?);
        Ok(findings)
    }

    /// The image was read before. So the card's is the same or newer, but not newer than the truth is now.
    async fn tally(&self, subject: &TallySubject, shard: TallyShard, image: TallyImage) -> Result<Vec<Finding>, Error> {
        let shown = self.cards.tally(subject).await?.tally;
        let of_shard = shown.0.get(&shard).copied().unwrap_or_default();
        let is_first = shard == TallyShard::default();
        let settle = |shards| Finding::new(Kind::WrongTally, Task::SettleTally { subject: subject.clone(), shards });
        if of_shard.version < image.version {
            return Ok(vec![settle(vec![shard])]);
        }
        if of_shard == image && (!is_first || shown.0.len() <= 1) {
            return Ok(Vec::new());
        }
        let truth = self.commands.tally(subject).await?.0;
        let is_right = shown.0.iter().all(|(shard, shown)| {
            let truth = truth.get(shard).copied().unwrap_or_default();
            shown.version < truth.version || *shown == truth
        });
        // What was never true may stand in any shard.
        Ok(if is_right { Vec::new() } else { vec![settle(Vec::new())] })
    }

    /// What is wrong with rows, each given with the key of its timeline.
    ///
    /// # Errors
    /// As the store's.
    pub async fn rows(&self, rows: &[(String, Row)]) -> Result<Vec<Finding>, Error> {
        let since = stays_since(self.clock.now());
        let looked_at = |row: &Row| row.post.created_at() >= since;
        let posts: HashSet<PostId> = rows.iter().map(|(_, row)| row.post).collect();
        let posts: Vec<_> = posts.into_iter().collect();
        let truth = self.commands.posts(&posts).await?;
        let mut findings = Vec::new();
        for (timeline, row) in rows {
            // Rows of a kind that only a newer release knows are left to it.
            let Some(of) = Timeline::parse(timeline) else { continue };
            // Rows of authors stay, all others expire.
            if !looked_at(row) && !matches!(of, Timeline::Author(_)) {
                continue;
            }
            let truth = truth.iter().find(|post| post.post == row.post);
            if truth.is_some_and(|post| of.may_have(row, post)) {
                continue;
            }
            let (post, author) = (row.post, row.author.clone());
            let stray = Finding::new(Kind::StrayRow, Task::CheckRow { timeline: timeline.clone(), post, author });
            findings.extend(match of {
                // An erasure puts deleted posts back among the author's rows, to find them in homes.
                Timeline::Author(author) if truth.is_some() => self.unless_deleted(&author, vec![stray]).await?,
                _ => vec![stray],
            });
        }
        Ok(findings)
    }

    /// Whether a viewer item belongs to a user. Whoever blocks somebody writes to the item, too, so an item is right
    /// without a log, but not without a user.
    ///
    /// # Errors
    /// As the store's.
    pub async fn viewer_item(&self, user: &UserId) -> Result<Vec<Finding>, Error> {
        match self.commands.profile(user).await? {
            Some(_) => Ok(Vec::new()),
            None => self.viewer_item_of_nobody(user).await,
        }
    }

    /// Whether there is what a card is about.
    ///
    /// # Errors
    /// As the store's.
    pub async fn card(&self, subject: &TallySubject) -> Result<Vec<Finding>, Error> {
        match subject {
            TallySubject::User(user) if self.commands.profile(user).await?.is_none() => self.card_of_nobody(user).await,
            TallySubject::Post(post) if self.commands.post(*post).await?.is_none() => {
                Ok(vec![Finding::new(Kind::StrayItem, Task::SettlePost { post: *post })])
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// The oldest moment whose posts have to be in feeds.
fn stays_since(now: Timestamp) -> Timestamp {
    now.before(FEED_AGE_MAX.saturating_sub(LEAVING))
}

/// Whether the card shows what the post says.
fn shows(card: &PostCard, post: &Post) -> bool {
    card.author == post.author
        && card.version == post.version
        && card.text == post.text
        && card.tags == post.tags
        && card.edited_at == post.edited_at
        && card.deleted == post.is_deleted()
        && card.taken_down == post.is_taken_down()
}

#[cfg(test)]
mod tests;
