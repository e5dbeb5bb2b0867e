//! Erasure: everything of an account that was deleted is removed. What stays is the last event of the log: it refuses
//! every later command of the user. The handle stays reserved for 30 days.
//!
//! 1. The log is read from its end to its beginning: posts and comments are deleted, and the user's follows, mutes and
//!    blocks end, each with its counts. Then the user's likes end, and the follows of the followers, in their logs.
//! 2. The walk waits for longer than any function runs, and than an event of a like is taken at its word. Whoever had
//!    read something before the deletion has ended by then, and nobody writes it again.
//! 3. If likes came meanwhile, the walk goes back to the likes of step 1, and waits again. So the whole wait follows
//!    the last like that has ended, whichever attempt of a step has ended it. Follows that came meanwhile end. Then the
//!    user's posts are removed from the homes of former followers, and all items: the log from its beginning to its
//!    end, and the read models last. Homes may also have rows of posts that were deleted one by one before. To find
//!    them, step 1 puts these posts back among the author's rows.
//!
//! While read models are rebuilt, all of this is done in both sets of tables (`SharedTables`), until those that are
//! retired are left to their emptying.
//!
//! Every step removes what it finds, so it can be repeated, and so can the whole walk. A hint that arrives late begins
//! another walk, which finds nothing.
//!
//! An event that makes no sense holds up the erasure, which then waits in the quarantine: if it were passed over, what
//! it began would stay for good. A like that makes no sense does not: it goes with the other items. Nor does somebody
//! else's post.
//!
//! Other users keep what is theirs: their logs name the id of the account, and so do their likes, mutes and blocks.
//! Notices of comments and mentions in their inboxes do so until they expire. No reader shows them.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use rand::Rng;

use super::{Step, WAIT_MAX, Walks};
use crate::{
    command::{end_follow, removal_of_comment},
    error::Error,
    model::{
        CommentId, Counts, Day, DayFact, Edge, EdgeKey, EdgeKind, EdgeState, Like, LikeChange, LogEntry, LogEvent,
        PartitionShard, PostId, TallyShard, TallySubject, Timestamp, UserEvent, UserId, Version, limits::FEED_AGE_MAX,
    },
    projection::{
        blocked_follows::BlockedFollows,
        blocks::BlockEffects,
        notices::{Addressed, of_follow, of_like},
        statistics::{self, facts_of_others},
    },
    retry::{RACES_MAX, until_no_conflict},
    store::{
        Consistency, Remains,
        command_table::unreadable,
        timelines::{Range, Row, Timeline},
        transaction::Change,
    },
    stream::{
        walk::{ErasureAt, Pass, Walk},
        work_queue::Task,
    },
};

/// Events, likes, followers or items of one step at most. Each may take several transactions.
const PER_STEP: usize = 50;
/// Posts whose remains are removed in one step at most. Each takes some dozens of reads and writes.
const POSTS_PER_STEP: usize = 10;
/// Homes cleared in one step at most.
const HOMES_PER_STEP: usize = 20;
/// Events, likes, followers or items worked on at once.
const AT_ONCE: usize = 4;
/// How long an erasure waits for another one, or for the purge of a post.
const WAIT: Duration = Duration::from_secs(10);

/// An account that is being erased.
struct Account<'a> {
    user: &'a UserId,
    /// The version of the last event.
    end: Version,
}

impl Walks {
    /// Hides the account, if it is deleted, and lets a worker erase it. False if it is not deleted.
    pub(in crate::projection) async fn begin_erasure(&self, user: &UserId) -> Result<bool, Error> {
        let head = self.commands.head(user).await?;
        if !head.standing.is_deleted() {
            return Ok(false);
        }
        self.cards.remove_profile(user, head.version).await?;
        let at = ErasureAt::Log { before: head.version };
        self.send(vec![Walk::Erase { user: user.clone(), begun_at: self.clock.now(), at }]).await?;
        Ok(true)
    }

    /// If the account of `followee` is deleted, lets a worker end the follow. True if it is. A deletion of up to two
    /// seconds ago may be overlooked; the erasure of the account ends the follow then.
    pub(in crate::projection) async fn begin_leaving(
        &self,
        follower: &UserId,
        followee: &UserId,
    ) -> Result<bool, Error> {
        if self.commands.recent_standing(followee, self.clock.now()).await?.is_some() {
            return Ok(false);
        }
        let (follower, followee) = (follower.clone(), followee.clone());
        self.work_queue.send(vec![Task::EndFollow { follower, followee }]).await?;
        Ok(true)
    }

    /// One step of an erasure.
    pub(super) async fn erasure_step(
        &self,
        user: UserId,
        mut begun_at: Timestamp,
        at: ErasureAt,
        rows: usize,
    ) -> Result<Step, Error> {
        let head = self.commands.head(&user).await?;
        if !head.standing.is_deleted() {
            tracing::error!(%user, "the account to erase is not deleted");
            return Ok(Step::Done);
        }
        let account = Account { user: &user, end: head.version };
        let count = rows.clamp(1, PER_STEP);
        let walk = |begun_at, at| Walk::Erase { user: user.clone(), begun_at, at };
        let next = match at {
            ErasureAt::Log { before } => self.delete_what_the_log_says(&account, before, count).await?,
            ErasureAt::Likes { after, pass } => {
                let (open, next) = self.open_likes(&account, after, count).await?;
                let came_meanwhile = pass == Pass::Last && !open.is_empty();
                if pass == Pass::First {
                    self.end_likes(&account, open).await?;
                }
                Some(match next {
                    // Not ended here: if this attempt ended them and was killed, the next one would not know of them.
                    _ if came_meanwhile => ErasureAt::Likes { after: None, pass: Pass::First },
                    Some(post) => ErasureAt::Likes { after: Some(post), pass },
                    None => ErasureAt::Followers { after: None, pass },
                })
            }
            ErasureAt::Followers { after, pass } => {
                let next = self.end_follows(&account, after, pass, count).await?;
                if next == ErasureAt::Wait {
                    // Others show the ends of likes, and have to be done before nothing is left of these.
                    begun_at = self.clock.now();
                }
                Some(next)
            }
            ErasureAt::Wait => {
                let left = begun_at.after(self.erasure_delay).since(self.clock.now());
                if left > Duration::ZERO {
                    return Ok(Step::Later(left.min(WAIT_MAX), walk(begun_at, ErasureAt::Wait)));
                }
                Some(ErasureAt::Likes { after: None, pass: Pass::Last })
            }
            ErasureAt::Homes { after, before } => self.clear_homes(&account, after, before, rows).await?,
            ErasureAt::Events => self.remove_events(&account, rows).await?,
            ErasureAt::Items => self.remove_items(&account, count).await?,
            ErasureAt::Edges => match self.remove_edges(&account, count).await {
                // The follower's account is being erased, too, and the other walk has not ended the follow.
                Err(Error::Conflict) => return Ok(Step::Later(WAIT, walk(begun_at, ErasureAt::Edges))),
                removed => removed?,
            },
            ErasureAt::ReadModels => self.remove_read_models(&account, rows).await?,
        };
        Ok(next.map_or(Step::Done, |at| Step::Next(vec![walk(begun_at, at)])))
    }

    async fn delete_what_the_log_says(
        &self,
        account: &Account<'_>,
        before: Version,
        count: usize,
    ) -> Result<Option<ErasureAt>, Error> {
        let entries = self.commands.log_before(account.user, before, limit(count)).await?;
        stream::iter(&entries)
            .map(|entry| until_no_conflict(async move || self.undo(account, entry).await))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        Ok(Some(match entries.last() {
            Some(last) if entries.len() == count => ErasureAt::Log { before: last.version },
            _ => ErasureAt::Likes { after: None, pass: Pass::First },
        }))
    }

    /// Ends what the event began.
    async fn undo(&self, account: &Account<'_>, entry: &LogEntry) -> Result<(), Error> {
        match &readable(account, entry)?.event {
            UserEvent::PostCreated { post, .. } => self.delete_post(account, *post).await,
            UserEvent::PostCommented { post, comment, .. } => self.delete_comment(account, *post, *comment).await,
            event => {
                for (kind, to) in event.edges() {
                    self.end_edge(account, EdgeKey::new(account.user, kind, to)).await?;
                }
                Ok(())
            }
        }
    }

    async fn delete_post(&self, account: &Account<'_>, post: PostId) -> Result<(), Error> {
        let Some(mut post) = self.commands.post(post).await? else { return Ok(()) };
        if post.is_deleted() {
            if post.post.leaves_feeds_at() > self.clock.now() {
                let row = Row { post: post.post, author: account.user.clone() };
                for timelines in &self.shared.timelines.maintained {
                    timelines.put(&[Timeline::Author(account.user.clone())], &row).await?;
                }
            }
        } else {
            let scrubbed = post.scrubbed(self.clock.now());
            let scrub = Change::ScrubEvent { user: account.user.clone(), version: post.event_version };
            self.commands.commit_unlogged(&[Change::ReplacePost(scrubbed.clone()), scrub]).await?;
            post = scrubbed;
        }
        for cards in &self.shared.cards.maintained {
            cards.put_deleted(&post).await?;
        }
        self.begin_purge(&post).await
    }

    async fn delete_comment(&self, account: &Account<'_>, post: PostId, comment: CommentId) -> Result<(), Error> {
        let (is_counted, found, commenter) = tokio::try_join!(
            self.counts_comments(post),
            self.commands.comment(post, comment),
            self.commands.commenter(account.user, post)
        )?;
        let Some(comment) = found.filter(|comment| !comment.is_deleted()) else { return Ok(()) };
        let changes = match is_counted {
            true => removal_of_comment(&comment, commenter.as_ref(), shard(), self.clock.now()),
            false => vec![
                Change::RemoveComment { post, comment: comment.comment, shard: comment.shard },
                Change::ScrubEvent { user: account.user.clone(), version: comment.event_version },
            ],
        };
        self.commands.commit_unlogged(&changes).await
    }

    /// Whether there is a post that is not deleted. One that makes no sense, which is somebody else's, counts as such a
    /// post: its counter is there, and if the post is deleted, nobody reads the counter.
    async fn counts_comments(&self, post: PostId) -> Result<bool, Error> {
        match self.commands.post(post).await {
            Err(error @ Error::Poison { .. }) => {
                tracing::error!(%post, %error, "a post makes no sense, and its comment is removed as from any other");
                Ok(true)
            }
            post => Ok(post?.is_some_and(|post| !post.is_deleted())),
        }
    }

    async fn end_edge(&self, account: &Account<'_>, key: EdgeKey) -> Result<(), Error> {
        let Some(edge) = self.commands.edges(std::slice::from_ref(&key)).await?.get(&key) else { return Ok(()) };
        if edge.active {
            let ended = Edge { shard: edge.shard, ..Edge::new(EdgeState::Ended, account.end) };
            let mut changes = vec![Change::PutEdge { key: key.clone(), edge: ended, replaces: Some(edge.version) }];
            if key.kind == EdgeKind::Follows {
                let more = Counts { followers: -1, ..Counts::default() };
                changes.push(Change::Count { subject: TallySubject::User(key.to.clone()), shard: shard(), more });
            }
            self.commands.commit_unlogged(&changes).await?;
        }
        if key.kind == EdgeKind::Blocks {
            let (commands, work_queue, clock) = (self.commands.clone(), self.work_queue.clone(), self.clock.clone());
            let follows = BlockedFollows { commands: commands.clone(), work_queue, clock };
            for viewers in self.shared.viewers.maintained.iter().cloned() {
                let blocks = BlockEffects { commands: commands.clone(), viewers, follows: follows.clone() };
                blocks.show(account.user, &key.to).await?;
            }
        }
        Ok(())
    }

    /// The likes behind that of this post which have to end, and where to go on. The counter of a post whose author's
    /// account was erased is gone: a like of it goes with the other items.
    async fn open_likes(
        &self,
        account: &Account<'_>,
        after: Option<PostId>,
        count: usize,
    ) -> Result<(Vec<(PostId, Like)>, Option<PostId>), Error> {
        let (mut likes, next) = self.commands.likes_of(account.user, after, limit(count)).await?;
        let posts: Vec<_> = likes.iter().map(|(post, _)| *post).collect();
        let existing = self.commands.existing_posts(&posts).await?;
        likes.retain(|(post, _)| existing.contains(post));
        Ok((likes, next))
    }

    async fn end_likes(&self, account: &Account<'_>, likes: Vec<(PostId, Like)>) -> Result<(), Error> {
        stream::iter(likes)
            .map(async |(post, like)| {
                let more = -Counts { likes: 1, heat: like.heat, ..Counts::default() };
                let like = Like { liked: false, version: like.version + 1, ..like };
                let count = Change::Count { subject: TallySubject::Post(post), shard: shard(), more };
                self.commands
                    .commit_unlogged(&[Change::PutLike { user: account.user.clone(), post, like }, count])
                    .await
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await
    }

    async fn end_follows(
        &self,
        account: &Account<'_>,
        after: Option<UserId>,
        pass: Pass,
        count: usize,
    ) -> Result<ErasureAt, Error> {
        let page = self.commands.followers(account.user, after.as_ref(), limit(count)).await?;
        stream::iter(&page.users)
            .map(|follower| end_follow(follower, account.user, RACES_MAX, &self.commands, &self.clock))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        Ok(match (page.next, pass) {
            (Some(after), pass) => ErasureAt::Followers { after: Some(after), pass },
            (None, Pass::First) => ErasureAt::Wait,
            (None, Pass::Last) => ErasureAt::Homes { after: None, before: None },
        })
    }

    /// Removes the next posts from the homes of the next former followers. Nobody can follow the user again, so nothing
    /// brings a row back.
    async fn clear_homes(
        &self,
        account: &Account<'_>,
        after: Option<UserId>,
        before: Option<PostId>,
        rows: usize,
    ) -> Result<Option<ErasureAt>, Error> {
        let follows = self.commands.follows_ever(account.user, after.as_ref(), limit(rows.min(HOMES_PER_STEP))).await?;
        let Some(last) = follows.last().map(|(follow, _)| follow.from.clone()) else {
            return Ok(Some(ErasureAt::Events));
        };
        let range = Range { before, since: self.clock.now().before(FEED_AGE_MAX) };
        let author = Timeline::Author(account.user.clone());
        let page = self.timelines.newest(&author, range, (rows / follows.len()).max(1), Consistency::Strong).await?;
        let homes: Vec<_> = follows.into_iter().map(|(follow, _)| Timeline::Home(follow.from)).collect();
        for timelines in &self.shared.timelines.with_content {
            timelines.remove(&homes, &page.rows).await?;
        }
        Ok(Some(match page.rows.last() {
            Some(row) if page.more => ErasureAt::Homes { after, before: Some(row.post) },
            _ => ErasureAt::Homes { after: Some(last), before: None },
        }))
    }

    /// Removes the oldest events, with what they left behind.
    async fn remove_events(&self, account: &Account<'_>, rows: usize) -> Result<Option<ErasureAt>, Error> {
        let count = rows.clamp(1, POSTS_PER_STEP);
        let entries = self.commands.oldest_events(account.user, limit(count)).await?;
        let mut entries = entries.into_iter().filter(|entry| entry.version < account.end).peekable();
        if entries.peek().is_none() {
            return Ok(Some(ErasureAt::Items));
        }
        for entry in entries {
            let event = readable(account, &entry)?;
            let facts = facts_of_others(&self.commands, event).await?;
            self.forget_facts(facts).await?;
            match event.event {
                UserEvent::PostCreated { post, .. } => {
                    // Somebody may have commented on the post just after it was deleted.
                    if matches!(self.purge_step(post, account.user, None, None, rows).await?, Step::Next(_)) {
                        return Ok(Some(ErasureAt::Events));
                    }
                    let subject = TallySubject::Post(post);
                    self.commands.remove_post(post).await?;
                    for timelines in &self.shared.timelines.with_content {
                        timelines.erase_tags(post).await?;
                    }
                    self.commands.remove_tally(&subject).await?;
                    self.remove_cards(&subject).await?;
                }
                UserEvent::PostCommented { post, comment, .. } => {
                    let remove = |shard| Change::RemoveComment { post, comment, shard };
                    let removals: Vec<_> = PartitionShard::any_of_comment(comment).map(remove).collect();
                    self.commands.commit_unlogged(&removals).await?;
                }
                _ => {}
            }
            self.commands.remove_event(account.user, entry.version).await?;
        }
        Ok(Some(ErasureAt::Events))
    }

    async fn remove_items(&self, account: &Account<'_>, count: usize) -> Result<Option<ErasureAt>, Error> {
        let remains = self.commands.remains_of(account.user, account.end, limit(count)).await?;
        if remains.is_empty() {
            return Ok(Some(ErasureAt::Edges));
        }
        stream::iter(remains)
            .map(async |remains| match remains {
                Remains::Edge(key) => {
                    // The newest event of the log may not be about the edge, as after a removal by the other user.
                    self.end_edge(account, key.clone()).await?;
                    let Some(edge) = self.commands.edges(std::slice::from_ref(&key)).await?.get(&key) else {
                        return Ok(());
                    };
                    self.remove_notice(of_follow(&key.from, &key.to, edge)).await?;
                    self.commands.commit_unlogged(&[Change::RemoveEdge { key, shard: edge.shard }]).await
                }
                Remains::Like(post, like) => {
                    let liked = like.at.map(|at| DayFact::like(&like.author, Day::of(at), account.user, post));
                    self.forget_facts(liked.into_iter().collect()).await?;
                    self.remove_notice(Some(of_like(&LikeChange::of(account.user.clone(), post, like)))).await?;
                    self.commands.remove_like(account.user, post).await
                }
                Remains::Item(sk) => self.commands.remove_item(account.user, sk).await,
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        Ok(Some(ErasureAt::Items))
    }

    /// Removes what others are shown of a follow or a like of the user's.
    async fn remove_notice(&self, notice: Option<Addressed>) -> Result<(), Error> {
        let Some(Addressed { recipient, group, notice }) = notice else { return Ok(()) };
        for timelines in &self.shared.timelines.with_content {
            let now = self.clock.now();
            until_no_conflict(async || timelines.remove_notice(&recipient, group, &notice, now).await).await?;
        }
        Ok(())
    }

    /// Removes facts that follow from what the user did, and that others are credited with.
    async fn forget_facts(&self, facts: Vec<DayFact>) -> Result<(), Error> {
        for timelines in &self.shared.timelines.with_content {
            statistics::remove(timelines, facts.clone(), self.clock.now()).await?;
        }
        Ok(())
    }

    async fn remove_edges(&self, account: &Account<'_>, count: usize) -> Result<Option<ErasureAt>, Error> {
        let follows = self.commands.follows_ever(account.user, None, limit(count)).await?;
        if follows.is_empty() {
            self.commands.remove_spread_mark(account.user).await?;
            return Ok(Some(ErasureAt::ReadModels));
        }
        stream::iter(follows)
            .map(async |(key, shard)| self.commands.commit_unlogged(&[Change::RemoveEdge { key, shard }]).await)
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        Ok(Some(ErasureAt::Edges))
    }

    async fn remove_read_models(&self, account: &Account<'_>, rows: usize) -> Result<Option<ErasureAt>, Error> {
        for timeline in [Timeline::Home(account.user.clone()), Timeline::Author(account.user.clone())] {
            for timelines in &self.shared.timelines.with_content {
                if timelines.clear(&timeline, rows).await? {
                    return Ok(Some(ErasureAt::ReadModels));
                }
            }
        }
        for timelines in &self.shared.timelines.with_content {
            let now = self.clock.now();
            if timelines.clear_notices(account.user, rows).await?
                || timelines.erase_facts(account.user, rows, now).await?
            {
                return Ok(Some(ErasureAt::ReadModels));
            }
        }
        let subject = TallySubject::User(account.user.clone());
        for search in &self.shared.search.with_content {
            search.remove(&subject).await?;
        }
        self.commands.remove_tally(&subject).await?;
        self.commands.remove_celebrity(account.user).await?;
        self.remove_cards(&subject).await?;
        for viewers in &self.shared.viewers.with_content {
            viewers.remove(account.user).await?;
        }
        tracing::info!(user = %account.user, "the account is erased");
        Ok(None)
    }

    async fn remove_cards(&self, subject: &TallySubject) -> Result<(), Error> {
        for cards in &self.shared.cards.with_content {
            cards.remove(subject).await?;
        }
        Ok(())
    }
}

/// The event, if this release can read it. Nothing else tells what the event began, so it stays until a newer release
/// reads it, or somebody has repaired it.
fn readable<'a>(account: &Account<'_>, entry: &'a LogEntry) -> Result<&'a LogEvent, Error> {
    entry.event.as_ref().map_err(|why| unreadable(account.user, entry.version, why.clone()))
}

fn shard() -> TallyShard {
    TallyShard::for_attempt(0, rand::rng().random())
}

fn limit(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
